#ifndef CHAIN_H
#define CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "tls.h"

/*
 * Do the certificates that a client has shown lead to an authority that we
 * know? Times are those of clock_now(), so this is not left to wolfSSL.
 */
struct authorities;

/* n texts, each PEM or base64. NULL and a fault that says which is none. */
struct authorities *authorities_new(const char *const *texts, size_t n,
    struct fault *);
void authorities_free(struct authorities *);

/* Is there one whose DER has this SHA-256? */
bool authorities_have(const struct authorities *, const uint8_t sha256[32]);

/*
 * Fill in all that follows `n` in a certificate whose chain is there: leaf
 * first, each signed by the next (the sender's duty in TLS 1.2), up to the
 * first that one of the authorities has signed. Several of these may have one
 * name.
 */
void chain_judge(struct authorities *, struct tls_certificate *);

#endif
