#include <string.h>

#include "mqtt.h"

/*
 * Packets that the broker sends. The size is known before the first byte is
 * written, so a packet is one buf_room and a pointer that moves on.
 */

static size_t
varint_size(size_t v)
{
	return v < 1 << 7 ? 1 : v < 1 << 14 ? 2 : v < 1 << 21 ? 3 : 4;
}

static char *
put_u8(char *p, unsigned v)
{
	*p++ = (char)(unsigned char)v;
	return p;
}

static char *
put_u16(char *p, unsigned v)
{
	return put_u8(put_u8(p, v >> 8 & 0xff), v & 0xff);
}

static char *
put_u32(char *p, uint32_t v)
{
	return put_u16(put_u16(p, v >> 16), v & 0xffff);
}

static char *
put_varint(char *p, size_t v)
{
	for (; v >= 0x80; v >>= 7)
		p = put_u8(p, (unsigned)(v & 0x7f) | 0x80);
	return put_u8(p, (unsigned)v);
}

static char *
put_bytes(char *p, struct mqtt_str s)
{
	if (s.len > 0)
		memcpy(p, s.p, s.len);
	return p + s.len;
}

static char *
put_str(char *p, struct mqtt_str s)
{
	return put_bytes(put_u16(p, (unsigned)s.len), s);
}

/* A property that is a string, when there is one. */
static size_t
str_size(struct mqtt_str s)
{
	return s.p == NULL ? 0 : 1 + 2 + s.len;
}

static char *
put_property(char *p, enum mqtt_property id, struct mqtt_str s)
{
	return s.p == NULL ? p : put_str(put_u8(p, id), s);
}

/* As a string of a packet; words that do not fit into one are left out. */
static struct mqtt_str
str(const char *words)
{
	struct mqtt_str s = { 0 };

	if (words != NULL && strlen(words) <= UINT16_MAX)
		s = (struct mqtt_str){ words, strlen(words) };
	return s;
}

/* Room for a packet, and its fixed header; NULL without memory. */
static char *
start(struct buf *b, unsigned first, size_t remaining)
{
	size_t size = 1 + varint_size(remaining) + remaining;
	char *p = buf_room(b, size);

	if (p == NULL)
		return NULL;
	buf_grew(b, size);
	return put_varint(put_u8(p, first), remaining);
}

static char *
start_packet(struct buf *b, enum mqtt_type type, size_t remaining)
{
	return start(b, (unsigned)type << 4, remaining);
}

/* The return code of 3.1.1, its section 3.2.2.3. What has none there is called
 * not authorized, which no client answers by trying again at once. */
static unsigned
return_code(enum mqtt_reason reason)
{
	switch ((unsigned)reason) {
	case MQTT_SUCCESS: return 0;
	case MQTT_UNSUPPORTED_VERSION: return 1;
	case MQTT_CLIENT_ID: return 2;
	case MQTT_UNSPECIFIED:
	case MQTT_UNAVAILABLE:
	case MQTT_BUSY:
	case MQTT_SHUTTING_DOWN:
	case MQTT_RATE:
	case MQTT_QUOTA:
	case MQTT_CONNECTION_RATE: return 3;
	case MQTT_BAD_USER: return 4;
	}
	return 5;
}

/* Properties of a CONNACK that accepts; those that say what is so without them,
 * too, are not sent. */
static size_t
accepted_size(const struct mqtt_connack *c)
{
	return 2 + (c->session_expiry != UINT32_MAX ? 5u : 0) +
	    (c->server_keep_alive != -1 ? 3u : 0) +
	    (c->receive_maximum != 0 ? 3u : 0) +
	    (c->topic_alias_maximum != 0 ? 3u : 0) +
	    (c->maximum_packet != 0 ? 5u : 0) + str_size(c->assigned_id) +
	    str_size(c->auth_method);
}

static char *
put_accepted(char *p, const struct mqtt_connack *c)
{
	p = put_u8(put_u8(p, MQTT_P_MAXIMUM_QOS), 1);
	if (c->session_expiry != UINT32_MAX)
		p = put_u32(put_u8(p, MQTT_P_SESSION_EXPIRY),
		    c->session_expiry);
	if (c->server_keep_alive != -1)
		p = put_u16(put_u8(p, MQTT_P_SERVER_KEEP_ALIVE),
		    (unsigned)c->server_keep_alive);
	if (c->receive_maximum != 0)
		p = put_u16(put_u8(p, MQTT_P_RECEIVE_MAXIMUM),
		    c->receive_maximum);
	if (c->topic_alias_maximum != 0)
		p = put_u16(put_u8(p, MQTT_P_TOPIC_ALIAS_MAXIMUM),
		    c->topic_alias_maximum);
	if (c->maximum_packet != 0)
		p = put_u32(put_u8(p, MQTT_P_MAXIMUM_PACKET),
		    c->maximum_packet);
	p = put_property(p, MQTT_P_ASSIGNED_ID, c->assigned_id);
	return put_property(p, MQTT_P_AUTH_METHOD, c->auth_method);
}

void
mqtt_write_connack(struct buf *b, enum mqtt_version version,
    const struct mqtt_connack *c)
{
	bool good = c->reason == MQTT_SUCCESS;
	unsigned present = good && c->session_present; /* MQTT-3.2.2-6 */
	struct mqtt_str words = str(c->words);
	size_t size;
	char *p;

	if (version == MQTT_3) {
		if ((p = start_packet(b, MQTT_CONNACK, 2)) != NULL)
			put_u8(put_u8(p, present), return_code(c->reason));
		return;
	}
	size = (good ? accepted_size(c) : 0) + str_size(words);
	p = start_packet(b, MQTT_CONNACK, 2 + varint_size(size) + size);
	if (p == NULL)
		return;
	p = put_varint(put_u8(put_u8(p, present), c->reason), size);
	if (good)
		p = put_accepted(p, c);
	put_property(p, MQTT_P_REASON_STRING, words);
}

void
mqtt_write_puback(struct buf *b, enum mqtt_version version,
    uint16_t packet_id, enum mqtt_reason reason)
{
	bool bare = version == MQTT_3 || reason == MQTT_SUCCESS;
	char *p = start_packet(b, MQTT_PUBACK, bare ? 2 : 3);

	if (p == NULL)
		return;
	p = put_u16(p, packet_id);
	if (!bare)
		put_u8(p, reason);
}

void
mqtt_write_suback(struct buf *b, enum mqtt_version version,
    enum mqtt_type type, uint16_t packet_id, const uint8_t *codes, size_t n)
{
	size_t i, remaining = 2 + n;
	char *p;

	if (version == MQTT_5)
		remaining++; /* for the length of no properties */
	else if (type == MQTT_UNSUBACK)
		remaining = 2;
	if ((p = start_packet(b, type, remaining)) == NULL)
		return;
	p = put_u16(p, packet_id);
	if (version == MQTT_5)
		put_bytes(put_varint(p, 0),
		    (struct mqtt_str){ (const char *)codes, n });
	else if (type == MQTT_SUBACK)
		for (i = 0; i < n; i++)
			p = put_u8(p, codes[i] < 0x80 ? codes[i] : 0x80);
}

void
mqtt_write_pingresp(struct buf *b)
{
	start_packet(b, MQTT_PINGRESP, 0);
}

void
mqtt_write_disconnect(struct buf *b, enum mqtt_reason reason,
    const char *text)
{
	struct mqtt_str words = str(text);
	size_t size = str_size(words);
	char *p;

	p = start_packet(b, MQTT_DISCONNECT,
	    size == 0 ? 1 : 1 + varint_size(size) + size);
	if (p == NULL)
		return;
	p = put_u8(p, reason);
	if (size > 0)
		put_property(put_varint(p, size), MQTT_P_REASON_STRING, words);
}

void
mqtt_write_auth(struct buf *b, enum mqtt_reason reason,
    struct mqtt_str method)
{
	size_t size = str_size(method);
	char *p = start_packet(b, MQTT_AUTH, 1 + varint_size(size) + size);

	if (p == NULL)
		return;
	p = put_varint(put_u8(p, reason), size);
	put_property(p, MQTT_P_AUTH_METHOD, method);
}

/* Bytes of a delivery's properties, MQTT 5. */
static size_t
properties_size(const struct mqtt_delivery *d)
{
	size_t i, size = d->forward.len + (d->expires ? 5 : 0);

	for (i = 0; i < d->nids; i++)
		size += 1 + varint_size(d->ids[i]);
	return size;
}

/* What is behind the fixed header, of which `properties` are properties. */
static size_t
remaining_size(const struct mqtt_delivery *d, enum mqtt_version version,
    size_t properties)
{
	return 2 + d->topic.len + (d->qos > 0 ? 2 : 0) +
	    (version == MQTT_5 ? varint_size(properties) + properties : 0) +
	    d->payload.len;
}

size_t
mqtt_delivery_size(const struct mqtt_delivery *d, enum mqtt_version version)
{
	size_t remaining = remaining_size(d, version, properties_size(d));

	return 1 + varint_size(remaining) + remaining;
}

static char *
put_properties(char *p, const struct mqtt_delivery *d, size_t size)
{
	size_t i;

	p = put_varint(p, size);
	if (d->expires)
		p = put_u32(put_u8(p, MQTT_P_MESSAGE_EXPIRY), d->expiry);
	for (i = 0; i < d->nids; i++)
		p = put_varint(put_u8(p, MQTT_P_SUBSCRIPTION_ID), d->ids[i]);
	return put_bytes(p, d->forward);
}

void
mqtt_write_publish(struct buf *b, enum mqtt_version version,
    const struct mqtt_delivery *d)
{
	size_t size = properties_size(d);
	unsigned first = MQTT_PUBLISH << 4 | (unsigned)d->dup << 3 |
	    (unsigned)d->qos << 1 | (unsigned)d->retain;
	char *p = start(b, first, remaining_size(d, version, size));

	if (p == NULL)
		return;
	p = put_str(p, d->topic);
	if (d->qos > 0)
		p = put_u16(p, d->packet_id);
	if (version == MQTT_5)
		p = put_properties(p, d, size);
	put_bytes(p, d->payload);
}
