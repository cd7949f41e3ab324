#ifndef CERT_H
#define CERT_H

#include <stdint.h>

#include "fault.h"

/* X.509 certificates as people hand them in. */

/*
 * Look at the certificate of an authority: one, as PEM or in base64. It may
 * sign others: basicConstraints says so, and keyUsage, if any. Tells from when
 * to when it is valid (see clock.h). 0, or -1 and a fault.
 */
int cert_authority(const char *text, int64_t *issued, int64_t *expires,
    struct fault *);

/* Is it one certificate, as PEM or in base64, of an RSA key? 0, or -1. */
int cert_check_rsa(const char *text, struct fault *);

/* Is it a SHA-1 or SHA-256 in hex, with or without colons? 0, or -1. */
int cert_check_thumbprint(const char *, struct fault *);

#endif
