#ifndef WIRE_H
#define WIRE_H

#include <ev.h>

#include "client.h"
#include "spool.h"

/*
 * A connection to egns-topicd on the loop: it is opened, it greets, and then
 * says whenever a line can be taken.
 */
struct wire_hooks {
	void (*up)(void *arg);
	/* A line is here: client_answer() or client_line() will not wait. It
	 * may close the wire. */
	void (*line)(void *arg);
	/* It is closed now. */
	void (*down)(const struct fault *, void *arg);
};

struct wire {
	struct ev_loop *loop;
	const struct spool *spool;
	const struct wire_hooks *hooks;
	void *arg;
	struct client client;
	enum { WIRE_CLOSED, WIRE_GREETING, WIRE_UP } state;
	ev_io io;
};

void wire_init(struct wire *, struct ev_loop *, const struct spool *,
    const struct wire_hooks *, void *arg);
/* 0, or -1 and a fault: nobody listens, and `down` is not called. */
int wire_open(struct wire *, struct fault *);
/* `down` is not called. */
void wire_close(struct wire *);
/* What was said cannot be: close it and call `down`. */
void wire_lose(struct wire *, const struct fault *);
/* Send text; only when it is up. */
void wire_send(struct wire *, const void *, size_t);

#endif
