#ifndef WEBHOOK_H
#define WEBHOOK_H

#include <stdint.h>

#include <ev.h>
#include <jv.h>

#include "auth.h"
#include "fault.h"
#include "spool.h"

/*
 * The namespace's webhook: an HTTPS service of its owner's that says who a
 * client is (reference: custom webhook authentication).
 */
#define WEBHOOK_TIME 5000       /* milliseconds for an answer */
#define WEBHOOK_MAX 1000        /* questions under way */
#define WEBHOOK_ANSWER 16384    /* bytes; four times what attributes may have */
#define WEBHOOK_ATTRIBUTES 4096 /* bytes; they stay below */

struct webhook;

/*
 * From the namespace's resource (not consumed): 0 and the webhook, or NULL when
 * none is configured; -1 and a fault. It is `old` (may be NULL) that comes back
 * when nothing that it was made from differs.
 */
int webhook_new(struct webhook **, struct webhook *old, struct ev_loop *,
    const struct spool *, jv ns, struct fault *);
/* Questions under way end without an answer. Not from within one. */
void webhook_free(struct webhook *);

/* Is there any question under way? */
bool webhook_busy(const struct webhook *);

struct webhook_answer {
	struct fault why;        /* FAULT_NONE: it allows; or why not */
	char *name, *attributes; /* the callee takes them */
	int64_t expires;         /* clock_now(); 0: never */
};

/*
 * Ask who a client is. `done` is called later, from the loop, once. NULL and a
 * fault when the question cannot even be asked.
 */
struct webhook_ask;
struct webhook_ask *webhook_ask(struct webhook *, const struct auth_request *,
    void (*done)(struct webhook_answer *, void *arg), void *arg,
    struct fault *);
void webhook_drop(struct webhook_ask *);

#endif
