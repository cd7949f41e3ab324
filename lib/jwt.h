#ifndef JWT_H
#define JWT_H

#include <stddef.h>
#include <stdint.h>

#include <jv.h>

#include "buf.h"
#include "fault.h"

/*
 * JSON web tokens of CUSTOM-JWT logins: RS256, checked against the issuer
 * certificates of the namespace (customJwtAuthentication).
 */
#define JWT_MAX 8192 /* bytes of a token */

struct jwt_issuer;

/* From `customJwtAuthentication` (consumed) and the host names that `aud` may
 * name. NULL and a fault that says which certificate is wrong. */
struct jwt_issuer *jwt_issuer_new(jv settings, const char *const *hosts,
    size_t nhosts, struct fault *);
void jwt_issuer_free(struct jwt_issuer *);

struct jwt_claims {
	struct buf subject;    /* becomes the authentication name */
	struct buf attributes; /* JSON object of the other claims that can be
	                          attributes: int32, string, array of strings */
	int64_t expires;       /* microseconds */
};
void jwt_claims_free(struct jwt_claims *);

/* 0, or -1 and a fault (Unauthorized) that names the claim or header and what
 * was wanted, without the token. Times are compared with clock_now(). */
int jwt_check(const struct jwt_issuer *, const char *token, size_t,
    struct jwt_claims *, struct fault *);

#endif
