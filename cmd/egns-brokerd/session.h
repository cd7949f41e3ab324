#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "message.h"
#include "mqtt.h"

struct broker;
struct client;
struct grants;
struct share;
struct subscription;

/*
 * Sessions: what outlives a connection. The subscriptions, and the QoS 1
 * messages that are on their way or wait, in order.
 */
#define SESSION_ID_MAX 128        /* characters of a ClientId */
#define SESSION_SUBSCRIPTIONS 50
#define SESSION_SHARED 10         /* of these */
#define SESSION_WINDOW 16         /* unacknowledged messages to a client */
#define SESSION_WINDOW_BYTES 65536 /* likewise; one message is always allowed */
#define SESSION_SPAN 32768        /* numbers from the oldest to the youngest */

/* A message that waits for one session, or for its acknowledgement. */
struct queued {
	struct message *message;
	struct share *share;   /* through which it came; NULL: none */
	uint32_t *ids;         /* subscription identifiers: count, then these */
	uint64_t sequence;     /* its packet identifier comes from this */
	uint8_t qos;
	bool retain;           /* flag to be sent */
	bool sent, done;       /* done: acknowledged before those in front */
	bool dup;
	bool begun; /* it was sent, and does not expire any more */
	bool held; /* in the store */
};

struct will {
	struct message *message; /* NULL: there is none */
	uint32_t delay;  /* seconds */
	uint32_t expiry; /* seconds from when it is sent; 0: never */
	char *record;   /* it, as members of a record; record.h */
	char *client;   /* the "client" member of that record */
};
void will_free(struct will *);

/* Why a session ends, `DropReason` of Mqtt.DroppedSessions. */
enum session_end {
	SESSION_ENDED,     /* nobody minds: clean start, expiry 0 */
	SESSION_EXPIRY,
	SESSION_OVERFLOW,
	SESSION_AUTHORIZATION,
	SESSION_ENDS,
};

struct session {
	struct broker *broker;
	uint64_t number; /* unique for ever */
	uint32_t refs;
	bool ended;
	bool overflowing; /* and about to end */
	bool told;      /* the store was told of it: its lines may be on disk */
	bool stored;    /* they are, and its messages are held there */
	bool swept;     /* to be looked at in this sweep */
	char *id;       /* ClientId */
	char *name;     /* the authentication name that owns it */
	bool registered; /* it is the name of a client of the registry */
	struct client *client; /* NULL: offline */
	uint32_t expiry;       /* seconds after the end of the connection */
	int64_t offline_since; /* clock_now() */
	struct session *next, *prev; /* of all */
	struct session *next_named;  /* of the same name */

	struct subscription **subscriptions;
	uint32_t nsubscriptions, nshared;

	struct queued *queue; /* ring */
	uint32_t cap, first, count;
	uint32_t unsent;      /* entries behind those that were sent */
	uint32_t flying;      /* sent, and not acknowledged */
	size_t flying_bytes, queued_bytes;
	uint64_t sequence;    /* of the next entry */
	uint32_t promised;    /* messages in windows that are not done */
	size_t promised_bytes;
	uint64_t sent;        /* entries before this one may have been sent */
	struct buf settled;   /* numbers that the store is to be told; store.c */
	struct session *settled_next;
	bool settling;

	struct will will;
	int64_t will_due; /* 0: the client is connected */

	/* what a match has found for this session so far; subs.c */
	uint64_t stamp;
	uint32_t target;

	uint64_t connections; /* sequenceNumber of life-cycle events */
	uint64_t dropped;     /* messages, for full queues */
	int64_t drop_logged;
};

static inline uint16_t
session_packet_id(uint64_t sequence)
{
	return (uint16_t)(sequence % 65535 + 1);
}

struct session *session_find(struct broker *, const char *id, size_t);
/* How many live sessions a name has. */
unsigned session_named(struct broker *, const char *name);

/* A new one; nothing is stored yet. NULL without memory. */
struct session *session_new(struct broker *, uint64_t number, const char *id,
    size_t id_len, const char *name);
struct session *session_ref(struct session *);
void session_unref(struct session *);

/*
 * End it: subscriptions go, what waits is given to other members of shared
 * subscriptions or recorded as dropped, the store is told. The connection, if
 * any, is the caller's.
 */
void session_end(struct session *, enum session_end);

/* Its queue is full, and the profile says that this is its end. */
void session_overflow(struct session *);

/*
 * Hand a message over, which the store has if it must: sent at once, or queued
 * (QoS 1). `ids` has n subscription identifiers.
 */
struct deliver {
	uint8_t qos;
	bool retain;
	struct share *share;
	const uint32_t *ids;
	uint32_t nids;
	uint64_t sequence; /* given by session_reserve, with QoS 1 */
	bool held; /* the store has it for this session */
	bool patient; /* QoS 0 that waits for its turn in the queue */
};
void session_deliver(struct session *, struct message *,
    const struct deliver *);

/* A message of so many bytes will be delivered: its sequence number, and a
 * place that it has until it is there, or not. */
uint64_t session_reserve(struct session *, size_t bytes);
void session_unreserve(struct session *, size_t bytes);

/* Is there room in the queue for one more message of so many bytes? */
bool session_room(const struct session *, size_t bytes);

/* A message for it was dropped: count, log, record; one that is not `accepted`
 * may be refused yet. */
void session_drop(struct session *, struct message *, const char *reason,
    bool accepted);

/* Put back what a restart found, in any order; then say that this was all. What
 * a session had when its client was cut off may have been sent. */
int session_restore(struct session *, struct message *, const struct deliver *);
void session_restored(struct session *, bool cut_off);
/* Does a message of that sequence number wait or fly? */
bool session_holds(const struct session *, uint64_t sequence);

/* Send what its window allows. */
void session_push(struct session *);

/* A PUBACK: false when there is no such packet on its way. */
bool session_acknowledge(struct session *, uint16_t packet_id);

/* A client has taken it: send again what was not acknowledged, in order, with
 * DUP (MQTT-4.4.0-1). And the connection is gone. */
void session_attach(struct session *, struct client *);
void session_detach(struct session *);

/* Subscriptions that these grants (NULL: none) do not cover go, and what waits
 * because of them. True: there were some. */
bool session_check_rights(struct session *, const struct grants *);

/* Expiry, will delays: of all, of one. */
void sessions_sweep(struct broker *, int64_t now);
void session_sweep(struct session *, int64_t now);
void sessions_close(struct broker *);

#endif
