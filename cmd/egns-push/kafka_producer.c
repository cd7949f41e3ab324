/* the beginning of a producer */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "producing.h"
#include "quote.h"

#define TOKEN_GOOD 300 /* seconds; then librdkafka asks again */

/* librdkafka's own time, not ours. */
int
producer_set_token(struct producer *p, const char *token, struct fault *f)
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
	ev_io_init(&p->readable, producer_readable, fd, EV_READ);
	p->readable.data = p;
	rd_kafka_queue_io_event_enable(p->queue, fd, &one, sizeof(one));
	ev_io_start(k->loop, &p->readable);
	(void)!write(fd, &one, sizeof(one));
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
	producer_watch_exit();
	p->topic = rd_kafka_topic_new(p->rk, k->conf.topic, NULL);
	if (p->topic == NULL) {
		rd_kafka_destroy(p->rk);
		return fault_set(f, FAULT_BAD_REQUEST, "topic: %s",
		    rd_kafka_err2str(rd_kafka_last_error()));
	}
	return 0;
}

int
producer_make(struct kafka *k, const char *secret, struct fault *f)
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
	if (k->conf.login != KAFKA_TOKEN ||
	    producer_set_token(p, secret, f) == 0)
		return 0;
	producer_retire(k);
	return -1;
}
