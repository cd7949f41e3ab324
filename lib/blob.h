#ifndef BLOB_H
#define BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>
#include <jv.h>

#include "fault.h"
#include "fetch.h"

/*
 * Containers of Azure Blob Storage, and of what speaks like it (REST version
 * 2021-08-06), on the loop. The account is the namespace's endpoint of its
 * resource id:
 *	url         https://ACCOUNT.blob.core.windows.net, which is also what
 *	            none means, or http://127.0.0.1:10000/ACCOUNT of an emulator
 *	credential  credential.h: "key" is the account's key (Shared Key), "sas"
 *	            a query that is added to each URL, "connectionString" has
 *	            AccountName and AccountKey, or SharedAccessSignature, and
 *	            perhaps BlobEndpoint, which counts when there is no url;
 *	            "bearer" and identities are for https://storage.azure.com/
 */
#define BLOB_TIME 60000  /* milliseconds for a request, all of it */
#define BLOB_NAME 1024   /* bytes of a name, which is UTF-8 */
#define BLOB_ETAG 128    /* bytes, with a NUL */

struct blob_use {
	struct ev_loop *loop;   /* the default one */
	int dir;                /* the spool's */
	struct fetcher *fetcher; /* with the namespace's authorities */
};

struct blob_container;

/*
 * `endpoint` is the entry of the namespace (consumed), identity the one to be
 * used when it has no credential: NULL is the machine's own. All of blob_use
 * outlives it. NULL and a fault.
 */
struct blob_container *blob_open(const struct blob_use *, jv endpoint,
    const char *identity, const char *container, struct fault *);
void blob_close(struct blob_container *); /* what is under way is dropped */

/* Its URL without a query, for people. */
const char *blob_url(const struct blob_container *);

/* How a request ended. */
enum blob_result {
	BLOB_DONE,
	BLOB_EXISTS,  /* BlobAlreadyExists: there is one of that name */
	BLOB_CHANGED, /* ConditionNotMet: it is not as it was */
	BLOB_MISSING, /* no such blob */
	BLOB_LATER,   /* it may succeed later: no answer, 401, 403, 408, 429,
	               * 5xx, no container, no token, a lease, what was damaged
	               * on its way, and what the service never says: 3xx */
	BLOB_REFUSED, /* never, as it is: 400, 413, and others */
};

struct blob_answer {
	enum blob_result result;
	bool unsure;          /* with BLOB_LATER: it may have been done all the
	                       * same, the answer was lost */
	bool silent;          /* no answer, or not all of it, came in
	                       * BLOB_TIME */
	struct fault fault;   /* unless BLOB_DONE: status, code, the service's
	                       * words, and what to do where that is known
	                       * (the role to grant, the container to make).
	                       * With BLOB_LATER it is Unavailable, or without
	                       * memory InternalServerError; with the others
	                       * Conflict, NotFound, PayloadTooLarge or
	                       * BadRequest */
	const char *text;     /* of a get; until the callback returns */
	size_t len;
	char etag[BLOB_ETAG]; /* of a get, of a put */
};

/*
 * Requests. `done` is called once, from the loop, unless it is dropped; never
 * before the call returns. Names and text are copied. NULL without memory:
 * `done` is not called.
 */
typedef void blob_done(const struct blob_answer *, void *arg);
struct blob_request;

/* Put a blob of JSON: if there is none of that name (if_match NULL), or in place
 * of the one with that ETag. */
struct blob_request *blob_put(struct blob_container *, const char *name,
    const void *text, size_t len, const char *if_match, blob_done *done,
    void *arg);
/* All of it, at most max bytes (BLOB_REFUSED: more). */
struct blob_request *blob_get(struct blob_container *, const char *name,
    size_t max, blob_done *done, void *arg);
/* Delete one, if it has that ETag, NULL: in any case. */
struct blob_request *blob_delete(struct blob_container *, const char *name,
    const char *if_match, blob_done *done, void *arg);
void blob_drop(struct blob_request *); /* NULL is nothing */

/* What a list tells of a blob. */
struct blob_entry {
	const char *name;
	uint64_t size;
	int64_t modified;  /* microseconds since 1970 */
	const char *etag;
};
/*
 * A page of the names that begin with prefix (NULL: all), in their order:
 * `each` is called for each from the loop, and drops and closes nothing; then
 * `done`, whose text is the marker of the next page, with a NUL behind; empty:
 * there is none. Unless it is BLOB_DONE, what was told does not count. The first
 * page has marker NULL.
 */
struct blob_request *blob_list(struct blob_container *, const char *prefix,
    const char *marker, void (*each)(const struct blob_entry *, void *arg),
    blob_done *done, void *arg);

#endif
