#ifndef CALLBACK_H
#define CALLBACK_H

#include <ev.h>

#include "buf.h"
#include "fault.h"
#include "registry.h"
#include "spool.h"

/*
 * Where an endpoint, or a person with a browser, says yes to deliveries after
 * the handshake was not answered with one (CloudEvents HTTP webhooks 1.0.2,
 * 4.1.2): an HTTPS listener at the namespace's `listeners.callback`, with its
 * server certificate. GET or POST of /callback/KEY, where the key is 32 hex
 * digits that only we and the endpoint know; with `WebHook-Allowed-Rate` or
 * not.
 */
#define CALLBACK_KEY 32

struct callback;

/* NULL with fault.code FAULT_NONE when the namespace (not consumed) wants none,
 * or with a fault. */
struct callback *callback_open(struct ev_loop *, const struct spool *,
    jv namespace, struct fault *);
/* The server's certificate may be another one. 0; or -1 and a fault, and it
 * goes on with what it has. */
int callback_reload(struct callback *, const struct spool *, struct fault *);
void callback_close(struct callback *);
/* Where it listens, HOST:PORT in figures, added to a buffer. */
void callback_address(const struct callback *, struct buf *);

/*
 * Wait for one; the key is new and random when it is empty. `granted` gets the
 * rate in requests a minute (0: none was said, -1: "*", any), and is called
 * from the loop, once. The wait is there until it is forgotten, which `granted`
 * may do; a callback that is closed takes none of them along, but they wait for
 * nothing then. NULL without memory.
 */
struct callback_wait;
struct callback_wait *callback_wait(struct callback *,
    char key[CALLBACK_KEY + 1], void (*granted)(long rate, void *arg),
    void *arg);
void callback_forget(struct callback_wait *); /* NULL is nothing */

/* "https://HOST:PORT/callback/KEY" of a wait, added to a buffer; nothing once
 * the callback was closed. */
void callback_url(const struct callback_wait *, struct buf *);

#endif
