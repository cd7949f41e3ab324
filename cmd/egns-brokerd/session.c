/* sessions: their queues, what is on its way to their clients, their ends */
#include "session.h"

#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "broker.h"
#include "clock.h"
#include "client.h"
#include "log.h"
#include "publish.h"
#include "quote.h"
#include "rate.h"
#include "store.h"
#include "subs.h"
#include "topic.h"
#include "window.h"

/* Entries of all queues together: 48 bytes each. And bodies that only sessions
 * wait for which are not stored: those cannot be let go. */
#define QUEUED_TOTAL 20000000
#define MEMORY_TOTAL ((size_t)512 * 1024 * 1024)

/* Of a session, which there is room for in any case. */
#define FAIR_COUNT 1000
#define FAIR_BYTES (1024 * 1024)

/* Records of drops that one commit may have; those behind them are without the
 * payload, which a thousand sessions may have been meant to get. */
#define RECORDS_BYTES (16 * 1024 * 1024)

/* A session that drops messages is logged this often. */
#define LOG_PERIOD (60 * CLOCK_SECOND)

/* ---- who there is ---- */

struct session *
session_find(struct broker *b, const char *id, size_t len)
{
	int size;
	struct session *const *s = tcmapget(b->by_id, id, (int)len, &size);

	return s == NULL ? NULL : *s;
}

static struct session *
first_named(struct broker *b, const char *name)
{
	int size;
	struct session *const *s = tcmapget(b->by_name, name,
	    (int)strlen(name), &size);

	return s == NULL ? NULL : *s;
}

unsigned
session_named(struct broker *b, const char *name)
{
	unsigned n = 0;

	for (struct session *s = first_named(b, name); s != NULL;
	     s = s->next_named)
		n++;
	return n;
}

static void
enlist(struct session *s)
{
	struct broker *b = s->broker;

	s->next = b->sessions;
	if (s->next != NULL)
		s->next->prev = s;
	b->sessions = s;
	b->nsessions++;
	s->next_named = first_named(b, s->name);
	tcmapput(b->by_name, s->name, (int)strlen(s->name), &s, sizeof(s));
	tcmapput(b->by_id, s->id, (int)strlen(s->id), &s, sizeof(s));
}

static void
delist(struct session *s)
{
	struct broker *b = s->broker;
	struct session *first = first_named(b, s->name), **p;

	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		b->sessions = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	b->nsessions--;
	/* a restart finds the next one of that id before the end of this one */
	if (session_find(b, s->id, strlen(s->id)) == s)
		tcmapout(b->by_id, s->id, (int)strlen(s->id));
	if (first == s && s->next_named == NULL)
		tcmapout(b->by_name, s->name, (int)strlen(s->name));
	else if (first == s)
		tcmapput(b->by_name, s->name, (int)strlen(s->name),
		    &s->next_named, sizeof(s));
	else
		for (p = &first->next_named; *p != NULL;
		     p = &(*p)->next_named)
			if (*p == s) {
				*p = s->next_named;
				break;
			}
}

struct session *
session_new(struct broker *b, uint64_t number, const char *id, size_t id_len,
    const char *name)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->broker = b;
	s->number = number;
	s->refs = 1;
	s->id = strndup(id, id_len);
	s->name = strdup(name);
	if (s->id == NULL || s->name == NULL) {
		free(s->id);
		free(s->name);
		free(s);
		return NULL;
	}
	enlist(s);
	return s;
}

struct session *
session_ref(struct session *s)
{
	s->refs++;
	return s;
}

void
session_unref(struct session *s)
{
	if (--s->refs > 0)
		return;
	free(s->queue);
	free(s->id);
	free(s->name);
	buf_free(&s->settled);
	will_free(&s->will);
	free(s);
}

/* ---- the queue ---- */

static struct queued *
entry(const struct session *s, uint32_t i)
{
	return &s->queue[(s->first + i) & (s->cap - 1)];
}

static struct queued *
add_entry(struct session *s)
{
	uint32_t cap = s->cap ? 2 * s->cap : 16;
	struct queued *q;

	if (s->count == s->cap) {
		if ((q = malloc(cap * sizeof(*q))) == NULL)
			return NULL;
		for (uint32_t i = 0; i < s->count; i++)
			q[i] = *entry(s, i);
		free(s->queue);
		s->queue = q;
		s->cap = cap;
		s->first = 0;
	}
	s->count++;
	s->broker->queued_total++;
	q = entry(s, s->count - 1);
	*q = (struct queued){ 0 };
	return q;
}

/* What an entry refers to; the entry itself goes with pop(). */
static void
clear_entry(struct session *s, struct queued *q)
{
	s->queued_bytes -= message_bytes(q->message);
	message_unref(q->message);
	if (q->share != NULL)
		share_unref(s->broker->subs, q->share);
	free(q->ids);
	q->message = NULL;
	q->share = NULL;
	q->ids = NULL;
	q->done = true;
}

/* Entries in front that are done with. */
static void
pop(struct session *s)
{
	while (s->count > 0 && entry(s, 0)->done) {
		if (s->unsent > 0)
			s->unsent--;
		s->first = (s->first + 1) & (s->cap - 1);
		s->count--;
		s->broker->queued_total--;
	}
	if (s->count == 0) {
		free(s->queue);
		s->queue = NULL;
		s->cap = s->first = s->unsent = 0;
	}
}

/*
 * QoS 0 needs no number of its own, but a place in their order: numbers that
 * are promised to messages on their way to the disk are larger.
 */
static uint64_t
behind_last(const struct session *s)
{
	uint64_t next = s->sequence - s->promised;

	return s->count > 1 ? entry(s, s->count - 2)->sequence :
	    next > 0 ? next - 1 : 0;
}

static int
fill_entry(struct session *s, struct message *m, const struct deliver *d)
{
	uint32_t *ids = NULL;
	struct queued *q;

	if (d->nids > 0) {
		if ((ids = malloc((d->nids + 1) * sizeof(*ids))) == NULL)
			return -1;
		ids[0] = d->nids;
		memcpy(ids + 1, d->ids, d->nids * sizeof(*ids));
	}
	if ((q = add_entry(s)) == NULL) {
		free(ids);
		return -1;
	}
	q->message = message_ref(m);
	q->share = d->share == NULL ? NULL : share_ref(d->share);
	q->ids = ids;
	q->sequence = d->qos == 0 ? behind_last(s) : d->sequence;
	q->qos = d->qos;
	q->retain = d->retain;
	q->held = d->held;
	s->queued_bytes += message_bytes(m);
	return 0;
}

uint64_t
session_reserve(struct session *s, size_t bytes)
{
	s->promised++;
	s->promised_bytes += bytes;
	return s->sequence++;
}

void
session_unreserve(struct session *s, size_t bytes)
{
	s->promised--;
	s->promised_bytes -= bytes;
}

bool
session_room(const struct session *s, size_t bytes)
{
	const struct settings *set = &s->broker->settings;
	uint64_t count = (uint64_t)s->count + s->promised;
	uint64_t size = s->queued_bytes + s->promised_bytes + bytes;

	/* the sums of all are no matter to those that keep to their share */
	return count < set->queue_messages && size <= set->queue_bytes &&
	    (s->broker->queued_total < QUEUED_TOTAL || count < FAIR_COUNT) &&
	    (s->stored || message_total() < MEMORY_TOTAL || size < FAIR_BYTES);
}

/* ---- drops ---- */

static void
drop_line(struct session *s, struct message *m, const char *reason,
    bool accepted)
{
	struct buf *b = window_lines(s->broker, accepted ?
	    WINDOW_DROPPED_MUST : WINDOW_DROPPED);
	char now[CLOCK_TEXT + 1];

	clock_format(now, clock_now());
	buf_printf(b, "{\"time\":\"%s\",\"reason\":\"%s\",\"session\":", now,
	    reason);
	buf_json(b, s->id, strlen(s->id));
	buf_str(b, ",\"client\":");
	buf_json(b, s->name, strlen(s->name));
	buf_str(b, ",");
	if (store_load(s->broker, m) == 0 && b->len < RECORDS_BYTES)
		publish_record(s->broker, m, b);
	else if (m->body != NULL) {
		buf_str(b, "\"topic\":");
		buf_json(b, m->body, m->topic_len);
		buf_printf(b, ",\"bytes\":%u", m->payload_len);
	} else
		buf_printf(b, "\"message\":%ju,\"segment\":%u,\"offset\":%ju",
		    (uintmax_t)m->number, m->segment, (uintmax_t)m->offset);
	buf_str(b, "}\n");
}

void
session_drop(struct session *s, struct message *m, const char *reason,
    bool accepted)
{
	char id[QUOTE_MAX];
	int64_t now = clock_mono();

	s->dropped++;
	s->broker->stats.dropped_messages++;
	drop_line(s, m, reason, accepted);
	if (s->drop_logged != 0 && now - s->drop_logged < LOG_PERIOD)
		return;
	s->drop_logged = now;
	log_warn("session '%s': %s: messages are dropped, %ju so far; see "
	    "dropped/", quote(id, s->id, strlen(s->id)), reason,
	    (uintmax_t)s->dropped);
}

/* ---- delivery ---- */

static uint16_t
window_of(const struct session *s)
{
	uint16_t max = s->client->receive_maximum;

	return max < SESSION_WINDOW ? max : SESSION_WINDOW;
}

static bool
window_open_for(const struct session *s)
{
	return s->flying < window_of(s) && (s->flying == 0 ||
	    s->flying_bytes < SESSION_WINDOW_BYTES);
}

static void
describe(const struct session *s, const struct message *m,
    struct mqtt_delivery *p)
{
	p->topic = message_topic(m);
	p->forward = message_forward(m);
	p->payload = message_payload(m);
	if (m->expires != 0) {
		p->expires = true;
		p->expiry = message_seconds(m, s->broker->now);
	}
}

/* Put a PUBLISH into the client's way; false: larger than it takes. */
static bool
send_publish(struct session *s, const struct mqtt_delivery *p)
{
	struct client *c = s->client;
	struct stats *st = &s->broker->stats;
	size_t size = mqtt_delivery_size(p, c->version);

	if (size > c->maximum_packet)
		return false;
	mqtt_write_publish(&c->out, c->version, p);
	client_delivered(c, size);
	client_want_flush(c);
	st->delivered[client_protocol(c)][p->qos]++;
	return true;
}

static void
send_now(struct session *s, struct message *m, const struct deliver *d)
{
	struct mqtt_delivery p = { .retain = d->retain, .ids = d->ids,
		.nids = d->nids };

	if (s->client == NULL || s->client->state != CLIENT_CONNECTED)
		return;
	if (!client_room(s->client, 0)) {
		s->client->dropped++;
		s->broker->stats.dropped_qos0++;
		return;
	}
	describe(s, m, &p);
	if (!send_publish(s, &p))
		s->broker->stats.dropped_qos0++;
}

/* Where rates are limited QoS 0 may have to wait its turn. */
static bool
too_fast(const struct session *s, const struct message *m)
{
	struct client *c = s->client;

	return c != NULL && c->rate != NULL && (s->unsent < s->count ||
	    !rate_deliver(c, message_bytes(m)));
}

void
session_deliver(struct session *s, struct message *m, const struct deliver *d)
{
	if (s->ended)
		return;
	if (d->qos == 0 && !d->patient && !too_fast(s, m)) {
		send_now(s, m, d);
		return;
	}
	/* so that it leaves room for QoS 1 */
	if (d->qos == 0 && !d->patient &&
	    (!session_room(s, message_bytes(m)) ||
	    s->count > s->broker->settings.queue_messages / 2)) {
		s->broker->stats.dropped_qos0++;
		return;
	}
	if (fill_entry(s, m, d) == -1) {
		session_drop(s, m, "OutOfMemory", true);
		if (d->held)
			store_settled(s, m);
		return;
	}
	session_push(s);
}

/* It will not be sent: its time is over, or it is too large. */
static bool
undeliverable(struct session *s, struct queued *q, const char **reason)
{
	struct message *m = q->message;

	*reason = NULL;
	/* MQTT-3.3.2-5, but MQTT-4.4.0-1 */
	if (message_expired(m, s->broker->now) && !q->begun)
		*reason = "MessageExpired";
	else if (store_load(s->broker, m) == -1)
		*reason = "Corrupt";
	return *reason != NULL;
}

/* It is over: the store is told, if it knows. */
static void
settle(struct session *s, struct queued *q)
{
	if (q->held)
		store_settled(s, q->message);
	clear_entry(s, q);
}

static void
give_up(struct session *s, struct queued *q, const char *reason)
{
	session_drop(s, q->message, reason, true);
	settle(s, q);
}

static void
send_entry(struct session *s, struct queued *q)
{
	struct mqtt_delivery p = { .qos = q->qos, .retain = q->retain,
		.dup = q->dup, .packet_id = session_packet_id(q->sequence),
		.ids = q->ids == NULL ? NULL : q->ids + 1,
		.nids = q->ids == NULL ? 0 : q->ids[0] };
	const char *reason;

	if (undeliverable(s, q, &reason)) {
		give_up(s, q, reason);
		return;
	}
	describe(s, q->message, &p);
	/* MQTT-3.1.2-25: as if it had been sent */
	if (!send_publish(s, &p)) {
		give_up(s, q, "PacketTooLarge");
		return;
	}
	if (q->qos == 0) {
		clear_entry(s, q);
		return;
	}
	q->sent = q->dup = q->begun = true;
	if (q->sequence >= s->sent)
		s->sent = q->sequence + 1;
	s->flying++;
	s->flying_bytes += message_bytes(q->message);
}

void
session_push(struct session *s)
{
	struct client *c = s->client;

	if (c == NULL || c->state != CLIENT_CONNECTED)
		return;
	while (s->unsent < s->count && client_room(c, 1)) {
		struct queued *q = entry(s, s->unsent);

		if (!q->done && q->qos == 1 && !window_open_for(s))
			break;
		if (q->sequence - entry(s, 0)->sequence >= SESSION_SPAN)
			break;
		if (!q->done && c->rate != NULL &&
		    !rate_deliver(c, message_bytes(q->message)))
			break;
		s->unsent++;
		if (!q->done)
			send_entry(s, q);
		if (entry(s, 0)->done)
			pop(s);
	}
	pop(s);
}

/* The first entry with this sequence number, or a larger one. */
static uint32_t
search(const struct session *s, uint64_t sequence)
{
	uint32_t low = 0, high = s->count, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (entry(s, mid)->sequence < sequence)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* What is on its way spans less than all packet identifiers (SESSION_SPAN), so
 * that one sequence number alone can be meant. */
static struct queued *
flying(const struct session *s, uint16_t packet_id)
{
	uint64_t first;
	uint32_t at;
	struct queued *q;

	if (s->unsent == 0 || packet_id == 0)
		return NULL;
	first = entry(s, 0)->sequence;
	at = search(s, first + (packet_id + UINT64_C(65535) -
	    session_packet_id(first)) % 65535);
	if (at >= s->unsent)
		return NULL;
	q = entry(s, at);
	return !q->done && q->sent &&
	    session_packet_id(q->sequence) == packet_id ? q : NULL;
}

bool
session_acknowledge(struct session *s, uint16_t packet_id)
{
	struct queued *q = flying(s, packet_id);

	if (q == NULL)
		return false;
	s->flying--;
	s->flying_bytes -= message_bytes(q->message);
	settle(s, q);
	session_push(s);
	return true;
}

void
session_attach(struct session *s, struct client *c)
{
	s->client = c;
	s->will_due = 0;
	s->offline_since = 0;
	s->flying = 0;
	s->flying_bytes = 0;
	s->unsent = 0;
	for (uint32_t i = 0; i < s->count; i++)
		entry(s, i)->sent = false;
	session_push(s);
}

void
session_detach(struct session *s)
{
	s->client = NULL;
	s->offline_since = clock_now();
	for (uint32_t i = 0; i < s->count; i++) {
		struct queued *q = entry(s, i);

		if (!q->done && q->qos == 0)
			clear_entry(s, q);
		else if (!q->done)
			store_may_forget(s->broker, q->message, 0);
	}
	pop(s);
}

/* ---- the end ---- */

/* MQTT-4.8.2: a message of a shared subscription goes to another member. */
static bool
pass_on(struct session *s, const struct queued *q)
{
	struct message *m = q->message;
	struct session *other;
	struct store_target t = { .deliver = { .qos = 1, .retain = q->retain,
		.share = q->share } };

	if (q->share == NULL || message_expired(m, s->broker->now) ||
	    store_load(s->broker, m) == -1 ||
	    (other = share_choose(q->share, s)) == NULL ||
	    !session_room(other, message_bytes(m)))
		return false;
	t.session = other;
	return publish_again(m, &t);
}

static const char *const end_reasons[] = {
	[SESSION_ENDED] = "TransientSession",
	[SESSION_EXPIRY] = "SessionExpiry",
	[SESSION_OVERFLOW] = "SessionOverflow",
	[SESSION_AUTHORIZATION] = "AuthorizationError",
};

/* What waits when the client itself wants it gone needs no record. */
static void
empty_queue(struct session *s, enum session_end why)
{
	for (uint32_t i = 0; i < s->count; i++) {
		struct queued *q = entry(s, i);

		if (q->done)
			continue;
		if (!pass_on(s, q) && why != SESSION_ENDED)
			session_drop(s, q->message, end_reasons[why], true);
		if (q->held)
			store_release(s->broker, q->message);
		clear_entry(s, q);
	}
	s->broker->queued_total -= s->count;
	s->count = 0;
	free(s->queue);
	s->queue = NULL;
	s->cap = s->first = s->unsent = 0;
}

static void
fire_will(struct session *s)
{
	struct will w = s->will;

	s->will = (struct will){ 0 };
	s->will_due = 0;
	if (w.message != NULL)
		publish_will(s, &w);
	will_free(&w);
}

void
session_end(struct session *s, enum session_end why)
{
	struct broker *b = s->broker;

	if (s->ended)
		return;
	fire_will(s);
	s->ended = true;
	subs_remove_all(b->subs, s);
	empty_queue(s, why);
	delist(s);
	if (s->told)
		store_ended(s);
	b->stats.dropped_sessions[why]++;
	session_unref(s);
}

struct overflowing {
	struct op op;
	struct session *session;
};

static void
overflowed(struct broker *b, struct op *op, int error)
{
	struct session *s = ((struct overflowing *)op)->session;
	struct client *c = s->client;

	(void)b;
	(void)error;
	session_end(s, SESSION_OVERFLOW);
	if (c != NULL)
		client_end(c, END_OVERFLOW, MQTT_QUOTA,
		    "the queue of unacknowledged messages is full");
	/* the op's own reference, so it is there still */
	session_unref(s); /* NOLINT(clang-analyzer-unix.Malloc) */
}

/* Not at once: whoever finds it full is in the middle of a publish, and the end
 * of a session, or its will, is another. */
void
session_overflow(struct session *s)
{
	struct overflowing *o;

	if (s->ended || s->overflowing)
		return;
	if ((o = window_alloc(s->broker, sizeof(*o))) == NULL)
		log_fatal(71, "out of memory");
	s->overflowing = true;
	*o = (struct overflowing){ .op.done = overflowed,
		.session = session_ref(s) };
	window_op(s->broker, &o->op);
}

/* What waits though no subscription is left that it matches. */
static void
forget_unmatched(struct session *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		struct queued *q = entry(s, i);
		bool matched = false;

		if (q->done || (q->sent && s->client != NULL) ||
		    store_load(s->broker, q->message) == -1)
			continue;
		for (uint32_t j = 0; j < s->nsubscriptions && !matched; j++)
			matched = subscription_matches(s->subscriptions[j],
			    q->message->body, q->message->topic_len);
		if (!matched)
			give_up(s, q, "AuthorizationError");
	}
	pop(s);
}

bool
session_check_rights(struct session *s, const struct grants *grants)
{
	struct subscription *sub;
	struct topic_share share;
	bool lost = false;
	uint32_t i = 0;

	while (i < s->nsubscriptions) {
		sub = s->subscriptions[i];
		topic_share(sub->filter, sub->filter_len, &share);
		if (grants != NULL &&
		    grants_subscribe(grants, share.filter, share.len)) {
			i++;
			continue;
		}
		lost = true;
		if (s->stored)
			store_unsubscribed(s, sub->filter, sub->filter_len);
		subs_remove(s->broker->subs, s, sub->filter, sub->filter_len);
	}
	if (lost)
		forget_unmatched(s);
	return lost;
}

/* ---- after a restart ---- */

int
session_restore(struct session *s, struct message *m, const struct deliver *d)
{
	return fill_entry(s, m, d);
}

static int
by_sequence(const void *a, const void *b)
{
	const struct queued *x = a, *y = b;

	return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

void
session_restored(struct session *s, bool cut_off)
{
	/* restored into an empty ring: it begins at its first place */
	if (s->count > 0)
		qsort(s->queue, s->count, sizeof(*s->queue), by_sequence);
	if (s->sequence < s->sent)
		s->sequence = s->sent;
	/* of those acknowledged last the store may not have heard */
	if (cut_off)
		s->sent = s->sequence;
	for (uint32_t i = 0; i < s->count; i++) {
		struct queued *q = entry(s, i);

		q->dup = q->sequence < s->sent;
		q->begun = q->dup && !cut_off;
	}
}

bool
session_holds(const struct session *s, uint64_t sequence)
{
	uint32_t at = search(s, sequence);

	return at < s->count && entry(s, at)->sequence == sequence &&
	    !entry(s, at)->done;
}

/* ---- time ---- */

void
session_sweep(struct session *s, int64_t now)
{
	if (s->client != NULL)
		return;
	if (s->will_due != 0 && s->will_due <= now) {
		fire_will(s);
		if (s->told)
			store_disconnected(s, false);
	}
	if (s->offline_since + (int64_t)s->expiry * CLOCK_SECOND <= now)
		session_end(s, SESSION_EXPIRY);
}

void
sessions_sweep(struct broker *b, int64_t now)
{
	struct session *s, *next;

	for (s = b->sessions; s != NULL; s = next) {
		next = s->next;
		session_sweep(s, now);
	}
}

void
sessions_close(struct broker *b)
{
	struct session *s, *next;

	for (s = b->sessions; s != NULL; s = next) {
		next = s->next;
		subs_remove_all(b->subs, s);
		for (uint32_t i = 0; i < s->count; i++)
			if (!entry(s, i)->done)
				clear_entry(s, entry(s, i));
		delist(s);
		session_unref(s);
	}
}
