#ifndef CERT_H
#define CERT_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"

struct RsaKey; /* of wolfCrypt */

/* X.509 certificates as people hand them in. */

/*
 * Look at the certificate of an authority: one, as PEM or in base64. It may
 * sign others: basicConstraints says so, and keyUsage, if any. Tells from when
 * to when it is valid (see clock.h). 0, or -1 and a fault.
 */
int cert_authority(const char *text, int64_t *issued, int64_t *expires,
    struct fault *);

/* Add the DER of one certificate, as PEM or in base64. 0, or -1 and a fault. */
int cert_der(const char *text, struct buf *, struct fault *);

/*
 * The key of one certificate, as PEM or in base64, which must be RSA and of
 * CERT_RSA_BITS at least; the caller frees it. 0, or -1 and a fault.
 */
#define CERT_RSA_BITS 2048
int cert_rsa_key(const char *text, struct RsaKey *, struct fault *);

/* Is it certificates in PEM, one or more, and no key? 0, or -1. */
int cert_check_bundle(const char *text, struct fault *);

/* Would cert_rsa_key take it? 0, or -1. */
int cert_check_rsa(const char *text, struct fault *);

/* From when to when is the first of these certificates valid? As PEM. 0, or -1
 * and a fault. */
int cert_times(const char *pem, int64_t *begins, int64_t *ends, struct fault *);

/* Have both the same public key; was the first signed by the second's? What is
 * no certificate is not. */
bool cert_same_key(const char *pem, const char *other);
bool cert_signed_by(const char *pem, const char *authority);

/* Is it a SHA-1 or SHA-256 in hex, with or without colons? 0, or -1. */
int cert_check_thumbprint(const char *, struct fault *);

#endif
