/* a topic of Kafka, as a target */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "credential.h"
#include "fetch.h"
#include "jq.h"
#include "kafka_conf.h"
#include "kafka_record.h"
#include "late.h"
#include "log.h"
#include "quote.h"

#define IN_FLIGHT 10000
#define EVENTS 64        /* of librdkafka, taken in one turn of the loop */
#define TOKEN_GOOD 300   /* seconds; then librdkafka asks again */
#define EXIT_WAIT 1      /* seconds for producers that end with us */
#define NOBODY_WAIT 3    /* seconds without a broker, of a producer that has
                          * met none: librdkafka, which begins with pauses of
                          * 0.1 s, has tried several times */

/*
 * librdkafka's end of the line. It has threads of its own; what it has to say
 * comes by one queue, and the loop hears of it by an eventfd.
 */
struct producer {
	struct kafka *kafka;
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	rd_kafka_queue_t *queue;
	ev_io readable; /* an eventfd */
	bool polling;   /* events of its are in our hands */
	bool over;      /* nobody wants it any more */
	bool stale;     /* it has given the topic up, and will not ask soon
	                 * whether that is well again */
};

/* An attempt under way. */
struct flight {
	struct flight *next, *prev;
	struct attempt *attempt;
	rd_kafka_resp_err_t error; /* when librdkafka would not take it */
};

struct kafka {
	struct target target; /* first */
	struct ev_loop *loop;
	struct kafka_conf conf;
	struct kafka_shape shape;
	struct kafka_record record;
	struct fetcher *fetcher;       /* asks for identities' tokens; or NULL */
	struct credential *credential; /* NULL: none is wanted */
	bool asking;                   /* for it, to make a producer */
	bool renewed;                  /* it is new, as the last was refused */
	struct producer *producer;     /* NULL: none is there */
	struct flight waiting;         /* rings: for a producer, or for room */
	struct flight sent;            /* librdkafka has them */
	struct flight refused;         /* it would not take them */
	struct flight leaving;         /* they are being answered */
	struct late late;              /* there was no memory for a flight */
	struct outcome why;            /* whether a producer is there */
	bool preparing, answering;     /* prepare is to be answered: by `why` */
	ev_timer soon;
	ev_timer nobody;               /* all brokers are down */
	rd_kafka_resp_err_t trouble;   /* with brokers, since the last success */
	char words[256];               /* of it */
};

static const struct outcome delivered = { .verdict = VERDICT_DELIVERED };

/* ---- rings ---- */

static void
ring_init(struct flight *ring)
{
	ring->next = ring->prev = ring;
}

static bool
ring_empty(const struct flight *ring)
{
	return ring->next == ring;
}

static void
leave(struct flight *fl)
{
	fl->prev->next = fl->next;
	fl->next->prev = fl->prev;
}

static void
join(struct flight *ring, struct flight *fl)
{
	fl->next = ring;
	fl->prev = ring->prev;
	ring->prev->next = fl;
	ring->prev = fl;
}

/* Take the first, which is a ring of its own then; NULL: there is none. */
static struct flight *
pop(struct flight *ring)
{
	struct flight *fl = ring->next;

	if (fl == ring)
		return NULL;
	ring->next = fl->next;
	fl->next->prev = ring;
	ring_init(fl);
	return fl;
}

/* All of one ring, to the front of another. */
static void
move_all(struct flight *from, struct flight *to)
{
	if (ring_empty(from))
		return;
	from->prev->next = to->next;
	to->next->prev = from->prev;
	to->next = from->next;
	from->next->prev = to;
	ring_init(from);
}

static void
free_all(struct flight *ring)
{
	struct flight *fl;

	while ((fl = pop(ring)) != NULL)
		free(fl);
}

/* ---- the end of a producer ---- */

/*
 * It waits for its threads, which may be waiting for a name server. So that is
 * done aside; and we do not end meanwhile, as OpenSSL would be gone below them.
 */
static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned n;
	bool at_exit;
} ending = { .mutex = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER };

static void
wait_for_ends(void)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += EXIT_WAIT;
	pthread_mutex_lock(&ending.mutex);
	while (ending.n > 0 && pthread_cond_timedwait(&ending.changed,
	    &ending.mutex, &end) == 0)
		;
	pthread_mutex_unlock(&ending.mutex);
}

static void *
end_producer(void *arg)
{
	struct producer *p = arg;

	rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE |
	    RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
	rd_kafka_topic_destroy(p->topic);
	rd_kafka_queue_destroy(p->queue);
	rd_kafka_destroy(p->rk);
	close(p->readable.fd);
	free(p);
	pthread_mutex_lock(&ending.mutex);
	ending.n--;
	pthread_cond_signal(&ending.changed);
	pthread_mutex_unlock(&ending.mutex);
	return NULL;
}

/* Signals are for the loop. */
static int
start_thread(void *(*fn)(void *), void *arg)
{
	pthread_attr_t how;
	pthread_t thread;
	sigset_t all, old;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&how);
	pthread_attr_setdetachstate(&how, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &how, fn, arg);
	pthread_attr_destroy(&how);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
}

static void
bury(struct producer *p)
{
	pthread_mutex_lock(&ending.mutex);
	ending.n++;
	pthread_mutex_unlock(&ending.mutex);
	if (start_thread(end_producer, p) != 0)
		end_producer(p);
}

/* What it still says is nobody's business. Its flights are the caller's. */
static void
retire(struct kafka *k)
{
	struct producer *p = k->producer;

	k->producer = NULL;
	if (p == NULL)
		return;
	ev_io_stop(k->loop, &p->readable);
	ev_timer_stop(k->loop, &k->nobody);
	p->over = true;
	if (!p->polling)
		bury(p);
}

/* ---- outcomes ---- */

static bool
is_final(rd_kafka_resp_err_t error, enum dl_reason *reason,
    enum dl_result *result)
{
	static const struct {
		rd_kafka_resp_err_t error;
		enum dl_reason reason;
		enum dl_result result;
	} rows[] = {
		{ RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, DL_PAYLOAD_TOO_LARGE,
		    DL_RESULT_PAYLOAD_TOO_LARGE },
		{ RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, DL_PAYLOAD_TOO_LARGE,
		    DL_RESULT_PAYLOAD_TOO_LARGE },
		{ RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
		    DL_PAYLOAD_TOO_LARGE, DL_RESULT_PAYLOAD_TOO_LARGE },
		{ RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
		    DL_UNAUTHORIZED, DL_FORBIDDEN },
		{ RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
		    DL_UNAUTHORIZED, DL_FORBIDDEN },
		{ RD_KAFKA_RESP_ERR__AUTHENTICATION, DL_UNAUTHORIZED,
		    DL_RESULT_UNAUTHORIZED },
		{ RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
		    DL_UNAUTHORIZED, DL_RESULT_UNAUTHORIZED },
		{ RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, DL_ENDPOINT_NOT_FOUND,
		    DL_NOT_FOUND },
		{ RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
		    DL_ENDPOINT_NOT_FOUND, DL_NOT_FOUND },
		{ RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, DL_ENDPOINT_NOT_FOUND,
		    DL_NOT_FOUND },
		{ RD_KAFKA_RESP_ERR__BAD_MSG, DL_SCHEMA_REJECTED,
		    DL_BAD_REQUEST },
		{ RD_KAFKA_RESP_ERR_INVALID_MSG, DL_SCHEMA_REJECTED,
		    DL_BAD_REQUEST },
		{ RD_KAFKA_RESP_ERR_INVALID_RECORD, DL_SCHEMA_REJECTED,
		    DL_BAD_REQUEST },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].error != error)
			continue;
		*reason = rows[i].reason;
		*result = rows[i].result;
		return true;
	}
	return false;
}

static enum dl_result
result_of(rd_kafka_resp_err_t error)
{
	switch (error) {
	case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
	case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT: return DL_TIMED_OUT;
	case RD_KAFKA_RESP_ERR__RESOLVE: return DL_RESOLUTION_ERROR;
	case RD_KAFKA_RESP_ERR__TRANSPORT:
	case RD_KAFKA_RESP_ERR__SSL:
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
	case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION: return DL_SOCKET_ERROR;
	case RD_KAFKA_RESP_ERR__QUEUE_FULL:
	case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED: return DL_BUSY;
	default: return DL_ABORTED;
	}
}

/* Was there nobody who could be asked, and is that why? */
static bool
is_trouble(const struct kafka *k, rd_kafka_resp_err_t error)
{
	return k->trouble != RD_KAFKA_RESP_ERR_NO_ERROR &&
	    k->trouble != RD_KAFKA_RESP_ERR__TIMED_OUT &&
	    (error == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT ||
	    error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN);
}

static void
outcome_of(const struct kafka *k, rd_kafka_resp_err_t error,
    struct outcome *o)
{
	enum dl_reason reason;
	enum dl_result result;

	if (is_trouble(k, error)) {
		result = result_of(k->trouble);
		outcome_later(o, result == DL_RESOLUTION_ERROR ? result :
		    DL_SOCKET_ERROR, "%s", k->words);
	} else if (is_final(error, &reason, &result)) {
		outcome_final(o, reason, result, "topic '%s': %s",
		    k->conf.topic, error == RD_KAFKA_RESP_ERR__AUTHENTICATION ?
		    k->words : rd_kafka_err2str(error));
	} else {
		outcome_later(o, result_of(error), "topic '%s': %s",
		    k->conf.topic, rd_kafka_err2str(error));
	}
}

/* ---- answers, from the loop only ---- */

static void
answer_flight(struct kafka *k, struct flight *fl, const struct outcome *o)
{
	struct attempt *a = fl->attempt;

	leave(fl);
	free(fl);
	k->target.hooks->answered(a, o, k->target.arg);
}

static void
answer_all(struct kafka *k, struct flight *ring, const struct outcome *o)
{
	struct flight *fl;

	/* what comes in by the hooks is not meant */
	move_all(ring, &k->leaving);
	while ((fl = pop(&k->leaving)) != NULL)
		answer_flight(k, fl, o);
}

/* ---- sending ---- */

static void want_producer(struct kafka *);

static int
add_header(const char *name, const char *value, size_t len, bool secret,
    void *arg)
{
	(void)secret;
	return rd_kafka_header_add(arg, name, -1, value, (ssize_t)len) ==
	    RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : -1;
}

/*
 * librdkafka gets a copy: it may still be reading what it was given when
 * attempts have been dropped and their events are gone.
 */
static rd_kafka_resp_err_t
produce(struct kafka *k, struct flight *fl)
{
	const struct item *item = fl->attempt->first;
	struct kafka_record *r = &k->record;
	rd_kafka_headers_t *headers;
	rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE;
	struct fault f;
	const char *key;

	if (kafka_record_make(r, &k->shape, item, &f) == -1)
		return f.code == FAULT_INTERNAL ? error :
		    RD_KAFKA_RESP_ERR__BAD_MSG;
	if ((headers = rd_kafka_headers_new(8)) == NULL)
		return error;
	key = r->key.len > 0 ? buf_data(&r->key) : NULL;
	if (kafka_record_headers(&k->shape, item, add_header, headers) == 0)
		error = rd_kafka_producev(k->producer->rk,
		    RD_KAFKA_V_RKT(k->producer->topic),
		    RD_KAFKA_V_PARTITION(RD_KAFKA_PARTITION_UA),
		    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
		    RD_KAFKA_V_VALUE((void *)(uintptr_t)r->value, r->len),
		    RD_KAFKA_V_KEY(key, r->key.len),
		    RD_KAFKA_V_HEADERS(headers),
		    RD_KAFKA_V_OPAQUE(fl), RD_KAFKA_V_END);
	if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_headers_destroy(headers);
	return error;
}

/* Is it about the topic, so that librdkafka gives that up for a while? */
static bool
is_of_topic(rd_kafka_resp_err_t error)
{
	return error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
	    error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
	    error == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION ||
	    error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
}

static void
refuse(struct kafka *k, struct flight *fl, rd_kafka_resp_err_t error)
{
	leave(fl);
	fl->error = error;
	join(&k->refused, fl);
	ev_timer_start(k->loop, &k->soon);
}

/* The idempotent producer cannot go on. What it had may have been stored. */
static void
end_fatally(struct kafka *k)
{
	char words[256], q[QUOTE_MAX];
	rd_kafka_resp_err_t error = rd_kafka_fatal_error(k->producer->rk,
	    words, sizeof(words));

	log_debug("kafka: %s", quote(q, words, strlen(words)));
	while (!ring_empty(&k->sent))
		refuse(k, k->sent.next, error);
	retire(k);
	if (!ring_empty(&k->waiting))
		want_producer(k);
}

/* As much of what waits as there is room for. */
static void
pump(struct kafka *k)
{
	rd_kafka_resp_err_t error;
	struct flight *fl;

	while (k->producer != NULL && (fl = k->waiting.next) != &k->waiting) {
		error = produce(k, fl);
		if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL &&
		    !ring_empty(&k->sent))
			return;
		if (error == RD_KAFKA_RESP_ERR__FATAL) {
			end_fatally(k);
			return;
		}
		if (is_of_topic(error))
			k->producer->stale = true;
		if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
			refuse(k, fl, error);
			continue;
		}
		leave(fl);
		join(&k->sent, fl);
	}
}

/* ---- a producer ---- */

static void on_readable(struct ev_loop *, ev_io *, int);

/* librdkafka's own time, not ours. */
static int
set_token(struct producer *p, const char *token, struct fault *f)
{
	struct timespec now;
	char why[256];

	clock_gettime(CLOCK_REALTIME, &now);
	if (rd_kafka_oauthbearer_set_token(p->rk, token,
	    ((int64_t)now.tv_sec + TOKEN_GOOD) * 1000, "egns-push", NULL, 0,
	    why, sizeof(why)) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return fault_set(f, FAULT_UNAVAILABLE, "credential: %s", why);
	return 0;
}

/* It is told of what comes while there is nothing yet; so look whether there
 * has been something before. */
static void
listen_to(struct kafka *k, struct producer *p, int fd)
{
	static const uint64_t one = 1;

	p->kafka = k;
	p->queue = rd_kafka_queue_get_main(p->rk);
	rd_kafka_set_log_queue(p->rk, NULL);
	ev_io_init(&p->readable, on_readable, fd, EV_READ);
	p->readable.data = p;
	rd_kafka_queue_io_event_enable(p->queue, fd, &one, sizeof(one));
	ev_io_start(k->loop, &p->readable);
	(void)!write(fd, &one, sizeof(one));
}

static void
watch_exit(void)
{
	if (!ending.at_exit)
		atexit(wait_for_ends);
	ending.at_exit = true;
}

static int
start_client(struct kafka *k, struct producer *p, const char *secret,
    struct fault *f)
{
	rd_kafka_conf_t *conf;
	char why[256], q[QUOTE_MAX];

	if (kafka_conf_check_files(&k->conf, f) == -1 ||
	    (conf = kafka_conf_make(&k->conf, secret, f)) == NULL)
		return -1;
	p->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (p->rk == NULL) {
		rd_kafka_conf_destroy(conf);
		return fault_set(f, FAULT_BAD_REQUEST, "%s",
		    quote(q, why, strlen(why)));
	}
	watch_exit();
	p->topic = rd_kafka_topic_new(p->rk, k->conf.topic, NULL);
	if (p->topic == NULL) {
		rd_kafka_destroy(p->rk);
		return fault_set(f, FAULT_BAD_REQUEST, "topic: %s",
		    rd_kafka_err2str(rd_kafka_last_error()));
	}
	return 0;
}

static int
make_producer(struct kafka *k, const char *secret, struct fault *f)
{
	struct producer *p = calloc(1, sizeof(*p));
	int fd;

	if (p == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	if ((fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) == -1) {
		free(p);
		return fault_errno(f, FAULT_INTERNAL, "eventfd");
	}
	if (start_client(k, p, secret, f) == -1) {
		close(fd);
		free(p);
		return -1;
	}
	listen_to(k, p, fd);
	k->producer = p;
	if (k->conf.login != KAFKA_TOKEN || set_token(p, secret, f) == 0)
		return 0;
	retire(k);
	return -1;
}

/* There is a producer now, or there will be none. */
static void
settle(struct kafka *k, const struct fault *f)
{
	if (k->producer != NULL) {
		k->why = delivered;
		pump(k);
	} else {
		outcome_unmade(&k->why, "%s", f->text);
	}
	k->answering = k->preparing;
	ev_timer_start(k->loop, &k->soon);
}

/* Once there is the secret that it is made with. */
static void
want_producer(struct kafka *k)
{
	enum credential_state state = CREDENTIAL_HERE;
	const char *secret = NULL;
	struct fault f = { 0 };

	if (k->producer != NULL && k->producer->stale &&
	    ring_empty(&k->sent))
		retire(k);
	if (k->asking)
		return;
	if (k->producer == NULL && k->credential != NULL)
		state = credential_token(k->credential, &secret, &f);
	k->asking = state == CREDENTIAL_LATER;
	if (k->asking)
		return;
	if (k->producer == NULL && state == CREDENTIAL_HERE)
		make_producer(k, secret, &f);
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
			set_token(k->producer, secret, &f);
	}
	if (!k->asking)
		return;
	k->asking = false;
	if (secret != NULL && k->producer == NULL)
		make_producer(k, secret, &f);
	settle(k, &f);
}

/* ---- what librdkafka says ---- */

/* All that was sent begins anew, with another producer. */
static void
begin_anew(struct kafka *k)
{
	move_all(&k->sent, &k->waiting);
	retire(k);
	want_producer(k);
}

/* All that is under way has come to this, and the producer goes. */
static void
give_up(struct kafka *k, rd_kafka_resp_err_t error)
{
	struct outcome o;

	outcome_of(k, error, &o);
	retire(k);
	move_all(&k->sent, &k->waiting);
	answer_all(k, &k->waiting, &o);
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
static void
on_nobody(struct ev_loop *loop, ev_timer *timer, int events)
{
	static const rd_kafka_resp_err_t why =
	    RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
	struct kafka *k = timer->data;

	(void)loop, (void)events;
	if (is_trouble(k, why) && !has_met(k->producer))
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
		end_fatally(k);
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
			answer_flight(k, m->_private, &delivered);
			continue;
		}
		if (is_of_topic(m->err))
			p->stale = true;
		outcome_of(k, m->err, &o);
		answer_flight(k, m->_private, &o);
	}
}

static void
on_refresh(struct kafka *k, struct producer *p)
{
	const char *token;
	struct fault f;

	switch (credential_token(k->credential, &token, &f)) {
	case CREDENTIAL_HERE:
		if (set_token(p, token, &f) == 0)
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

static void
on_readable(struct ev_loop *loop, ev_io *w, int events)
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
		bury(p);
		return;
	}
	if (event != NULL) /* there may be more */
		(void)!write(w->fd, &one, sizeof(one));
	pump(p->kafka);
}

/* ---- calls of the pusher ---- */

/* What was refused, or could not even be tried. */
static void
answer_late(struct kafka *k)
{
	struct outcome o, unmade = k->why;
	struct flight *fl;

	move_all(&k->refused, &k->leaving);
	while ((fl = pop(&k->leaving)) != NULL) {
		if (fl->error == RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE)
			outcome_unmade(&o, "out of memory");
		else
			outcome_of(k, fl->error, &o);
		answer_flight(k, fl, &o);
	}
	if (k->producer == NULL && !k->asking)
		answer_all(k, &k->waiting, &unmade);
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
	want_producer(k);
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
	join(&k->waiting, fl);
	if (k->producer == NULL || k->producer->stale)
		want_producer(k);
	pump(k);
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
		retire(k);
	free_all(&k->waiting);
	free_all(&k->sent);
	free_all(&k->refused);
	free_all(&k->leaving);
	late_drop(&k->late);
	k->preparing = k->answering = k->asking = false;
	ev_timer_stop(k->loop, &k->soon);
}

static void
kafka_free(struct target *t)
{
	struct kafka *k = (struct kafka *)t;

	kafka_drop(t);
	retire(k);
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
	ev_timer_init(&k->nobody, on_nobody, NOBODY_WAIT, 0);
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
