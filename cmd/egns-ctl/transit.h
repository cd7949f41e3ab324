#ifndef CTL_TRANSIT_H
#define CTL_TRANSIT_H

#include <stdbool.h>
#include <stdint.h>

#include "spool.h"

/*
 * deadletter/: dead letters on their way, egns-spool(5), in the order in which
 * each passes through these directories. Files of other names are not of them.
 */
struct transit {
	const char *path;
	bool (*is_ours)(const char *name);
};
#define TRANSIT_STAGES 5
#define TRANSIT_MAILDIRS 2 /* of them: the first */
extern const struct transit transit[TRANSIT_STAGES];

/* Is there any file? */
bool transit_any(const struct spool *);

/* How many letters there are; with sorted false those that egns-dlq has not
 * taken yet, which it does at once. *oldest is when the first of these was
 * written; 0: there is none. */
uint64_t transit_count(const struct spool *, bool sorted, int64_t *oldest);

#endif
