#ifndef LOOK_H
#define LOOK_H

#include <stdint.h>

#include <jv.h>

#include "dlq.h"
#include "fetch.h"
#include "progress.h"
#include "registry.h"
#include "spool.h"

/*
 * A look at what lies in the containers, for a command. It comes first in the
 * struct that a verb's calls get. Trouble with a container, a blob or a line is
 * told on standard error, and the look goes on.
 */
#define LOOK_TROUBLES 100 /* that are told one by one */

struct look {
	struct options *opt;
	struct spool spool;
	struct registry *registry;
	struct fetcher *fetcher;
	jv namespace;
	struct container_use use;
	struct progress progress; /* for verbs that begin it */
	uint64_t seen;     /* letters, selected or not */
	uint64_t troubles;
	struct fault first; /* of them, and in which container */
};

/* 0, or -1 and a fault; either way it is closed at the end. */
int look_open(struct look *, struct options *, struct fault *);
void look_close(struct look *);

/*
 * Walk over what is selected; calls get the look as their argument, and may be
 * NULL. 0, or -1 and a fault: of a call, of the registry.
 */
int look_walk(struct look *, int (*letter)(const struct letter *,
    const struct letter_place *, bool selected, void *, struct fault *),
    int (*end)(const struct letter_place *, void *, struct fault *),
    struct fault *);

/* One more was seen: the bar of who has begun one. */
void look_seen(struct look *);

/* Tell of trouble; blob NULL: all of the container, line 0: all of the blob. */
void look_trouble(const char *container, const char *blob, uint64_t line,
    const struct fault *, void *look);

/*
 * The exit status of a command that is through, rc what the walk returned:
 * fault_exit of its fault, EX_IOERR when there was trouble, 0. Says what has
 * not been said, and closes the look.
 */
int look_end(struct look *, int rc, const struct fault *);

/* When a letter became one; without any time in it, its blob's. */
int64_t look_time(const struct letter *, const struct letter_place *);

/* Its reason: our name for it, else as it stands; "" when it has none. */
const char *look_reason(const struct letter *);

/* Write to standard output. 0; 1: who reads it has enough, which is no fault.
 * Whatever else goes wrong there ends the command. */
int look_print(const void *, size_t);
int look_flush(void);
/* All of a buffer, which is freed. 0, or -1 and a fault when it is bad. */
int look_write(struct buf *, struct fault *);

#endif
