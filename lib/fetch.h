#ifndef FETCH_H
#define FETCH_H

#include <stddef.h>

#include <ev.h>

#include "fault.h"

/*
 * Outgoing HTTPS requests by libcurl on the loop: many at a time, connections
 * kept. No redirects, no proxies but the environment's, TLS checked against the
 * system's authorities and those given.
 */
#define FETCH_CONNECTIONS 32 /* at a time; other requests wait for one */
struct fetcher;

/* `authorities` is PEM or NULL; copied. NULL and a fault. */
struct fetcher *fetcher_new(struct ev_loop *, const char *authorities,
    struct fault *);
/* Requests under way end without their callback. */
void fetcher_free(struct fetcher *);

struct fetch_request {
	const char *method, *url;
	const char *const *headers; /* "Name: value", NULL-terminated */
	const void *body;           /* copied; NULL: none */
	size_t body_len;
	long timeout_ms;     /* for all of it */
	size_t answer_max;   /* bytes of body kept; more fails the request */
};

struct fetch_answer {
	long status;     /* 0: no answer; `error` says why */
	const char *error; /* for people; has the host, no more of the URL */
	const char *body;
	size_t body_len;
	const char *content_type; /* or NULL */
};

struct fetch;
/* NULL and a fault when the request cannot even be made. `done` is called once,
 * from the loop, unless the request is dropped before; the fetch is gone then.
 * It may start and drop other requests, but not free the fetcher. */
struct fetch *fetch_start(struct fetcher *, const struct fetch_request *,
    void (*done)(const struct fetch_answer *, void *arg), void *arg,
    struct fault *);
void fetch_drop(struct fetch *);

#endif
