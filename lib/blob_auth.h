#ifndef BLOB_AUTH_H
#define BLOB_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include <jv.h>

#include "buf.h"
#include "fault.h"

/*
 * Who we are to an account of Blob Storage, and requests that prove it
 * (destinations reference, 5).
 */
#define BLOB_VERSION "2021-08-06"
#define BLOB_AUDIENCE "https://storage.azure.com/"

/* Where the account is, of the namespace's endpoint of it. */
struct blob_account {
	char *url;  /* without a slash at its end */
	char *name; /* "": it does not say */
	bool given; /* the endpoint has a url: no connection string says
	             * another */
};

/* The entry is not consumed. 0, or -1 and a fault. */
int blob_account_init(struct blob_account *, jv endpoint, struct fault *);
void blob_account_free(struct blob_account *);

/* What requests are proved with. */
struct blob_proof {
	enum { BLOB_BEARER, BLOB_KEY, BLOB_SAS } how;
	const char *url, *account; /* of whom it is asked */
	const char *secret;        /* token, key in base64, or query */
	struct buf text, made;     /* what these may point into */
	struct buf signature;      /* made of the key */
};

/* Of a credential's type and token; the account outlives it. 0, or -1 and a
 * fault, which has nothing of the token. */
int blob_proof_init(struct blob_proof *, const struct blob_account *,
    const char *type, const char *token, struct fault *);
void blob_proof_free(struct blob_proof *);

/* Has the text some of the secret in it? */
bool blob_proof_told(const struct blob_proof *, const char *text);

/* A request; what is NULL is not said. */
struct blob_param {
	const char *name, *value;
};
#define BLOB_PARAMS 5
struct blob_call {
	const char *method, *container, *name;
	struct blob_param params[BLOB_PARAMS]; /* sorted, up to a NULL name */
	const char *if_match, *if_none_match;
	const char *content_type, *content_md5;
	bool put;      /* it has a body, */
	size_t length; /* of so many bytes */
};

/* Make its URL, a text, and its headers, each with a NUL behind. 0, or -1 and a
 * fault. */
int blob_call_sign(const struct blob_call *, struct blob_proof *, time_t now,
    struct buf *url, struct buf *head, struct fault *);

#endif
