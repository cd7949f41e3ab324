#ifndef BROKER_H
#define BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>
#include <sys/queue.h>
#include <tcutil.h>

#include "address.h"
#include "auth.h"
#include "buf.h"
#include "json.h"
#include "retain.h"
#include "session.h"
#include "spool.h"
#include "stats.h"
#include "subs.h"
#include "tls.h"

/*
 * One broker: what its parts share. Each part has a file and a header of its
 * own; the owner of a field is named beside it.
 */
struct client;
TAILQ_HEAD(strangers, client);
struct control;
struct publishing;
struct refusals;
struct store;
struct window;

/* Settings of the namespace, read at start and at each reload; settings.c. */
struct settings {
	char *name;          /* of the namespace */
	bool azure;          /* profile */
	uint32_t expiry_max; /* seconds that a session may outlive its client */
	unsigned sessions_per_name;
	uint64_t queue_messages, queue_bytes; /* of a session */
	unsigned units;      /* throughput units */
	bool route;          /* messages go to route/ */
	uint64_t route_bytes; /* that may wait there */
	bool lifecycle;      /* life-cycle events go to lifecycle/ */
	char *mqtts, *wss;   /* addresses to listen on */
	struct tls_server *tls;
};

/* An address that we listen on; listen.c. */
struct listener {
	ev_io watcher;
	struct broker *broker;
	int fd;
	bool websocket;
	char address[ADDRESS_MAX]; /* with its real port */
};

struct broker {
	struct ev_loop *loop;
	const struct spool *spool;
	struct settings settings;
	struct auth *auth;
	struct subs *subs;
	struct retain *retain;
	struct store *store;
	struct window *window;
	struct control *control;
	struct refusals *refusals;
	struct stats stats;
	struct rate *rate; /* NULL: there are no limits; rate.c */

	struct listener mqtts, wss; /* listen.c */

	TCMAP *by_id, *by_name;     /* session.c: id, name -> struct session * */
	struct session *sessions;   /* session.c: all of them */
	uint64_t nsessions;
	uint64_t next_session;      /* number */
	uint64_t queued_total;      /* entries of all queues */

	struct client *clients;     /* client.c: all of them */
	unsigned nclients, clients_max;
	struct client *flush;       /* client.c: with something to send */
	struct client *blocked;     /* client.c: whose input waits for us */
	size_t in_total, out_total; /* client.c: bytes that wait; of what is
				     * to be sent, messages and what is encrypted */
	struct strangers strangers; /* client.c; the eldest first */
	unsigned nstrangers;
	size_t in_strange; /* client.c: of in_total, what strangers sent */
	unsigned handshakes;        /* client.c: left in this turn */
	unsigned char *net;         /* client.c: NET_MAX bytes, for reads */
	struct buf plain, frames, wire; /* client.c: scratch */

	struct publishing *retaining, *retaining_last; /* publish.c */
	struct match match;         /* publish.c: scratch */
	struct json json;           /* scratch */
	struct buf text;            /* scratch */

	ev_timer tick;
	ev_prepare turn;
	ev_check woken;
	int64_t now; /* clock_now() at the beginning of this turn */
	int64_t swept;
	bool unnoticed; /* notice.c: no room, and it was said */
	bool stopping;
	int64_t stop_since; /* clock_mono() */
};

/* settings.c: read the registry; and bring what has changed into force. 0, or
 * -1 and a fault, when everything is as it was. */
int settings_read(struct broker *, struct fault *);
void settings_free(struct settings *);
int broker_reload(struct broker *, struct fault *);

/* listen.c */
int listen_open(struct broker *, struct fault *);
/* Listen where the new settings say; connections stay. 0, or -1 and a fault:
 * all is as it was. */
int listen_change(struct broker *, const struct settings *new, struct fault *);
void listen_close(struct broker *);
/* Accept no more for a moment; and again. */
void listen_pause(struct broker *);
void listen_resume(struct broker *);

#endif
