#ifndef FETCH_H
#define FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>

#include "fault.h"

/*
 * Outgoing HTTP requests by libcurl on the loop: many at a time, connections
 * kept. No redirects, no proxies but the environment's, TLS checked against the
 * system's authorities and those given.
 */
#define FETCH_CONNECTIONS 32 /* at a time; other requests wait for one */
struct fetcher;

/* `authorities` is PEM or NULL; copied. NULL and a fault. */
struct fetcher *fetcher_new(struct ev_loop *, const char *authorities,
    struct fault *);
/* Before the first request: other than FETCH_CONNECTIONS. */
void fetcher_connections(struct fetcher *, unsigned n);
/* Likewise: the lowest TLS version, "1.0" to "1.3"; NULL is "1.2", and so are
 * those below. -1 when it is none. */
int fetcher_minimum_tls(struct fetcher *, const char *version);
/* Requests under way end without their callback. */
void fetcher_free(struct fetcher *);

/* To https, or to http where the caller allows it: the URL is not looked at. */
struct fetch_request {
	const char *method, *url;
	const char *const *headers; /* "Name: value", NULL-terminated */
	const void *body;           /* NULL: none */
	size_t body_len;
	bool lent;           /* the body is there until the answer is: it is
	                      * not copied */
	long timeout_ms;     /* for all of it */
	long body_ms;        /* for the answer's body, if that is less; or 0 */
	size_t answer_max;   /* bytes of body kept; more ends the connection */
	bool direct;         /* not by a proxy of the environment */
};

/* Why there is no answer, or not all of it. */
enum fetch_failure {
	FETCH_WHOLE,   /* none */
	FETCH_RESOLVE, /* no address for the host's name */
	FETCH_CONNECT, /* nobody listens there */
	FETCH_TLS,     /* it does not prove who it is, or will not talk */
	FETCH_TIMEOUT,
	FETCH_TOO_LONG,
	FETCH_BROKEN,  /* the connection was lost, or this is no HTTP */
};

/* A status may come without the whole answer; who wants the body looks at
 * `failure`, too. */
struct fetch_answer {
	long status; /* 0: none came */
	enum fetch_failure failure;
	bool sent;   /* who is asked may have seen some of the request */
	const char *error; /* of it, for people; has the host, no more of the
	                    * URL; NULL with FETCH_WHOLE */
	const char *body;  /* what came of it */
	size_t body_len;
	const char *content_type; /* or NULL */
	int64_t retry_after; /* microseconds, at most FETCH_RETRY_MAX; 0: the
	                      * answer does not say */
	const struct fetch *fetch; /* for fetch_header */
};
#define FETCH_HEADERS_MAX 65536 /* bytes of an answer's headers */
#define FETCH_RETRY_MAX (INT64_C(3600) * 1000000) /* an hour */

/* A header of the answer, NULL when there is none; for the callback only. */
const char *fetch_header(const struct fetch_answer *, const char *name);

/*
 * Begin. The request is copied, but for a body that is lent. `done` is called
 * once, from the loop, unless the request is dropped before; what it is told of
 * is there until it returns, and the fetch is gone then. It may start and drop
 * other requests, but not free the fetcher. NULL and a fault when the request
 * cannot even be made: `done` is not called.
 */
struct fetch;
struct fetch *fetch_start(struct fetcher *, const struct fetch_request *,
    void (*done)(const struct fetch_answer *, void *arg), void *arg,
    struct fault *);
void fetch_drop(struct fetch *); /* NULL is nothing */

#endif
