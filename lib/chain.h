#ifndef CHAIN_H
#define CHAIN_H

#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "tls.h"

/*
 * Do the certificates that a client has shown lead to an authority that we
 * know? Times are those of clock_now(), so this is not left to wolfSSL.
 */
struct authority;

/* Read one, PEM or base64. NULL and a fault when it is none. */
struct authority *authority_new(const char *text, struct fault *);
void authority_free(struct authority *);

/* The SHA-256 of its DER. */
const uint8_t *authority_sha256(const struct authority *);

/*
 * Fill in all that follows `n` in a certificate whose chain is there: leaf first,
 * each signed by the next (the sender's duty in TLS 1.2), up to the first that
 * one of the authorities has signed. Several authorities may have one name.
 */
void chain_judge(struct tls_certificate *, struct authority *const *, size_t n);

#endif
