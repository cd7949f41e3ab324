#ifndef ISSUE_H
#define ISSUE_H

#include <stddef.h>

#include "buf.h"
#include "fault.h"

/*
 * Making certificates for a namespace: P-256 keys, signed by ECDSA with SHA-256.
 * All texts are PEM. What is added to a buffer is not NUL-terminated; a buffer
 * that holds a key is to be given back by buf_wipe().
 */
#define ISSUE_NAME_MAX 64 /* bytes of a common name; X.520 has no more */
#define ISSUE_DAYS_MAX 36500

enum issue_use {
	ISSUE_AUTHORITY, /* signs others, none of which signs more */
	ISSUE_SERVER,
	ISSUE_CLIENT,
};

struct issue {
	enum issue_use use;
	const char *name; /* common name */
	/* "DNS:a.example", "IP:192.0.2.7", "URI:urn:x", "email:a@example"; or a
	 * bare name or address */
	const char *const *alternatives;
	size_t n;
	int days; /* from now; it does not outlive its authority */
	const char *key;       /* of its subject */
	const char *authority; /* certificate; NULL: it is its own */
	const char *authority_key;
};

/* A new key. 0, or -1 and a fault. */
int issue_key(struct buf *, struct fault *);

/* The certificate. 0, or -1 and a fault. */
int issue_certificate(const struct issue *, struct buf *, struct fault *);

#endif
