#include <stddef.h>
#include <string.h>

#include "mqtt_reader.h"

/* Types of properties, and the packets that have them, section 2.2.2.2. */
enum property_type { NONE, FLAG, U16, U32, VARINT, STRING, BINARY, PAIR };

enum {
	WILL = 1 << MQTT_WILL,
	CONNECT = 1 << MQTT_CONNECT,
	CONNACK = 1 << MQTT_CONNACK,
	PUBLISH = 1 << MQTT_PUBLISH,
	ACKS = 1 << MQTT_PUBACK | 1 << MQTT_PUBREC | 1 << MQTT_PUBREL |
	    1 << MQTT_PUBCOMP | 1 << MQTT_SUBACK | 1 << MQTT_UNSUBACK,
	SUBSCRIBE = 1 << MQTT_SUBSCRIBE,
	UNSUBSCRIBE = 1 << MQTT_UNSUBSCRIBE,
	DISCONNECT = 1 << MQTT_DISCONNECT,
	AUTH = 1 << MQTT_AUTH,
};

#define FIELD(f) offsetof(struct mqtt_properties, f)

/* What a client may not send has no field: it is read and refused. */
static const struct property {
	enum property_type type;
	unsigned in; /* packets */
	size_t field;
	enum mqtt_reason zero; /* what a 0 is; MQTT_SUCCESS: allowed */
	const char *why;
} properties[] = {
	[MQTT_P_PAYLOAD_FORMAT] = { .type = FLAG, .in = WILL | PUBLISH,
		.field = FIELD(payload_format) },
	[MQTT_P_MESSAGE_EXPIRY] = { .type = U32, .in = WILL | PUBLISH,
		.field = FIELD(message_expiry) },
	[MQTT_P_CONTENT_TYPE] = { .type = STRING, .in = WILL | PUBLISH,
		.field = FIELD(content_type) },
	[MQTT_P_RESPONSE_TOPIC] = { .type = STRING, .in = WILL | PUBLISH,
		.field = FIELD(response_topic) },
	[MQTT_P_CORRELATION] = { .type = BINARY, .in = WILL | PUBLISH,
		.field = FIELD(correlation) },
	[MQTT_P_SUBSCRIPTION_ID] = { .type = VARINT, .in = PUBLISH | SUBSCRIBE,
		.field = FIELD(subscription_id), .zero = MQTT_PROTOCOL_ERROR,
		.why = "3.8.2.1.2: subscription identifier is 0" },
	[MQTT_P_SESSION_EXPIRY] = { .type = U32,
		.in = CONNECT | CONNACK | DISCONNECT,
		.field = FIELD(session_expiry) },
	[MQTT_P_ASSIGNED_ID] = { .type = STRING, .in = CONNACK },
	[MQTT_P_SERVER_KEEP_ALIVE] = { .type = U16, .in = CONNACK },
	[MQTT_P_AUTH_METHOD] = { .type = STRING,
		.in = CONNECT | CONNACK | AUTH, .field = FIELD(auth_method) },
	[MQTT_P_AUTH_DATA] = { .type = BINARY,
		.in = CONNECT | CONNACK | AUTH, .field = FIELD(auth_data) },
	[MQTT_P_REQUEST_PROBLEM] = { .type = FLAG, .in = CONNECT,
		.field = FIELD(request_problem) },
	[MQTT_P_WILL_DELAY] = { .type = U32, .in = WILL,
		.field = FIELD(will_delay) },
	[MQTT_P_REQUEST_RESPONSE] = { .type = FLAG, .in = CONNECT,
		.field = FIELD(request_response) },
	[MQTT_P_RESPONSE_INFO] = { .type = STRING, .in = CONNACK },
	[MQTT_P_SERVER_REFERENCE] = { .type = STRING,
		.in = CONNACK | DISCONNECT },
	[MQTT_P_REASON_STRING] = { .type = STRING,
		.in = CONNACK | ACKS | DISCONNECT | AUTH,
		.field = FIELD(reason_string) },
	[MQTT_P_RECEIVE_MAXIMUM] = { .type = U16, .in = CONNECT | CONNACK,
		.field = FIELD(receive_maximum), .zero = MQTT_PROTOCOL_ERROR,
		.why = "3.1.2.11.3: receive maximum is 0" },
	[MQTT_P_TOPIC_ALIAS_MAXIMUM] = { .type = U16, .in = CONNECT | CONNACK,
		.field = FIELD(topic_alias_maximum) },
	[MQTT_P_TOPIC_ALIAS] = { .type = U16, .in = PUBLISH,
		.field = FIELD(topic_alias), .zero = MQTT_BAD_ALIAS,
		.why = "MQTT-3.3.2-8: topic alias is 0" },
	[MQTT_P_MAXIMUM_QOS] = { .type = FLAG, .in = CONNACK },
	[MQTT_P_RETAIN_AVAILABLE] = { .type = FLAG, .in = CONNACK },
	[MQTT_P_USER] = { .type = PAIR, .in = WILL | CONNECT | CONNACK |
		PUBLISH | ACKS | SUBSCRIBE | UNSUBSCRIBE | DISCONNECT | AUTH },
	[MQTT_P_MAXIMUM_PACKET] = { .type = U32, .in = CONNECT | CONNACK,
		.field = FIELD(maximum_packet), .zero = MQTT_PROTOCOL_ERROR,
		.why = "3.1.2.11.4: maximum packet size is 0" },
	[MQTT_P_WILDCARD_AVAILABLE] = { .type = FLAG, .in = CONNACK },
	[MQTT_P_IDS_AVAILABLE] = { .type = FLAG, .in = CONNACK },
	[MQTT_P_SHARED_AVAILABLE] = { .type = FLAG, .in = CONNACK },
};

/* One property as it stands in the packet; strings are not checked yet. */
struct value {
	uint8_t id;
	const struct property *property;
	uint32_t number;
	struct mqtt_str name, text;
};

/* The next property; false at the end, or when it is malformed. Identifiers are
 * variable byte integers, but those that exist have one byte. */
static bool
next_property(struct mqtt_reader *r, struct value *v)
{
	if (!more(r))
		return false;
	v->id = read_u8(r);
	if (v->id >= sizeof(properties) / sizeof(properties[0]) ||
	    properties[v->id].type == NONE) {
		fail(r, MQTT_MALFORMED, "2.2.2.2: there is no such property");
		return false;
	}
	v->property = &properties[v->id];
	switch (v->property->type) {
	case NONE:
		break;
	case FLAG: v->number = read_u8(r); break;
	case U16: v->number = read_u16(r); break;
	case U32: v->number = read_u32(r); break;
	case VARINT: v->number = read_varint(r); break;
	case PAIR:
		v->name = read_binary(r);
		/* FALLTHROUGH */
	case STRING:
	case BINARY: v->text = read_binary(r); break;
	}
	return r->bad == MQTT_SUCCESS;
}

/* Is the property one that only servers send in this packet? */
static bool
of_servers(const struct value *v, unsigned packet)
{
	return v->id == MQTT_P_SERVER_REFERENCE ||
	    (v->id == MQTT_P_SUBSCRIPTION_ID && packet == PUBLISH);
}

static void
check_response_topic(struct mqtt_reader *r, struct mqtt_str topic)
{
	if (topic.len == 0)
		fail(r, MQTT_PROTOCOL_ERROR,
		    "MQTT-4.7.3-1: response topic is empty");
	else if (memchr(topic.p, '+', topic.len) != NULL ||
	    memchr(topic.p, '#', topic.len) != NULL)
		fail(r, MQTT_PROTOCOL_ERROR,
		    "MQTT-3.3.2-14: response topic has a wildcard");
}

static void
check_property(struct mqtt_reader *r, const struct value *v, unsigned packet)
{
	const struct property *p = v->property;

	if ((p->in & packet) == 0)
		fail(r, MQTT_MALFORMED,
		    "2.2.2.2: property is not for this packet");
	else if (of_servers(v, packet))
		fail(r, MQTT_PROTOCOL_ERROR,
		    "4.13.1: property is one that only servers send");
	else if (p->zero != MQTT_SUCCESS && v->number == 0)
		fail(r, p->zero, p->why);
	else if (p->type == FLAG && v->number > 1)
		fail(r, MQTT_PROTOCOL_ERROR,
		    "2.2.2.2: property is neither 0 nor 1");
	if (p->type == PAIR)
		check_text(r, v->name);
	if (p->type == STRING || p->type == PAIR)
		check_text(r, v->text);
	if (v->id == MQTT_P_RESPONSE_TOPIC)
		check_response_topic(r, v->text);
}

static void
store(struct mqtt_properties *props, const struct value *v)
{
	char *field = (char *)props + v->property->field;

	switch (v->property->type) {
	case NONE:
		break;
	case FLAG:
		*(uint8_t *)field = (uint8_t)v->number;
		break;
	case U16:
		*(uint16_t *)(void *)field = (uint16_t)v->number;
		break;
	case U32:
	case VARINT:
		*(uint32_t *)(void *)field = v->number;
		break;
	case STRING:
	case BINARY:
		*(struct mqtt_str *)(void *)field = v->text;
		break;
	case PAIR:
		props->nuser++;
		props->user_bytes += v->name.len + v->text.len;
		break;
	}
	props->has |= UINT64_C(1) << v->id;
}

void
mqtt_read_properties(struct mqtt_reader *r, unsigned type,
    struct mqtt_properties *props)
{
	struct value v = { 0 };
	struct mqtt_reader in;

	props->raw_len = read_varint(r);
	if ((props->raw = take(r, props->raw_len)) == NULL) {
		props->raw_len = 0;
		return;
	}
	in = begin(props->raw, props->raw_len);
	while (next_property(&in, &v)) {
		check_property(&in, &v, 1u << type);
		if (mqtt_has(props, v.id) && v.id != MQTT_P_USER)
			fail(&in, MQTT_PROTOCOL_ERROR,
			    "2.2.2.2: property is there twice");
		if (in.bad == MQTT_SUCCESS)
			store(props, &v);
	}
	if (in.bad != MQTT_SUCCESS)
		fail(r, in.bad, in.why);
}

bool
mqtt_next_user(const struct mqtt_properties *props, struct mqtt_user *u)
{
	struct value v = { 0 };
	struct mqtt_reader r;

	if (props->nuser == 0)
		return false;
	r = begin(props->raw + u->at, props->raw_len - u->at);
	while (next_property(&r, &v)) {
		if (v.id != MQTT_P_USER)
			continue;
		u->at = props->raw_len - (size_t)(r.end - r.p);
		u->name = v.name;
		u->value = v.text;
		return true;
	}
	return false;
}

static bool
forwarded(uint8_t id)
{
	return id == MQTT_P_PAYLOAD_FORMAT || id == MQTT_P_CONTENT_TYPE ||
	    id == MQTT_P_RESPONSE_TOPIC || id == MQTT_P_CORRELATION ||
	    id == MQTT_P_USER;
}

/* As they are, in their order: MQTT-3.3.2-4, MQTT-3.3.2-15 to -20. */
void
mqtt_forward_properties(struct buf *b, const struct mqtt_properties *props)
{
	const uint8_t *from = props->raw;
	struct value v = { 0 };
	struct mqtt_reader r;

	if (props->raw_len == 0)
		return;
	r = begin(props->raw, props->raw_len);
	while (next_property(&r, &v)) {
		if (forwarded(v.id))
			buf_add(b, from, (size_t)(r.p - from));
		from = r.p;
	}
}
