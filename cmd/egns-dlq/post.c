#include "post.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <tcutil.h>

#include "cargo.h"
#include "clock.h"
#include "daybook.h"
#include "file.h"
#include "jq.h"
#include "log.h"
#include "merge.h"
#include "metrics.h"
#include "place.h"
#include "schedule.h"
#include "tally.h"

#define WRITTEN "deadletter/written"
#define SUBSCRIPTION_PATH "topics/%s/eventSubscriptions/%s"

struct lane { /* of a subscription */
	TAILQ_ENTRY(lane) entry;
	char topic[PARCEL_WORD], name[PARCEL_WORD];
	struct place *place;   /* NULL: not known yet */
	int64_t period;        /* microseconds: deliveryRetryPeriodInDays */
	struct parcels sorted; /* not tried yet */
	unsigned nsorted;      /* at most */
	unsigned crowd;        /* so many are too many */
	struct parcels tried;  /* their files are in sending/ */
	int64_t begun;         /* clock_mono(): the last one was */
};
TAILQ_HEAD(lanes, lane);

struct flight { /* a parcel whose blob is being written, or is there */
	TAILQ_ENTRY(flight) entry;
	struct post *post;
	struct lane *lane;
	struct place *place;   /* the lane's may be another meanwhile */
	struct parcel *parcel;
	struct cargo cargo;
	char *container;       /* its name */
	char blob[BLOB_NAME + 1];
};
TAILQ_HEAD(flights, flight);

struct post {
	struct ev_loop *loop;
	const struct spool *spool;
	void (*changed)(void *);
	void *arg;
	jv namespace;
	struct schedule schedule;
	char *key;               /* what containers are made with */
	struct fetcher *fetcher;
	TCMAP *by_name;          /* "TOPIC/SUBSCRIPTION" -> struct lane * */
	struct lanes lanes;      /* the next one to be served is first */
	struct places places;
	struct flights flying, landed;
	unsigned nflying;
	bool going;              /* post_go is at work */
	bool stopping;           /* nothing more begins */
	double credit;           /* blobs that may be begun now */
	int64_t credited;        /* clock_mono() */
	struct tally *tally;
	bool full;               /* there was no room for a record */
};

static void __attribute__((noreturn))
die(const char *what)
{
	log_fatal(EX_IOERR, "%s: %s", what, strerror(errno));
}

static void __attribute__((noreturn))
no_memory(void)
{
	log_fatal(EX_OSERR, "out of memory");
}

/* ---- places ---- */

static struct place *
find_place(struct post *o, jv destination)
{
	char *key = place_key(destination);
	struct place *p;

	if (key == NULL)
		no_memory();
	TAILQ_FOREACH(p, &o->places, entry)
		if (strcmp(p->key, key) == 0)
			break;
	free(key);
	if (p != NULL) {
		jv_free(destination);
		return p;
	}
	if ((p = place_new(destination)) == NULL)
		no_memory();
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
static void
sweep_places(struct post *o)
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

static int
open_place(struct post *o, struct place *p, struct fault *f)
{
	struct container_use use = { .loop = o->loop, .spool = o->spool,
		.fetcher = o->fetcher, .namespace = o->namespace };
	struct registry *r;

	if (p->container != NULL)
		return 0;
	if ((r = registry_open(o->spool, false, f)) == NULL)
		return -1;
	p->container = container_open(&use, p->destination, r, f);
	registry_close(r);
	return p->container == NULL ? -1 : 0;
}

/* ---- where a lane goes ---- */

static jv
destination_of(jv subscription)
{
	static const char *const where[] = {
		"properties.deliveryConfiguration.queue."
		"deadLetterDestinationWithResourceIdentity",
		"properties.deliveryConfiguration.push."
		"deadLetterDestinationWithResourceIdentity",
	};
	jv d = jv_null();

	for (size_t i = 0; i < 2 && jv_get_kind(d) != JV_KIND_OBJECT; i++) {
		jv_free(d);
		d = jq_get(subscription, where[i]);
	}
	return d;
}

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
static void
direct(struct post *o, struct lane *l, struct registry *r)
{
	const struct parcel *p = TAILQ_FIRST(&l->tried);
	char path[256];
	jv subscription, d;

	snprintf(path, sizeof(path), SUBSCRIPTION_PATH, l->topic, l->name);
	subscription = registry_get(r, path);
	d = jv_is_valid(subscription) ? destination_of(subscription) :
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
	direct(o, l, r);
	registry_close(r);
}

/* ---- lanes ---- */

static struct lane *
find_lane(struct post *o, const struct parcel *p)
{
	char key[2 * PARCEL_WORD];
	int len = snprintf(key, sizeof(key), "%s/%s", p->topic,
	    p->subscription), n;
	struct lane *const *there = tcmapget(o->by_name, key, len, &n);
	struct lane *l;

	if (there != NULL)
		return *there;
	if ((l = calloc(1, sizeof(*l))) == NULL)
		no_memory();
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
static void
crowd(struct post *o, struct lane *l)
{
	const struct parcel *p;

	if (merge_all(o->spool->fd, &l->sorted) == -1 &&
	    !file_no_room(errno) && errno != ENOMEM)
		die(PARCEL_SORTED);
	l->nsorted = 0;
	TAILQ_FOREACH(p, &l->sorted, entry)
		l->nsorted++;
	l->crowd = 2 * l->nsorted > MERGE_MANY ? 2 * l->nsorted : MERGE_MANY;
}

void
post_add(struct post *o, struct parcel *p)
{
	struct lane *l = find_lane(o, p);

	merge_insert(&l->sorted, p);
	if (++l->nsorted >= l->crowd)
		crowd(o, l);
	if (l->place == NULL)
		direct_now(o, l);
}

/* ---- what has ended ---- */

static struct parcels *
list_of(struct lane *l, const struct parcel *p)
{
	return p->sending ? &l->tried : &l->sorted;
}

static void
forget(struct post *o, struct lane *l, struct parcel *p)
{
	if (parcel_remove(o->spool->fd, p) == -1)
		log_warn("a parcel stays: %s", strerror(errno));
	TAILQ_REMOVE(list_of(l, p), p, entry);
	if (!p->sending)
		l->nsorted--;
	free(p);
}

static void
flight_free(struct flight *f)
{
	f->place->held--;
	cargo_free(&f->cargo);
	free(f->container);
	free(f);
}

/* Lines on disk: true; false when there is no room now. */
static bool
record(struct post *o, const char *dir, const struct buf *lines)
{
	int rc;

	if (lines->bad)
		no_memory();
	if (lines->len == 0)
		return true;
	rc = daybook_append(o->spool->fd, dir, clock_now(), buf_data(lines),
	    lines->len);
	if (rc == -1 && !file_no_room(errno))
		die(dir);
	if (rc == -1 && !o->full)
		log_warn("%s: %s", dir, strerror(errno));
	o->full = rc == -1;
	return rc == 0;
}

/* Blobs that are there: remember it, and let their parcels go. */
static void
settle(struct post *o)
{
	struct buf lines = { 0 };
	struct flight *f;
	bool recorded;

	TAILQ_FOREACH(f, &o->landed, entry)
		cargo_line(&f->cargo, f->parcel, f->container, f->blob,
		    &lines);
	recorded = record(o, WRITTEN, &lines);
	buf_free(&lines);
	while (recorded && (f = TAILQ_FIRST(&o->landed)) != NULL) {
		TAILQ_REMOVE(&o->landed, f, entry);
		tally_add(o->tally, f->parcel->topic, f->parcel->subscription,
		    &f->cargo, false);
		f->place->written += f->cargo.letters;
		f->place->blobs++;
		forget(o, f->lane, f->parcel);
		flight_free(f);
	}
}

/* ---- what is given up ---- */

static void
give_up(struct post *o, struct lane *l, struct parcel *p)
{
	struct cargo cargo = { .letters = 0 };
	struct buf lines = { 0 };
	size_t len;
	char *text = parcel_read(o->spool->fd, p, &len);

	if (text == NULL)
		die(PARCEL_SENDING);
	cargo_drop(&cargo, text, len, l->place->error.text, &lines);
	free(text);
	if (record(o, "dropped", &lines)) {
		log_warn("%s/%s: %" PRIu64 " dead letters are dropped, which "
		    "dropped/ has now: %s", l->topic, l->name, cargo.letters,
		    l->place->error.text);
		tally_add(o->tally, l->topic, l->name, &cargo, true);
		l->place->dropped += cargo.letters;
		forget(o, l, p);
	}
	buf_free(&lines);
	cargo_free(&cargo);
}

/* What has waited for as long as it may, at a place that has just failed. */
static void
give_up_old(struct post *o, struct place *place)
{
	int64_t now = clock_now(), limit;
	struct parcel *p, *next;
	struct lane *l;

	TAILQ_FOREACH(l, &o->lanes, entry) {
		struct parcels *const lists[] = { &l->tried, &l->sorted };

		for (size_t i = 0; l->place == place && i < 2; i++)
			for (p = TAILQ_FIRST(lists[i]); p != NULL; p = next) {
				next = TAILQ_NEXT(p, entry);
				limit = place_limit(place, p->last, l->period);
				if (!p->flying && !p->landed && limit <= now)
					give_up(o, l, p);
				else
					place_hurry(place, limit);
			}
	}
}

/* ---- attempts ---- */

static void
fail_place(struct post *o, struct place *place, const struct fault *f)
{
	place_failed(place, &o->schedule, f);
	give_up_old(o, place);
}

/* Those that failed with it need not wait any longer. */
static void
revive(struct post *o, struct place *place)
{
	struct parcel *p;
	struct lane *l;

	TAILQ_FOREACH(l, &o->lanes, entry)
		if (l->place == place)
			TAILQ_FOREACH(p, &l->tried, entry)
				p->due = 0;
}

/* What a container will not take as it is: it alone waits, and is given up in
 * its time. */
static void
refuse(struct post *o, struct lane *l, struct parcel *p,
    const struct fault *f)
{
	int64_t pause = schedule_pause(&o->schedule, p->attempts - 1) *
	    CLOCK_SECOND;

	log_warn("%s: %s/%s: a blob is refused: %s", place_name(l->place),
	    l->topic, l->name, f->text);
	p->due = clock_mono() + pause;
	if (p->last + l->period > clock_now())
		return;
	l->place->error = *f;
	give_up(o, l, p);
}

/* It is not under way any more. */
static void
release(struct post *o, struct place *place, struct parcel *p)
{
	p->flying = false;
	place->flying--;
	o->nflying--;
}

static void
on_answer(const struct blob_answer *a, void *arg)
{
	struct flight *f = arg;
	struct post *o = f->post;
	struct place *place = f->place;
	struct lane *l = f->lane;
	struct parcel *p = f->parcel;

	TAILQ_REMOVE(&o->flying, f, entry);
	release(o, place, p);
	if (a->result == BLOB_DONE || a->result == BLOB_EXISTS) {
		p->landed = true;
		buf_reset(&f->cargo.text, 0);
		TAILQ_INSERT_TAIL(&o->landed, f, entry);
		if (place->failing)
			revive(o, place);
		place_worked(place);
	} else {
		flight_free(f);
		if (a->result == BLOB_LATER)
			fail_place(o, place, &a->fault);
		else
			refuse(o, l, p, &a->fault);
	}
	if (!o->going)
		o->changed(o->arg);
}

static void
load(struct post *o, struct flight *f)
{
	struct fault fault;
	size_t len;
	char *text = parcel_read(o->spool->fd, f->parcel, &len);

	if (text == NULL)
		die(PARCEL_SENDING);
	if (cargo_load(&f->cargo, text, len, &fault) == -1)
		log_fatal(fault_exit(fault.code), "%s", fault.text);
	free(text);
}

static const char *
namespace_name(const struct post *o)
{
	const char *name = jq_str(o->namespace, "name");

	return name == NULL ? "" : name;
}

/* Of a parcel that is said to be flying. */
static void
begin(struct post *o, struct lane *l, struct parcel *p)
{
	struct place *place = l->place;
	struct flight *f;
	struct fault fault;

	p->attempts++;
	if (open_place(o, place, &fault) == -1) {
		release(o, place, p);
		fail_place(o, place, &fault);
		return;
	}
	if ((f = calloc(1, sizeof(*f))) == NULL ||
	    (f->container = strdup(container_name(place->container))) == NULL)
		no_memory();
	f->post = o;
	f->lane = l;
	f->place = place;
	f->parcel = p;
	place->held++;
	load(o, f);
	blob_path_write(f->blob, namespace_name(o), l->topic, l->name, p->hour,
	    p->guid);
	TAILQ_INSERT_TAIL(&o->flying, f, entry);
	if (container_put_start(place->container, f->blob,
	    buf_data(&f->cargo.text), f->cargo.text.len, on_answer, f) == -1)
		no_memory();
}

/* ---- whose turn it is ---- */

static void
earn(struct post *o)
{
	int64_t now = clock_mono();

	if (now > o->credited)
		o->credit += (double)(now - o->credited) / CLOCK_SECOND *
		    POST_RATE;
	if (o->credit > POST_BURST)
		o->credit = POST_BURST;
	o->credited = now;
}

static bool
may_begin(const struct place *p, int64_t now)
{
	if (p->failing) /* one finds out for all */
		return p->flying == 0 && p->due <= now;
	return p->flying < POST_PLACE_FLIGHTS;
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

	if (l->place == NULL || !may_begin(l->place, now))
		return NULL;
	p = choose_tried(l, now);
	/* it may be this very blob that never gets there */
	if ((p != NULL && p->attempts % 4 != 3) || !is_ripe(l, now))
		return p;
	if ((p = merge_next(o->spool->fd, &l->sorted)) == NULL) {
		if (file_no_room(errno))
			return NULL;
		die(PARCEL_SENDING);
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
		die(PARCEL_SENDING);
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

bool
post_go(struct post *o)
{
	struct chosen chosen[POST_FLIGHTS];
	unsigned n, room;

	o->going = true;
	earn(o);
	do {
		room = o->stopping ? 0 : POST_FLIGHTS - o->nflying;
		if (o->credit < room)
			room = (unsigned)o->credit;
		n = choose_some(o, chosen, room);
		for (unsigned i = 0; i < n; i++)
			begin(o, chosen[i].lane, chosen[i].parcel);
		o->credit -= n;
		settle(o);
	} while (n > 0 && !o->full);
	o->going = false;
	return has_more(o);
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
		revive(o, p);
	}
}

bool
post_idle(const struct post *o)
{
	return o->nflying == 0 && TAILQ_EMPTY(&o->landed);
}

/* ---- settings ---- */

/* Requests under way end without an answer; their parcels are tried again, and
 * find it out. */
static void
land_all(struct post *o)
{
	struct flight *f;
	struct place *p;

	settle(o);
	TAILQ_FOREACH(p, &o->places, entry) {
		if (p->container != NULL)
			container_close(p->container);
		p->container = NULL;
	}
	while ((f = TAILQ_FIRST(&o->flying)) != NULL) {
		TAILQ_REMOVE(&o->flying, f, entry);
		release(o, f->place, f->parcel);
		flight_free(f);
	}
}

static int
add_role(const char *path, jv resource, void *arg)
{
	(void)path;
	jq_print(arg, resource, false);
	return 0;
}

/* What containers are made with, as text. */
static char *
key_of(jv namespace, struct registry *r)
{
	static const char *const parts[] = { "properties.endpoints",
		"properties.trustedCertificates", "identity", "id" };
	struct buf b = { 0 };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		jq_print(&b, jq_get(namespace, parts[i]), false);
	registry_each(r, "roleAssignments/", add_role, &b);
	buf_add(&b, "", 1);
	if (b.bad)
		no_memory();
	return buf_data(&b);
}

static int
take_namespace(struct post *o, jv namespace, struct registry *r,
    struct fault *f)
{
	char *key = key_of(namespace, r);
	struct fetcher *fetcher;
	struct place *p;

	if (o->key != NULL && strcmp(key, o->key) == 0) {
		free(key);
		jv_free(o->namespace);
		o->namespace = namespace;
		return 0;
	}
	fetcher = fetcher_new(o->loop, jq_str(namespace,
	    "properties.trustedCertificates"), f);
	if (fetcher == NULL) {
		free(key);
		jv_free(namespace);
		return -1;
	}
	land_all(o);
	fetcher_free(o->fetcher);
	o->fetcher = fetcher;
	free(o->key);
	o->key = key;
	jv_free(o->namespace);
	o->namespace = namespace;
	TAILQ_FOREACH(p, &o->places, entry)
		p->due = 0; /* what was missing may be there */
	return 0;
}

int
post_configure(struct post *o, struct registry *r, struct fault *f)
{
	static const struct schedule usual = { { 10, 60, 300 }, 3 };
	jv namespace = registry_get(r, "namespace");
	struct lane *l;

	if (!jv_is_valid(namespace)) {
		jv_free(namespace);
		return fault_set(f, FAULT_NOT_FOUND, "there is no namespace");
	}
	schedule_read(&o->schedule, namespace, "deadLetterSchedule", &usual);
	if (take_namespace(o, namespace, r, f) == -1)
		return -1;
	TAILQ_FOREACH(l, &o->lanes, entry)
		direct(o, l, r);
	sweep_places(o);
	return 0;
}

/* ---- what people ask ---- */

static void
count_waiting(const struct post *o, const struct place *place,
    uint64_t *letters, uint64_t *parcels)
{
	const struct parcel *p;
	const struct lane *l;

	*letters = *parcels = 0;
	TAILQ_FOREACH(l, &o->lanes, entry) {
		const struct parcels *const lists[] = { &l->sorted, &l->tried };

		for (size_t i = 0; l->place == place && i < 2; i++)
			TAILQ_FOREACH(p, lists[i], entry) {
				*letters += p->letters;
				++*parcels;
			}
	}
}

static void
add_failure(const struct place *p, struct buf *b)
{
	char time[CLOCK_TEXT + 1];

	clock_format(time, p->since);
	buf_printf(b, ",\"failingSince\":\"%s\"", time);
	clock_format(time, p->next);
	buf_printf(b, ",\"nextAttempt\":\"%s\",\"attempts\":%u,\"lastError\":",
	    time, p->attempts);
	buf_json(b, p->error.text, strlen(p->error.text));
}

unsigned
post_stats(const struct post *o, struct buf *b)
{
	uint64_t letters, parcels;
	const struct place *p;
	unsigned n = 0;

	TAILQ_FOREACH(p, &o->places, entry) {
		count_waiting(o, p, &letters, &parcels);
		buf_str(b, "{\"container\":");
		buf_json(b, place_name(p), strlen(place_name(p)));
		buf_printf(b, ",\"state\":\"%s\",\"waiting\":%" PRIu64
		    ",\"parcels\":%" PRIu64 ",\"written\":%" PRIu64
		    ",\"blobs\":%" PRIu64 ",\"dropped\":%" PRIu64,
		    p->failing ? "failing" : "ready", letters, parcels,
		    p->written, p->blobs, p->dropped);
		if (p->failing)
			add_failure(p, b);
		buf_str(b, "}\n");
		n++;
	}
	return n;
}

void
post_metrics(struct post *o, struct buf *b)
{
	static const char waiting[] = "egns_DeadLettersWaiting";
	static const char failing[] = "egns_DeadLetterDestinationFailing";
	uint64_t letters, parcels;
	const struct place *p;

	tally_metrics(o->tally, b);
	metrics_family(b, waiting, "gauge",
	    "Dead letters on their way to a destination.");
	TAILQ_FOREACH(p, &o->places, entry) {
		count_waiting(o, p, &letters, &parcels);
		metrics_sample(b, waiting, (const char *[]){ "Container",
		    place_name(p), NULL }, (double)letters);
	}
	metrics_family(b, failing, "gauge",
	    "1 while a destination takes nothing.");
	TAILQ_FOREACH(p, &o->places, entry)
		metrics_sample(b, failing, (const char *[]){ "Container",
		    place_name(p), NULL }, p->failing);
}

/* ---- life ---- */

struct loading {
	struct post *post;
	void (*saw)(const struct parcel *, void *);
	void *arg;
};

static int
load_parcel(struct parcel *p, void *arg)
{
	struct loading *a = arg;
	struct lane *l = find_lane(a->post, p);

	a->saw(p, a->arg);
	merge_insert(list_of(l, p), p);
	return 0;
}

int
post_load(struct post *o, void (*saw)(const struct parcel *, void *),
    void *arg, struct fault *f)
{
	struct loading a = { o, saw, arg };
	int fd = o->spool->fd;
	struct lane *l;

	if (parcel_load(fd, false, load_parcel, &a) == -1 ||
	    parcel_load(fd, true, load_parcel, &a) == -1)
		return fault_errno(f, FAULT_INTERNAL, "deadletter");
	TAILQ_FOREACH(l, &o->lanes, entry) {
		if (merge_sweep(fd, &l->sorted, &l->tried) == -1)
			return fault_errno(f, FAULT_INTERNAL, "deadletter");
		crowd(o, l);
	}
	return 0;
}

struct post *
post_new(struct ev_loop *loop, const struct spool *spool,
    void (*changed)(void *), void *arg)
{
	struct post *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->loop = loop;
	o->spool = spool;
	o->changed = changed;
	o->arg = arg;
	o->namespace = jv_null();
	o->by_name = tcmapnew();
	o->tally = tally_new();
	TAILQ_INIT(&o->lanes);
	TAILQ_INIT(&o->places);
	TAILQ_INIT(&o->flying);
	TAILQ_INIT(&o->landed);
	return o;
}

static void
free_parcels(struct parcels *list)
{
	struct parcel *p;

	while ((p = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, p, entry);
		free(p);
	}
}

void
post_free(struct post *o)
{
	struct flight *f;
	struct place *p;
	struct lane *l;

	if (o == NULL)
		return;
	land_all(o);
	while ((f = TAILQ_FIRST(&o->landed)) != NULL) {
		TAILQ_REMOVE(&o->landed, f, entry);
		flight_free(f);
	}
	while ((l = TAILQ_FIRST(&o->lanes)) != NULL) {
		TAILQ_REMOVE(&o->lanes, l, entry);
		free_parcels(&l->sorted);
		free_parcels(&l->tried);
		free(l);
	}
	while ((p = TAILQ_FIRST(&o->places)) != NULL) {
		TAILQ_REMOVE(&o->places, p, entry);
		place_free(p);
	}
	tcmapdel(o->by_name);
	tally_free(o->tally);
	fetcher_free(o->fetcher);
	jv_free(o->namespace);
	free(o->key);
	free(o);
}
