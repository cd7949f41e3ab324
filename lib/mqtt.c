#include <string.h>

#include "mqtt_reader.h"

static bool
is(struct mqtt_str s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

/* MQTT-2.2.1-3, MQTT-2.2.1-4 */
static uint16_t
packet_id(struct mqtt_reader *r)
{
	uint16_t id = read_u16(r);

	if (id == 0)
		fail(r, MQTT_PROTOCOL_ERROR, "MQTT-2.2.1-3: packet id is 0");
	return id;
}

/* Nothing may be left over; what came of it all. */
static enum mqtt_reason
finish(struct mqtt_reader *r, const char **why)
{
	if (more(r))
		fail(r, MQTT_MALFORMED, "4.13.1: packet is too long");
	if (why != NULL)
		*why = r->why;
	return r->bad;
}

int
mqtt_header(struct mqtt_header *h, const void *data, size_t n)
{
	const uint8_t *p = data;
	unsigned shift;
	size_t i;

	*h = (struct mqtt_header){ 0 };
	if (n == 0)
		return 0;
	h->type = p[0] >> 4;
	h->flags = p[0] & 0x0f;
	for (i = 1, shift = 0; shift < 28; i++, shift += 7) {
		if (i == n)
			return 0;
		h->remaining |= (uint32_t)(p[i] & 0x7f) << shift;
		if (p[i] < 0x80) {
			h->bytes = i + 1;
			h->padded = p[i] == 0 && i > 1;
			return 1;
		}
	}
	return -1;
}

static void
check_publish_flags(struct mqtt_reader *r, uint8_t flags)
{
	if ((flags & 0x06) == 0x06)
		fail(r, MQTT_MALFORMED, "MQTT-3.3.1-4: QoS is 3");
	if ((flags & 0x0e) == 0x08)
		fail(r, MQTT_MALFORMED, "MQTT-3.3.1-2: DUP with QoS 0");
}

enum mqtt_reason
mqtt_check_first(uint8_t first, enum mqtt_version version)
{
	struct mqtt_reader r = begin("", 0);
	uint8_t flags = first & 0x0f;

	switch (first >> 4) {
	case MQTT_PUBLISH:
		check_publish_flags(&r, flags);
		return r.bad;
	case MQTT_PUBREL:
	case MQTT_SUBSCRIBE:
	case MQTT_UNSUBSCRIBE:
		/* MQTT-3.6.1-1, MQTT-3.8.1-1, MQTT-3.10.1-1 */
		return flags == 2 ? MQTT_SUCCESS : MQTT_MALFORMED;
	case MQTT_AUTH: /* reserved in 3.1.1 */
		if (version != MQTT_5)
			return MQTT_MALFORMED;
		/* FALLTHROUGH */
	case MQTT_CONNECT:
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBCOMP:
	case MQTT_PINGREQ:
	case MQTT_DISCONNECT:
		/* MQTT-2.1.3-1, MQTT-3.14.1-1, MQTT-3.15.1-1 */
		return flags == 0 ? MQTT_SUCCESS : MQTT_MALFORMED;
	case MQTT_CONNACK:
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
	case MQTT_PINGRESP:
		return MQTT_PROTOCOL_ERROR;
	}
	return MQTT_MALFORMED; /* 2.1.2: type 0 is reserved */
}

/* Section 3.1.2.1 and 3.1.2.2. The version that the answer is to be written in
 * is known for those, too, that we do not speak. */
static void
read_protocol(struct mqtt_reader *r, struct mqtt_connect *c)
{
	struct mqtt_str name = read_string(r);
	uint8_t level = read_u8(r);

	if (r->bad != MQTT_SUCCESS)
		return;
	/* the highest bit is set by bridges of some brokers */
	c->version = (level & 0x7f) < MQTT_5 ? MQTT_3 : MQTT_5;
	if (!is(name, "MQTT"))
		fail(r, MQTT_UNSUPPORTED_VERSION,
		    "MQTT-3.1.2-1: protocol is not MQTT");
	else if (level != MQTT_3 && level != MQTT_5)
		fail(r, MQTT_UNSUPPORTED_VERSION,
		    "MQTT-3.1.2-2: version is neither 3.1.1 nor 5");
}

enum {
	CLEAN = 0x02,
	WILL_FLAG = 0x04,
	WILL_RETAIN = 0x20,
	PASSWORD = 0x40,
	USER = 0x80,
};

static uint8_t
read_connect_flags(struct mqtt_reader *r, struct mqtt_connect *c)
{
	uint8_t flags = read_u8(r);

	c->clean = (flags & CLEAN) != 0;
	c->will = (flags & WILL_FLAG) != 0;
	c->will_qos = flags >> 3 & 3;
	c->will_retain = (flags & WILL_RETAIN) != 0;
	if ((flags & 1) != 0)
		fail(r, MQTT_MALFORMED,
		    "MQTT-3.1.2-3: reserved connect flag is set");
	if (!c->will && c->will_qos != 0)
		fail(r, MQTT_MALFORMED, "MQTT-3.1.2-11: will QoS without will");
	if (c->will_qos == 3)
		fail(r, MQTT_MALFORMED, "MQTT-3.1.2-12: will QoS is 3");
	if (!c->will && c->will_retain)
		fail(r, MQTT_MALFORMED,
		    "MQTT-3.1.2-13: will retain without will");
	if (c->version == MQTT_3 && (flags & (USER | PASSWORD)) == PASSWORD)
		fail(r, MQTT_MALFORMED,
		    "3.1.1's MQTT-3.1.2-22: password without user name");
	return flags;
}

static void
read_will(struct mqtt_reader *r, struct mqtt_connect *c)
{
	if (c->version == MQTT_5)
		mqtt_read_properties(r, MQTT_WILL, &c->will_props);
	c->will_topic = read_string(r);
	if (c->will_topic.len == 0)
		fail(r, MQTT_PROTOCOL_ERROR,
		    "MQTT-4.7.3-1: will topic is empty");
	c->will_payload = read_binary(r);
}

enum mqtt_reason
mqtt_read_connect(struct mqtt_connect *c, const void *data, size_t n,
    const char **why)
{
	struct mqtt_reader r = begin(data, n);
	uint8_t flags;

	*c = (struct mqtt_connect){ 0 };
	read_protocol(&r, c);
	flags = read_connect_flags(&r, c);
	c->keep_alive = read_u16(&r);
	if (c->version == MQTT_5)
		mqtt_read_properties(&r, MQTT_CONNECT, &c->props);
	if (mqtt_has(&c->props, MQTT_P_AUTH_DATA) &&
	    !mqtt_has(&c->props, MQTT_P_AUTH_METHOD))
		fail(&r, MQTT_PROTOCOL_ERROR,
		    "3.1.2.11.10: authentication data without method");
	c->client_id = read_string(&r); /* MQTT-3.1.3-1: in this order */
	if (c->version == MQTT_3 && c->client_id.len == 0 && !c->clean)
		fail(&r, MQTT_CLIENT_ID, "3.1.1's MQTT-3.1.3-8: "
		    "empty client id without clean session");
	if (c->will)
		read_will(&r, c);
	if ((flags & USER) != 0)
		c->user = read_string(&r);
	if ((flags & PASSWORD) != 0)
		c->password = read_binary(&r);
	return finish(&r, why);
}

enum mqtt_reason
mqtt_read_publish(struct mqtt_publish *p, enum mqtt_version version,
    uint8_t flags, const void *data, size_t n, const char **why)
{
	struct mqtt_reader r = begin(data, n);

	*p = (struct mqtt_publish){ 0 };
	check_publish_flags(&r, flags);
	p->dup = (flags & 0x08) != 0;
	p->qos = flags >> 1 & 3;
	p->retain = (flags & 0x01) != 0;
	p->topic = read_string(&r);
	if (p->qos > 0)
		p->packet_id = packet_id(&r);
	if (version == MQTT_5)
		mqtt_read_properties(&r, MQTT_PUBLISH, &p->props);
	if (p->topic.len == 0 && !mqtt_has(&p->props, MQTT_P_TOPIC_ALIAS))
		fail(&r, MQTT_PROTOCOL_ERROR,
		    "3.3.2.1: topic is empty, and there is no alias");
	p->payload.len = (size_t)(r.end - r.p);
	p->payload.p = (const char *)take(&r, p->payload.len);
	return finish(&r, why);
}

/* May a client send this reason code in this packet? */
static bool
reason_allowed(enum mqtt_type type, uint8_t reason)
{
	static const uint8_t publish[] = { 0x00, 0x10, 0x80, 0x83, 0x87, 0x90,
		0x91, 0x97, 0x99 };
	static const uint8_t release[] = { 0x00, 0x92 };
	static const uint8_t disconnect[] = { 0x00, 0x04, 0x80, 0x81, 0x82,
		0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99 };
	static const uint8_t auth[] = { 0x18, 0x19 };

	switch (type) {
	case MQTT_PUBACK: /* MQTT-3.4.2-1 */
	case MQTT_PUBREC: /* MQTT-3.5.2-1 */
		return memchr(publish, reason, sizeof(publish)) != NULL;
	case MQTT_PUBREL:  /* MQTT-3.6.2-1 */
	case MQTT_PUBCOMP: /* MQTT-3.7.2-1 */
		return memchr(release, reason, sizeof(release)) != NULL;
	case MQTT_DISCONNECT: /* MQTT-3.14.2-1 */
		return memchr(disconnect, reason, sizeof(disconnect)) != NULL;
	case MQTT_AUTH: /* MQTT-3.15.2-1 */
		return memchr(auth, reason, sizeof(auth)) != NULL;
	default:
		return reason == 0;
	}
}

enum mqtt_reason
mqtt_read_ack(struct mqtt_ack *a, enum mqtt_version version,
    enum mqtt_type type, const void *data, size_t n, const char **why)
{
	struct mqtt_reader r = begin(data, n);
	bool bare = version == MQTT_3 || type == MQTT_PINGREQ;

	*a = (struct mqtt_ack){ 0 };
	if (type >= MQTT_PUBACK && type <= MQTT_PUBCOMP)
		a->packet_id = packet_id(&r);
	/* what is left out is success and no properties: 3.4.2.1, 3.14.2.1 */
	if (!bare && more(&r))
		a->reason = read_u8(&r);
	if (!bare && more(&r))
		mqtt_read_properties(&r, type, &a->props);
	if (!reason_allowed(type, a->reason))
		fail(&r, MQTT_PROTOCOL_ERROR, "2.4: reason code is not one "
		    "that a client may send in this packet");
	if (type == MQTT_AUTH && !mqtt_has(&a->props, MQTT_P_AUTH_METHOD))
		fail(&r, MQTT_PROTOCOL_ERROR,
		    "3.15.2.2.2: AUTH without authentication method");
	return finish(&r, why);
}

static void
read_options(struct mqtt_reader *r, enum mqtt_version version,
    struct mqtt_filter *f)
{
	uint8_t options = read_u8(r);

	if ((options & (version == MQTT_5 ? 0xc0 : 0xfc)) != 0)
		fail(r, MQTT_MALFORMED,
		    "MQTT-3.8.3-5: reserved subscription options are set");
	f->qos = options & 3;
	f->no_local = (options & 0x04) != 0;
	f->retain_as_published = (options & 0x08) != 0;
	f->retain_handling = options >> 4 & 3;
	if (f->qos == 3)
		fail(r, MQTT_PROTOCOL_ERROR, "3.8.3.1: QoS is 3");
	if (f->retain_handling == 3)
		fail(r, MQTT_PROTOCOL_ERROR, "3.8.3.1: retain handling is 3");
}

static bool
read_filter(struct mqtt_reader *r, bool unsubscribe, enum mqtt_version version,
    struct mqtt_filter *f)
{
	if (!more(r))
		return false;
	f->filter = read_string(r);
	if (f->filter.len == 0)
		fail(r, MQTT_PROTOCOL_ERROR,
		    "MQTT-4.7.3-1: topic filter is empty");
	if (!unsubscribe)
		read_options(r, version, f);
	return r->bad == MQTT_SUCCESS;
}

bool
mqtt_next_filter(const struct mqtt_subscribe *s, bool unsubscribe,
    enum mqtt_version version, struct mqtt_filter *f)
{
	struct mqtt_reader r;

	r = begin(s->filters + f->at, s->filters_len - f->at);
	if (!read_filter(&r, unsubscribe, version, f))
		return false;
	f->at = s->filters_len - (size_t)(r.end - r.p);
	return true;
}

enum mqtt_reason
mqtt_read_subscribe(struct mqtt_subscribe *s, bool unsubscribe,
    enum mqtt_version version, const void *data, size_t n, const char **why)
{
	struct mqtt_reader r = begin(data, n);
	enum mqtt_type type = unsubscribe ? MQTT_UNSUBSCRIBE : MQTT_SUBSCRIBE;
	struct mqtt_filter f = { 0 };

	*s = (struct mqtt_subscribe){ 0 };
	s->packet_id = packet_id(&r);
	if (version == MQTT_5)
		mqtt_read_properties(&r, type, &s->props);
	s->filters = r.p;
	s->filters_len = (size_t)(r.end - r.p);
	while (read_filter(&r, unsubscribe, version, &f))
		s->count++;
	if (s->count == 0)
		fail(&r, MQTT_PROTOCOL_ERROR, unsubscribe ?
		    "MQTT-3.10.3-2: there is no topic filter" :
		    "MQTT-3.8.3-2: there is no topic filter");
	return finish(&r, why);
}
