/* publish: events are checked and matched, gathered, and written */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "local.h"

/* ---- producers ---- */

static struct producer *
producer_find(struct topic *t, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < t->nproducers; i++)
		if (strlen(t->producers[i].name) == len &&
		    memcmp(t->producers[i].name, name, len) == 0)
			return &t->producers[i];
	return NULL;
}

/* A place for a new one: another, or that of the one not heard of longest. */
static struct producer *
producer_place(struct topic *t)
{
	struct producer *p, *oldest;
	size_t i;

	if (t->nproducers < PRODUCERS_MAX) {
		p = realloc(t->producers, (t->nproducers + 1) * sizeof(*p));
		if (p == NULL)
			return NULL;
		t->producers = p;
		return &t->producers[t->nproducers++];
	}
	for (oldest = t->producers, i = 1; i < t->nproducers; i++)
		if (t->producers[i].used < oldest->used)
			oldest = &t->producers[i];
	return oldest;
}

static struct producer *
producer_get(struct topic *t, const char *name, size_t len)
{
	struct producer *p = producer_find(t, name, len);

	if (p != NULL || (p = producer_place(t)) == NULL)
		return p;
	memset(p, 0, sizeof(*p));
	memcpy(p->name, name, len);
	return p;
}

int
producer_seen(struct topic *t, const char *name, size_t len, uint64_t sequence,
    uint64_t offset)
{
	struct producer *p;

	if (len > JOURNAL_NAME_MAX || (p = producer_get(t, name, len)) == NULL)
		return -1;
	if (sequence > p->stored)
		p->stored = p->pending = sequence;
	p->used = offset;
	return 0;
}

static void
producers_settle(struct topic *t, bool written)
{
	size_t i;

	for (i = 0; i < t->nproducers; i++)
		if (written)
			t->producers[i].stored = t->producers[i].pending;
		else
			t->producers[i].pending = t->producers[i].stored;
}

uint64_t
store_producer(struct topic *t, const char *name, size_t len)
{
	const struct producer *p = producer_find(t, name, len);

	return p != NULL ? p->pending : 0;
}

/* ---- publish ---- */

static int
match_one(struct store *st, uint32_t event, struct subscription *s)
{
	struct matched *m;
	size_t cap;

	if (st->nmatched == st->matched_cap) {
		cap = st->matched_cap ? 2 * st->matched_cap : 1024;
		if ((m = realloc(st->matched, cap * sizeof(*m))) == NULL)
			return -1;
		st->matched = m;
		st->matched_cap = cap;
	}
	st->matched[st->nmatched++] = (struct matched){ event, s };
	return 0;
}

static int
match(struct topic *t, uint32_t event, struct subscription *only)
{
	struct store *st = t->store;
	size_t i;

	if (only != NULL)
		return match_one(st, event, only);
	for (i = 0; i < t->nsubs; i++)
		if ((t->subs[i]->filter == NULL ||
			filter_matches(t->subs[i]->filter, &st->event)) &&
		    match_one(st, event, t->subs[i]) == -1)
			return -1;
	return 0;
}

/* Check and match every event before anything of them is kept. */
static int
check(struct topic *t, const struct publish *p, struct fault *fault)
{
	struct store *st = t->store;
	const char *at = p->text, *nl;
	struct fault why;
	uint32_t i;

	st->nmatched = 0;
	for (i = 0; i < p->count; i++, at = nl + 1) {
		nl = memchr(at, '\n', p->len - (size_t)(at - p->text));
		if (event_parse(&st->event, at, (size_t)(nl - at), &why) == -1)
			return fault_set(fault, why.code, "event %u: %s", i + 1,
			    why.text);
		if (match(t, i, p->only) == -1)
			return fault_errno(fault, FAULT_INTERNAL, "event %u",
			    i + 1);
	}
	return 0;
}

static void
keep(struct topic *t, const struct publish *p)
{
	struct store *st = t->store;
	const char *at = p->text, *nl;
	int64_t now = clock_now();
	size_t m = 0, first;
	uint32_t i;

	for (i = 0; i < p->count; i++, at = nl + 1) {
		struct journal_line line = { .time = now, .part = i + 1,
			.of = p->count,
			.producer = p->producer,
			.producer_len = p->producer_len,
			.sequence = p->sequence, .event = at };

		nl = memchr(at, '\n', p->len - (size_t)(at - p->text));
		line.event_len = (size_t)(nl - at);
		if (p->only != NULL) {
			line.subscription = p->only->name;
			line.subscription_len = strlen(p->only->name);
		}
		if (journal_append(t->journal, &line) == -1)
			store_die(ENOMEM, t->name);
		for (first = m; m < st->nmatched && st->matched[m].event == i;
		     m++)
			if (queue_add(&st->matched[m].sub->queue,
				line.offset) == -1)
				store_die(ENOMEM, t->name);
		t->pending_unmatched += first == m;
		if (p->producer != NULL && i == 0)
			producer_find(t, p->producer, p->producer_len)->used =
			    line.offset;
	}
	t->pending_events += p->count;
}

int
store_publish(struct topic *t, const struct publish *p, bool *duplicate,
    struct fault *fault)
{
	struct store *st = t->store;
	struct producer *producer;
	uint64_t at;

	*duplicate = false;
	if (p->producer != NULL) {
		at = store_producer(t, p->producer, p->producer_len);
		*duplicate = p->sequence <= at;
		if (*duplicate)
			return 0;
		if (p->after >= 0 && (uint64_t)p->after != at)
			return fault_set(fault, FAULT_CONFLICT,
			    "producer '%.*s' is at %llu, not at %lld",
			    (int)p->producer_len, p->producer,
			    (unsigned long long)at, (long long)p->after);
	}
	if (check(t, p, fault) == -1)
		return -1;
	/* without events there would be no trace of it in the log */
	if (p->producer != NULL && p->count > 0) {
		producer = producer_get(t, p->producer, p->producer_len);
		if (producer == NULL)
			return fault_errno(fault, FAULT_INTERNAL, "producer");
		producer->pending = p->sequence;
	}
	if (p->count > 0 && !t->touched) {
		t->touched = true;
		t->touched_next = st->touched;
		st->touched = t;
	}
	st->urgent = true;
	keep(t, p);
	return 0;
}

/* ---- writing ---- */

static void
roll_back(struct topic *t, size_t written)
{
	struct subscription *s;
	size_t i;

	for (i = 0; i < t->nsubs; i++) {
		s = t->subs[i];
		queue_rollback(&s->queue);
		if (i < written && queue_truncate(&s->queue, s->before) == -1)
			store_die(errno, s->queue_path);
	}
	journal_rollback(t->journal);
	producers_settle(t, false);
	store_failed(t, NULL, METRIC_PUBLISH, FAULT_TOO_MANY,
	    t->pending_events);
	t->pending_events = t->pending_unmatched = 0;
}

int
topic_write(struct topic *t)
{
	struct subscription *s;
	int error = 0;
	size_t i;

	for (i = 0; i < t->nsubs && error == 0; i++) {
		s = t->subs[i];
		s->before = s->queue.count;
		if (s->queue.pending && queue_write(&s->queue) == -1)
			error = errno;
	}
	if (error == 0 && journal_write(t->journal) == -1)
		error = errno;
	if (error != 0) {
		roll_back(t, i);
		return error;
	}
	producers_settle(t, true);
	t->meter.done[METRIC_PUBLISH] += t->pending_events;
	t->unmatched += t->pending_unmatched;
	t->pending_events = t->pending_unmatched = 0;
	return 0;
}
