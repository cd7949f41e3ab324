#ifndef SUBJECTS_H
#define SUBJECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "target.h"

/*
 * The order of events with the same subject: one of them is under way at a
 * time, and one that has failed goes before those behind it when it comes back.
 */
struct subjects;
struct subjects *subjects_new(void); /* NULL without memory */
void subjects_free(struct subjects *);
/* Nothing is under way, and nothing is waited for. */
void subjects_clear(struct subjects *);

/* May it be sent now? */
bool subjects_may(struct subjects *, const struct item *);
void subjects_begin(struct subjects *, const struct item *);
/* `back`: when it comes again, clock_mono(); 0: it does not. Others wait for it
 * until then, and a little longer. */
void subjects_end(struct subjects *, const struct item *, int64_t back);
/* One that is waited for may have come back. */
bool subjects_due(struct subjects *);

#endif
