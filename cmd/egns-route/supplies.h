#ifndef SUPPLIES_H
#define SUPPLIES_H

#include <stddef.h>

#include "fault.h"
#include "spool.h"
#include "supply.h"

/* What lanes draw from. Each is NULL and a fault when it cannot be. */

/*
 * The lines of a maildir of the spool. `event` is told a line and the id of its
 * event, which is the run and the number of the line (intake.h); the
 * rest is as in supply.h. Path and arg are the caller's, and outlive it.
 */
struct supply *files_new(const struct spool *, const char *path,
    int (*event)(const char *line, size_t, const char *id, struct buf *,
	void *arg, struct fault *), void *arg, struct fault *);

/*
 * The lines of namespace/changes.ndjson, whole transactions of them, from
 * behind the line that gave lifecycleTopicResourceId its present value. The id
 * is the namespace's uid and the number of the line in the file; `event`
 * returns what supply.h says, and its arg is the caller's.
 */
struct supply *changes_new(const struct spool *,
    int (*event)(const char *line, size_t, const char *id, struct buf *,
	void *arg, struct fault *), void *arg, struct fault *);

#endif
