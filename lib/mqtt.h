#ifndef MQTT_H
#define MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/*
 * MQTT control packets, 3.1.1 and 5: bytes to structs and back. It knows bytes
 * only: what is malformed or a protocol error by the packet's own words is
 * found here, what depends on a session or a limit of ours is not. Structs
 * point into the packet's bytes; nothing is allocated but in the buffers
 * written to.
 */
enum mqtt_type {
	MQTT_CONNECT = 1,
	MQTT_CONNACK,
	MQTT_PUBLISH,
	MQTT_PUBACK,
	MQTT_PUBREC,
	MQTT_PUBREL,
	MQTT_PUBCOMP,
	MQTT_SUBSCRIBE,
	MQTT_SUBACK,
	MQTT_UNSUBSCRIBE,
	MQTT_UNSUBACK,
	MQTT_PINGREQ,
	MQTT_PINGRESP,
	MQTT_DISCONNECT,
	MQTT_AUTH,
};

enum mqtt_version {
	MQTT_3 = 4, /* 3.1.1, by its protocol level */
	MQTT_5 = 5,
};

/* Reason codes, MQTT 5 section 2.4. */
enum mqtt_reason {
	MQTT_SUCCESS = 0x00, /* normal disconnection, granted QoS 0 */
	MQTT_GRANTED_1 = 0x01,
	MQTT_DISCONNECT_WITH_WILL = 0x04,
	MQTT_NO_SUBSCRIPTION = 0x11,
	MQTT_CONTINUE_AUTHENTICATION = 0x18,
	MQTT_REAUTHENTICATE = 0x19,
	MQTT_UNSPECIFIED = 0x80,
	MQTT_MALFORMED = 0x81,
	MQTT_PROTOCOL_ERROR = 0x82,
	MQTT_IMPLEMENTATION = 0x83,
	MQTT_UNSUPPORTED_VERSION = 0x84,
	MQTT_CLIENT_ID = 0x85,
	MQTT_BAD_USER = 0x86,
	MQTT_NOT_AUTHORIZED = 0x87,
	MQTT_UNAVAILABLE = 0x88,
	MQTT_BUSY = 0x89,
	MQTT_SHUTTING_DOWN = 0x8b,
	MQTT_BAD_METHOD = 0x8c,
	MQTT_KEEP_ALIVE = 0x8d,
	MQTT_TAKEN_OVER = 0x8e,
	MQTT_BAD_FILTER = 0x8f,
	MQTT_BAD_TOPIC = 0x90,
	MQTT_RECEIVE_MAXIMUM = 0x93,
	MQTT_BAD_ALIAS = 0x94,
	MQTT_TOO_LARGE = 0x95,
	MQTT_RATE = 0x96,
	MQTT_QUOTA = 0x97,
	MQTT_ADMINISTRATIVE = 0x98,
	MQTT_BAD_FORMAT = 0x99,
	MQTT_NO_RETAIN = 0x9a,
	MQTT_NO_QOS = 0x9b,
	MQTT_NO_SHARED = 0x9e,
	MQTT_CONNECTION_RATE = 0x9f,
};

/* Bytes in a packet; p is NULL when the field is not there. */
struct mqtt_str {
	const char *p;
	size_t len;
};

/* Property identifiers, MQTT 5 section 2.2.2.2. */
enum mqtt_property {
	MQTT_P_PAYLOAD_FORMAT = 0x01,
	MQTT_P_MESSAGE_EXPIRY = 0x02,
	MQTT_P_CONTENT_TYPE = 0x03,
	MQTT_P_RESPONSE_TOPIC = 0x08,
	MQTT_P_CORRELATION = 0x09,
	MQTT_P_SUBSCRIPTION_ID = 0x0b,
	MQTT_P_SESSION_EXPIRY = 0x11,
	MQTT_P_ASSIGNED_ID = 0x12,
	MQTT_P_SERVER_KEEP_ALIVE = 0x13,
	MQTT_P_AUTH_METHOD = 0x15,
	MQTT_P_AUTH_DATA = 0x16,
	MQTT_P_REQUEST_PROBLEM = 0x17,
	MQTT_P_WILL_DELAY = 0x18,
	MQTT_P_REQUEST_RESPONSE = 0x19,
	MQTT_P_RESPONSE_INFO = 0x1a,
	MQTT_P_SERVER_REFERENCE = 0x1c,
	MQTT_P_REASON_STRING = 0x1f,
	MQTT_P_RECEIVE_MAXIMUM = 0x21,
	MQTT_P_TOPIC_ALIAS_MAXIMUM = 0x22,
	MQTT_P_TOPIC_ALIAS = 0x23,
	MQTT_P_MAXIMUM_QOS = 0x24,
	MQTT_P_RETAIN_AVAILABLE = 0x25,
	MQTT_P_USER = 0x26,
	MQTT_P_MAXIMUM_PACKET = 0x27,
	MQTT_P_WILDCARD_AVAILABLE = 0x28,
	MQTT_P_IDS_AVAILABLE = 0x29,
	MQTT_P_SHARED_AVAILABLE = 0x2a,
};

/* The properties of a packet that a client sends. What is not there is 0 or
 * NULL, and its bit in `has` is not set. */
struct mqtt_properties {
	uint64_t has; /* 1 << identifier */
	uint32_t message_expiry, session_expiry, will_delay;
	uint32_t maximum_packet, subscription_id;
	uint16_t receive_maximum, topic_alias_maximum, topic_alias;
	uint8_t payload_format, request_problem, request_response;
	struct mqtt_str content_type, response_topic, correlation;
	struct mqtt_str auth_method, auth_data, reason_string;
	uint32_t nuser;     /* user properties */
	size_t user_bytes;  /* of their names and values */
	const uint8_t *raw; /* all properties, to walk the user properties */
	size_t raw_len;
};

static inline bool
mqtt_has(const struct mqtt_properties *p, enum mqtt_property id)
{
	return (p->has >> id & 1) != 0;
}

/* Walk the user properties in their order; begin with zeros. */
struct mqtt_user {
	size_t at;
	struct mqtt_str name, value;
};
bool mqtt_next_user(const struct mqtt_properties *, struct mqtt_user *);

/*
 * A packet's fixed header: 1 and the bytes it has and the remaining length, 0
 * when more bytes are needed (what there is of the length is a lower bound), -1
 * when the length is malformed (more than four bytes). Check type, flags and
 * length against limits before waiting for more.
 */
struct mqtt_header {
	uint8_t type, flags;
	uint32_t remaining;
	size_t bytes;
	bool padded; /* a length longer than need be; MQTT 5: malformed */
};
int mqtt_header(struct mqtt_header *, const void *, size_t);

/* MQTT_SUCCESS, or what is wrong with a client's packet by its first byte: a
 * type that only servers send, or a reserved one, or wrong flags. */
enum mqtt_reason mqtt_check_first(uint8_t first, enum mqtt_version);

struct mqtt_connect {
	enum mqtt_version version;
	bool clean;
	uint16_t keep_alive;
	struct mqtt_str client_id;
	struct mqtt_properties props;
	bool will, will_retain;
	uint8_t will_qos; /* 0..2 */
	struct mqtt_properties will_props;
	struct mqtt_str will_topic, will_payload;
	struct mqtt_str user, password;
};

struct mqtt_publish {
	bool dup, retain;
	uint8_t qos;        /* 0..2 */
	uint16_t packet_id; /* 0 with QoS 0 */
	struct mqtt_str topic; /* may be empty with an alias */
	struct mqtt_properties props;
	struct mqtt_str payload;
};

/* PUBACK, PUBREC, PUBREL, PUBCOMP; DISCONNECT and AUTH without packet_id;
 * PINGREQ, which has nothing. */
struct mqtt_ack {
	uint16_t packet_id;
	uint8_t reason;
	struct mqtt_properties props;
};

/* SUBSCRIBE and UNSUBSCRIBE: filters are walked one by one. */
struct mqtt_subscribe {
	uint16_t packet_id;
	struct mqtt_properties props;
	uint32_t count; /* filters, at least 1 */
	const uint8_t *filters; /* as they stand in the packet */
	size_t filters_len;
};
struct mqtt_filter {
	size_t at; /* begin with zeros */
	struct mqtt_str filter;
	uint8_t qos; /* 0..2 */
	bool no_local, retain_as_published;
	uint8_t retain_handling; /* 0..2 */
};
bool mqtt_next_filter(const struct mqtt_subscribe *, bool unsubscribe,
    enum mqtt_version, struct mqtt_filter *);

/*
 * Read what is behind the fixed header. MQTT_SUCCESS, or MQTT_MALFORMED,
 * MQTT_PROTOCOL_ERROR and the like, and *why (may be NULL) says for people
 * what, with the clause: "MQTT-3.1.2-3: reserved connect flag is set". Strings
 * are checked: UTF-8, no U+0000 (MQTT-1.5.4). A topic name may have wildcards
 * still; payloads are not looked at. A CONNECT of another protocol or version
 * gives MQTT_UNSUPPORTED_VERSION. After any fault in a CONNECT its version says
 * how the answer is to be written; 0: it was not read, and there is no answer.
 */
enum mqtt_reason mqtt_read_connect(struct mqtt_connect *, const void *, size_t,
    const char **why);
enum mqtt_reason mqtt_read_publish(struct mqtt_publish *, enum mqtt_version,
    uint8_t flags, const void *, size_t, const char **why);
enum mqtt_reason mqtt_read_ack(struct mqtt_ack *, enum mqtt_version,
    enum mqtt_type, const void *, size_t, const char **why);
enum mqtt_reason mqtt_read_subscribe(struct mqtt_subscribe *, bool unsubscribe,
    enum mqtt_version, const void *, size_t, const char **why);

/*
 * Writing. Each adds one whole packet to the buffer.
 */
struct mqtt_connack {
	bool session_present;
	enum mqtt_reason reason;    /* mapped for 3.1.1, section 3.2.2.3 */
	uint32_t session_expiry;    /* UINT32_MAX: not sent */
	int server_keep_alive;      /* -1: not sent */
	uint16_t receive_maximum, topic_alias_maximum;
	uint32_t maximum_packet;
	struct mqtt_str assigned_id, auth_method;
	const char *words;          /* reason string, or NULL */
};
void mqtt_write_connack(struct buf *, enum mqtt_version,
    const struct mqtt_connack *);
void mqtt_write_puback(struct buf *, enum mqtt_version, uint16_t packet_id,
    enum mqtt_reason);
/* `codes` has n bytes; 3.1.1 gets 0x80 for every code that is an error, and
 * nothing but the id for an UNSUBACK. */
void mqtt_write_suback(struct buf *, enum mqtt_version, enum mqtt_type,
    uint16_t packet_id, const uint8_t *codes, size_t n);
void mqtt_write_pingresp(struct buf *);
/* MQTT 5 only; words may be NULL. */
void mqtt_write_disconnect(struct buf *, enum mqtt_reason, const char *words);
void mqtt_write_auth(struct buf *, enum mqtt_reason, struct mqtt_str method);

/*
 * The properties of a publish that are handed on as they are: payload format,
 * content type, response topic, correlation data, user properties in order. Not
 * the expiry, the alias, the subscription identifiers.
 */
void mqtt_forward_properties(struct buf *, const struct mqtt_properties *);

/*
 * A PUBLISH to a client. `forward` is what mqtt_forward_properties gave; it and
 * expiry and ids are left out for 3.1.1. The packet's size, which the client's
 * maximum is compared with, is known beforehand.
 */
struct mqtt_delivery {
	bool dup, retain;
	uint8_t qos;
	uint16_t packet_id;
	struct mqtt_str topic, forward, payload;
	bool expires;
	uint32_t expiry; /* seconds left */
	const uint32_t *ids;
	size_t nids;
};
size_t mqtt_delivery_size(const struct mqtt_delivery *, enum mqtt_version);
void mqtt_write_publish(struct buf *, enum mqtt_version,
    const struct mqtt_delivery *);

#endif
