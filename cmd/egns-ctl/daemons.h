#ifndef DAEMONS_H
#define DAEMONS_H

#include <sys/types.h>

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

/* The same, and those that run without need. */
int daemons_shown(const struct spool *, const char *names[DAEMONS_MAX],
    struct fault *);

/* The pid of a daemon that runs, or of up, and its name; 0: none does. */
pid_t daemons_running(const struct spool *, const char **name);

#endif
