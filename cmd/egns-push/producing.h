#ifndef PRODUCING_H
#define PRODUCING_H

#include <stdbool.h>

#include <ev.h>
#include <librdkafka/rdkafka.h>

#include "credential.h"
#include "fetch.h"
#include "kafka_conf.h"
#include "kafka_record.h"
#include "late.h"
#include "outcome.h"
#include "target.h"

/* Of a topic of Kafka: what its parts share. */

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

/* kafka_ring.c: attempts under way. */
void ring_init(struct flight *ring);
bool ring_empty(const struct flight *ring);
void ring_leave(struct flight *);
void ring_join(struct flight *ring, struct flight *);
/* Take the first, which is a ring of its own then; NULL: there is none. */
struct flight *ring_pop(struct flight *ring);
/* All of one ring, to the front of another. */
void ring_move(struct flight *from, struct flight *to);
void ring_free(struct flight *ring);

/* kafka_producer.c: 0 and there is one, or -1 and a fault. */
int producer_make(struct kafka *, const char *secret, struct fault *);
int producer_set_token(struct producer *, const char *token, struct fault *);

/* kafka_end.c: the program waits for those that end with it. */
void producer_watch_exit(void);
void producer_bury(struct producer *); /* it is polled no longer */
/* What it still says is nobody's business. Its flights are the caller's. */
void producer_retire(struct kafka *);

/* kafka_says.c: what librdkafka says. */
void producer_readable(struct ev_loop *, ev_io *, int);
/* All brokers are down, and have been for a while. */
void kafka_on_nobody(struct ev_loop *, ev_timer *, int);

/* kafka_outcome.c: what its errors mean. */
extern const struct outcome kafka_delivered;
void kafka_outcome(const struct kafka *, rd_kafka_resp_err_t,
    struct outcome *);
/* Was there nobody who could be asked, and is that why? */
bool kafka_is_trouble(const struct kafka *, rd_kafka_resp_err_t);
/* Is it about the topic, so that librdkafka gives that up for a while? */
bool kafka_is_of_topic(rd_kafka_resp_err_t);

/* kafka_send.c: as much of what waits as there is room for. */
void kafka_pump(struct kafka *);
/* The idempotent producer cannot go on. What it had may have been stored. */
void kafka_end_fatally(struct kafka *);

/* kafka.c: answers, from the loop only. */
void kafka_answer(struct kafka *, struct flight *, const struct outcome *);
void kafka_answer_all(struct kafka *, struct flight *ring,
    const struct outcome *);
/* Once there is the secret that it is made with. */
void kafka_want_producer(struct kafka *);

#endif
