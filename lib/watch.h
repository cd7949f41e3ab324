#ifndef WATCH_H
#define WATCH_H

#include <ev.h>

#include "spool.h"

/*
 * A directory of the spool that a daemon watches, inotify(7), so that it need
 * not wait until it looks again. It is a hint: some may be missing, and one may
 * stand for many. All zeros is one that watches nothing.
 */
struct watch {
	struct ev_loop *loop;
	ev_io io; /* active while something is watched */
	const char *name;
	void (*came)(void *);
	void *arg;
};

/*
 * Call `came` when a file has come to DIR, which is below the spool. 0, or -1
 * and errno: nothing is watched.
 */
int watch_files(struct watch *, struct ev_loop *, const struct spool *,
    const char *dir, void (*came)(void *), void *arg);

/* The same of the socket run/NAME, when somebody listens on it. */
int watch_socket(struct watch *, struct ev_loop *, const struct spool *,
    const char *name, void (*came)(void *), void *arg);

/* Also of one that watches nothing. */
void watch_stop(struct watch *);

#endif
