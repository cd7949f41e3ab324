#ifndef SORTER_H
#define SORTER_H

#include "fault.h"
#include "json.h"
#include "parcel.h"
#include "spool.h"

/*
 * From files of deadletter/ to parcels, in rounds. A round takes what is there,
 * sorts its records into parcels in deadletter/batch.tmp, and renames that to
 * deadletter/batch: from then on they count, and the files that it was made of
 * do not. These go, the parcels move to deadletter/sorted, and so does whoever
 * comes after a crash. Lines that are no records end in deadletter/corrupt.
 */
#define ROUND_BYTES (16 * 1024 * 1024) /* about; a file has up to 64 MiB */
#define ROUND_FILES 8192

/*
 * Is a line a record: an object with the names of a topic and a subscription, a
 * time, and an event? All zeros is a check to begin with. 0 and what it says, or
 * -1 and a fault.
 */
struct sorter_check {
	struct json json;
	struct parcel parcel; /* topic, subscription, hour */
};
int sorter_check(struct sorter_check *, const char *line, size_t,
    struct fault *);
void sorter_check_free(struct sorter_check *);

struct sorter;

/* Finish what a crash has left, and make what is missing below deadletter/. NULL
 * and a fault. */
struct sorter *sorter_open(const struct spool *, struct fault *);
void sorter_close(struct sorter *);

/* A parcel that is there: new ones come behind it. */
void sorter_saw(struct sorter *, const struct parcel *);

/*
 * A round: `made` takes each of its parcels (malloc'd). How many records it had,
 * 0: there was nothing to do; or -1 and a fault: TooManyRequests, there is no
 * room now, and it will be done when there is; others: nothing can be promised
 * any more.
 */
int sorter_round(struct sorter *, void (*made)(struct parcel *, void *),
    void *arg, struct fault *);

#endif
