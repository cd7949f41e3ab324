/* a topic of Kafka, as a target */
#include <stdlib.h>
#include <string.h>

#include "jq.h"
#include "producing.h"

#define IN_FLIGHT 10000
#define NOBODY_WAIT 3 /* seconds without a broker, of a producer that has met
                       * none: librdkafka, which begins with pauses of 0.1 s,
                       * has tried several times */

/* ---- answers ---- */

void
kafka_answer(struct kafka *k, struct flight *fl, const struct outcome *o)
{
	struct attempt *a = fl->attempt;

	ring_leave(fl);
	free(fl);
	k->target.hooks->answered(a, o, k->target.arg);
}

void
kafka_answer_all(struct kafka *k, struct flight *ring, const struct outcome *o)
{
	struct flight *fl;

	/* what comes in by the hooks is not meant */
	ring_move(ring, &k->leaving);
	while ((fl = ring_pop(&k->leaving)) != NULL)
		kafka_answer(k, fl, o);
}

/* ---- a producer ---- */

/* There is a producer now, or there will be none. */
static void
settle(struct kafka *k, const struct fault *f)
{
	if (k->producer != NULL) {
		k->why = kafka_delivered;
		kafka_pump(k);
	} else {
		outcome_unmade(&k->why, "%s", f->text);
	}
	k->answering = k->preparing;
	ev_timer_start(k->loop, &k->soon);
}

void
kafka_want_producer(struct kafka *k)
{
	enum credential_state state = CREDENTIAL_HERE;
	const char *secret = NULL;
	struct fault f = { 0 };

	if (k->producer != NULL && k->producer->stale &&
	    ring_empty(&k->sent))
		producer_retire(k);
	if (k->asking)
		return;
	if (k->producer == NULL && k->credential != NULL)
		state = credential_token(k->credential, &secret, &f);
	k->asking = state == CREDENTIAL_LATER;
	if (k->asking)
		return;
	if (k->producer == NULL && state == CREDENTIAL_HERE)
		producer_make(k, secret, &f);
	settle(k, &f);
}

static void
on_secret(const char *secret, const struct fault *why, void *arg)
{
	struct kafka *k = arg;
	struct fault f = *why;

	if (k->producer != NULL && k->conf.login == KAFKA_TOKEN) {
		if (secret == NULL)
			rd_kafka_oauthbearer_set_token_failure(k->producer->rk,
			    f.text);
		else
			producer_set_token(k->producer, secret, &f);
	}
	if (!k->asking)
		return;
	k->asking = false;
	if (secret != NULL && k->producer == NULL)
		producer_make(k, secret, &f);
	settle(k, &f);
}

/* ---- calls of the pusher ---- */

/* What was refused, or could not even be tried. */
static void
answer_late(struct kafka *k)
{
	struct outcome o, unmade = k->why;
	struct flight *fl;

	ring_move(&k->refused, &k->leaving);
	while ((fl = ring_pop(&k->leaving)) != NULL) {
		if (fl->error == RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE)
			outcome_unmade(&o, "out of memory");
		else
			kafka_outcome(k, fl->error, &o);
		kafka_answer(k, fl, &o);
	}
	if (k->producer == NULL && !k->asking)
		kafka_answer_all(k, &k->waiting, &unmade);
}

static void
on_soon(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct kafka *k = timer->data;
	struct outcome why = k->why;

	(void)loop, (void)events;
	answer_late(k);
	if (!k->answering)
		return;
	k->answering = k->preparing = false;
	k->target.hooks->prepared(&why, k->target.arg);
}

static void
kafka_prepare(struct target *t)
{
	struct kafka *k = (struct kafka *)t;

	k->preparing = true;
	kafka_want_producer(k);
}

static void
kafka_send(struct target *t, struct attempt *a)
{
	struct kafka *k = (struct kafka *)t;
	struct flight *fl = malloc(sizeof(*fl));
	struct fault f;

	if (fl == NULL) {
		fault_set(&f, FAULT_INTERNAL, "out of memory");
		late_fail(&k->late, a, &f);
		return;
	}
	*fl = (struct flight){ .attempt = a };
	ring_join(&k->waiting, fl);
	if (k->producer == NULL || k->producer->stale)
		kafka_want_producer(k);
	kafka_pump(k);
}

static int
show_header(const char *name, const char *value, size_t len, bool secret,
    void *arg)
{
	struct buf *b = arg;

	buf_printf(b, "%s: ", name);
	if (secret)
		buf_str(b, "***");
	else
		buf_add(b, value, len);
	buf_str(b, "\n");
	return 0;
}

static void
kafka_show(struct target *t, const struct attempt *a, struct buf *b)
{
	struct kafka *k = (struct kafka *)t;
	struct kafka_record *r = &k->record;
	struct fault f;

	if (kafka_record_make(r, &k->shape, a->first, &f) == -1) {
		buf_printf(b, "%s\n", f.text);
		return;
	}
	buf_printf(b, "PRODUCE %s to %s\n", k->conf.topic, k->conf.servers);
	if (r->key.len > 0)
		show_header("key", buf_data(&r->key), r->key.len, false, b);
	kafka_record_headers(&k->shape, a->first, show_header, b);
	buf_str(b, "\n");
	if (r->value == NULL)
		buf_str(b, "(no value)");
	else
		buf_add(b, r->value, r->len);
	buf_str(b, "\n");
}

/* A producer that has nothing under way can stay. */
static void
kafka_drop(struct target *t)
{
	struct kafka *k = (struct kafka *)t;

	if (!ring_empty(&k->sent))
		producer_retire(k);
	ring_free(&k->waiting);
	ring_free(&k->sent);
	ring_free(&k->refused);
	ring_free(&k->leaving);
	late_drop(&k->late);
	k->preparing = k->answering = k->asking = false;
	ev_timer_stop(k->loop, &k->soon);
}

static void
kafka_free(struct target *t)
{
	struct kafka *k = (struct kafka *)t;

	kafka_drop(t);
	producer_retire(k);
	credential_free(k->credential);
	if (k->fetcher != NULL)
		fetcher_free(k->fetcher);
	kafka_shape_free(&k->shape);
	kafka_conf_free(&k->conf);
	buf_free(&k->record.key);
	buf_free(&k->record.data);
	free(k);
}

/* ---- settings ---- */

static int
set_credential(struct kafka *k, const struct target_use *use, struct fault *f)
{
	struct credential_use how = { .loop = k->loop, .dir = use->spool->fd,
		.audience = k->conf.audience, .connections = true };

	if (k->conf.login == KAFKA_OPEN)
		return 0;
	k->fetcher = fetcher_new(k->loop, k->conf.authorities, f);
	if (k->fetcher == NULL)
		return -1;
	how.fetcher = k->fetcher;
	k->credential = credential_new(&how, jv_copy(k->conf.credential),
	    on_secret, k, f);
	return k->credential == NULL ? -1 : 0;
}

static const struct target_calls calls = {
	.prepare = kafka_prepare,
	.send = kafka_send,
	.show = kafka_show,
	.drop = kafka_drop,
	.free = kafka_free,
};

struct target *
kafka_new(const struct target_use *use, jv hub, struct fault *f)
{
	struct kafka *k = calloc(1, sizeof(*k));
	int rc;

	if (k == NULL) {
		jv_free(hub);
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	k->target = (struct target){ .calls = &calls, .batch = 1,
		.in_flight = IN_FLIGHT };
	k->loop = use->loop;
	ring_init(&k->waiting);
	ring_init(&k->sent);
	ring_init(&k->refused);
	ring_init(&k->leaving);
	late_init(&k->late, k->loop, &k->target);
	ev_timer_init(&k->soon, on_soon, 0, 0);
	k->soon.data = k;
	ev_timer_init(&k->nobody, kafka_on_nobody, NOBODY_WAIT, 0);
	k->nobody.data = k;
	rc = kafka_conf_init(&k->conf, use, hub, f);
	jv_free(hub);
	if (rc == 0)
		rc = kafka_shape_init(&k->shape, use->subscription, use->name,
		    f);
	if (rc == 0)
		rc = set_credential(k, use, f);
	if (rc == 0)
		return &k->target;
	kafka_free(&k->target);
	return NULL;
}
