/* the subscriptions that have dead letters, and where these go */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "file.h"
#include "jq.h"
#include "log.h"
#include "merge.h"
#include "posting.h"

#define SUBSCRIPTION_PATH "topics/%s/eventSubscriptions/%s"

static struct place *
find_place(struct post *o, jv destination)
{
	char *key = place_key(destination);
	struct place *p;

	if (key == NULL)
		post_no_memory();
	TAILQ_FOREACH(p, &o->places, entry)
		if (strcmp(p->key, key) == 0)
			break;
	free(key);
	if (p != NULL) {
		jv_free(destination);
		return p;
	}
	if ((p = place_new(destination)) == NULL)
		post_no_memory();
	TAILQ_INSERT_TAIL(&o->places, p, entry);
	return p;
}

/* A lane goes there from now on. */
static void
send_to(struct lane *l, struct place *to)
{
	if (l->place != NULL)
		l->place->lanes--;
	l->place = to;
	to->lanes++;
}

/* Those that nobody goes to any more. */
void
places_sweep(struct post *o)
{
	struct place *p, *next;

	for (p = TAILQ_FIRST(&o->places); p != NULL; p = next) {
		next = TAILQ_NEXT(p, entry);
		if (p->lanes > 0 || p->held > 0)
			continue;
		TAILQ_REMOVE(&o->places, p, entry);
		place_free(p);
	}
}

int
place_open(struct post *o, struct place *p, struct fault *f)
{
	struct container_use use = { .loop = o->loop, .spool = o->spool,
		.fetcher = o->fetcher, .namespace = o->namespace };
	struct container *c;
	struct registry *r;

	if (p->container != NULL)
		return 0;
	if ((r = registry_open(o->spool, false, f)) == NULL)
		return -1;
	if ((c = container_open(&use, p->destination, r, f)) != NULL)
		place_opened(p, c);
	registry_close(r);
	return c == NULL ? -1 : 0;
}

/* ---- where a lane goes ---- */

/* What the last record says, of a subscription that is gone. */
static jv
recorded_destination(const struct post *o, const struct parcel *p)
{
	size_t len;
	char *text = parcel_read(o->spool->fd, p, &len), *last;
	jv record, d = jv_null();

	if (text == NULL || len < 2) {
		free(text);
		return d;
	}
	last = memrchr(text, '\n', len - 1);
	last = last == NULL ? text : last + 1;
	record = jq_parse(last, (size_t)(text + len - last), NULL);
	if (jv_is_valid(record))
		d = jq_get(record, "destination");
	jv_free(record);
	free(text);
	return d;
}

static void
direct_to(struct post *o, struct lane *l, jv destination)
{
	l->period = jq_int(jq_get(destination, "deliveryRetryPeriodInDays"), 2)
	    * CLOCK_DAY;
	send_to(l, find_place(o, destination));
}

/* The present destination; without one, that of the records. */
void
lane_direct(struct post *o, struct lane *l, struct registry *r)
{
	const struct parcel *p = TAILQ_FIRST(&l->tried);
	char path[256];
	jv subscription, d;

	snprintf(path, sizeof(path), SUBSCRIPTION_PATH, l->topic, l->name);
	subscription = registry_get(r, path);
	d = jv_is_valid(subscription) ? container_destination(subscription) :
	    jv_null();
	jv_free(subscription);
	if (p == NULL)
		p = TAILQ_FIRST(&l->sorted);
	if (jv_get_kind(d) != JV_KIND_OBJECT && p != NULL) {
		jv_free(d);
		d = recorded_destination(o, p);
	}
	direct_to(o, l, d);
}

static void
direct_now(struct post *o, struct lane *l)
{
	struct fault f;
	struct registry *r = registry_open(o->spool, false, &f);

	if (r == NULL)
		log_fatal(fault_exit(f.code), "%s", f.text);
	lane_direct(o, l, r);
	registry_close(r);
}

/* ---- lanes ---- */

struct lane *
lane_find(struct post *o, const struct parcel *p)
{
	char key[2 * PARCEL_WORD];
	int len = snprintf(key, sizeof(key), "%s/%s", p->topic,
	    p->subscription), n;
	struct lane *const *there = tcmapget(o->by_name, key, len, &n);
	struct lane *l;

	if (there != NULL)
		return *there;
	if ((l = calloc(1, sizeof(*l))) == NULL)
		post_no_memory();
	memcpy(l->topic, p->topic, sizeof(l->topic));
	memcpy(l->name, p->subscription, sizeof(l->name));
	l->crowd = MERGE_MANY;
	TAILQ_INIT(&l->sorted);
	TAILQ_INIT(&l->tried);
	TAILQ_INSERT_TAIL(&o->lanes, l, entry);
	tcmapput(o->by_name, key, len, &l, sizeof(l));
	return l;
}

/* Many that wait together become few. */
void
lane_crowd(struct post *o, struct lane *l)
{
	const struct parcel *p;

	if (merge_all(o->spool->fd, &l->sorted) == -1 &&
	    !file_no_room(errno) && errno != ENOMEM)
		post_die(PARCEL_SORTED);
	l->nsorted = 0;
	TAILQ_FOREACH(p, &l->sorted, entry)
		l->nsorted++;
	l->crowd = 2 * l->nsorted > MERGE_MANY ? 2 * l->nsorted : MERGE_MANY;
}

void
post_add(struct post *o, struct parcel *p)
{
	struct lane *l = lane_find(o, p);

	merge_insert(&l->sorted, p);
	if (++l->nsorted >= l->crowd)
		lane_crowd(o, l);
	if (l->place == NULL)
		direct_now(o, l);
}

struct parcels *
lane_list(struct lane *l, const struct parcel *p)
{
	return p->sending ? &l->tried : &l->sorted;
}
