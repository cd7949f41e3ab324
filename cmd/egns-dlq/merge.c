#include "merge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "spool.h"

/* How many can be one, from this one on? */
static unsigned
together(const struct parcel *first)
{
	const struct parcel *p;
	uint64_t bytes = 0;
	unsigned n = 0;

	for (p = first; p != NULL && p->hour == first->hour &&
	    (n == 0 || bytes + p->bytes <= PARCEL_BYTES);
	    p = TAILQ_NEXT(p, entry)) {
		bytes += p->bytes;
		n++;
	}
	return n;
}

static int
add_records(int spool, const struct parcel *p, struct buf *b)
{
	size_t len;
	char *text = parcel_read(spool, p, &len);

	if (text == NULL)
		return -1;
	buf_add(b, text, len);
	free(text);
	return 0;
}

/* One file of many, whole before the first of them goes. */
static int
write_merged(int spool, const struct parcel *p, unsigned n,
    const struct parcel *merged)
{
	char path[PARCEL_NAME];
	struct buf b = { 0 };
	int rc = 0, error;

	for (unsigned i = 0; rc == 0 && i < n; i++, p = TAILQ_NEXT(p, entry))
		rc = add_records(spool, p, &b);
	if (rc == 0 && b.bad) {
		errno = ENOMEM;
		rc = -1;
	}
	parcel_path(merged, path);
	if (rc == 0)
		rc = spool_replace(spool, path, buf_data(&b), b.len, true);
	buf_free(&b);
	if (rc == -1) { /* it may be there, and not be safe */
		error = errno;
		unlinkat(spool, path, 0);
		errno = error;
	}
	return rc;
}

/* Make one of n of a list, which they leave. NULL and errno. */
static struct parcel *
merge(int spool, struct parcels *list, struct parcel *first, unsigned n,
    bool sending)
{
	struct parcel *m = malloc(sizeof(*m)), *p = first, *next;

	if (m == NULL)
		return NULL;
	*m = *first;
	m->sending = sending;
	uuid_new(m->guid);
	for (unsigned i = 1; i < n; i++) {
		p = TAILQ_NEXT(p, entry);
		m->last = p->last;
		m->letters += p->letters;
		m->bytes += p->bytes;
	}
	if (write_merged(spool, first, n, m) == -1) {
		free(m);
		return NULL;
	}
	/* one that stays is known by its numbers when we start again, and only
	 * as long as the merged one is there: we cannot go on with it */
	for (p = first; n-- > 0; p = next) {
		next = TAILQ_NEXT(p, entry);
		if (parcel_remove(spool, p) == -1) {
			free(m);
			errno = EIO;
			return NULL;
		}
		TAILQ_REMOVE(list, p, entry);
		free(p);
	}
	return m;
}

static struct parcel *
move(int spool, struct parcels *sorted)
{
	struct parcel *p = TAILQ_FIRST(sorted);
	char from[PARCEL_NAME], to[PARCEL_NAME];

	parcel_path(p, from); /* NOLINT(*-unix.Malloc) */
	p->sending = true;
	parcel_path(p, to);
	if (renameat(spool, from, spool, to) == -1) {
		p->sending = false;
		return NULL;
	}
	TAILQ_REMOVE(sorted, p, entry);
	return p;
}

struct parcel *
merge_next(int spool, struct parcels *sorted)
{
	struct parcel *first = TAILQ_FIRST(sorted), *p;
	unsigned n = together(first);

	if (n > 1) {
		p = merge(spool, sorted, first, n, true);
		/* without room for another file it goes as it is */
		if (p != NULL || (!file_no_room(errno) && errno != ENOMEM))
			return p;
	}
	return move(spool, sorted);
}

int
merge_all(int spool, struct parcels *sorted)
{
	struct parcel *p = TAILQ_FIRST(sorted), *next, *merged;
	unsigned n;

	for (; p != NULL; p = next) {
		next = p;
		n = together(p);
		for (unsigned i = 0; i < n; i++)
			next = TAILQ_NEXT(next, entry);
		if (n < 2)
			continue;
		merged = merge(spool, sorted, p, n, false);
		if (merged == NULL)
			return -1;
		merge_insert(sorted, merged);
	}
	return 0;
}

int
merge_sync(int spool)
{
	/* what is in two places after a crash is told apart, what is in none
	 * is lost */
	if (spool_sync_dir(spool, PARCEL_SENDING) == -1)
		return -1;
	return spool_sync_dir(spool, PARCEL_SORTED);
}

void
merge_insert(struct parcels *list, struct parcel *p)
{
	struct parcel *before = TAILQ_LAST(list, parcels);

	while (before != NULL && before->first > p->first)
		before = TAILQ_PREV(before, parcels, entry);
	if (before == NULL)
		TAILQ_INSERT_HEAD(list, p, entry);
	else
		TAILQ_INSERT_AFTER(list, before, p, entry);
}

/* A file of the same name, which a crash left where it was moved from. */
static bool
is_moved(const struct parcel *p, const struct parcels *sending)
{
	const struct parcel *q;

	TAILQ_FOREACH(q, sending, entry)
		if (p->hour == q->hour && p->first == q->first &&
		    p->last == q->last && strcmp(p->guid, q->guid) == 0)
			return true;
	return false;
}

static bool
is_part_of_any(const struct parcel *p, const struct parcels *list)
{
	const struct parcel *q;

	TAILQ_FOREACH(q, list, entry)
		if (parcel_is_part(p, q)) /* NOLINT(*-unix.Malloc) */
			return true;
	return false;
}

int
merge_sweep(int spool, struct parcels *sorted, struct parcels *sending)
{
	struct parcel *p, *next;

	for (p = TAILQ_FIRST(sorted); p != NULL; p = next) {
		next = TAILQ_NEXT(p, entry);
		if (!is_moved(p, sending) && !is_part_of_any(p, sending) &&
		    !is_part_of_any(p, sorted))
			continue;
		if (parcel_remove(spool, p) == -1)
			return -1;
		TAILQ_REMOVE(sorted, p, entry);
		free(p);
	}
	return spool_sync_dir(spool, PARCEL_SORTED);
}
