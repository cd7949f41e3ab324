/* CONNECT, from what it says to the CONNACK; and logging in again */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "clock.h"
#include "connect.h"
#include "log.h"
#include "notice.h"
#include "publish.h"
#include "quote.h"
#include "rate.h"
#include "record.h"
#include "store.h"
#include "uuid.h"
#include "window.h"

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

void
connect_take(struct client *c, const struct mqtt_header *h,
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
	notice_connected(c->session);
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
	bool safe;

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
	safe = store_connection(s);
	s->will_due = 0;
	s->offline_since = 0;
	s->will = x->will;
	x->will = (struct will){ 0 };
	s->client = c;
	c->session = session_ref(s);
	if (s->will.message != NULL &&
	    (s->will.client = publish_client(c)) == NULL)
		will_free(&s->will);
	if (!x->store && !x->ended && safe) {
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

void
connect_again(struct client *c, const unsigned char *body, size_t len)
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
		client_end(c, END_CLIENT_ERROR, reason, why);
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

void
connect_forget(struct client *c)
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
