#ifndef WINDOW_H
#define WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker.h"
#include "buf.h"

/*
 * Group commit. What a turn of the loop wants on disk is gathered in a window:
 * lines of the session store, messages for route/, records of what is dropped.
 * Work that has to wait for that (acknowledgements, deliveries) is an op of the
 * same window, and is done in order when the window is on disk, or told that it
 * is not: then what the op was about must be refused. A window without anything
 * for the disk is done at the end of the turn. One window at most is under way.
 */
#define WINDOW_BYTES (8 * 1024 * 1024) /* then input waits */
#define WINDOW_LIFECYCLE_LINES (8 * 1024 * 1024) /* bytes that wait for disk */
#define WINDOW_LIFECYCLE_WAITS (64 * 1024 * 1024) /* that wait in lifecycle/ */
#define WINDOW_WORK 200000 /* deliveries, and the like; likewise */

struct op {
	struct op *next;
	/* error: 0, or the errno for which nothing of the window is on disk */
	void (*done)(struct broker *, struct op *, int error);
};

enum window_lines {
	WINDOW_STATE,        /* sessions/state.ndjson; refused when full */
	WINDOW_STATE_MUST,   /* the same, behind; tried until it works */
	WINDOW_MESSAGES,     /* sessions/N.ndjson; refused when full */
	WINDOW_MESSAGES_MUST,
	WINDOW_MOVED,        /* behind: what cleaning moves; left out when full */
	WINDOW_DROPPED,      /* dropped/; of what is refused when full */
	WINDOW_DROPPED_MUST,
	WINDOW_ROUTE,        /* route/; refused when full */
	WINDOW_LIFECYCLE,    /* lifecycle/; tried until it works */
	WINDOW_LINES,
};

int window_open(struct broker *, struct fault *);
/* Commits what is open, and waits for it. */
void window_close(struct broker *);

/* Memory of the open window, for ops; freed when it is done. NULL: none. */
void *window_alloc(struct broker *, size_t);
void window_op(struct broker *, struct op *);

/* So much is done for what was read, now or when the window is done: one turn
 * of the loop must not take long, however many a message reaches. */
void window_work(struct broker *, size_t);

/* The buffer for lines; whole lines are added. */
struct buf *window_lines(struct broker *, enum window_lines);

/* Has the open one so much that input should wait? */
bool window_full(const struct broker *);
/* Is nothing gathered and nothing under way? */
bool window_idle(const struct broker *);
/* The end of a turn. */
void window_turn(struct broker *);

/* Is there room in route/ for another message? */
bool window_route_room(const struct broker *);

/* Is there room for one more line, in lifecycle/, and in memory for those that
 * found none on disk? */
bool window_lifecycle_room(const struct broker *);
/* This file, NOTICE_LOST, moves to lifecycle/ behind the next commit. */
void window_adopt(struct broker *);

#endif
