/* blobs that are written, and what has become of them */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "daybook.h"
#include "file.h"
#include "jq.h"
#include "log.h"
#include "posting.h"

#define WRITTEN "deadletter/written"

static void
forget(struct post *o, struct lane *l, struct parcel *p)
{
	if (parcel_remove(o->spool->fd, p) == -1)
		log_warn("a parcel stays: %s", strerror(errno));
	TAILQ_REMOVE(lane_list(l, p), p, entry);
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
		post_no_memory();
	if (lines->len == 0)
		return true;
	rc = daybook_append(o->spool->fd, dir, clock_now(), buf_data(lines),
	    lines->len);
	if (rc == -1 && !file_no_room(errno))
		post_die(dir);
	if (rc == -1 && !o->full)
		log_warn("%s: %s", dir, strerror(errno));
	o->full = rc == -1;
	return rc == 0;
}

/* Blobs that are there: remember it, and let their parcels go. */
void
flights_settle(struct post *o)
{
	struct buf lines = { 0 }, spoilt = { 0 };
	struct flight *f;
	bool recorded;

	TAILQ_FOREACH(f, &o->landed, entry) {
		cargo_line(&f->cargo, f->parcel, f->container, f->blob,
		    &lines);
		buf_add(&spoilt, buf_data(&f->cargo.spoilt),
		    f->cargo.spoilt.len);
	}
	recorded = record(o, "dropped", &spoilt) && record(o, WRITTEN, &lines);
	buf_free(&lines);
	buf_free(&spoilt);
	while (recorded && (f = TAILQ_FIRST(&o->landed)) != NULL) {
		TAILQ_REMOVE(&o->landed, f, entry);
		counters_add(o->counters, f->parcel->topic,
		    f->parcel->subscription, &f->cargo, false);
		f->place->written += f->cargo.letters;
		f->place->blobs++;
		forget(o, f->lane, f->parcel);
		flight_free(f);
	}
}

/* ---- what is given up ---- */

static void
give_up(struct post *o, struct lane *l, struct parcel *p,
    const struct fault *why)
{
	struct cargo cargo = { .letters = 0 };
	struct buf lines = { 0 };
	size_t len;
	char *text = parcel_read(o->spool->fd, p, &len);

	if (text == NULL)
		post_die(PARCEL_SENDING);
	cargo_drop(&cargo, p, text, len, why->text, &lines);
	free(text);
	if (record(o, "dropped", &lines)) {
		log_warn("%s/%s: %" PRIu64 " dead letters are dropped, which "
		    "dropped/ has now: %s", l->topic, l->name, cargo.letters,
		    why->text);
		counters_add(o->counters, l->topic, l->name, &cargo, true);
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
					give_up(o, l, p, &place->error);
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
void
place_revive(struct post *o, struct place *place)
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
	give_up(o, l, p, f);
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
	if (a->result != BLOB_LATER) { /* it is there, and takes others */
		if (place->failing)
			place_revive(o, place);
		place_worked(place);
	}
	if (a->result == BLOB_DONE || a->result == BLOB_EXISTS) {
		p->landed = true;
		buf_reset(&f->cargo.text, 0);
		TAILQ_INSERT_TAIL(&o->landed, f, entry);
	} else {
		flight_free(f);
		if (a->result == BLOB_LATER)
			fail_place(o, place, &a->fault);
		else
			refuse(o, l, p, &a->fault);
	}
	o->changed(o->arg);
}

static void
load(struct post *o, struct flight *f)
{
	struct fault fault;
	size_t len;
	char *text = parcel_read(o->spool->fd, f->parcel, &len);

	if (text == NULL)
		post_die(PARCEL_SENDING);
	if (cargo_load(&f->cargo, f->parcel, text, len, &fault) == -1)
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
void
flight_begin(struct post *o, struct lane *l, struct parcel *p)
{
	struct place *place = l->place;
	struct flight *f;
	struct fault fault;

	p->attempts++;
	if (place_open(o, place, &fault) == -1) {
		release(o, place, p);
		fail_place(o, place, &fault);
		return;
	}
	if ((f = calloc(1, sizeof(*f))) == NULL ||
	    (f->container = strdup(container_name(place->container))) == NULL)
		post_no_memory();
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
		post_no_memory();
}

/* Requests under way end without an answer; their parcels are tried again, and
 * find it out. */
void
flights_end(struct post *o)
{
	struct flight *f;
	struct place *p;

	flights_settle(o);
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

void
flights_forget(struct post *o)
{
	struct flight *f;

	while ((f = TAILQ_FIRST(&o->landed)) != NULL) {
		TAILQ_REMOVE(&o->landed, f, entry);
		flight_free(f);
	}
}
