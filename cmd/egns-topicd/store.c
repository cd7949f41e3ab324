/* all topics of the namespace, and the windows in which they become durable */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>

#include "clock.h"
#include "file.h"
#include "jq.h"
#include "local.h"
#include "log.h"
#include "maildir.h"

/* The sweep runs no more often than this, and at least this often; with a
 * movable clock a step must be in effect within 100 ms. */
#define SWEEP_MIN (CLOCK_SECOND / 100)
#define SWEEP_MAX (CLOCK_SECOND)
#define SWEEP_MAX_MOVABLE (CLOCK_SECOND / 20)

_Noreturn void
store_die(int error, const char *what)
{
	log_fatal(EX_IOERR, "%s: %s: stopping, nothing of this was acknowledged",
	    what, strerror(error));
}

/* ---- the thread's part of a window ---- */

static int
final(struct window *w, int error, const char *what)
{
	snprintf(w->what, sizeof(w->what), "%s", what);
	return error;
}

static int
work_ends(struct window *w)
{
	w->ends_error = 0;
	if (w->deadletters.len > 0 &&
	    maildir_write(w->spool, "deadletter", buf_data(&w->deadletters),
		w->deadletters.len) == -1)
		w->ends_error = errno;
	else
		buf_free(&w->deadletters);
	if (w->ends_error == 0 && w->dropped.len > 0 &&
	    dropped_append(w->spool, w->now, buf_data(&w->dropped),
		w->dropped.len) == -1)
		w->ends_error = errno;
	else if (w->ends_error == 0)
		buf_free(&w->dropped);
	if (w->ends_error != 0 && !file_no_room(w->ends_error))
		return final(w, w->ends_error, "deadletter/ or dropped/");
	return 0;
}

static int
work_saves(struct window *w)
{
	bool fatal;
	size_t i;

	for (i = 0; i < w->nsaves; i++) {
		struct save *s = &w->saves[i];

		if (w->ends_error == 0 &&
		    deliveries_save(&s->save, &fatal) == 0)
			continue;
		s->error = w->ends_error ? w->ends_error : errno;
		w->settle_error = s->error;
		if (w->ends_error == 0 && fatal)
			return final(w, s->error, s->save.path);
	}
	return 0;
}

/*
 * In the order of DESIGN's promises: the events, then where those went that
 * left a subscription, and only then that they left it. Checkpoints last: they
 * only save work.
 */
static int
work(void *arg)
{
	struct window *w = arg;
	size_t i;
	int error;

	for (i = 0; i < w->nsyncs; i++)
		if (journal_sync(&w->syncs[i]) == -1)
			return final(w, errno, "topic log");
	if ((error = work_ends(w)) != 0 || (error = work_saves(w)) != 0)
		return error;
	for (i = 0; i < w->ncheckpoints; i++) {
		if (checkpoint_write(&w->checkpoints[i]) == 0)
			continue;
		if (!file_no_room(errno))
			return final(w, errno, "checkpoint");
		w->checkpoints[i].failed = true;
	}
	return 0;
}

/* ---- windows ---- */

static void
window_clear(struct window *w)
{
	size_t i;

	for (i = 0; i < w->nsaves; i++)
		buf_free(&w->saves[i].save.text);
	for (i = 0; i < w->ncheckpoints; i++)
		checkpoint_free(&w->checkpoints[i]);
	buf_free(&w->deadletters);
	buf_free(&w->dropped);
	w->nsyncs = w->nsaves = w->ncheckpoints = 0;
	w->publish_error = w->settle_error = w->ends_error = 0;
}

static void
window_free(struct window *w)
{
	if (w == NULL)
		return;
	window_clear(w);
	free(w->syncs);
	free(w->saves);
	free(w->checkpoints);
	free(w);
}

/* The array of a window with room for one more, which is zeros; out of memory
 * here is the end. */
static void *
more(void *array, size_t n, size_t *cap, size_t size)
{
	if (n == *cap) {
		*cap = *cap ? 2 * *cap : 16;
		if ((array = realloc(array, *cap * size)) == NULL)
			store_die(ENOMEM, "commit");
	}
	memset((char *)array + n * size, 0, size);
	return array;
}

static void
close_topic(struct store *st, struct topic *t)
{
	struct window *w = st->open;
	int error;
	size_t i;

	t->touched = false;
	t->closing = true;
	if ((error = topic_write(t)) != 0) {
		if (!file_no_room(error))
			store_die(error, t->name);
		w->publish_error = error;
		t->refused = true;
	}
	for (i = 0; i < t->nsubs; i++)
		t->subs[i]->closing = t->subs[i]->queue.count;
	w->syncs = more(w->syncs, w->nsyncs, &w->syncs_cap, sizeof(*w->syncs));
	journal_dirty(t->journal, &w->syncs[w->nsyncs++]);
	if (!t->owed && journal_end(t->journal) - t->checkpoint <
	    CHECKPOINT_BYTES)
		return;
	w->checkpoints = more(w->checkpoints, w->ncheckpoints,
	    &w->checkpoints_cap, sizeof(*w->checkpoints));
	if (topic_checkpoint(t, &w->checkpoints[w->ncheckpoints++]) == -1)
		store_die(ENOMEM, "checkpoint");
}

static void
close_states(struct store *st)
{
	struct window *w = st->open;
	struct subscription *s;
	struct save *save;

	while ((s = st->dirty) != NULL) {
		st->dirty = s->dirty_next;
		s->dirty = false;
		if (!s->d.changed)
			continue;
		w->saves = more(w->saves, w->nsaves, &w->saves_cap,
		    sizeof(*save));
		save = &w->saves[w->nsaves++];
		save->sub = s;
		save->cursor = s->d.cursor;
		save->save.dir = s->topic->dir;
		save->save.path = s->state_path;
		if (!deliveries_changes(&s->d, &save->save) ||
		    save->save.text.bad)
			store_die(ENOMEM, s->state_path);
	}
	st->dirty_since = 0;
}

/* Close the open window, for it to be made durable. */
static struct window *
close_window(struct store *st)
{
	struct window *w = st->open;
	struct topic *t;
	int64_t now = clock_now();

	while ((t = st->touched) != NULL) {
		st->touched = t->touched_next;
		close_topic(st, t);
	}
	if (st->blocked && clock_mono() < st->retry_at) {
		w->settle_error = st->blocked; /* states stay dirty */
	} else {
		w->deadletters = st->deadletters;
		w->dropped = st->dropped;
		memset(&st->deadletters, 0, sizeof(st->deadletters));
		memset(&st->dropped, 0, sizeof(st->dropped));
		close_states(st);
	}
	w->now = now;
	st->urgent = false;
	st->open = st->flight;
	st->flight = w;
	st->open->number = w->number + 1;
	return w;
}

static void
prepend(struct buf *front, struct buf *rest)
{
	buf_add(front, buf_data(rest), rest->len);
	if (front->bad)
		store_die(ENOMEM, "deadletter/");
	buf_free(rest);
	*rest = *front;
	memset(front, 0, sizeof(*front));
}

/* There was no room: only what somebody waits for is tried again at once. */
static void
try_later(struct store *st)
{
	st->retry_at = clock_mono() + SPACE_RETRY;
	store_wake(st, clock_now() + SPACE_RETRY);
}

/* Ends that found no room wait in memory; nothing else may end meanwhile. */
static void
block(struct store *st, struct window *w)
{
	if (w->ends_error == 0) {
		if (st->blocked && w->settle_error == 0) {
			log_warn("deadletter/ or dropped/: there is room again");
			st->blocked = 0;
		}
		return;
	}
	if (!st->blocked)
		log_warn("deadletter/ or dropped/: %s: no event can leave its "
			 "subscription until there is room",
		    strerror(w->ends_error));
	st->blocked = w->ends_error;
	prepend(&w->deadletters, &st->deadletters);
	prepend(&w->dropped, &st->dropped);
	try_later(st);
}

static const char *
reason(int error, char text[128], const char *what)
{
	if (error == 0)
		return NULL;
	snprintf(text, 128, "%s: %s", what, strerror(error));
	return text;
}

static void
announce(struct store *st, struct topic *t)
{
	struct subscription *s;
	size_t i;

	if (!t->closing)
		return;
	t->closing = false;
	for (i = 0; i < t->nsubs; i++) {
		s = t->subs[i];
		if (s->visible == s->closing)
			continue;
		s->visible = s->closing;
		st->hooks.available(s, st->hooks.arg);
	}
}

static void
done(void *arg, int error)
{
	struct window *w = arg;
	struct store *st = w->store;
	char publish[128], settle[128];
	size_t i;

	if (error != 0)
		store_die(error, w->what);
	block(st, w);
	for (i = 0; i < w->nsaves; i++)
		if (w->saves[i].error != 0) {
			deliveries_unsaved(&w->saves[i].sub->d);
			subscription_dirty(w->saves[i].sub);
			try_later(st);
		} else
			queue_punch(&w->saves[i].sub->queue,
			    w->saves[i].cursor);
	for (i = 0; i < w->ncheckpoints; i++)
		w->checkpoints[i].topic->owed = w->checkpoints[i].failed;
	st->hooks.committed(w->number,
	    reason(w->publish_error, publish, "not stored"),
	    reason(w->settle_error, settle, "not recorded"), st->hooks.arg);
	for (i = 0; i < st->ntopics; i++) {
		announce(st, st->topics[i]);
		st->topics[i]->refused = false;
	}
	window_clear(w);
}

/* ---- what happens by itself ---- */

void
store_end(struct store *st, const struct dl_record *r)
{
	struct buf *b = r->destination ? &st->deadletters : &st->dropped;

	dl_format(b, r);
	if (b->bad)
		store_die(ENOMEM, "deadletter/");
	st->swept++;
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The earliest moment at which something is due. */
static int64_t
sweep_topic(struct store *st, struct topic *t, int64_t now)
{
	/* each is the first in its turn: the first may well take all of it */
	size_t i, first = st->sweeps / st->ntopics;
	int64_t next = INT64_MAX;
	struct subscription *s;

	for (i = 0; i < t->nsubs; i++) {
		s = t->subs[(first + i) % t->nsubs];
		if (now < st->last)
			subscription_clock(s, now);
		next = earlier(next, subscription_sweep(s, now));
		if (s->expires != 0 && s->expires <= now)
			st->still = true;
		if (subscription_ready(s))
			st->hooks.available(s, st->hooks.arg);
	}
	return next;
}

static void
arm(struct store *st)
{
	int64_t wait = st->next - clock_now();
	int64_t max = clock_movable() ? SWEEP_MAX_MOVABLE : SWEEP_MAX;

	if (wait > max)
		wait = max;
	if (wait < SWEEP_MIN)
		wait = SWEEP_MIN;
	st->timer.repeat = (double)wait / CLOCK_SECOND;
	ev_timer_again(st->loop, &st->timer);
}

void
store_wake(struct store *st, int64_t at)
{
	if (at >= st->next)
		return;
	st->next = at;
	arm(st);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct store *st = timer->data;
	int64_t now = clock_now(), next = INT64_MAX;
	struct topic *t;
	size_t i;

	(void)loop;
	(void)events;
	st->swept = 0;
	st->sweeps++;
	for (i = 0; i < st->ntopics; i++) {
		t = st->topics[(st->sweeps + i) % st->ntopics];
		next = earlier(next, sweep_topic(st, t, now));
		if (topic_has_old_segment(t, now))
			st->still = true;
	}
	st->last = now;
	st->next = next;
	if (st->blocked && st->next <= now) /* nothing can end: no hurry */
		st->next = now + SPACE_RETRY;
	arm(st);
}

/* Subscriptions whose own expiry has come cease when nothing is under way. */
static void
remove_expired(struct store *st)
{
	int64_t now = clock_now();
	struct topic *t;
	size_t i, k;

	for (i = 0; i < st->ntopics; i++) {
		t = st->topics[i];
		for (k = t->nsubs; k-- > 0;)
			if (t->subs[k]->expires != 0 &&
			    t->subs[k]->expires <= now)
				topic_remove(t, k, "SubscriptionExpired");
	}
}

/* ---- the registry ---- */

static struct topic *
find_topic(struct store *st, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < st->ntopics; i++)
		if (strlen(st->topics[i]->name) == len &&
		    memcmp(st->topics[i]->name, name, len) == 0)
			return st->topics[i];
	return NULL;
}

/* A deleted topic takes its files with it. */
static void
remove_topic(struct store *st, size_t i)
{
	struct topic *t = st->topics[i];
	bool recorded = true;

	while (t->nsubs > 0)
		if (!topic_remove(t, t->nsubs - 1, "TopicDeleted"))
			recorded = false;
	if (recorded && topic_remove_files(st, t->name) == -1)
		log_warn("topic '%s': removing its files: %s", t->name,
		    strerror(errno));
	topic_close(t);
	memmove(&st->topics[i], &st->topics[i + 1],
	    (st->ntopics - i - 1) * sizeof(st->topics[0]));
	st->ntopics--;
}

struct take_up {
	struct store *store;
	struct registry *registry;
	struct fault *fault;
};

static int
add_topic(struct take_up *u, const char *name, jv resource)
{
	struct store *st = u->store;
	struct topic **topics, *t;

	topics = realloc(st->topics, (st->ntopics + 1) * sizeof(*topics));
	if (topics == NULL) {
		jv_free(resource);
		return fault_errno(u->fault, FAULT_INTERNAL, "topics");
	}
	st->topics = topics;
	t = topic_open(st, name, resource, u->registry, u->fault);
	if (t == NULL)
		return -1;
	st->topics[st->ntopics++] = t;
	return 0;
}

static int
take_up(const char *path, jv resource, void *arg)
{
	const char *name = path + strlen("topics/");
	const char *uid = jq_str(resource, "uid");
	struct take_up *u = arg;
	struct store *st = u->store;
	struct topic *t;
	size_t i;

	if (strchr(name, '/') != NULL) { /* a subscription: its topic's */
		jv_free(resource);
		return 0;
	}
	t = find_topic(st, name, strlen(name));
	if (t != NULL && uid != NULL && strcmp(uid, t->uid) != 0) {
		for (i = 0; st->topics[i] != t; i++)
			;
		remove_topic(st, i);
		t = NULL;
	}
	if (t == NULL)
		return add_topic(u, name, resource);
	t->seen = true;
	return topic_configure(t, resource, u->registry, u->fault);
}

static int
read_registry(struct store *st, struct fault *fault)
{
	struct take_up u = { .store = st, .fault = fault };
	int rc;

	if ((u.registry = registry_open(st->spool, false, fault)) == NULL)
		return -1;
	rc = registry_each(u.registry, "topics/", take_up, &u);
	registry_close(u.registry);
	return rc ? -1 : 0;
}

static void
reload(struct store *st)
{
	struct fault fault = { 0 };
	void (*reloaded)(const struct fault *, void *) = st->reloaded;
	size_t i;
	int rc;

	for (i = 0; i < st->ntopics; i++)
		st->topics[i]->seen = false;
	rc = read_registry(st, &fault);
	for (i = st->ntopics; rc == 0 && i-- > 0;)
		if (!st->topics[i]->seen)
			remove_topic(st, i);
	st->reloaded = NULL;
	store_wake(st, clock_now());
	reloaded(rc == 0 ? NULL : &fault, st->reloaded_arg);
}

void
store_reload(struct store *st, void (*reloaded)(const struct fault *, void *),
    void *arg)
{
	st->reloaded = reloaded;
	st->reloaded_arg = arg;
	st->still = true;
}

/* Bytes of events in the open window. */
static size_t
pending(const struct store *st)
{
	const struct topic *t;
	size_t bytes = 0;

	for (t = st->touched; t != NULL; t = t->touched_next)
		bytes += journal_pending(t->journal);
	return bytes;
}

bool
store_held(const struct store *st)
{
	return pending(st) > WINDOW_MAX;
}

bool
store_still(const struct store *st)
{
	return st->still;
}

/* ---- turns and life ---- */

static bool
something_to_commit(struct store *st)
{
	int64_t left;

	if (st->urgent || st->touched != NULL)
		return true;
	if (clock_mono() < st->retry_at)
		return false;
	if (st->blocked)
		return true;
	if (st->dirty == NULL && st->deadletters.len == 0 &&
	    st->dropped.len == 0)
		return false;
	if (st->dirty_since == 0)
		st->dirty_since = clock_mono();
	left = st->dirty_since + STATE_DELAY - clock_mono();
	if (st->still || left <= 0)
		return true;
	store_wake(st, clock_now() + left); /* a sweep may have moved it away */
	return false;
}

/* Nothing is under way, and nothing waits for the disk, unless it is full: then
 * what subscriptions have settled is not on disk, and they need their
 * segments. */
static void
stand_still(struct store *st)
{
	size_t i;

	st->still = false;
	remove_expired(st);
	if (st->reloaded != NULL)
		reload(st);
	if (st->dirty != NULL || st->blocked)
		return;
	for (i = 0; i < st->ntopics; i++)
		topic_remove_segments(st->topics[i], clock_now());
}

bool
store_refused(const struct topic *t)
{
	return t->refused;
}

bool
store_turn(struct store *st, bool alone)
{
	struct window *w;

	if (commit_busy(st->commit))
		return false;
	if (something_to_commit(st)) {
		alone = alone && pending(st) <= DETOUR_BYTES;
		w = close_window(st);
		if (alone)
			done(w, work(w));
		else
			commit_start(st->commit, w);
		return alone;
	}
	if (!st->still)
		return false;
	stand_still(st);
	return true;
}

uint64_t
store_flush(struct store *st)
{
	if (st->urgent || st->touched != NULL || st->dirty != NULL) {
		st->urgent = true;
		return st->open->number;
	}
	return commit_busy(st->commit) ? st->flight->number : 0;
}

static struct store *
new_store(struct ev_loop *loop)
{
	struct store *st = calloc(1, sizeof(*st));

	if (st == NULL)
		return NULL;
	if ((st->open = calloc(1, sizeof(*st->open))) != NULL &&
	    (st->flight = calloc(1, sizeof(*st->flight))) != NULL &&
	    (st->commit = commit_new(loop, work, done)) != NULL)
		return st;
	free(st->flight);
	free(st->open);
	free(st);
	return NULL;
}

/* Nothing is under way. */
static void
store_free(struct store *st)
{
	size_t i;

	commit_free(st->commit);
	ev_timer_stop(st->loop, &st->timer);
	for (i = 0; i < st->ntopics; i++)
		topic_close(st->topics[i]);
	window_free(st->open);
	window_free(st->flight);
	event_free(&st->event);
	buf_free(&st->deadletters);
	buf_free(&st->dropped);
	free(st->matched);
	free(st->topics);
	free(st);
}

struct store *
store_open(const struct spool *spool, struct ev_loop *loop,
    const struct store_hooks *hooks, struct fault *fault)
{
	struct store *st = new_store(loop);

	if (st == NULL) {
		fault_errno(fault, FAULT_INTERNAL, "store");
		return NULL;
	}
	st->open->store = st->flight->store = st;
	st->open->spool = st->flight->spool = spool->fd;
	st->open->number = 1;
	st->spool = spool;
	st->loop = loop;
	st->hooks = *hooks;
	st->next = INT64_MAX;
	st->retry_at = INT64_MIN; /* clock_mono() of tests may be below 0 */
	if (getrandom(&st->epoch, sizeof(st->epoch), 0) == -1)
		st->epoch = (uint32_t)clock_now();
	ev_init(&st->timer, on_timer);
	st->timer.data = st;
	if (maildir_begin(spool->fd, "deadletter") == -1 ||
	    spool_mkdir(spool->fd, "topics", 0755) == -1 ||
	    spool_mkdir(spool->fd, "dropped", 0755) == -1) {
		fault_errno(fault, FAULT_INTERNAL, "'%s'", spool->path);
		store_free(st);
		return NULL;
	}
	if (read_registry(st, fault) == -1) {
		store_free(st);
		return NULL;
	}
	topic_remove_strays(st, NULL);
	store_wake(st, clock_now());
	return st;
}

void
store_close(struct store *st)
{
	struct fault fault;
	struct topic *t;
	size_t i, k;

	st->retry_at = INT64_MIN; /* once more, should the disk be full */
	while (commit_busy(st->commit) || st->urgent || st->touched != NULL ||
	    (st->dirty != NULL && clock_mono() >= st->retry_at)) {
		if (!commit_busy(st->commit))
			commit_start(st->commit, close_window(st));
		ev_run(st->loop, EVRUN_ONCE);
	}
	if (st->dirty != NULL)
		log_warn("no room for what was settled last: it will be "
			 "delivered again");
	for (i = 0; i < st->ntopics; i++) {
		t = st->topics[i];
		for (k = 0; k < t->nsubs; k++)
			st->hooks.gone(t->subs[k], st->hooks.arg);
		if (topic_write_checkpoint(t, &fault) == -1)
			log_warn("%s", fault.text);
	}
	store_free(st);
}

/* ---- names ---- */

struct topic *
store_topic(struct store *st, const char *name, size_t len)
{
	return find_topic(st, name, len);
}

struct topic *
store_topic_at(struct store *st, size_t i)
{
	return i < st->ntopics ? st->topics[i] : NULL;
}
