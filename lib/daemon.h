#ifndef DAEMON_H
#define DAEMON_H

#include <ev.h>

#include "spool.h"

/* The command line of a daemon that has no options of its own. */
struct daemon_options {
	const char *spool; /* NULL: not said */
	int ready;         /* what daemon_ready() takes */
};

/* Name is the program's. Sets how much is logged; what is wrong is told with the
 * usage, and exits 64; -h exits 0. */
void daemon_options(struct daemon_options *, const char *name, int argc,
    char *argv[]);

/*
 * What every daemon does the same way: the default loop, the spool of -C, PIPE
 * ignored, TERM and INT end the loop (a second one at once), readiness on a
 * descriptor, as many descriptors as the hard limit allows.
 */
struct daemon {
	struct ev_loop *loop;
	struct spool spool;
	ev_signal term, int_, hup;
	void (*stop)(void *);   /* on TERM: finish, then ev_break the loop */
	void (*reload)(void *); /* on HUP; NULL: HUP means nothing */
	void *arg;
};

/*
 * The struct must outlive the loop's run: the watchers are in it, and `stop` is
 * NULL there once it was called. Children that exec have to restore SIGPIPE.
 * When there is no such spool (spool.h), or no loop, that is told, and exits.
 */
void daemon_init(struct daemon *, const char *spool, void (*stop)(void *),
    void (*reload)(void *), void *arg);

/* One newline to fd, then close it; fd -1 is nobody waiting. */
void daemon_ready(int fd);

#endif
