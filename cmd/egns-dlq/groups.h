#ifndef GROUPS_H
#define GROUPS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Counts of dead letters that are alike, by what they are alike in: texts,
 * each with its NUL behind. How many there can be is bounded, whatever the
 * blobs say.
 */
#define GROUPS_MAX 100000

struct group {
	uint64_t letters, blobs, bytes;
	int64_t oldest, newest;
	uint64_t blob;    /* the last one that was counted */
	const char *key;  /* after groups_sort() */
	size_t len;
};

struct groups {
	void *map;        /* Tokyo Cabinet's, key -> struct group */
	struct group *sorted;
	size_t n;
};

/* The group of a key, new ones are of zeros; NULL: there are GROUPS_MAX. */
struct group *groups_get(struct groups *, const char *key, size_t len);

/* One more letter; blobs are numbered from 1. */
void group_count(struct group *, size_t bytes, int64_t time, uint64_t blob);

/* Put all in the order of their keys into `sorted`: 0, or -1 without memory. */
int groups_sort(struct groups *);
void groups_free(struct groups *);

#endif
