/* messages: taken from publishers, made safe, handed to subscribers */
#include "publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "quote.h"
#include "rate.h"
#include "record.h"
#include "store.h"
#include "topic.h"
#include "window.h"

/* Limits of a message, reference section 18. */
#define USER_BYTES 32768
#define PROPERTY_BYTES 256 /* content type, response topic, correlation data */

/* So many bytes to be sent are as much work as a message. */
#define WORK_BYTES 2048

/* What is done when a window is on disk. */
struct publishing {
	struct op op;
	struct message *message;
	struct client *client; /* to be told; NULL: nobody */
	uint16_t packet_id;
	enum store_retain retain;
	struct will will;       /* tried again when there is no room */
	struct session *of;     /* whose will it is */
	bool again;             /* never refused: tried until it works */
	bool also;              /* of a message that the store has */
	struct publishing *next; /* of those with `retain` */
	uint32_t n;
	struct store_target targets[];
};

/* ---- refusals ---- */

static const struct {
	enum mqtt_reason reason;
	enum stats_error error;
	enum client_end end;
} classes[] = {
	{ MQTT_NOT_AUTHORIZED, STATS_AUTHORIZATION, END_AUTHORIZATION },
	{ MQTT_QUOTA, STATS_QUOTA, END_QUOTA },
	{ MQTT_RATE, STATS_QUOTA, END_QUOTA },
	{ MQTT_BAD_TOPIC, STATS_CLIENT, END_CLIENT_ERROR },
};

static size_t
class_of(enum mqtt_reason reason)
{
	size_t i = sizeof(classes) / sizeof(classes[0]) - 1;

	while (i > 0 && classes[i].reason != reason)
		i--;
	return classes[i].reason == reason ? i :
	    sizeof(classes) / sizeof(classes[0]) - 1;
}

struct refusing {
	struct op op;
	struct client *client;
	uint16_t packet_id;
	enum mqtt_reason reason;
};

static void
puback(struct client *c, uint16_t packet_id, enum mqtt_reason reason)
{
	if (c->state != CLIENT_CONNECTED)
		return;
	mqtt_write_puback(&c->out, c->version, packet_id, reason);
	client_want_flush(c);
}

static void
refused(struct broker *b, struct op *op, int error)
{
	struct refusing *r = (struct refusing *)op;

	(void)b;
	(void)error;
	r->client->owed--;
	puback(r->client, r->packet_id, r->reason);
	client_unref(r->client);
}

/* MQTT-4.6.0-2: behind the PUBACKs that are owed. */
static void
refuse_later(struct client *c, uint16_t packet_id, enum mqtt_reason reason)
{
	struct refusing *r;

	if (c->owed == 0 || (r = window_alloc(c->broker, sizeof(*r))) == NULL) {
		puback(c, packet_id, reason);
		return;
	}
	*r = (struct refusing){ .op.done = refused, .client = client_ref(c),
		.packet_id = packet_id, .reason = reason };
	c->owed++;
	window_op(c->broker, &r->op);
}

/* Refuse a publish; nobody can be told of one with QoS 0, and in 3.1.1 of none,
 * but by the end of the connection. */
static void
refuse(struct client *c, const struct mqtt_publish *p, enum mqtt_reason reason,
    const char *words)
{
	size_t class = class_of(reason);
	struct stats *st = &c->broker->stats;
	char name[QUOTE_MAX], topic[QUOTE_MAX];

	if (client_may_say(c, "publish refused"))
		log_warn("client '%s': publish to '%s' refused: %s",
		    quote(name, c->who.name, strlen(c->who.name)),
		    quote(topic, p->topic.p, p->topic.len), words);
	st->published[client_protocol(c)][p->qos & 1][classes[class].error]++;
	st->requests[STATS_PUBLISH][client_protocol(c)][classes[class].error]++;
	if (p->qos == 1 && c->version == MQTT_5)
		refuse_later(c, p->packet_id, reason);
	else
		client_end(c, classes[class].end, reason, words);
}

enum mqtt_reason
publish_limits(const struct mqtt_properties *p, const char **words)
{
	if (p->user_bytes > USER_BYTES)
		*words = "more than 32 KiB of user properties";
	else if (p->content_type.len > PROPERTY_BYTES)
		*words = "a content type of more than 256 bytes";
	else if (p->response_topic.len > PROPERTY_BYTES)
		*words = "a response topic of more than 256 bytes";
	else if (p->correlation.len > PROPERTY_BYTES)
		*words = "correlation data of more than 256 bytes";
	else
		return MQTT_SUCCESS;
	return MQTT_QUOTA;
}

enum mqtt_reason
publish_topic(struct mqtt_str topic, const char **words)
{
	if ((*words = topic_bad_name(topic.p, topic.len)) != NULL)
		return MQTT_BAD_TOPIC;
	if (topic.p[0] == '$') {
		*words = "topics that begin with '$' are reserved";
		return MQTT_NOT_AUTHORIZED;
	}
	return MQTT_SUCCESS;
}

/* ---- records ---- */

char *
publish_client(const struct client *c)
{
	struct buf b = { 0 };
	char *text;

	buf_str(&b, "{\"authenticationName\":");
	buf_json(&b, c->who.name, strlen(c->who.name));
	buf_str(&b, ",\"session\":");
	buf_json(&b, c->session->id, strlen(c->session->id));
	buf_str(&b, ",\"protocol\":");
	buf_str(&b, c->version == MQTT_5 ? "\"MQTT5\"" : "\"MQTT3\"");
	buf_str(&b, ",\"attributes\":");
	buf_str(&b, c->who.attributes);
	buf_str(&b, "}");
	text = b.bad ? NULL : strndup(buf_data(&b), b.len);
	buf_free(&b);
	return text;
}

/*
 * The forwarded properties are those of a packet, so the packet's reader takes
 * them apart: topic "t", properties, payload.
 */
void
publish_record(struct broker *b, const struct message *m, struct buf *out)
{
	static const unsigned char begin[] = { 0, 1, 't' };
	struct buf packet = { 0 };
	struct mqtt_publish p;
	unsigned char length[4];
	size_t n = 0, rest = m->forward_len;
	const char *why;

	do {
		length[n] = (unsigned char)(rest & 0x7f);
		rest >>= 7;
		if (rest > 0)
			length[n] |= 0x80;
		n++;
	} while (rest > 0);
	buf_add(&packet, begin, sizeof(begin));
	buf_add(&packet, length, n);
	buf_add(&packet, m->body + m->topic_len,
	    m->forward_len + m->payload_len);
	if (!packet.bad && mqtt_read_publish(&p, MQTT_5, 0, buf_data(&packet),
	    packet.len, &why) == MQTT_SUCCESS) {
		p.topic = message_topic(m);
		p.qos = m->qos;
		p.retain = m->retain;
		record_write(out, &p, &b->json);
	}
	buf_free(&packet);
}

static void
route_line(struct broker *b, const char *client, const char *record, size_t len)
{
	struct buf *out = window_lines(b, WINDOW_ROUTE);
	char now[CLOCK_TEXT + 1];

	clock_format(now, b->now);
	buf_str(out, "{\"tst\":\"");
	buf_add(out, now, CLOCK_TEXT);
	buf_str(out, "\",\"client\":");
	buf_str(out, client);
	buf_str(out, ",");
	buf_add(out, record, len);
	buf_str(out, "}\n");
	b->stats.routed++;
}

/* ---- on disk, or not ---- */

static void
set_retained(struct broker *b, struct publishing *p)
{
	struct message *old = NULL;

	if (p->retain == STORE_RETAINED) {
		if (retain_set(b->retain, p->message, &old) == -1) {
			store_unretained(b, p->message);
			return;
		}
	} else if (p->retain == STORE_CLEARS) {
		struct mqtt_str topic = message_topic(p->message);

		old = retain_clear(b->retain, topic.p, topic.len);
	}
	if (old != NULL) {
		store_unretained(b, old);
		message_unref(old);
	}
}

/* In the order of their ops, which is that of their ends. */
static void
will_retain(struct broker *b, struct publishing *p)
{
	p->next = NULL;
	if (b->retaining == NULL)
		b->retaining = p;
	else
		b->retaining_last->next = p;
	b->retaining_last = p;
}

void
publish_each_retaining(struct broker *b, const char *filter, size_t len,
    void (*found)(struct message *, void *), void *arg)
{
	for (struct publishing *p = b->retaining; p != NULL; p = p->next) {
		struct mqtt_str topic = message_topic(p->message);

		if (topic_matches(filter, len, topic.p, topic.len))
			found(p->message, arg);
	}
}

static void
release_target(struct broker *b, struct publishing *p, struct store_target *t,
    bool stored)
{
	if (t->deliver.qos == 1)
		session_unreserve(t->session, message_bytes(p->message));
	if (p->also)
		store_also_done(p->message);
	if (stored ? t->deliver.held && t->session->ended : p->also)
		store_release(b, p->message);
	if (t->deliver.share != NULL)
		share_unref(b->subs, t->deliver.share);
	session_unref(t->session);
}

static void
tell(struct broker *b, struct publishing *p, int error)
{
	struct client *c = p->client;
	enum stats_error e = error == 0 ? STATS_SUCCESS : STATS_QUOTA;

	c->owed--;
	b->stats.published[client_protocol(c)][1][e]++;
	b->stats.requests[STATS_PUBLISH][client_protocol(c)][e]++;
	if (error == 0 || c->version == MQTT_5)
		puback(c, p->packet_id, error == 0 ? MQTT_SUCCESS : MQTT_QUOTA);
	else if (client_alive(c))
		client_end(c, END_QUOTA, MQTT_QUOTA, "no room on disk");
	client_unref(c);
}

static void
finish(struct publishing *p)
{
	if (p->of != NULL)
		session_unref(p->of);
	will_free(&p->will);
	message_unref(p->message);
}

static void
try_again(struct publishing *p)
{
	struct will w = p->will;

	p->will = (struct will){ 0 };
	if (w.message != NULL) {
		publish_will(p->of, &w);
		will_free(&w);
	}
	if (p->again && !p->targets[0].session->ended)
		publish_again(p->message, &p->targets[0]);
}

static void
published(struct broker *b, struct op *op, int error)
{
	struct publishing *p = (struct publishing *)op;

	if (b->retaining == p)
		b->retaining = p->next;
	if (error == 0)
		set_retained(b, p);
	for (uint32_t i = 0; i < p->n; i++)
		if (error == 0)
			session_deliver(p->targets[i].session, p->message,
			    &p->targets[i].deliver);
	if (error == 0)
		store_may_forget(b, p->message, 1);
	if (p->client != NULL)
		tell(b, p, error);
	if (error != 0 && !b->stopping)
		try_again(p);
	for (uint32_t i = 0; i < p->n; i++)
		release_target(b, p, &p->targets[i], error == 0);
	finish(p);
}

/* ---- to whom ---- */

/* Will it wait in the session's queue? A full one costs its session only. */
static bool
choose(struct broker *b, struct message *m, const struct target *from,
    struct store_target *to)
{
	struct session *s = from->session;
	uint8_t qos = m->qos < from->qos ? m->qos : from->qos;

	if (qos == 0 && s->client == NULL)
		return false;
	if (qos == 1 && !session_room(s, message_bytes(m))) {
		session_drop(s, m, "SessionOverflow", false);
		if (b->settings.azure)
			session_overflow(s);
		return false;
	}
	to->session = s;
	to->deliver = (struct deliver){
		.qos = qos,
		.retain = from->retain_as_published && m->retain,
		.share = from->share,
		.nids = from->nids,
		.held = qos == 1 && s->stored,
		.sequence = qos == 1 ?
		    session_reserve(s, message_bytes(m)) : 0,
	};
	return true;
}

/* QoS 0 has nothing to wait for. */
static void
deliver_now(struct broker *b, struct message *m)
{
	struct store_target t;

	for (uint32_t i = 0; i < b->match.n; i++) {
		if (!choose(b, m, &b->match.targets[i], &t))
			continue;
		t.deliver.ids = b->match.ids + b->match.targets[i].ids;
		session_deliver(t.session, m, &t.deliver);
	}
}

static void
copy_targets(struct broker *b, struct publishing *p)
{
	const struct match *m = &b->match;
	uint32_t *ids = NULL;

	if (m->nids > 0) {
		ids = window_alloc(b, m->nids * sizeof(*ids));
		if (ids != NULL)
			memcpy(ids, m->ids, m->nids * sizeof(*ids));
	}
	for (uint32_t i = 0; i < m->n; i++) {
		struct store_target *t = &p->targets[p->n];

		if (!choose(b, p->message, &m->targets[i], t))
			continue;
		t->deliver.ids = ids == NULL ? NULL : ids + m->targets[i].ids;
		if (ids == NULL)
			t->deliver.nids = 0;
		session_ref(t->session);
		if (t->deliver.share != NULL)
			share_ref(t->deliver.share);
		p->n++;
	}
}

static bool
anybody_holds(const struct publishing *p)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (p->targets[i].deliver.held)
			return true;
	return p->retain != STORE_NOT_RETAINED;
}

/*
 * Match, write what has to be on disk, and do the rest when it is. `how` says
 * who is to be told.
 */
static void
distribute(struct broker *b, struct message *m, const char *record, size_t len,
    const char *client, struct publishing *how)
{
	struct mqtt_str topic = message_topic(m);
	struct publishing *p;
	bool later = m->qos == 1 || m->retain;

	subs_match(b->subs, topic.p, topic.len, m->from, m->qos, &b->match);
	window_work(b, b->match.n * (1 + message_bytes(m) / WORK_BYTES));
	if (b->settings.route)
		route_line(b, client, record, len);
	if (m->qos == 0)
		deliver_now(b, m);
	if (!later)
		return;
	p = window_alloc(b, sizeof(*p) + (m->qos == 0 ? 0 : b->match.n) *
	    sizeof(p->targets[0]));
	if (p == NULL)
		log_fatal(71, "out of memory");
	*p = *how;
	p->op.done = published;
	p->message = message_ref(m);
	if (p->client != NULL) {
		client_ref(p->client);
		p->client->owed++;
	}
	if (m->qos == 1)
		copy_targets(b, p);
	if (m->retain) {
		p->retain = m->payload_len > 0 ? STORE_RETAINED : STORE_CLEARS;
		will_retain(b, p);
	}
	if (anybody_holds(p))
		store_message(b, m, record, len, p->targets, p->n, p->retain);
	window_op(b, &p->op);
}

/*
 * The store needs the whole message only when it has not got it, or not on disk
 * yet: then it is another message to it.
 */
static struct message *
for_one_more(struct message *m, bool held, bool *also)
{
	struct message *copy;

	*also = held && m->segment != 0 && !m->moving;
	if (!held || *also || m->number == 0)
		return message_ref(m);
	copy = message_new(message_topic(m), message_forward(m),
	    message_payload(m));
	if (copy != NULL) {
		copy->qos = m->qos;
		copy->retain = m->retain;
		copy->expires = m->expires;
		copy->from = m->from;
	}
	return copy;
}

bool
publish_again(struct message *m, struct store_target *to)
{
	struct session *s = to->session;
	struct broker *b = s->broker;
	size_t ids = to->deliver.nids * sizeof(*to->deliver.ids);
	struct publishing *p = window_alloc(b, sizeof(*p) + sizeof(*to) + ids);
	struct store_target *t;

	if (p == NULL)
		return false;
	*p = (struct publishing){ .op.done = published, .again = true, .n = 1 };
	t = &p->targets[0];
	*t = *to;
	/* they may be of the window that is done */
	if (ids > 0)
		t->deliver.ids = memcpy(t + 1, to->deliver.ids, ids);
	t->deliver.held = s->stored;
	p->message = for_one_more(m, t->deliver.held, &p->also);
	if (p->message == NULL)
		return false;
	t->deliver.sequence = session_reserve(s, message_bytes(m));
	session_ref(s);
	if (t->deliver.share != NULL)
		share_ref(t->deliver.share);
	if (p->also)
		store_also(b, p->message, t);
	else if (t->deliver.held) {
		buf_reset(&b->text, 1 << 20);
		publish_record(b, p->message, &b->text);
		store_message(b, p->message, buf_data(&b->text), b->text.len,
		    t, 1, STORE_NOT_RETAINED);
	}
	window_op(b, &p->op);
	return true;
}

/* ---- publishers ---- */

static bool
allowed(struct client *c, const struct mqtt_publish *p)
{
	struct access_reason why = { 0 };
	char *copy;
	bool ok;

	if (c->topic != NULL && c->topic_len == p->topic.len &&
	    memcmp(c->topic, p->topic.p, p->topic.len) == 0)
		return true;
	if (grants_publish(c->who.grants, p->topic.p, p->topic.len)) {
		if ((copy = malloc(p->topic.len + 1)) != NULL) {
			memcpy(copy, p->topic.p, p->topic.len);
			free(c->topic);
			c->topic = copy;
			c->topic_len = p->topic.len;
		}
		return true;
	}
	auth_explain(c->broker->auth, &c->who, ACCESS_PUBLISH, p->topic.p,
	    p->topic.len, &why);
	ok = !why.words.bad && why.words.len > 0;
	if (ok)
		buf_add(&why.words, "", 1);
	refuse(c, p, MQTT_NOT_AUTHORIZED, ok && !why.words.bad ?
	    buf_data(&why.words) : "not authorized");
	access_reason_free(&why);
	return false;
}

/* The topic, by its alias when it has one. False: the client is ended. */
static bool
resolve(struct client *c, struct mqtt_publish *p)
{
	struct alias *a;
	char *copy;

	if (!mqtt_has(&p->props, MQTT_P_TOPIC_ALIAS))
		return true;
	if (p->props.topic_alias > CLIENT_ALIASES) {
		client_end(c, END_CLIENT_ERROR, MQTT_BAD_ALIAS,
		    "MQTT-3.3.2-9: topic alias above the maximum");
		return false;
	}
	if (c->aliases == NULL && (c->aliases = calloc(CLIENT_ALIASES,
	    sizeof(*c->aliases))) == NULL)
		return false;
	a = &c->aliases[p->props.topic_alias - 1];
	if (p->topic.len == 0) {
		if (a->topic == NULL) {
			client_end(c, END_CLIENT_ERROR, MQTT_PROTOCOL_ERROR,
			    "topic alias that was never set");
			return false;
		}
		p->topic = (struct mqtt_str){ a->topic, a->len };
		return true;
	}
	free(a->topic);
	a->topic = NULL;
	/* a longer one is refused; the alias must not be the topic before */
	if (p->topic.len > TOPIC_MAX ||
	    (copy = malloc(p->topic.len)) == NULL)
		return true;
	memcpy(copy, p->topic.p, p->topic.len);
	a->topic = copy;
	a->len = (uint16_t)p->topic.len;
	return true;
}

static enum mqtt_reason
retain_check(struct broker *b, const struct mqtt_publish *p, const char **words)
{
	if (!p->retain || p->payload.len == 0)
		return MQTT_SUCCESS;
	if (p->payload.len > RETAIN_MESSAGE_MAX)
		*words = "a retained message of more than 64 KiB";
	else if (!retain_room(b->retain, p->topic.p, p->topic.len,
	    p->topic.len + p->payload.len))
		*words = "the retained messages have reached their limit";
	else
		return MQTT_SUCCESS;
	return MQTT_QUOTA;
}

/* 0 is never, reference 6.4; retain.h has a limit of its own. */
static int64_t
expiry(const struct broker *b, const struct mqtt_properties *p)
{
	uint32_t seconds = p->message_expiry;

	return seconds == 0 ? 0 : b->now + (int64_t)seconds * CLOCK_SECOND;
}

static struct message *
message_from(struct client *c, const struct mqtt_publish *p)
{
	struct broker *b = c->broker;
	struct message *m;

	buf_reset(&b->text, 1 << 20);
	mqtt_forward_properties(&b->text, &p->props);
	m = b->text.bad ? NULL : message_new(p->topic, (struct mqtt_str){
	    b->text.len ? buf_data(&b->text) : "", b->text.len }, p->payload);
	if (m == NULL)
		return NULL;
	m->qos = p->qos;
	m->retain = p->retain;
	m->from = c->session->number;
	m->expires = expiry(b, &p->props);
	return m;
}

static bool
acceptable(struct client *c, struct mqtt_publish *p)
{
	struct broker *b = c->broker;
	const char *words = NULL;
	enum mqtt_reason reason;

	if ((reason = publish_topic(p->topic, &words)) == MQTT_SUCCESS)
		reason = publish_limits(&p->props, &words);
	if (reason == MQTT_SUCCESS)
		reason = retain_check(b, p, &words);
	if (reason == MQTT_SUCCESS && b->settings.route &&
	    !window_route_room(b)) {
		reason = MQTT_QUOTA;
		words = "route/ is full: routingSpool.maximumBytes is reached";
	}
	if (reason == MQTT_SUCCESS && c->rate != NULL && !rate_publish(c,
	    p->topic.len + p->props.raw_len + p->payload.len)) {
		reason = p->qos == 1 ? MQTT_QUOTA : MQTT_RATE;
		words = "messages come too fast";
	}
	if (reason == MQTT_SUCCESS)
		return allowed(c, p);
	refuse(c, p, reason, words);
	return false;
}

void
publish_take(struct client *c, struct mqtt_publish *p)
{
	struct broker *b = c->broker;
	struct publishing how = { .packet_id = p->packet_id };
	struct message *m;
	const char *record = NULL;
	size_t len = 0;

	if (p->qos == 2) {
		client_end(c, END_CLIENT_ERROR, MQTT_NO_QOS,
		    "QoS 2 is not supported");
		return;
	}
	if (p->qos == 1 && c->owed >= CLIENT_RECEIVE_MAX) {
		client_end(c, END_CLIENT_ERROR, MQTT_RECEIVE_MAXIMUM,
		    "MQTT-3.3.4-7: more unacknowledged publishes than allowed");
		return;
	}
	if (!resolve(c, p) || !acceptable(c, p))
		return;
	if (c->record == NULL && (c->record = publish_client(c)) == NULL)
		return;
	if ((m = message_from(c, p)) == NULL) {
		refuse(c, p, MQTT_QUOTA, "out of memory");
		return;
	}
	if (p->qos == 1 || p->retain || b->settings.route) {
		buf_reset(&b->text, 1 << 20);
		record_write(&b->text, p, &b->json);
		record = buf_data(&b->text);
		len = b->text.len;
	}
	if (p->qos == 1)
		how.client = c;
	else {
		b->stats.published[client_protocol(c)][0][STATS_SUCCESS]++;
		b->stats.requests[STATS_PUBLISH][client_protocol(c)]
		    [STATS_SUCCESS]++;
	}
	distribute(b, m, record, len, c->record, &how);
	message_unref(m);
}

void
publish_will(struct session *s, struct will *w)
{
	struct broker *b = s->broker;
	struct message *m = w->message;
	struct publishing how = { .of = session_ref(s), .will = *w };
	char name[QUOTE_MAX], topic[QUOTE_MAX];

	*w = (struct will){ 0 };
	if (s->registered && !auth_may_publish(b->auth, s->name,
	    m->body, m->topic_len)) {
		log_warn("client '%s': will to '%s' refused: no permission any "
		    "more", quote(name, s->name, strlen(s->name)),
		    quote(topic, m->body, m->topic_len));
		session_unref(s);
		will_free(&how.will);
		return;
	}
	m->from = s->number;
	m->expires = how.will.expiry == 0 ? 0 :
	    b->now + (int64_t)how.will.expiry * CLOCK_SECOND;
	distribute(b, m, how.will.record, strlen(how.will.record),
	    how.will.client, &how);
	if (m->qos == 0 && !m->retain) {
		session_unref(s);
		will_free(&how.will);
	}
}
