#ifndef BROKER_H
#define BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "fault.h"
#include "mosq.h"
#include "route.h"

/*
 * A connection to a foreign broker, with a session that outlives it.
 *
 * libmosquitto queues the PUBACK of a message before it hands it to us. As it
 * believes that we have threads, nothing of that queue is sent until
 * broker_write: so that is called only when all that broker_read has brought is
 * safe. Requests of ours stand in the same queue, PINGREQ too.
 */
#define BROKER_MESSAGES 1000             /* read before they are acknowledged */
#define BROKER_BYTES (1000 * 1000)       /* of their events, about */

struct broker {
	const struct options *opt;
	const char *id;  /* of the session */
	char host[256];  /* of the URL */
	char name[300];  /* HOST:PORT, for messages */
	int port;
	bool tls;
	char *password;  /* NULL: none */
	/* A message has come. Is it enough for now? */
	bool (*message)(const struct mosquitto_message *,
	    const mosquitto_property *, void *arg);
	void *arg;

	struct mosquitto *m;     /* NULL: no connection */
	int64_t since;           /* that what is awaited is awaited */
	bool up, closing, closed;
	bool full, progress;     /* of reading */
	bool subscribed;         /* to all filters */
	bool known;              /* the session is ours and has the filters */
	int mids[FILTERS_MAX];   /* of each SUBSCRIBE */
	unsigned granted;
	char words[QUOTE_MAX];   /* of libmosquitto's log */
	struct fault fault;      /* the first; FAULT_NONE: none */
	bool refused;            /* it will be the same next time */
};

/* What the options say; nothing is connected. 0, or -1 and a fault
 * (BadRequest: of the options). */
int broker_init(struct broker *, const struct options *, const char *id,
    struct fault *);
void broker_free(struct broker *);

/* Begin to connect, and to subscribe. 0, or -1 and broker->fault. */
int broker_connect(struct broker *);

/* Wait for something to happen, if all has been read; then read. 0, or -1 and
 * broker->fault: the connection is to be dropped. */
int broker_read(struct broker *);

/* Send all that is queued: acknowledge. 0, or -1 and broker->fault. */
int broker_write(struct broker *);

/* Drop the connection; what was not acknowledged comes again. */
void broker_drop(struct broker *);

/* Take leave: DISCONNECT, behind what is queued. */
void broker_leave(struct broker *);

#endif
