#ifndef AUDIT_H
#define AUDIT_H

#include <sys/types.h>

#include "books.h"

/*
 * Say on stderr that the books and the disk differ, and count it; account NULL:
 * the topic itself. (audit.c)
 */
void differ(struct ledger *, struct account *, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The words behind audit and scrub: a topic, or none (NULL); false: others.
 * (audit.c) */
bool audit_topic(int argc, char *argv[], const char **topic);

/*
 * Read a topic's log once, and beside it the queues of all its subscriptions,
 * which ascend, too: whole lines, gapless numbers, entries that point at lines.
 * Fills in events and bytes, and the end when it was not known. 0, or -1 and a
 * fault. (trail.c)
 */
int trail_follow(struct ledger *, struct fault *);

/*
 * Gather the offsets that dropped/ and deadletter/ have on record, into the
 * accounts. Records that cannot be read are counted in *broken, and named on
 * stderr. 0, or -1 and a fault. (records.c)
 */
int records_gather(struct books *, uint64_t *broken, struct fault *);

/* The same of dead letters that were written: those that were replayed, and how
 * many were pruned. Both after their containers were looked at, so that what
 * happens meanwhile is seen. */
int records_gather_replayed(struct books *, uint64_t *broken, struct fault *);
int records_gather_pruned(struct books *, struct fault *);

/*
 * What became of the dead letters that were written, for people: counted in the
 * accounts, and who has lost some to other hands is told on stderr. 0, or -1
 * and a fault. (fates.c)
 */
int fates_find(struct books *, uint64_t *broken, struct fault *);

/* Is every line of the registry whole? 0, or -1, a fault, and the offset of the
 * transaction that is not. (scrub.c) */
int scrub_registry(const struct spool *, uint64_t *offset, struct fault *);

#endif
