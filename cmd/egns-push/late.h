#ifndef LATE_H
#define LATE_H

#include <stdbool.h>

#include <ev.h>

#include "fault.h"
#include "target.h"

/*
 * What a target knows at once, and may tell its hooks only from the loop: that
 * there is nobody to ask before attempts are made, and that attempts could not
 * be begun.
 */
struct late {
	struct target *target;
	struct ev_loop *loop;
	ev_timer soon;
	bool ready;             /* attempts may be made */
	struct attempt *failed; /* linked by their data */
	struct outcome outcome; /* of these */
};

/* The target outlives it. late_drop() is enough at the end. */
void late_init(struct late *, struct ev_loop *, struct target *);

/* The answer to prepare: attempts may be made. */
void late_ready(struct late *);

/*
 * An attempt whose request could not be made: FAULT_INTERNAL says that memory
 * lacks, and nothing of the event; all else that it is malformed, and it fails
 * for good. Those that are told together end in one way: when one of them lacks
 * memory, as lacking it.
 */
void late_fail(struct late *, struct attempt *, const struct fault *);

/* Nothing of it is told. */
void late_drop(struct late *);

#endif
