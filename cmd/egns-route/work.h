#ifndef WORK_H
#define WORK_H

#include <stdbool.h>
#include <stddef.h>

#include <ev.h>

#include "buf.h"
#include "spool.h"
#include "supply.h"

/*
 * The file work of a lane, one job at a time in a thread of its own: records go
 * to dropped/, then what has arrived is removed, then more is taken. While
 * there is no room, records and batches stay here, and it is tried again; when
 * nothing can be promised any more, it ends the process.
 */
struct work;

enum work_want { WORK_NO_MORE, WORK_TAKE, WORK_GATHER };

/*
 * Name and arg are the caller's, and outlive it; the supply is its own from now
 * on, also when this fails: NULL without memory or thread. taken() is called
 * after each job, and may start the next: it owns the list, which is NULL when
 * nothing was taken; `more`: there may be more to be had.
 */
struct work *work_new(struct ev_loop *, const struct spool *, const char *name,
    struct supply *, void (*taken)(struct batch *list, bool more, void *arg),
    void *arg);

/* Waits for the job under way, and calls taken(). */
void work_free(struct work *);

/* For the next job: records to be added, and a batch that has arrived, or whose
 * records these are; it is the work's then. */
struct buf *work_drops(struct work *);
void work_done(struct work *, struct batch *);

/* Start a job, when there is something to do, none is under way and the last
 * one has not just failed. True: what is wanted is looked for. */
bool work_start(struct work *, enum work_want, size_t max_files);

bool work_busy(const struct work *);

/* Are all records in dropped/? */
bool work_is_safe(const struct work *);

/* Nothing is under way, and nothing new waits. */
bool work_idle(const struct work *);

#endif
