#ifndef HMAC_H
#define HMAC_H

#include <stddef.h>
#include <stdint.h>

/* HMAC-SHA256 by wolfCrypt. 0 or -1, out of memory. */
#define HMAC_LEN 32
int hmac_sha256(uint8_t out[HMAC_LEN], const void *key, size_t key_len,
    const void *text, size_t len);

#endif
