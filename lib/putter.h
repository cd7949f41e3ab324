#ifndef PUTTER_H
#define PUTTER_H

#include <stddef.h>

#include <ev.h>

#include "container_dir.h"

/*
 * Puts into a directory that a loop does not wait for: a thread does them, one
 * after the other. All calls come from the loop's thread.
 *
 * A file system may be silent for ever, as NFS without its server is. When a put
 * has taken BLOB_TIME, it and those behind it are answered: BLOB_LATER, and
 * `silent`; and so are those that come as long as it lasts.
 */
struct putter;

/* The directory need not outlive the call. NULL without memory, thread or
 * descriptor. */
struct putter *putter_new(struct ev_loop *, const struct container_dir *);

/* As container_dir_put(), and as blob_put() `done` is called later, from the
 * loop; name and text are copied. 0, or -1 without memory: it is not called. */
int putter_put(struct putter *, const char *name, const void *text, size_t len,
    blob_done *done, void *arg);

/*
 * What is under way is dropped, and not waited for; not to be called from
 * `done`. A thread that is in the middle of a put stays until that has ended, or
 * the next putter of that directory gets it: reopened however often, one that
 * hangs has one thread.
 */
void putter_free(struct putter *);

#endif
