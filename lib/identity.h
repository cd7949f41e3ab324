#ifndef IDENTITY_H
#define IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

#include "fault.h"
#include "registry.h"
#include "tls.h"

/*
 * Who a client is: what the registry says about an authentication name, and
 * whether a certificate shows that the peer is that client.
 */
#define IDENTITY_NAME_MAX 512 /* bytes of 128 characters */

enum identity_scheme {
	IDENTITY_SUBJECT,
	IDENTITY_DNS,
	IDENTITY_URI,
	IDENTITY_IP,
	IDENTITY_EMAIL,
	IDENTITY_THUMBPRINT,
};

/* A client of the registry. Zeros to begin with; free at the end. */
struct identity {
	char *client; /* the resource's name; NULL: none (JWT, webhook) */
	char *uid;
	char *name;       /* authentication name in its registered spelling */
	char *attributes; /* JSON text of an object, "{}" when there are none */
	bool disabled;
	enum identity_scheme scheme;
	char *thumbprints[2]; /* lower-case hex without colons, or NULL */
};

/* Find the client with an authentication name, in any case (ASCII). 0; or -1 and
 * a fault: NotFound, or the registry's. */
int identity_find(struct registry *, const char *name, size_t,
    struct identity *, struct fault *);
void identity_free(struct identity *);

/* Is this certificate (NULL: none) the client's, by its scheme? The validation
 * time is clock_now(). 0, or -1 and a fault (Unauthorized) that says why not:
 * which field has which value, and what was wanted. */
int identity_check(const struct identity *, const struct tls_certificate *,
    struct fault *);

/*
 * The authentication name that a certificate gives when CONNECT has none: the
 * first source, in the namespace's order, that is not empty.
 */
struct identity_sources {
	enum identity_scheme list[5]; /* never IDENTITY_THUMBPRINT */
	size_t n;
};
/* From `alternativeAuthenticationNameSources`, a JSON array of enum values. */
int identity_sources(struct identity_sources *, jv list);
/* Bytes of the name in out, NUL-terminated; 0 when no source has one. */
size_t identity_name(const struct identity_sources *,
    const struct tls_certificate *, char out[IDENTITY_NAME_MAX + 1]);

#endif
