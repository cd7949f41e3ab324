/* what librdkafka says */
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "producing.h"
#include "quote.h"

#define EVENTS 64 /* of librdkafka, taken in one turn of the loop */

/* All that was sent begins anew, with another producer. */
static void
begin_anew(struct kafka *k)
{
	ring_move(&k->sent, &k->waiting);
	producer_retire(k);
	kafka_want_producer(k);
}

/* All that is under way has come to this, and the producer goes. */
static void
give_up(struct kafka *k, rd_kafka_resp_err_t error)
{
	struct outcome o;

	kafka_outcome(k, error, &o);
	producer_retire(k);
	ring_move(&k->sent, &k->waiting);
	kafka_answer_all(k, &k->waiting, &o);
}

/* The secret may have been changed since we got it. */
static void
on_denied(struct kafka *k)
{
	if (k->credential != NULL)
		credential_forget(k->credential);
	if (k->credential != NULL && !k->renewed) {
		k->renewed = true;
		begin_anew(k);
		return;
	}
	k->renewed = false;
	give_up(k, RD_KAFKA_RESP_ERR__AUTHENTICATION);
}

/* Has a broker told it of the cluster? Before that there is no partition that
 * anything could have been sent to. */
static bool
has_met(const struct producer *p)
{
	char *cluster = rd_kafka_clusterid(p->rk, 0);

	if (cluster == NULL)
		return rd_kafka_controllerid(p->rk, 0) != -1;
	rd_kafka_mem_free(p->rk, cluster);
	return true;
}

/*
 * An address that is wrong need not take an attempt's whole time. Once a broker
 * has been met it does, as what is under way may have been stored, which only
 * this producer can find out.
 */
void
kafka_on_nobody(struct ev_loop *loop, ev_timer *timer, int events)
{
	static const rd_kafka_resp_err_t why =
	    RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
	struct kafka *k = timer->data;

	(void)loop, (void)events;
	if (kafka_is_trouble(k, why) && !has_met(k->producer))
		give_up(k, why);
}

/* librdkafka says so, too, of a connection that was lost on the way. */
static bool
is_denial(rd_kafka_resp_err_t error, const char *words)
{
	return error == RD_KAFKA_RESP_ERR__AUTHENTICATION &&
	    strstr(words, rd_kafka_err2str(RD_KAFKA_RESP_ERR__TRANSPORT)) ==
	    NULL &&
	    strstr(words, rd_kafka_err2str(RD_KAFKA_RESP_ERR__TIMED_OUT)) ==
	    NULL && strstr(words, "Disconnected") == NULL;
}

static void
on_error(struct kafka *k, rd_kafka_event_t *event)
{
	rd_kafka_resp_err_t error = rd_kafka_event_error(event);
	const char *words = rd_kafka_event_error_string(event);

	if (rd_kafka_event_error_is_fatal(event)) {
		kafka_end_fatally(k);
		return;
	}
	if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		/* each of them has been heard of */
		ev_timer_start(k->loop, &k->nobody);
		return;
	}
	k->trouble = error;
	quote(k->words, words, strlen(words));
	log_debug("kafka: %s", k->words);
	if (is_denial(error, words))
		on_denied(k);
}

static void
on_reports(struct kafka *k, struct producer *p, rd_kafka_event_t *event)
{
	const rd_kafka_message_t *m;
	struct outcome o;

	while (!p->over && (m = rd_kafka_event_message_next(event)) != NULL) {
		if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			k->trouble = RD_KAFKA_RESP_ERR_NO_ERROR;
			k->renewed = false;
			kafka_answer(k, m->_private, &kafka_delivered);
			continue;
		}
		if (kafka_is_of_topic(m->err))
			p->stale = true;
		kafka_outcome(k, m->err, &o);
		kafka_answer(k, m->_private, &o);
	}
}

static void
on_refresh(struct kafka *k, struct producer *p)
{
	const char *token;
	struct fault f;

	switch (credential_token(k->credential, &token, &f)) {
	case CREDENTIAL_HERE:
		if (producer_set_token(p, token, &f) == 0)
			return;
		break;
	case CREDENTIAL_LATER:
		return;
	case CREDENTIAL_NONE:
		break;
	}
	rd_kafka_oauthbearer_set_token_failure(p->rk, f.text);
}

static void
on_log(rd_kafka_event_t *event)
{
	const char *facility, *words;
	char q[QUOTE_MAX];
	int level;

	if (rd_kafka_event_log(event, &facility, &words, &level) == 0)
		log_debug("kafka: %s", quote(q, words, strlen(words)));
}

static void
take_event(struct kafka *k, struct producer *p, rd_kafka_event_t *event)
{
	switch (rd_kafka_event_type(event)) {
	case RD_KAFKA_EVENT_DR:
		on_reports(k, p, event);
		break;
	case RD_KAFKA_EVENT_ERROR:
		on_error(k, event);
		break;
	case RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH:
		on_refresh(k, p);
		break;
	case RD_KAFKA_EVENT_LOG:
		on_log(event);
		break;
	}
}

void
producer_readable(struct ev_loop *loop, ev_io *w, int events)
{
	static const uint64_t one = 1;
	struct producer *p = w->data;
	rd_kafka_event_t *event = NULL;
	uint64_t n;

	(void)loop, (void)events;
	(void)!read(w->fd, &n, sizeof(n));
	p->polling = true;
	for (unsigned i = 0; i < EVENTS && !p->over; i++) {
		event = rd_kafka_queue_poll(p->queue, 0);
		if (event == NULL)
			break;
		take_event(p->kafka, p, event);
		rd_kafka_event_destroy(event);
	}
	p->polling = false;
	if (p->over) {
		producer_bury(p);
		return;
	}
	if (event != NULL) /* there may be more */
		(void)!write(w->fd, &one, sizeof(one));
	kafka_pump(p->kafka);
}
