#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "auth.h"
#include "broker.h"
#include "buf.h"
#include "mqtt.h"
#include "tls.h"
#include "ws.h"

/*
 * Connections: sockets, TLS, WebSocket, the borders of packets. What packets
 * mean is packet.c's business.
 */
#define CLIENT_PACKET_MAX 524288 /* bytes of a packet, both ways */
#define CLIENT_KEEP_ALIVE_MAX 1160 /* seconds */
#define CLIENT_RECEIVE_MAX 1000  /* publishes of a client that wait for us */
#define CLIENT_ALIASES 10
#define CLIENT_CONNECT_TIME 15   /* seconds from accept to CONNECT */
#define CLIENT_STALL_TIME 120    /* seconds in which it reads nothing */
#define CLIENT_LINGER_TIME 2     /* seconds that it has to close, too */
#define CLIENT_LINGER_MAX (1024 * 1024) /* bytes that it may send meanwhile */
#define CLIENT_OUT_HIGH (64 * 1024)     /* then QoS 1 waits in its queue */
#define CLIENT_OUT_MAX (1024 * 1024)    /* then QoS 0 is dropped */
#define CLIENT_BEHIND (2 * 1024 * 1024) /* then it is not listened to, either */
#define CLIENTS_OUT_TOTAL (256 * 1024 * 1024) /* of all; likewise */
#define CLIENTS_IN_TOTAL (256 * 1024 * 1024)  /* unfinished packets of all */
#define CLIENTS_STRANGE_TOTAL (32 * 1024 * 1024) /* CONNECTs among these */
#define CLIENTS_STRANGERS 2048   /* connections that have sent no CONNECT */
#define CLIENT_STRANGE_TIME 5    /* seconds that they have when others wait */
#define CLIENT_HANDSHAKES 16     /* steps of handshakes in a turn */

enum client_state {
	CLIENT_HANDSHAKE,  /* TLS, HTTP upgrade */
	CLIENT_CONNECT,    /* waits for CONNECT */
	CLIENT_ASKING,     /* auth.h is asked who it is */
	CLIENT_ACCEPTING,  /* its session is being written */
	CLIENT_CONNECTED,
	CLIENT_CLOSING,    /* sends what there is, then closes */
	CLIENT_GONE,       /* freed when nothing refers to it */
};

/* `disconnectionReason` of life-cycle events. */
enum client_end {
	END_AUTHENTICATION,
	END_AUTHORIZATION,
	END_CLIENT_ERROR,
	END_INITIATED,
	END_IP,
	END_LOST,
	END_QUOTA,
	END_SERVER_ERROR,
	END_SERVER,
	END_OVERFLOW,
	END_TAKEN_OVER,
	ENDS,
};

struct alias {
	char *topic;
	uint16_t len;
};

struct client {
	struct broker *broker;
	struct client *next, *prev; /* of all */
	TAILQ_ENTRY(client) stranger_entry;
	bool stranger; /* has sent no CONNECT yet */
	struct client *flush_next, *blocked_next;
	uint32_t refs;
	int fd;
	ev_io read, write;
	struct sockaddr_storage address;
	char peer[ADDRESS_MAX]; /* it, for people */
	struct tls *tls;
	struct ws *ws; /* NULL: raw */
	struct buf in;   /* of packets: what was not taken yet */
	size_t ignored;  /* bytes that came when it was closing */
	size_t counted;  /* bytes of it in the broker's sums */
	struct buf out;  /* packets to be sent */
	size_t messages; /* bytes of it that are PUBLISH; in out_total */
	struct buf wire; /* encrypted, to be sent first */
	enum client_state state;
	bool taking; /* packets of `in`, or of what has just come */
	bool flushing, blocked, reading;
	bool asked_again;  /* a re-authentication is under way */
	bool subscribing;  /* a SUBSCRIBE or UNSUBSCRIBE is: one at a time */
	enum mqtt_version version;
	int64_t since;     /* clock_mono() of accept; then of CONNACK */
	int64_t heard;     /* clock_mono() of the last packet */
	int64_t sent;      /* clock_mono(): when the socket last took bytes */
	uint32_t keep_alive; /* seconds; 0: never */
	struct auth_pending *pending;
	struct principal who;
	struct session *session;
	struct rate *rate; /* NULL: it has no limits; rate.c */
	struct mqtt_str method; /* of CONNECT; owned */
	uint32_t maximum_packet; /* that it takes */
	uint16_t receive_maximum;
	uint32_t expiry;   /* of CONNECT: may a DISCONNECT change it? */
	uint32_t owed;     /* publishes that wait for their PUBACK */
	struct alias *aliases; /* CLIENT_ALIASES of them, or NULL */
	char *topic;       /* the last one that it might publish to */
	size_t topic_len;
	char *record;      /* the "client" member of its messages */
	struct connecting *connecting; /* connect.c: CONNECT until CONNACK */
	uint64_t dropped;  /* QoS 0 messages that it did not read in time */
};

/* Take what waits to be accepted. */
void client_accept(struct broker *, struct listener *);

struct client *client_ref(struct client *);
void client_unref(struct client *);

static inline enum stats_protocol
client_protocol(const struct client *c)
{
	return (c->version == MQTT_5 ? STATS_MQTT5 : STATS_MQTT3) +
	    (c->ws != NULL ? 2u : 0u);
}

static inline bool
client_alive(const struct client *c)
{
	return c->state < CLIENT_CLOSING;
}

/* Send what was added to `out`, at the end of the turn. */
void client_want_flush(struct client *);
void clients_flush(struct broker *);

/* Input that waits is looked at again: of one whose turn it is, and of all that
 * the full window held up. */
void client_resume(struct client *);
void clients_unblock(struct broker *);

/*
 * End it from our side: MQTT 5 clients get a DISCONNECT with the reason (after
 * a CONNACK) first. `words` is for the log and the client. The session is
 * detached; the will is published if the reason leaves it (all but
 * MQTT_SUCCESS).
 */
void client_end(struct client *, enum client_end, enum mqtt_reason,
    const char *words);

/* Does the log have room for one more line about it? See refusal.h. */
bool client_may_say(const struct client *, const char *operation);

/* MQTT-3.1.2-24: is the packet behind so many bytes of `out` one that the
 * client takes? If it is too large, it is taken back. */
bool client_fits(struct client *, size_t before);

/* The peer has gone, or is to go without a word. */
void client_lost(struct client *, enum client_end, const char *words);

/* Send what is in `out`, then close: a CONNACK that refuses. */
void client_finish(struct client *);

/* Keep alive, handshakes that take too long, logins that end. */
void clients_sweep(struct broker *);
int clients_open(struct broker *, struct fault *);
void clients_close(struct broker *);

/* Groups, spaces, bindings or attributes are others now: what is not allowed
 * any more ends. */
void client_rights_changed(struct client *);

/* So many bytes of a PUBLISH were added to `out`. */
void client_delivered(struct client *, size_t);

/* Room in its way for one more packet of that QoS? */
bool client_room(const struct client *, uint8_t qos);

/* It has sent its CONNECT: nothing that strangers must not do holds for it. */
void client_known(struct client *);

#endif
