#ifndef HTTP_H
#define HTTP_H

#include <jv.h>

#include "buf.h"
#include "credential.h"
#include "fetch.h"
#include "outcome.h"
#include "target.h"

/*
 * Attempts that are HTTP requests: the connections to one destination and the
 * credential that they are made with. A token that is refused (401) is asked
 * for anew, once for each attempt.
 */
#define HTTP_ANSWER 65536   /* bytes of an answer's body that are read */
#define HTTP_BODY_TIME 2000 /* milliseconds that it may take */
#define HTTP_IN_FLIGHT 64   /* attempts at a time, unless maxInFlight says */

struct http;

/* How a token, or what is made of a connection string, is sent: adds a header,
 * "Name: value", and a NUL. 0, or -1 and a fault. */
typedef int http_proof(const struct credential *, const char *token,
    const char *url, void *arg, struct buf *head, struct fault *);

struct http_settings {
	jv credential;          /* credential.h (consumed); null: none */
	const char *audience;   /* of an identity's token; copied */
	http_proof *proof;      /* NULL: as credential_header() does */
	void *proof_arg;        /* of proof; outlives it */
	const char *minimum_tls; /* fetcher_minimum_tls() */
	unsigned connections;   /* requests at a time */
	long timeout_ms;        /* until the answer's status */
};
struct http *http_new(const struct target_use *, struct http_settings *,
    struct fault *);
void http_free(struct http *);

/* All zeros is empty; buf_free of its parts is the owner's. */
struct http_request {
	const char *method; /* outlives the attempt, as does the url */
	const char *url;
	struct buf head;   /* "Name: value", each with a NUL */
	struct buf secret; /* names of headers that nobody is to see, likewise */
	struct buf body;
};

/*
 * Begin; `done` is called once, from the loop, unless it is dropped. The answer
 * is NULL when nothing was sent. The request's buffers are taken (and empty
 * then); one that is bad ends as no memory. NULL without memory: nothing is
 * taken, and `done` will not be called.
 */
struct http_exchange;
struct http_exchange *http_send(struct http *, struct http_request *,
    void (*done)(const struct outcome *, const struct fetch_answer *,
	void *arg), void *arg);
void http_drop(struct http_exchange *);
void http_drop_all(struct http *);

/* Does a text that came with the answer have a secret of the request in it? For
 * `done` only. */
bool http_tells(const struct http_exchange *, const char *text);

/* The request as people read it, with "***" for what is secret: a URL's query,
 * the credential, and the values of such headers. */
void http_show(const struct http *, const struct http_request *, struct buf *);

#endif
