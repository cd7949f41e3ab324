#ifndef QUOTE_H
#define QUOTE_H

#include <stddef.h>

/*
 * Text from outside, fit for a terminal or a log: control characters, bytes
 * that are not UTF-8 and backslashes become \xNN, and what does not fit is cut
 * with "...". Returns out, which holds QUOTE_MAX bytes.
 */
#define QUOTE_MAX 256
char *quote(char out[QUOTE_MAX], const char *, size_t);

#endif
