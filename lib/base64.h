#ifndef BASE64_H
#define BASE64_H

#include <stddef.h>

#include "buf.h"

/* RFC 4648 section 4, with padding. out holds BASE64_LEN(n) bytes, no NUL. */
#define BASE64_LEN(n) (((n) + 2) / 3 * 4)
void base64_encode(char *out, const void *, size_t n);
void base64_add(struct buf *, const void *, size_t n);

/*
 * Strict: padded, no white space, no stray bits. Returns the number of bytes,
 * at most n / 4 * 3, or -1. A NULL out only checks.
 */
long base64_decode(void *out, const char *, size_t n);

#endif
