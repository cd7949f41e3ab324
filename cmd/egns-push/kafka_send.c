/* events on their way to librdkafka */
#include <string.h>

#include "log.h"
#include "producing.h"
#include "quote.h"

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

static void
refuse(struct kafka *k, struct flight *fl, rd_kafka_resp_err_t error)
{
	ring_leave(fl);
	fl->error = error;
	ring_join(&k->refused, fl);
	ev_timer_start(k->loop, &k->soon);
}

void
kafka_end_fatally(struct kafka *k)
{
	char words[256], q[QUOTE_MAX];
	rd_kafka_resp_err_t error = rd_kafka_fatal_error(k->producer->rk,
	    words, sizeof(words));

	log_debug("kafka: %s", quote(q, words, strlen(words)));
	while (!ring_empty(&k->sent))
		refuse(k, k->sent.next, error);
	producer_retire(k);
	if (!ring_empty(&k->waiting))
		kafka_want_producer(k);
}

void
kafka_pump(struct kafka *k)
{
	rd_kafka_resp_err_t error;
	struct flight *fl;

	while (k->producer != NULL && (fl = k->waiting.next) != &k->waiting) {
		error = produce(k, fl);
		if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL &&
		    !ring_empty(&k->sent))
			return;
		if (error == RD_KAFKA_RESP_ERR__FATAL) {
			kafka_end_fatally(k);
			return;
		}
		if (kafka_is_of_topic(error))
			k->producer->stale = true;
		if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
			refuse(k, fl, error);
			continue;
		}
		ring_leave(fl);
		ring_join(&k->sent, fl);
	}
}
