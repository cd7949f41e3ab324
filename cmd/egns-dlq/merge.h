#ifndef MERGE_H
#define MERGE_H

#include "parcel.h"

/*
 * The next parcel of a lane that is to be tried: the first of those sorted, made
 * one with those behind it that are of the same hour, up to PARCEL_BYTES. It
 * leaves the list and its file is in sending/; neither is safe before
 * merge_sync(). NULL and errno: the list is as it was, but for EIO: nothing is
 * known any more.
 */
struct parcel *merge_next(int spool, struct parcels *sorted);

/* Many of them that wait together: make fewer of them. 0, or -1 and errno, as
 * merge_next(). */
#define MERGE_MANY 64
int merge_all(int spool, struct parcels *sorted);

/* What merge_next() did is on disk. 0, or -1 and errno. */
int merge_sync(int spool);

/* Bring a parcel to its place in a list: in the order of their numbers. */
void merge_insert(struct parcels *, struct parcel *);

/* Remove what others of the lists were made of, after a crash. 0, or -1. */
int merge_sweep(int spool, struct parcels *sorted, struct parcels *sending);

#endif
