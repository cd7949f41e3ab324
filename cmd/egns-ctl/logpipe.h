#ifndef LOGPIPE_H
#define LOGPIPE_H

#include <sys/types.h>

#include <ev.h>

#include "buf.h"

/*
 * What a daemon says on stderr, on its way through a pipe to run/NAME.log: each
 * line gets the time, and the file is renamed to NAME.log.old when it is full.
 */
#define LOGPIPE_FILE_MAX (10 * 1024 * 1024) /* bytes of a file */
#define LOGPIPE_LINE_MAX 8192               /* longer ones are broken up */
#define LOGPIPE_LAST 4096                   /* bytes of last words */

struct logpipe {
	struct ev_loop *loop;
	int dir; /* of the spool; borrowed */
	char path[64], old[64];
	int in, out; /* ends of the pipe; out is for the daemon */
	int file;
	off_t size;
	struct buf part; /* a line without its end */
	struct buf last; /* the newest lines */
	ev_io io;
};

/* 0, or -1 and errno, and nothing is left behind. */
int logpipe_open(struct logpipe *, struct ev_loop *, int spool,
    const char *name);

/* Write what is in the pipe now; an unfinished line counts as a line. */
void logpipe_drain(struct logpipe *);

/* Forget the last words. */
void logpipe_anew(struct logpipe *);

/* Drain and close. */
void logpipe_close(struct logpipe *);

#endif
