/* SUBSCRIBE and UNSUBSCRIBE, filter by filter; and what is retained for them */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "log.h"
#include "publish.h"
#include "quote.h"
#include "rate.h"
#include "store.h"
#include "subs.h"
#include "subscribe.h"
#include "topic.h"
#include "window.h"

#define FILTERS_MAX 10 /* of a packet */

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
	    unsubscribe ? "unsubscribe from" : "subscribe to",
	    quote(filter, f->filter.p, f->filter.len), words);
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

void
subscribe_take(struct client *c, bool unsubscribe, const unsigned char *body,
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
		client_end(c, END_CLIENT_ERROR, reason, why);
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
