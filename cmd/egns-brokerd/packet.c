/* what packets mean, and what they may do when */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "clock.h"
#include "log.h"
#include "publish.h"
#include "quote.h"
#include "rate.h"
#include "record.h"
#include "store.h"
#include "subs.h"
#include "topic.h"
#include "uuid.h"
#include "window.h"

#define FILTERS_MAX 10 /* of a SUBSCRIBE or UNSUBSCRIBE */

/* What a CONNECT said, from when it was read to the CONNACK. */
struct connecting {
	struct op op;
	struct client *client;
	bool clean, assigned, present;
	bool lowered;     /* the session's expiry */
	bool wants_more;  /* keep alive */
	uint32_t expiry;
	char *id;
	size_t id_len;
	char user[QUOTE_MAX]; /* User Name, for the log */
	struct will will;
	bool will_retain;
	bool ended;  /* a stored session, for a clean start */
	bool store;  /* the session is to be stored */
	struct session *session;
	/* what it was, should there be no room on disk for what it is now */
	struct {
		struct will will;
		int64_t will_due, offline_since;
		uint32_t expiry;
		bool registered;
	} before;
};

static void
malformed(struct client *c, enum mqtt_reason reason, const char *why)
{
	client_end(c, END_CLIENT_ERROR, reason, why);
}

/* ---- CONNECT ---- */

static void
connecting_free(struct client *c, struct connecting *x)
{
	if (x == NULL)
		return;
	c->connecting = NULL;
	will_free(&x->will);
	will_free(&x->before.will);
	if (x->session != NULL)
		session_unref(x->session);
	free(x->id);
	free(x);
}

static const struct {
	const char *name;
	enum stats_error error;
} errors[] = {
	{ "QuotaExceeded", STATS_QUOTA },
	{ "AuthenticationError", STATS_AUTHENTICATION },
	{ "AuthorizationError", STATS_AUTHORIZATION },
	{ "ClientError", STATS_CLIENT },
	{ "ServiceError", STATS_SERVICE },
};

/* Who it is, or says it is: what the name is worth is in the words. */
static void
log_connect(const struct client *c, const struct connecting *x,
    const char *words)
{
	char q[QUOTE_MAX], id[QUOTE_MAX];
	const char *name = c->who.name != NULL ?
	    quote(q, c->who.name, strlen(c->who.name)) :
	    x == NULL ? "" : x->user;

	if (x != NULL)
		quote(id, x->id, x->id_len);
	else
		id[0] = '\0';
	if (name[0] == '\0')
		log_warn("%s: connect, session '%s', refused: %s", c->peer, id,
		    words);
	else
		log_warn("client '%s': connect from %s, session '%s', "
		    "refused: %s", name, c->peer, id, words);
}

/* A CONNACK that says no, and the end. */
static void
refuse_connect(struct client *c, enum mqtt_reason reason, const char *error,
    const char *words)
{
	struct mqtt_connack ack = { .reason = reason,
		.session_expiry = UINT32_MAX, .server_keep_alive = -1,
		.words = words };
	struct stats *st = &c->broker->stats;
	const struct connecting *x = c->connecting;
	size_t before = c->out.len;

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strcmp(errors[i].name, error) == 0)
			st->requests[STATS_CONNECT][client_protocol(c)]
			    [errors[i].error]++;
	if (client_may_say(c, "connect refused"))
		log_connect(c, x, words);
	/* 3.1.1's MQTT-3.2.2-6: it has no code for these */
	if (c->version == MQTT_5 ||
	    (reason != MQTT_NO_QOS && reason != MQTT_BAD_TOPIC))
		mqtt_write_connack(&c->out, c->version, &ack);
	if (!client_fits(c, before)) {
		ack.words = NULL; /* MQTT-3.2.2-19 */
		mqtt_write_connack(&c->out, c->version, &ack);
		client_fits(c, before);
	}
	client_finish(c);
}

/* Characters of UTF-8. */
static size_t
characters(struct mqtt_str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

/* The CONNECT's own words that make it fail. NULL: none. */
static const char *
connect_unfit(const struct mqtt_connect *p, enum mqtt_reason *reason)
{
	const char *words = NULL;

	if (p->props.nuser > 0) {
		*reason = MQTT_IMPLEMENTATION;
		return "user properties in CONNECT are not supported";
	}
	*reason = MQTT_CLIENT_ID;
	if (characters(p->client_id) > SESSION_ID_MAX)
		return "a ClientId of more than 128 characters";
	if (p->client_id.len == 0 && p->version == MQTT_3)
		return "a ClientId is needed";
	if (!p->will)
		return NULL;
	if (p->will_qos == 2) {
		*reason = MQTT_NO_QOS;
		return "a will of QoS 2 is not supported";
	}
	*reason = publish_topic(p->will_topic, &words);
	if (*reason == MQTT_SUCCESS)
		*reason = publish_limits(&p->will_props, &words);
	return words;
}

/* A will as it will be published. */
static int
take_will(struct client *c, struct connecting *x, const struct mqtt_connect *p)
{
	struct broker *b = c->broker;
	struct mqtt_publish publish = { .retain = p->will_retain,
		.qos = p->will_qos, .topic = p->will_topic,
		.props = p->will_props, .payload = p->will_payload };

	if (!p->will)
		return 0;
	buf_reset(&b->text, 1 << 20);
	mqtt_forward_properties(&b->text, &p->will_props);
	x->will.message = message_new(p->will_topic, (struct mqtt_str){
	    b->text.len ? buf_data(&b->text) : "", b->text.len },
	    p->will_payload);
	if (x->will.message == NULL)
		return -1;
	x->will.message->qos = p->will_qos;
	x->will.message->retain = p->will_retain;
	x->will.delay = p->will_props.will_delay;
	x->will.expiry = p->will_props.message_expiry;
	buf_reset(&b->text, 1 << 20);
	record_write(&b->text, &publish, &b->json);
	if (b->text.bad)
		return -1;
	x->will.record = strndup(buf_data(&b->text), b->text.len);
	return x->will.record == NULL ? -1 : 0;
}

static int
take_settings(struct client *c, struct connecting *x,
    const struct mqtt_connect *p)
{
	const struct settings *set = &c->broker->settings;
	uint32_t asked = p->version == MQTT_5 ? p->props.session_expiry :
	    p->clean ? 0 : UINT32_MAX;

	quote(x->user, p->user.p, p->user.len);
	x->clean = p->clean;
	x->expiry = asked < set->expiry_max ? asked : set->expiry_max;
	x->lowered = p->version == MQTT_5 && asked > x->expiry;
	x->wants_more = p->keep_alive == 0 ||
	    p->keep_alive > CLIENT_KEEP_ALIVE_MAX;
	c->keep_alive = x->wants_more ? CLIENT_KEEP_ALIVE_MAX : p->keep_alive;
	c->receive_maximum = mqtt_has(&p->props, MQTT_P_RECEIVE_MAXIMUM) ?
	    p->props.receive_maximum : UINT16_MAX;
	if (p->client_id.len == 0) {
		x->assigned = true;
		if ((x->id = malloc(UUID_SIZE)) == NULL)
			return -1;
		uuid_new(x->id);
		x->id_len = strlen(x->id);
	} else {
		x->id_len = p->client_id.len;
		x->id = strndup(p->client_id.p, x->id_len);
	}
	if (x->id == NULL)
		return -1;
	if (p->props.auth_method.p != NULL) {
		c->method.len = p->props.auth_method.len;
		c->method.p = strndup(p->props.auth_method.p, c->method.len);
		if (c->method.p == NULL)
			return -1;
	}
	return take_will(c, x, p);
}

static void on_answer(struct auth_answer *, void *);

static void
take_connect(struct client *c, const struct mqtt_header *h,
    const unsigned char *body)
{
	struct mqtt_connect p;
	const char *why = "not MQTT";
	enum mqtt_reason reason;
	struct auth_request request = { .connect = &p,
		.certificate = tls_certificate(c->tls) };

	reason = mqtt_read_connect(&p, body, h->remaining, &why);
	c->version = p.version == MQTT_5 ? MQTT_5 : MQTT_3;
	if (mqtt_has(&p.props, MQTT_P_MAXIMUM_PACKET))
		c->maximum_packet = p.props.maximum_packet;
	if (reason == MQTT_SUCCESS && h->padded && c->version == MQTT_5) {
		reason = MQTT_MALFORMED;
		why = "MQTT-1.5.5-1: a remaining length with padding";
	}
	if (reason != MQTT_SUCCESS) {
		/* 3.1.1 has no words for what is malformed */
		if (p.version == 0 || (c->version == MQTT_3 &&
		    reason != MQTT_UNSUPPORTED_VERSION &&
		    reason != MQTT_CLIENT_ID))
			client_lost(c, END_CLIENT_ERROR, why);
		else
			refuse_connect(c, reason, "ClientError", why);
		return;
	}
	if (c->broker->rate != NULL && !rate_connect(c->broker)) {
		refuse_connect(c, MQTT_CONNECTION_RATE, "QuotaExceeded",
		    "too many CONNECTs a second to the namespace");
		return;
	}
	if ((why = connect_unfit(&p, &reason)) != NULL) {
		refuse_connect(c, reason, reason == MQTT_QUOTA ?
		    "QuotaExceeded" : "ClientError", why);
		return;
	}
	c->connecting = calloc(1, sizeof(*c->connecting));
	if (c->connecting == NULL || take_settings(c, c->connecting, &p) == -1) {
		refuse_connect(c, MQTT_BUSY, "ServiceError", "out of memory");
		return;
	}
	c->connecting->client = c;
	request.client_id = (struct mqtt_str){ c->connecting->id,
		c->connecting->id_len };
	request.method = p.props.auth_method;
	request.data = p.props.auth_data;
	request.peer = (const struct sockaddr *)&c->address;
	c->state = CLIENT_ASKING;
	client_known(c);
	client_ref(c);
	c->pending = auth_ask(c->broker->auth, &request, on_answer, c);
}

/* What it was, before its new connection takes it over. */
static void
take_over(struct client *c, struct session *s, bool clean)
{
	struct client *old = s->client;

	session_ref(s);
	if (old != NULL && old != c)
		client_end(old, END_TAKEN_OVER, MQTT_TAKEN_OVER,
		    "another connection has taken the session over");
	if (clean && !s->ended)
		session_end(s, SESSION_ENDED);
	session_unref(s);
}

/* It cannot be: as if it had not been asked for. */
static void
withdraw(struct client *c, struct connecting *x)
{
	struct session *s = x->session;

	session_unref(c->session);
	c->session = NULL;
	s->client = NULL;
	will_free(&s->will);
	if (!x->present) {
		session_end(s, SESSION_ENDED);
		return;
	}
	s->will = x->before.will;
	x->before.will = (struct will){ 0 };
	s->will_due = x->before.will_due;
	s->offline_since = x->before.offline_since;
	s->expiry = x->before.expiry;
	s->registered = x->before.registered;
}

static void
say_connack(struct client *c)
{
	struct connecting *x = c->connecting;
	struct mqtt_connack ack = {
		.session_present = x->present,
		.reason = MQTT_SUCCESS,
		.session_expiry = x->lowered ? x->expiry : UINT32_MAX,
		.server_keep_alive = x->wants_more ? CLIENT_KEEP_ALIVE_MAX : -1,
		.receive_maximum = CLIENT_RECEIVE_MAX,
		.topic_alias_maximum = CLIENT_ALIASES,
		.maximum_packet = CLIENT_PACKET_MAX,
		.auth_method = c->method,
	};
	struct stats *st = &c->broker->stats;
	size_t before = c->out.len;
	char name[QUOTE_MAX], id[QUOTE_MAX];

	if (x->assigned)
		ack.assigned_id = (struct mqtt_str){ x->id, x->id_len };
	mqtt_write_connack(&c->out, c->version, &ack);
	c->connecting = NULL;
	if (!client_fits(c, before)) {
		withdraw(c, x);
		refuse_connect(c, MQTT_IMPLEMENTATION, "ClientError",
		    "its Maximum Packet Size is less than a CONNACK");
		return;
	}
	c->state = CLIENT_CONNECTED;
	c->since = c->heard = clock_mono();
	log_info("client '%s': connected from %s, session '%s', %s, %s",
	    quote(name, c->who.name, strlen(c->who.name)), c->peer,
	    quote(id, c->session->id, strlen(c->session->id)),
	    c->version == MQTT_5 ? "MQTT 5" : "MQTT 3.1.1",
	    tls_cipher(c->tls));
	st->requests[STATS_CONNECT][client_protocol(c)][STATS_SUCCESS]++;
	st->connections[client_protocol(c)]++;
	tls_forget(c->tls);
	session_attach(c->session, c);
	client_want_flush(c);
	client_resume(c);
}

/* The session is on disk, or there is no room for it. */
static void
accepted(struct broker *b, struct op *op, int error)
{
	struct connecting *x = (struct connecting *)op;
	struct client *c = x->client;

	(void)b;
	if (error == 0 && x->store && !x->session->ended)
		x->session->stored = true;
	/* the client may have gone meanwhile */
	if (c->state == CLIENT_ACCEPTING && error == 0)
		say_connack(c);
	else if (c->state == CLIENT_ACCEPTING) {
		withdraw(c, x);
		refuse_connect(c, MQTT_QUOTA, "QuotaExceeded",
		    "no room on disk for the session");
	}
	connecting_free(c, x);
	client_unref(c);
}

static void
begin_session(struct client *c, struct session *s)
{
	struct connecting *x = c->connecting;

	/* what it may do can be less than when it was here last */
	session_check_rights(s, c->who.grants);
	x->store = s->stored || x->expiry > 0 || x->will.message != NULL;
	x->session = session_ref(s);
	x->before.will = s->will;
	x->before.will_due = s->will_due;
	x->before.offline_since = s->offline_since;
	x->before.expiry = s->expiry;
	x->before.registered = s->registered;
	s->expiry = c->expiry = x->expiry;
	s->registered = c->who.client != NULL;
	s->connections++;
	s->will_due = 0;
	s->offline_since = 0;
	s->will = x->will;
	x->will = (struct will){ 0 };
	s->client = c;
	c->session = session_ref(s);
	if (s->will.message != NULL &&
	    (s->will.client = publish_client(c)) == NULL)
		will_free(&s->will);
	if (!x->store && !x->ended) {
		say_connack(c);
		connecting_free(c, x);
		return;
	}
	c->state = CLIENT_ACCEPTING;
	if (x->store)
		store_session(s);
	x->op.done = accepted;
	client_ref(c);
	window_op(c->broker, &x->op);
}

static bool
will_allowed(struct client *c)
{
	const struct message *m = c->connecting->will.message;
	struct access_reason why = { 0 };
	struct buf words = { 0 };
	char topic[QUOTE_MAX];

	if (m == NULL || grants_publish(c->who.grants, m->body, m->topic_len))
		return true;
	auth_explain(c->broker->auth, &c->who, ACCESS_PUBLISH, m->body,
	    m->topic_len, &why);
	buf_printf(&words, "will to '%s': ", quote(topic, m->body,
	    m->topic_len));
	buf_add(&words, buf_data(&why.words), why.words.len);
	buf_add(&words, "", 1);
	refuse_connect(c, MQTT_NOT_AUTHORIZED, "AuthorizationError",
	    words.bad ? "will not authorized" : buf_data(&words));
	buf_free(&words);
	access_reason_free(&why);
	return false;
}

static bool
rates_allow(struct client *c, const struct session *s)
{
	struct broker *b = c->broker;
	const struct connecting *x = c->connecting;

	if (b->rate == NULL)
		return true;
	if (!rate_session(b, x->id, x->id_len))
		refuse_connect(c, MQTT_CONNECTION_RATE, "QuotaExceeded",
		    "more than one CONNECT a second for the session");
	else if (s == NULL &&
	    b->nsessions >= (uint64_t)RATE_SESSIONS * b->settings.units)
		refuse_connect(c, MQTT_QUOTA, "QuotaExceeded",
		    "the namespace has as many sessions as its throughput "
		    "units allow");
	else {
		rate_client(c);
		return true;
	}
	return false;
}

static void
open_session(struct client *c)
{
	struct broker *b = c->broker;
	struct connecting *x = c->connecting;
	struct session *s = session_find(b, x->id, x->id_len);

	if (s != NULL && strcmp(s->name, c->who.name) != 0) {
		refuse_connect(c, MQTT_NOT_AUTHORIZED, "AuthorizationError",
		    "the session belongs to another client");
		return;
	}
	if (!will_allowed(c) || !rates_allow(c, s))
		return;
	if (s != NULL) {
		x->ended = s->told;
		take_over(c, s, x->clean);
		s = session_find(b, x->id, x->id_len);
	}
	x->present = s != NULL;
	x->ended = x->ended && s == NULL;
	if (s == NULL) {
		unsigned n = session_named(b, c->who.name);

		if (n >= b->settings.sessions_per_name) {
			refuse_connect(c, MQTT_QUOTA, "QuotaExceeded",
			    "maximumClientSessionsPerAuthenticationName is "
			    "reached, offline sessions included");
			return;
		}
		if (n > 0 && !c->who.user_name) {
			refuse_connect(c, MQTT_QUOTA, "QuotaExceeded",
			    "a client with several sessions sends its "
			    "authentication name as User Name");
			return;
		}
		s = session_new(b, b->next_session++, x->id, x->id_len,
		    c->who.name);
	}
	if (s == NULL)
		refuse_connect(c, MQTT_BUSY, "ServiceError", "out of memory");
	else
		begin_session(c, s);
}

static void
again_answered(struct client *c, struct auth_answer *a)
{
	c->asked_again = false;
	if (a->reason != MQTT_SUCCESS) {
		client_end(c, END_AUTHENTICATION, a->reason, a->why.text);
		return;
	}
	principal_free(&c->who);
	c->who = a->principal;
	a->principal = (struct principal){ 0 };
	client_rights_changed(c);
	mqtt_write_auth(&c->out, MQTT_SUCCESS, c->method);
	client_want_flush(c);
	client_resume(c);
}

static void
on_answer(struct auth_answer *a, void *arg)
{
	struct client *c = arg;

	c->pending = NULL;
	if (c->asked_again && c->state == CLIENT_CONNECTED)
		again_answered(c, a);
	else if (c->state == CLIENT_ASKING && a->reason != MQTT_SUCCESS)
		refuse_connect(c, a->reason, a->error, a->why.text);
	else if (c->state == CLIENT_ASKING) {
		c->who = a->principal;
		a->principal = (struct principal){ 0 };
		open_session(c);
	}
	client_unref(c);
}

/* ---- SUBSCRIBE and UNSUBSCRIBE ---- */

struct subscribing {
	struct op op;
	struct client *client;
	struct session *session;
	uint16_t packet_id;
	bool unsubscribe;
	size_t n;
	unsigned char codes[FILTERS_MAX];
	struct wish {
		struct subscription_options options;
		uint8_t retain_handling;
		size_t len;
		char *filter;
	} wishes[FILTERS_MAX];
};

/* Why it is none; NULL: it is one. */
static const char *
bad_filter(const struct mqtt_filter *f, struct topic_share *share)
{
	if (topic_share(f->filter.p, f->filter.len, share) == -1)
		return "a shared subscription is $share/GROUP/FILTER";
	if (f->filter.len > TOPIC_MAX)
		return "more than 256 bytes";
	return topic_bad_filter(share->filter, share->len);
}

static enum mqtt_reason
check_filter(struct client *c, bool unsubscribe, const struct mqtt_filter *f,
    struct topic_share *share, const char **words)
{
	struct access_reason why = { 0 };

	if ((*words = bad_filter(f, share)) != NULL)
		return MQTT_BAD_FILTER;
	if (unsubscribe)
		return MQTT_SUCCESS;
	if (grants_subscribe(c->who.grants, share->filter, share->len))
		return MQTT_SUCCESS;
	auth_explain(c->broker->auth, &c->who, ACCESS_SUBSCRIBE, share->filter,
	    share->len, &why);
	buf_reset(&c->broker->text, 65536);
	if (why.words.len > 0)
		buf_add(&c->broker->text, buf_data(&why.words), why.words.len);
	buf_add(&c->broker->text, "", 1);
	*words = c->broker->text.bad ? "not authorized" :
	    buf_data(&c->broker->text);
	access_reason_free(&why);
	return MQTT_NOT_AUTHORIZED;
}

static void
count_filter(struct client *c, bool unsubscribe, enum mqtt_reason reason)
{
	enum stats_error e = reason < MQTT_UNSPECIFIED ? STATS_SUCCESS :
	    reason == MQTT_NOT_AUTHORIZED ? STATS_AUTHORIZATION :
	    reason == MQTT_QUOTA ? STATS_QUOTA : STATS_CLIENT;

	c->broker->stats.filters[unsubscribe][client_protocol(c)][e]++;
}

static void
refused_filter(struct client *c, bool unsubscribe, const struct mqtt_filter *f,
    const char *words)
{
	char name[QUOTE_MAX], filter[QUOTE_MAX];

	if (!client_may_say(c, "subscribe refused"))
		return;
	log_warn("client '%s': %s '%s' refused: %s",
	    quote(name, c->who.name, strlen(c->who.name)),
	    unsubscribe ? "unsubscribe from" : "subscribe to", quote(filter, f->filter.p, f->filter.len), words);
}

struct retained_to {
	struct session *session;
	const struct wish *wish;
};

/* MQTT-3.3.1-6 and what follows: as if it were published now, to this one. */
static void
send_retained(struct message *m, void *arg)
{
	struct retained_to *to = arg;
	struct session *s = to->session;
	const struct subscription_options *o = &to->wish->options;
	struct deliver d = { .qos = m->qos < o->qos ? m->qos : o->qos,
		.retain = true, .patient = true, .ids = &o->id,
		.nids = o->id != 0 };
	struct store_target t = { .session = s };

	/* MQTT-3.8.3-3 */
	if (s->ended || (o->no_local && m->from == s->number))
		return;
	/* nothing is lost, so there is no record: it is retained still */
	if (!session_room(s, message_bytes(m)))
		s->broker->stats.dropped_qos0++;
	else if (d.qos == 0)
		session_deliver(s, m, &d);
	else if (store_load(s->broker, m) == 0) {
		t.deliver = d;
		publish_again(m, &t);
	}
}

static void
retained_for(struct session *s, const struct wish *w, bool existed)
{
	struct retained_to to = { s, w };

	/* MQTT-3.8.4-4: none for shared subscriptions */
	if (w->retain_handling == 2 || (w->retain_handling == 1 && existed) ||
	    strncmp(w->filter, "$share/", 7) == 0)
		return;
	retain_each(s->broker->retain, w->filter, w->len, s->broker->now,
	    send_retained, &to);
	if (!existed)
		publish_each_retaining(s->broker, w->filter, w->len,
		    send_retained, &to);
}

static enum mqtt_reason
subscribe_one(struct subscribing *x, const struct wish *w, bool *existed)
{
	struct session *s = x->session;

	if (x->unsubscribe)
		return subs_remove(s->broker->subs, s, w->filter, w->len) ?
		    MQTT_SUCCESS : MQTT_NO_SUBSCRIPTION;
	return subs_add(s->broker->subs, s, w->filter, w->len, &w->options,
	    existed);
}

static void
subscribed(struct broker *b, struct op *op, int error)
{
	struct subscribing *x = (struct subscribing *)op;
	struct client *c = x->client;
	bool existed[FILTERS_MAX] = { false };
	enum mqtt_reason reason;

	c->subscribing = false;
	for (size_t i = 0; i < x->n; i++) {
		if (x->codes[i] < MQTT_UNSPECIFIED && error != 0)
			x->codes[i] = x->unsubscribe ? MQTT_UNSPECIFIED :
			    MQTT_QUOTA; /* MQTT-3.11.3-2 */
		if (x->codes[i] < MQTT_UNSPECIFIED && !x->session->ended) {
			reason = subscribe_one(x, &x->wishes[i], &existed[i]);
			if (reason != MQTT_SUCCESS)
				x->codes[i] = (unsigned char)reason;
		}
		count_filter(c, x->unsubscribe, x->codes[i]);
	}
	if (c->state == CLIENT_CONNECTED && error != 0 && x->unsubscribe &&
	    c->version == MQTT_3)
		client_end(c, END_QUOTA, MQTT_QUOTA, "no room on disk");
	else if (c->state == CLIENT_CONNECTED) {
		mqtt_write_suback(&c->out, c->version, x->unsubscribe ?
		    MQTT_UNSUBACK : MQTT_SUBACK, x->packet_id, x->codes, x->n);
		client_want_flush(c);
		b->stats.requests[x->unsubscribe ? STATS_UNSUBSCRIBE :
		    STATS_SUBSCRIBE][client_protocol(c)][STATS_SUCCESS]++;
	}
	for (size_t i = 0; i < x->n; i++) {
		if (!x->unsubscribe && x->codes[i] < MQTT_UNSPECIFIED &&
		    !x->session->ended)
			retained_for(x->session, &x->wishes[i], existed[i]);
	}
	session_unref(x->session);
	client_unref(c);
}

/* How many subscriptions the session would have. */
static enum mqtt_reason
room_for(struct subscribing *x, const struct wish *w, size_t *added,
    size_t *added_shared)
{
	const struct session *s = x->session;
	bool shared = strncmp(w->filter, "$share/", 7) == 0;

	if (subs_find(s, w->filter, w->len) != NULL)
		return MQTT_SUCCESS;
	if (s->nsubscriptions + *added >= SESSION_SUBSCRIPTIONS ||
	    (shared && s->nshared + *added_shared >= SESSION_SHARED))
		return MQTT_QUOTA;
	++*added;
	*added_shared += shared;
	return MQTT_SUCCESS;
}

static void
take_wish(struct subscribing *x, const struct mqtt_filter *f, uint32_t id)
{
	struct broker *b = x->client->broker;
	struct wish *w = &x->wishes[x->n];

	w->len = f->filter.len;
	w->retain_handling = f->retain_handling;
	w->options = (struct subscription_options){
		.qos = f->qos > 1 ? 1 : f->qos, .no_local = f->no_local,
		.retain_as_published = f->retain_as_published, .id = id };
	if ((w->filter = window_alloc(b, w->len + 1)) == NULL)
		log_fatal(71, "out of memory");
	memcpy(w->filter, f->filter.p, w->len);
	w->filter[w->len] = '\0';
}

static void
judge(struct subscribing *x, const struct mqtt_filter *f, uint32_t id,
    size_t *added, size_t *added_shared)
{
	struct client *c = x->client;
	struct session *s = x->session;
	struct topic_share share;
	const char *words = NULL;
	enum mqtt_reason reason;

	take_wish(x, f, id);
	reason = check_filter(c, x->unsubscribe, f, &share, &words);
	if (reason == MQTT_SUCCESS && !x->unsubscribe) {
		reason = room_for(x, &x->wishes[x->n], added, added_shared);
		if (reason != MQTT_SUCCESS)
			words = "the session has as many subscriptions as it "
			    "may have";
	}
	if (reason != MQTT_SUCCESS)
		refused_filter(c, x->unsubscribe, f, words);
	else if (!x->unsubscribe)
		reason = (enum mqtt_reason)x->wishes[x->n].options.qos;
	x->codes[x->n] = (unsigned char)reason;
	if (reason < MQTT_UNSPECIFIED && !x->unsubscribe &&
	    topic_bad_name(share.filter, share.len) != NULL)
		window_work(c->broker, retain_count(c->broker->retain));
	if (s->stored && reason < MQTT_UNSPECIFIED) {
		if (x->unsubscribe)
			store_unsubscribed(s, f->filter.p, f->filter.len);
		else
			store_subscribed(s, f->filter.p, f->filter.len,
			    &x->wishes[x->n].options);
	}
	x->n++;
}

/* Packets that are refused as a whole. */
static bool
subscribe_unfit(struct client *c, const struct mqtt_subscribe *p,
    bool unsubscribe)
{
	struct mqtt_filter f = { 0 };

	/* reference 9.1 and O-11: not with UNSUBSCRIBE */
	if (!unsubscribe && p->props.nuser > 0) {
		client_end(c, END_CLIENT_ERROR, MQTT_IMPLEMENTATION,
		    "user properties in SUBSCRIBE are not supported");
		return true;
	}
	while (!unsubscribe && mqtt_next_filter(p, false, c->version, &f)) {
		if (f.filter.len < 7 || memcmp(f.filter.p, "$share/", 7) != 0)
			continue;
		if (c->version == MQTT_3) {
			client_end(c, END_CLIENT_ERROR, MQTT_NO_SHARED,
			    "shared subscriptions need MQTT 5");
			return true;
		}
		if (f.no_local) {
			client_end(c, END_CLIENT_ERROR, MQTT_PROTOCOL_ERROR,
			    "MQTT-3.8.3-4: no local on a shared subscription");
			return true;
		}
	}
	return false;
}

static void
refuse_all(struct client *c, const struct mqtt_subscribe *p, bool unsubscribe,
    const char *words)
{
	unsigned char *codes = malloc(p->count);
	char name[QUOTE_MAX];
	size_t before = c->out.len;

	/* MQTT-3.11.3-2: no quota in an UNSUBACK; in 3.1.1 it has no codes */
	if (codes != NULL && (!unsubscribe || c->version == MQTT_5)) {
		memset(codes, unsubscribe ? MQTT_IMPLEMENTATION : MQTT_QUOTA,
		    p->count);
		mqtt_write_suback(&c->out, c->version, unsubscribe ?
		    MQTT_UNSUBACK : MQTT_SUBACK, p->packet_id, codes,
		    p->count);
		client_want_flush(c);
	}
	free(codes);
	if (c->out.len == before || !client_fits(c, before))
		client_end(c, END_QUOTA, MQTT_QUOTA, words);
	for (size_t i = 0; i < p->count; i++)
		count_filter(c, unsubscribe, MQTT_QUOTA);
	if (!client_may_say(c, "subscribe refused"))
		return;
	log_warn("client '%s': %s of %u filters refused: %s",
	    quote(name, c->who.name, strlen(c->who.name)),
	    unsubscribe ? "unsubscribe" : "subscribe", p->count, words);
}

static void
take_subscribe(struct client *c, bool unsubscribe, const unsigned char *body,
    size_t len)
{
	struct mqtt_subscribe p;
	struct mqtt_filter f = { 0 };
	struct subscribing *x;
	const char *why = NULL;
	size_t added = 0, added_shared = 0;
	enum mqtt_reason reason = mqtt_read_subscribe(&p, unsubscribe,
	    c->version, body, len, &why);

	if (reason != MQTT_SUCCESS) {
		malformed(c, reason, why);
		return;
	}
	if (subscribe_unfit(c, &p, unsubscribe))
		return;
	if (p.count > FILTERS_MAX) {
		refuse_all(c, &p, unsubscribe, "too many filters");
		return;
	}
	if (c->rate != NULL && !rate_subscribe(c)) {
		refuse_all(c, &p, unsubscribe, "too many requests a second");
		return;
	}
	if ((x = window_alloc(c->broker, sizeof(*x))) == NULL)
		log_fatal(71, "out of memory");
	*x = (struct subscribing){ .op.done = subscribed,
		.client = client_ref(c), .session = session_ref(c->session),
		.packet_id = p.packet_id, .unsubscribe = unsubscribe };
	while (mqtt_next_filter(&p, unsubscribe, c->version, &f))
		judge(x, &f, p.props.subscription_id, &added, &added_shared);
	c->subscribing = true;
	window_op(c->broker, &x->op);
}

/* ---- the others ---- */

static void
take_publish(struct client *c, uint8_t flags, const unsigned char *body,
    size_t len)
{
	struct mqtt_publish p;
	const char *why = NULL;
	enum mqtt_reason reason = mqtt_read_publish(&p, c->version, flags,
	    body, len, &why);

	if (reason != MQTT_SUCCESS)
		malformed(c, reason, why);
	else
		publish_take(c, &p);
}

static void
take_puback(struct client *c, const unsigned char *body, size_t len)
{
	struct mqtt_ack p;
	const char *why = NULL;
	enum mqtt_reason reason = mqtt_read_ack(&p, c->version, MQTT_PUBACK,
	    body, len, &why);

	if (reason != MQTT_SUCCESS) {
		malformed(c, reason, why);
		return;
	}
	session_acknowledge(c->session, p.packet_id);
	if (p.props.nuser > 0)
		malformed(c, MQTT_IMPLEMENTATION,
		    "user properties in PUBACK are not supported");
	else if (p.reason >= MQTT_UNSPECIFIED)
		malformed(c, MQTT_IMPLEMENTATION,
		    "a PUBACK with an error code is not supported");
}

static void
take_disconnect(struct client *c, const unsigned char *body, size_t len)
{
	struct mqtt_ack p;
	const char *why = NULL;
	enum mqtt_reason reason = mqtt_read_ack(&p, c->version,
	    MQTT_DISCONNECT, body, len, &why);
	const struct settings *set = &c->broker->settings;

	if (reason == MQTT_SUCCESS && p.props.nuser > 0) {
		reason = MQTT_IMPLEMENTATION;
		why = "user properties in DISCONNECT are not supported";
	} else if (reason == MQTT_SUCCESS && c->expiry == 0 &&
	    p.props.session_expiry != 0) {
		reason = MQTT_PROTOCOL_ERROR; /* MQTT-3.14.2.2.2 */
		why = "session expiry was 0 at CONNECT";
	}
	if (reason != MQTT_SUCCESS) {
		malformed(c, reason, why);
		return;
	}
	if (mqtt_has(&p.props, MQTT_P_SESSION_EXPIRY)) {
		c->session->expiry = p.props.session_expiry < set->expiry_max ?
		    p.props.session_expiry : set->expiry_max;
		if (c->session->stored)
			store_session(c->session);
	}
	/* MQTT-3.14.4-3: no will after a normal disconnect */
	if (p.reason == MQTT_SUCCESS)
		will_free(&c->session->will);
	client_lost(c, END_INITIATED, "it has disconnected");
}

static void
take_auth(struct client *c, const unsigned char *body, size_t len)
{
	struct mqtt_ack p;
	const char *why = NULL;
	enum mqtt_reason reason = mqtt_read_ack(&p, c->version, MQTT_AUTH,
	    body, len, &why);
	struct auth_request request = { .again = &c->who,
		.certificate = NULL,
		.peer = (const struct sockaddr *)&c->address };

	if (reason == MQTT_SUCCESS && p.props.nuser > 0) {
		reason = MQTT_IMPLEMENTATION;
		why = "user properties in AUTH are not supported";
	} else if (reason == MQTT_SUCCESS &&
	    (c->method.p == NULL || p.reason != MQTT_REAUTHENTICATE)) {
		reason = MQTT_PROTOCOL_ERROR; /* MQTT-4.12.1-1 */
		why = "AUTH is for clients that connected with a method";
	} else if (reason == MQTT_SUCCESS &&
	    (p.props.auth_method.len != c->method.len ||
	    memcmp(p.props.auth_method.p, c->method.p, c->method.len) != 0)) {
		reason = MQTT_PROTOCOL_ERROR;
		why = "MQTT-4.12.1-1: another authentication method";
	}
	if (reason != MQTT_SUCCESS) {
		malformed(c, reason, why);
		return;
	}
	request.method = p.props.auth_method;
	request.data = p.props.auth_data;
	request.client_id = (struct mqtt_str){ c->session->id,
		strlen(c->session->id) };
	c->asked_again = true;
	client_ref(c);
	c->pending = auth_ask(c->broker->auth, &request, on_answer, c);
}

bool
packet_allowed(struct client *c, const struct mqtt_header *h, unsigned first)
{
	enum mqtt_reason reason;

	if (c->state == CLIENT_CONNECT) {
		/* MQTT-3.1.0-1; nothing is worth an answer before */
		if (first != MQTT_CONNECT << 4) {
			client_lost(c, END_CLIENT_ERROR,
			    "MQTT-3.1.0-1: the first packet is no CONNECT");
			return false;
		}
		if (h->remaining > CLIENT_PACKET_MAX - h->bytes) {
			client_lost(c, END_CLIENT_ERROR,
			    "a CONNECT of more than 512 KiB");
			return false;
		}
		return true;
	}
	if (h->remaining > CLIENT_PACKET_MAX - h->bytes) {
		client_end(c, END_CLIENT_ERROR, MQTT_TOO_LARGE,
		    "a packet of more than 512 KiB");
		return false;
	}
	reason = mqtt_check_first((uint8_t)first, c->version);
	if (reason == MQTT_SUCCESS && h->padded && c->version == MQTT_5)
		reason = MQTT_MALFORMED; /* MQTT-1.5.5-1 */
	if (reason == MQTT_SUCCESS && h->type == MQTT_CONNECT)
		reason = MQTT_PROTOCOL_ERROR; /* MQTT-3.1.0-2 */
	if (reason != MQTT_SUCCESS)
		malformed(c, reason, h->type == MQTT_CONNECT ?
		    "MQTT-3.1.0-2: a second CONNECT" :
		    "a packet that clients do not send, or wrong flags");
	return reason == MQTT_SUCCESS;
}

void
packet_take(struct client *c, const struct mqtt_header *h,
    const unsigned char *body)
{
	switch (h->type) {
	case MQTT_CONNECT: take_connect(c, h, body); return;
	case MQTT_PUBLISH:
		take_publish(c, h->flags, body, h->remaining);
		return;
	case MQTT_PUBACK: take_puback(c, body, h->remaining); return;
	case MQTT_SUBSCRIBE:
	case MQTT_UNSUBSCRIBE:
		take_subscribe(c, h->type == MQTT_UNSUBSCRIBE, body,
		    h->remaining);
		return;
	case MQTT_PINGREQ:
		if (h->remaining != 0) { /* section 3.12 */
			malformed(c, MQTT_MALFORMED, "PINGREQ with a body");
			return;
		}
		mqtt_write_pingresp(&c->out);
		client_want_flush(c);
		return;
	case MQTT_DISCONNECT:
		take_disconnect(c, body, h->remaining);
		return;
	case MQTT_AUTH: take_auth(c, body, h->remaining); return;
	default:
		/* the QoS 2 dance: we never begin one */
		malformed(c, MQTT_PROTOCOL_ERROR, "QoS 2 is not supported");
	}
}

void
packet_forget(struct client *c)
{
	if (c->pending != NULL) {
		auth_drop(c->pending);
		c->pending = NULL;
		client_unref(c);
	}
	/* one that waits for its window is freed when that is done */
	if (c->connecting != NULL && c->state == CLIENT_ACCEPTING)
		c->connecting = NULL;
	else
		connecting_free(c, c->connecting);
}
