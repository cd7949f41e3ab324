/* whose parcel is the next one */
#include <errno.h>

#include "clock.h"
#include "file.h"
#include "merge.h"
#include "posting.h"

static void
earn(struct post *o)
{
	int64_t now = clock_mono();

	if (now > o->credited)
		o->credit += (double)(now - o->credited) / CLOCK_SECOND *
		    POST_RATE;
	else if (now < o->credited) /* nobody waits for a time that was undone */
		post_retry(o);
	if (o->credit > POST_BURST)
		o->credit = POST_BURST;
	o->credited = now;
}

/* The less room there is, the less of it one place may have: several that do not
 * answer leave some to others. */
static bool
may_begin(const struct post *o, const struct place *p, int64_t now)
{
	unsigned room = POST_FLIGHTS - o->nflying;

	if (p->failing) /* one finds out for all */
		return p->flying == 0 && p->due <= now;
	return p->flying * (POST_FLIGHTS / POST_PLACE_FLIGHTS) < room;
}

/* Of those that were tried: the one with the fewest attempts; a place that fails
 * does not wait for a parcel's own time. */
static struct parcel *
choose_tried(const struct lane *l, int64_t now)
{
	struct parcel *p, *best = NULL;

	TAILQ_FOREACH(p, &l->tried, entry)
		if (!p->flying && !p->landed &&
		    (l->place->failing || p->due <= now) &&
		    (best == NULL || p->attempts < best->attempts))
			best = p;
	return best;
}

static bool
is_ripe(const struct lane *l, int64_t now)
{
	const struct parcel *p = TAILQ_FIRST(&l->sorted);
	uint64_t bytes = 0;

	if (p == NULL || now - l->begun >= POST_GATHER || now < l->begun)
		return p != NULL;
	for (; p != NULL && bytes < PARCEL_BYTES / 2;
	     p = TAILQ_NEXT(p, entry))
		bytes += p->bytes;
	return bytes >= PARCEL_BYTES / 2;
}

/* The next parcel of a lane, its file in sending/; NULL: none is to go now. */
static struct parcel *
choose(struct post *o, struct lane *l, int64_t now, bool *moved)
{
	struct parcel *p;

	if (l->place == NULL || !may_begin(o, l->place, now))
		return NULL;
	p = choose_tried(l, now);
	/* it may be this very blob that never gets there */
	if ((p != NULL && p->attempts % 4 != 3) || !is_ripe(l, now))
		return p;
	if ((p = merge_next(o->spool->fd, &l->sorted)) == NULL) {
		if (file_no_room(errno))
			return NULL;
		post_die(PARCEL_SENDING);
	}
	*moved = true;
	merge_insert(&l->tried, p);
	l->begun = now;
	return p;
}

struct chosen {
	struct lane *lane;
	struct parcel *parcel;
};

/* Up to n that can go now, of different lanes. */
static unsigned
choose_some(struct post *o, struct chosen *chosen, unsigned n)
{
	struct lane *l = TAILQ_FIRST(&o->lanes), *next;
	struct lane *last = TAILQ_LAST(&o->lanes, lanes);
	int64_t now = clock_mono();
	struct parcel *p;
	bool moved = false;
	unsigned i = 0;

	for (; l != NULL && i < n; l = l == last ? NULL : next) {
		next = TAILQ_NEXT(l, entry);
		if ((p = choose(o, l, now, &moved)) == NULL)
			continue;
		p->flying = true;
		l->place->flying++;
		o->nflying++;
		chosen[i++] = (struct chosen){ l, p };
		TAILQ_REMOVE(&o->lanes, l, entry);
		TAILQ_INSERT_TAIL(&o->lanes, l, entry);
	}
	if (moved && merge_sync(o->spool->fd) == -1)
		post_die(PARCEL_SENDING);
	return i;
}

static bool
has_more(const struct post *o)
{
	const struct parcel *p;
	const struct lane *l;

	TAILQ_FOREACH(l, &o->lanes, entry) {
		if (l->place == NULL || l->place->failing)
			continue;
		if (!TAILQ_EMPTY(&l->sorted))
			return true;
		TAILQ_FOREACH(p, &l->tried, entry)
			if (!p->flying && !p->landed && p->due == 0)
				return true;
	}
	return false;
}

/* How many may begin; none while there is no room to remember those that are
 * there. */
static unsigned
free_flights(const struct post *o)
{
	unsigned n = POST_FLIGHTS - o->nflying;

	if (o->stopping || !TAILQ_EMPTY(&o->landed))
		return 0;
	return o->credit < n ? (unsigned)o->credit : n;
}

bool
post_go(struct post *o)
{
	struct chosen chosen[POST_FLIGHTS];
	unsigned n;

	earn(o);
	do {
		flights_settle(o);
		n = choose_some(o, chosen, free_flights(o));
		for (unsigned i = 0; i < n; i++)
			flight_begin(o, chosen[i].lane, chosen[i].parcel);
		o->credit -= n;
	} while (n > 0);
	return TAILQ_EMPTY(&o->landed) && has_more(o);
}

void
post_stop(struct post *o)
{
	o->stopping = true;
}

void
post_retry(struct post *o)
{
	struct place *p;

	TAILQ_FOREACH(p, &o->places, entry) {
		p->due = 0;
		place_revive(o, p);
	}
}

bool
post_idle(const struct post *o)
{
	return o->nflying == 0 && TAILQ_EMPTY(&o->landed);
}
