#ifndef INDEX_H
#define INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tchdb.h>

#include "buf.h"
#include "fault.h"
#include "letter.h"

/*
 * replay/index.tch: where the line of a key is. It is made of the days' lines
 * and of nothing else, so it may be lost. Who changes it holds the ledger's
 * lock, and for as long as it changes an exclusive lock of the directory; who
 * looks has a shared one, so that it sees no half of a change.
 */
struct index {
	int dir;  /* replay/ */
	int lock; /* replay/lock */
	bool write;    /* old days may be removed */
	bool locked; /* the ledger's lock is ours, so nobody else changes it */
	bool changing; /* it is not as on disk; replay/lock says so */
	TCHDB *db;     /* to look into; NULL: there is none */
	int64_t oldest; /* day that counts, since 1970 */
	struct index_day *days; /* what it knows, in order */
	size_t ndays;
	struct buf chunk; /* of a day's file, while it is read */
	struct json json;
};

/* What stands there is looked into as it is. false: it is of no use. */
bool index_look(struct index *);

/* With the ledger's lock: bring it up to the end of all days' lines. 0, or -1
 * and a fault: there may be nothing to look into. */
int index_update(struct index *, struct fault *);

/* With the lock: on disk. */
void index_settle(struct index *);

void index_free(struct index *);

/* Where the line of a key begins; false: there is none that counts. */
struct index_place {
	int64_t day; /* since 1970 */
	uint64_t offset;
};
bool index_find(const struct index *, const uint8_t key[LETTER_KEY],
    struct index_place *);

/* With the lock: has it something that cannot be read, so that it was no answer
 * that a key is not there? The next update builds it anew then. */
bool index_failed(struct index *);

/* The key of a day's line; false: it has none. */
bool index_key(struct json *, const char *line, size_t,
    uint8_t key[LETTER_KEY]);

#endif
