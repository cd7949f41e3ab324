#ifndef CONTROL_H
#define CONTROL_H

#include <ev.h>

#include "buf.h"
#include "fault.h"
#include "json.h"
#include "registry.h"
#include "spool.h"

/*
 * The socket by which a daemon is told and asked, egns-protocol(7), for those
 * whose work does not come that way: run/NAME.sock, greeting, requests of one
 * line, answers in order. Only who is Contributor of the namespace is served.
 */
#define CONTROL_PEERS 64 /* connections; the longest silent one makes room */

struct control;

/*
 * Listen. `serve` gets the operation's name and the whole request, an object
 * (token 0) that is there until it returns, and adds the answer's lines; it
 * returns -1 and a fault to refuse. The result: NULL and a fault.
 */
struct control *control_open(struct ev_loop *, const struct spool *,
    const char *name,
    int (*serve)(const char *op, const struct json *request,
	struct buf *answer, void *arg, struct fault *),
    void *arg, struct fault *);
/* Read the roles again, of a registry that is open. 0, or -1 and a fault: they
 * are as they were. */
int control_reload(struct control *, struct registry *, struct fault *);
void control_close(struct control *);

#endif
