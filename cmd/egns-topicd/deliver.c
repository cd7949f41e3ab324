/* what a subscription hands out, and how that ends */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base64.h"
#include "clock.h"
#include "local.h"
#include "log.h"

#define TOKEN_BYTES 18
#define TOKEN_LEN BASE64_LEN(TOKEN_BYTES)

/* ---- tokens ---- */

static void
token_make(const struct subscription *s, uint32_t slot, char out[TOKEN_LEN])
{
	unsigned char raw[TOKEN_BYTES];

	memcpy(raw, s->token_id, 6);
	memcpy(raw + 6, &slot, 4);
	memcpy(raw + 10, &s->d.slot[slot].lock, 8);
	base64_encode(out, raw, sizeof(raw));
}

static enum settle_result
token_find(const struct subscription *s, const char *token, size_t len,
    uint32_t *slot)
{
	unsigned char raw[TOKEN_BYTES];
	const struct delivery *v;
	uint64_t lock;

	if (len != TOKEN_LEN || base64_decode(raw, token, len) != TOKEN_BYTES ||
	    memcmp(raw, s->token_id, 6) != 0)
		return SETTLE_BAD_TOKEN;
	memcpy(slot, raw + 6, 4);
	memcpy(&lock, raw + 10, 8);
	if (*slot >= s->d.nslots)
		return SETTLE_TOKEN_LOST;
	v = &s->d.slot[*slot];
	if (v->state != DELIVERY_LOCKED || v->lock != lock ||
	    v->due <= clock_now())
		return SETTLE_TOKEN_LOST;
	return SETTLE_OK;
}

/* ---- the end of an event ---- */

/* Its line in the log; with errno EBADMSG it is corrupt, and then line.event is
 * the raw line. Other errors of the disk end the daemon. */
static int
read_line(struct subscription *s, uint64_t offset, struct journal_line *line)
{
	int error;

	if (journal_read(s->topic->journal, offset, line) == 0)
		return 0;
	error = errno;
	if (error != EBADMSG && error != ENOENT)
		store_die(error, s->topic->name);
	if (error == ENOENT) {
		memset(line, 0, sizeof(*line));
		line->offset = offset;
		line->event = "";
	}
	log_warn("topic '%s': log offset %llu: %s", s->topic->name,
	    (unsigned long long)offset,
	    error == EBADMSG ? "line does not match its checksum" :
			       "not there any more");
	errno = EBADMSG;
	return -1;
}

/*
 * The line of the event at the cursor, as read_line. A queue that points to
 * where no line is says nothing about which events are waiting: the next start
 * makes it anew from the log.
 */
static int
read_front(struct subscription *s, struct journal_line *line)
{
	struct journal *j = s->topic->journal;
	uint64_t offset = UINT64_MAX;

	if (queue_get(&s->queue, s->d.cursor, &offset) == -1 && errno != ENOENT)
		store_die(errno, s->queue_path);
	if (offset < journal_start(j)) /* somebody has removed its segment */
		return read_line(s, offset, line);
	if (offset < journal_end(j)) {
		if (read_line(s, offset, line) == 0)
			return 0;
		if (journal_begins(j, offset) == 1)
			return -1;
	}
	unlinkat(s->topic->dir, s->queue_path, 0);
	log_fatal(EX_IOERR, "topic '%s': %s: damaged: stopping, the next start "
	    "makes it anew", s->topic->name, s->queue_path);
}

/* No more ends now: the disk is full, others want their turn, or what has ended
 * waits for the disk already. */
static bool
turn_is_over(const struct store *st)
{
	return st->blocked || st->swept >= SWEEP_EVENTS ||
	    st->deadletters.len + st->dropped.len >= SWEEP_BYTES;
}

static void
end_record(struct subscription *s, struct dl_record *r)
{
	r->topic = s->topic->name;
	r->subscription = s->name;
	r->destination = r->reason == DL_CORRUPT ? NULL : s->destination;
	r->custom = s->custom;
	r->now = clock_now();
	store_end(s->topic->store, r);
	if (r->destination != NULL)
		s->d.dead_lettered[r->reason]++;
	else
		s->d.dropped[r->reason]++;
	subscription_dirty(s);
}

/* A delivery ends unacknowledged. The line may be known already. */
static void
end_delivery(struct subscription *s, uint32_t slot, enum dl_reason reason,
    const struct journal_line *known)
{
	const struct delivery *v = &s->d.slot[slot];
	struct journal_line line = { 0 };
	struct dl_record r = { .line = known ? known : &line,
		.reason = reason,
		.result = v->result,
		.attempts = v->count,
		.last_attempt = v->last };

	if (known == NULL && read_line(s, v->offset, &line) == -1)
		r.reason = DL_CORRUPT;
	deliveries_remove(&s->d, slot);
	end_record(s, &r);
}

static void
cursor_pass(struct subscription *s, const struct journal_line *line)
{
	s->d.cursor++;
	s->d.after = line->offset + line->len;
	deliveries_touch(&s->d);
	subscription_dirty(s);
}

/*
 * What came of the attempt that an event was handed out for. For a Push
 * subscription it is only now that there was one: until then the one before
 * stands.
 */
static void
attempted(const struct subscription *s, struct delivery *v, int result)
{
	v->result = (uint8_t)result;
	if (s->pushes)
		v->last = v->locked;
}

/* Nothing is given up that no endpoint was offered. */
int64_t
delivery_end(const struct subscription *s, const struct delivery *v)
{
	return s->pushes && v->count == 0 ? INT64_MAX : v->published + s->ttl;
}

/*
 * Nobody has said what came of it. For a Push subscription only what is said
 * counts as an attempt: this one may have been made or not, and is made anew.
 */
static void
unlock(struct subscription *s, uint32_t slot)
{
	struct delivery *v = &s->d.slot[slot];

	v->count--;
	deliveries_set(&s->d, slot, DELIVERY_AVAILABLE, delivery_end(s, v));
}

/* The event at the cursor ends without having been delivered. */
static void
end_undelivered(struct subscription *s, enum dl_reason reason,
    const struct journal_line *line)
{
	struct dl_record r = { .line = line, .reason = reason };

	cursor_pass(s, line);
	end_record(s, &r);
}

/* ---- receive ---- */

bool
subscription_ready(const struct subscription *s)
{
	return deliveries_ready(&s->d) != DELIVERY_NONE ||
	    (s->d.cursor < s->visible && s->d.used < DELIVERIES_MAX);
}

static uint64_t
lock_name(struct store *st)
{
	/* 31 bits chosen at each start: no token of before is taken for ours */
	return (uint64_t)(st->epoch >> 1) << 32 | ++st->locks;
}

static void
hand_out(struct subscription *s, uint32_t slot, const struct journal_line *line,
    int64_t now, struct buf *out)
{
	struct delivery *v = &s->d.slot[slot];
	char token[TOKEN_LEN];

	v->published = line->time;
	v->locked = now;
	v->lock = lock_name(s->topic->store);
	v->count++;
	if (!s->pushes) {
		v->last = now;
		v->result = DL_NOT_ACKNOWLEDGED;
	}
	deliveries_set(&s->d, slot, DELIVERY_LOCKED, now + s->lock);
	token_make(s, slot, token);
	buf_str(out, "{\"brokerProperties\":{\"lockToken\":\"");
	buf_add(out, token, sizeof(token));
	buf_str(out, "\",\"deliveryCount\":");
	buf_u64(out, v->count);
	buf_str(out, "},\"event\":");
	buf_add(out, line->event, line->event_len);
	buf_add(out, "}\n", 2);
}

enum next { NEXT_NONE, NEXT_ENDED, NEXT_FULL, NEXT_TAKEN };

/* An available delivery, once more. */
static enum next
next_again(struct subscription *s, uint32_t slot, int64_t now, size_t room,
    bool any, struct buf *out)
{
	const struct delivery *v = &s->d.slot[slot];
	struct journal_line line;
	bool broken = read_line(s, v->offset, &line) == -1;

	if (broken || delivery_end(s, v) <= now) {
		if (turn_is_over(s->topic->store))
			return NEXT_NONE;
		end_delivery(s, slot, broken ? DL_CORRUPT : DL_TIME_TO_LIVE,
		    &line);
		return NEXT_ENDED;
	}
	if (any && line.event_len > room)
		return NEXT_FULL;
	hand_out(s, slot, &line, now, out);
	return NEXT_TAKEN;
}

/* The event at the cursor. */
static enum next
next_new(struct subscription *s, int64_t now, size_t room, bool any,
    struct buf *out)
{
	struct journal_line line;
	uint32_t slot;
	bool broken;

	if (s->d.cursor >= s->visible)
		return NEXT_NONE;
	broken = read_front(s, &line) == -1;
	if (broken || (!s->pushes && line.time + s->ttl <= now)) {
		if (turn_is_over(s->topic->store))
			return NEXT_NONE;
		end_undelivered(s, broken ? DL_CORRUPT : DL_TIME_TO_LIVE,
		    &line);
		return NEXT_ENDED;
	}
	if (any && line.event_len > room)
		return NEXT_FULL;
	if ((slot = deliveries_new(&s->d, line.offset)) == DELIVERY_NONE)
		return NEXT_NONE;
	cursor_pass(s, &line);
	hand_out(s, slot, &line, now, out);
	return NEXT_TAKEN;
}

uint32_t
store_receive(struct subscription *s, uint32_t max, size_t max_bytes,
    struct buf *out)
{
	struct store *st = s->topic->store;
	size_t start = out->len, taken;
	int64_t now = clock_now();
	uint32_t slot, n = 0;
	enum next next;

	while (n < max) {
		taken = out->len - start;
		if (taken >= max_bytes || out->bad)
			break;
		slot = deliveries_ready(&s->d);
		next = slot != DELIVERY_NONE ?
		    next_again(s, slot, now, max_bytes - taken, n > 0, out) :
		    next_new(s, now, max_bytes - taken, n > 0, out);
		if (next == NEXT_NONE || next == NEXT_FULL)
			break;
		n += next == NEXT_TAKEN;
	}
	if (turn_is_over(st) && !st->blocked)
		store_wake(st, now);
	if (n > 0) {
		subscription_dirty(s);
		s->meter.done[METRIC_RECEIVE] += n;
		store_wake(st, now + s->lock);
	}
	return n;
}

/* ---- peek ---- */

struct peeked {
	uint64_t offset;
	unsigned count;
	const char *state;
};

static int
by_offset(const void *a, const void *b)
{
	const struct peeked *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Sort, and keep the first max: their number. */
static size_t
keep_first(struct peeked *p, size_t n, size_t max)
{
	qsort(p, n, sizeof(*p), by_offset);
	return n < max ? n : max;
}

/* The first max deliveries not settled, and then of the queue. They may be a
 * hundred thousand, so not all of them are sorted. */
static struct peeked *
peek_first(struct subscription *s, size_t max, size_t *n)
{
	static const char *const states[] = { "", "locked", "delayed",
		"available" };
	struct peeked *p;
	uint64_t i, offset, last = UINT64_MAX;
	uint32_t k;

	if ((p = calloc(2 * max, sizeof(*p))) == NULL)
		return NULL;
	for (*n = 0, k = 0; k < s->d.used; k++) {
		const struct delivery *v = &s->d.slot[s->d.heap[k]];

		if (v->offset > last)
			continue;
		if (*n == 2 * max) {
			*n = keep_first(p, *n, max);
			last = p[max - 1].offset;
		}
		p[(*n)++] = (struct peeked){ v->offset, v->count,
			states[v->state] };
	}
	*n = keep_first(p, *n, max);
	for (i = s->d.cursor; i < s->visible && *n < max; i++)
		if (queue_get(&s->queue, i, &offset) == 0)
			p[(*n)++] = (struct peeked){ offset, 0, "available" };
	return p;
}

uint32_t
store_peek(struct subscription *s, uint32_t max, size_t max_bytes,
    struct buf *out)
{
	struct journal_line line;
	char time[CLOCK_TEXT + 1];
	size_t i, n = 0, start = out->len;
	uint32_t lines = 0;
	struct peeked *p;

	if ((p = peek_first(s, max, &n)) == NULL) {
		out->bad = true;
		return 0;
	}
	for (i = 0; i < n && out->len - start < max_bytes; i++) {
		if (journal_read(s->topic->journal, p[i].offset, &line) == -1)
			continue; /* its turn comes, and its record */
		if (lines > 0 && line.event_len > max_bytes - (out->len - start))
			break;
		clock_format(time, line.time);
		buf_printf(out,
		    "{\"brokerProperties\":{\"deliveryCount\":%u,\"state\":"
		    "\"%s\",\"offset\":%llu,\"publishTime\":\"%s\"},"
		    "\"event\":",
		    p[i].count, p[i].state, (unsigned long long)p[i].offset,
		    time);
		buf_add(out, line.event, line.event_len);
		buf_add(out, "}\n", 2);
		lines++;
	}
	free(p);
	return lines;
}

/* ---- settle ---- */

static void
release(struct subscription *s, uint32_t slot, const struct settle *how)
{
	struct delivery *v = &s->d.slot[slot];
	int64_t until = clock_now() + how->delay, end;

	if (how->undelivered)
		v->count--;
	else
		attempted(s, v,
		    how->result >= 0 ? how->result : DL_NOT_ACKNOWLEDGED);
	end = delivery_end(s, v);
	if (!how->undelivered && v->count >= s->max_count)
		end_delivery(s, slot, DL_MAX_DELIVERY_COUNT, NULL);
	else if (how->delay == 0)
		deliveries_set(&s->d, slot, DELIVERY_AVAILABLE, end);
	else
		deliveries_set(&s->d, slot, DELIVERY_DELAYED,
		    until < end ? until : end);
	store_wake(s->topic->store, until < end ? until : end);
}

static void
reject(struct subscription *s, uint32_t slot, const struct settle *how)
{
	attempted(s, &s->d.slot[slot],
	    how->result >= 0 ? how->result : DL_RESULT_REJECTED);
	end_delivery(s, slot,
	    how->reason >= 0 ? (enum dl_reason)how->reason : DL_REJECTED, NULL);
}

static enum settle_result
renew(struct subscription *s, uint32_t slot)
{
	int64_t now = clock_now();

	if (now - s->d.slot[slot].locked > RENEW_WITHIN)
		return SETTLE_NO_RENEW;
	deliveries_set(&s->d, slot, DELIVERY_LOCKED, now + s->lock);
	return SETTLE_OK;
}

/* Would this leave a record that there is no room for now? */
static bool
no_room(const struct subscription *s, uint32_t slot,
    const struct settle *how)
{
	const struct store *st = s->topic->store;

	if (!st->blocked && st->deadletters.len + st->dropped.len < ENDS_MAX)
		return false;
	return how->how == SETTLE_REJECT ||
	    (how->how == SETTLE_RELEASE && !how->undelivered &&
		s->d.slot[slot].count >= s->max_count);
}

enum settle_result
store_settle(struct subscription *s, const struct settle *how,
    const char *token, size_t len)
{
	struct store *st = s->topic->store;
	enum settle_result result;
	uint32_t slot;

	if ((result = token_find(s, token, len, &slot)) != SETTLE_OK)
		return result;
	if (no_room(s, slot, how))
		return SETTLE_LATER;
	switch (how->how) {
	case SETTLE_ACKNOWLEDGE:
		deliveries_remove(&s->d, slot);
		s->d.acknowledged++;
		s->meter.done[METRIC_ACKNOWLEDGE]++;
		break;
	case SETTLE_RELEASE:
		release(s, slot, how);
		s->meter.done[METRIC_RELEASE]++;
		break;
	case SETTLE_REJECT:
		reject(s, slot, how);
		s->meter.done[METRIC_REJECT]++;
		break;
	case SETTLE_RENEW:
		if ((result = renew(s, slot)) != SETTLE_OK)
			return result;
		break;
	}
	subscription_dirty(s);
	st->urgent = true;
	return SETTLE_OK;
}

/* ---- reclaim ---- */

static void
take_back(struct subscription *s, uint32_t slot, int64_t now)
{
	struct delivery *v = &s->d.slot[slot];

	if (v->state == DELIVERY_LOCKED)
		unlock(s, slot);
	else if (v->count >= s->max_count) /* the sweep ends it */
		deliveries_set(&s->d, slot, DELIVERY_DELAYED, now);
	else
		deliveries_set(&s->d, slot, DELIVERY_AVAILABLE,
		    delivery_end(s, v));
}

uint32_t
store_reclaim(struct subscription *s, bool delayed)
{
	int64_t now = clock_now();
	uint32_t i, n = 0;

	for (i = 0; i < s->d.nslots; i++) {
		if (s->d.slot[i].state != DELIVERY_LOCKED &&
		    !(delayed && s->d.slot[i].state == DELIVERY_DELAYED))
			continue;
		take_back(s, i, now);
		n++;
	}
	deliveries_sort(&s->d, s->d.used); /* also what was released before */
	if (n == 0)
		return 0;
	subscription_dirty(s);
	store_wake(s->topic->store, now);
	return n;
}

/* ---- what happens by itself ---- */

/* A lock ran out, a delay passed, or an event's time to live is up. */
static bool
due(struct subscription *s, uint32_t slot, int64_t now)
{
	struct delivery *v = &s->d.slot[slot];
	struct store *st = s->topic->store;
	int64_t end = delivery_end(s, v);
	enum dl_reason reason;

	if (v->state == DELIVERY_LOCKED && s->pushes) {
		/* if it has had its time, it is due again at once */
		unlock(s, slot);
		subscription_dirty(s);
		return true;
	}
	if (v->state != DELIVERY_AVAILABLE && v->count >= s->max_count)
		reason = DL_MAX_DELIVERY_COUNT;
	else if (end <= now)
		reason = DL_TIME_TO_LIVE;
	else {
		deliveries_set(&s->d, slot, DELIVERY_AVAILABLE, end);
		subscription_dirty(s);
		return true;
	}
	if (st->blocked) /* out of the way of those that need no record */
		deliveries_set(&s->d, slot, DELIVERY_DELAYED,
		    now + SPACE_RETRY);
	else if (turn_is_over(st))
		return false;
	else
		end_delivery(s, slot, reason, NULL);
	return true;
}

static int64_t
sweep_deliveries(struct subscription *s, int64_t now)
{
	int64_t next = INT64_MAX;
	uint32_t slot, n = 0;

	while ((slot = deliveries_due(&s->d)) != DELIVERY_NONE) {
		next = s->d.slot[slot].due;
		if (next > now || !due(s, slot, now))
			break;
		n += s->d.ready_last == slot;
		next = INT64_MAX;
	}
	/* what became available at the same moment is in no order yet */
	deliveries_sort(&s->d, n);
	return next;
}

/* Events that nobody took in time. Publish times ascend: look at the first.
 * Those of a Push subscription wait for it. */
static int64_t
sweep_queue(struct subscription *s, int64_t now)
{
	struct journal_line line;
	bool broken;

	if (s->pushes)
		return INT64_MAX;
	for (; s->d.cursor < s->visible; s->head = UINT64_MAX) {
		if (s->head == s->d.cursor && s->head_time + s->ttl > now)
			return s->head_time + s->ttl;
		if (turn_is_over(s->topic->store))
			return now;
		broken = read_front(s, &line) == -1;
		s->head = s->d.cursor;
		s->head_time = line.time;
		if (!broken && line.time + s->ttl > now)
			return line.time + s->ttl;
		end_undelivered(s, broken ? DL_CORRUPT : DL_TIME_TO_LIVE,
		    &line);
	}
	return INT64_MAX;
}

int64_t
subscription_sweep(struct subscription *s, int64_t now)
{
	int64_t a = sweep_deliveries(s, now), b = sweep_queue(s, now);

	return a < b ? a : b;
}

uint64_t
subscription_needs(struct subscription *s)
{
	uint64_t needs = journal_end(s->topic->journal), offset;
	uint32_t i;

	if (s->d.cursor < s->queue.count &&
	    queue_get(&s->queue, s->d.cursor, &offset) == 0)
		needs = offset;
	for (i = 0; i < s->d.used; i++)
		if (s->d.slot[s->d.heap[i]].offset < needs)
			needs = s->d.slot[s->d.heap[i]].offset;
	return needs;
}
