#ifndef DAEMONS_H
#define DAEMONS_H

#include <stddef.h>

#include "fault.h"
#include "spool.h"

/*
 * The daemons of a namespace, in the order in which they start. For each there
 * are egns-NAME, run/NAME.lock, run/NAME.sock.
 */
#define DAEMONS_MAX 8

/* Those that this namespace needs: how many, or -1 and a fault. */
int daemons_needed(const struct spool *, const char *names[DAEMONS_MAX],
    struct fault *);

/*
 * Connect, take the greeting, and when `request` (a line with its newline) is not
 * NULL send it and take the answer. 0 when that was ok within `seconds`; -1 and
 * a fault that names the daemon.
 */
int daemon_ask(const struct spool *, const char *name, const char *request,
    int seconds, struct fault *);

#endif
