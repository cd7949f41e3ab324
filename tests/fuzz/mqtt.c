/*
 * Any bytes as a client's packet: a byte for the version (odd: 5), the first
 * byte of the packet, and what is behind its fixed header, in memory of just
 * that size. Of a packet that is taken, every string lies within it, filters
 * and user properties are as many as were counted, and properties that are
 * handed on can be read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "mqtt.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char *packet;
static size_t packet_len;

static void
must(bool truth)
{
	if (!truth)
		abort();
}

static void
within(struct mqtt_str s)
{
	if (s.p == NULL)
		must(s.len == 0);
	else
		must(s.p >= packet && s.p <= packet + packet_len &&
		    s.len <= (size_t)(packet + packet_len - s.p));
}

static void
walk_users(const struct mqtt_properties *props)
{
	struct mqtt_user u = { 0 };
	size_t n = 0, size = 0;

	while (mqtt_next_user(props, &u)) {
		within(u.name);
		within(u.value);
		n++;
		size += u.name.len + u.value.len;
	}
	must(n == props->nuser && size == props->user_bytes);
}

static void
forward(const struct mqtt_properties *props)
{
	struct mqtt_delivery d = { .qos = 1, .packet_id = 1,
		.topic = { "t", 1 }, .payload = { "p", 1 } };
	struct buf properties = { 0 }, b = { 0 };
	struct mqtt_publish p;
	struct mqtt_header h;

	mqtt_forward_properties(&properties, props);
	d.forward = (struct mqtt_str){ buf_data(&properties), properties.len };
	mqtt_write_publish(&b, MQTT_5, &d);
	must(!b.bad && b.len == mqtt_delivery_size(&d, MQTT_5));
	must(mqtt_header(&h, buf_data(&b), b.len) == 1 && !h.padded);
	must(h.bytes + h.remaining == b.len);
	must(mqtt_read_publish(&p, MQTT_5, h.flags, buf_data(&b) + h.bytes,
	    h.remaining, NULL) == MQTT_SUCCESS);
	must(p.payload.len == 1 && p.props.nuser == props->nuser);
	must(p.props.user_bytes == props->user_bytes);
	must(p.props.correlation.len == props->correlation.len);
	must(p.props.payload_format == props->payload_format);
	buf_free(&properties);
	buf_free(&b);
}

static void
check_properties(const struct mqtt_properties *props)
{
	within(props->content_type);
	within(props->response_topic);
	within(props->correlation);
	within(props->auth_method);
	within(props->auth_data);
	within(props->reason_string);
	walk_users(props);
}

static enum mqtt_reason
try_connect(const char **why)
{
	struct mqtt_connect c;
	enum mqtt_reason bad = mqtt_read_connect(&c, packet, packet_len, why);

	if (bad != MQTT_SUCCESS)
		return bad;
	must(c.version == MQTT_3 || c.version == MQTT_5);
	must(c.will || c.will_topic.p == NULL);
	within(c.client_id);
	within(c.will_topic);
	within(c.will_payload);
	within(c.user);
	within(c.password);
	check_properties(&c.props);
	check_properties(&c.will_props);
	forward(&c.will_props);
	return bad;
}

static enum mqtt_reason
try_publish(enum mqtt_version version, uint8_t flags, const char **why)
{
	struct mqtt_publish p;
	enum mqtt_reason bad = mqtt_read_publish(&p, version, flags, packet,
	    packet_len, why);

	if (bad != MQTT_SUCCESS)
		return bad;
	must(p.topic.len > 0 || mqtt_has(&p.props, MQTT_P_TOPIC_ALIAS));
	must((p.qos > 0) == (p.packet_id > 0));
	within(p.topic);
	within(p.payload);
	check_properties(&p.props);
	forward(&p.props);
	return bad;
}

static enum mqtt_reason
try_subscribe(enum mqtt_version version, bool unsubscribe, const char **why)
{
	struct mqtt_filter f = { 0 };
	struct mqtt_subscribe s;
	enum mqtt_reason bad;
	uint32_t n = 0;

	bad = mqtt_read_subscribe(&s, unsubscribe, version, packet, packet_len,
	    why);
	if (bad != MQTT_SUCCESS)
		return bad;
	while (mqtt_next_filter(&s, unsubscribe, version, &f)) {
		within(f.filter);
		must(f.filter.len > 0 && f.qos < 3 && f.retain_handling < 3);
		n++;
	}
	must(n == s.count && n > 0);
	check_properties(&s.props);
	return bad;
}

static enum mqtt_reason
try_ack(enum mqtt_version version, enum mqtt_type type, const char **why)
{
	struct mqtt_ack a;
	enum mqtt_reason bad = mqtt_read_ack(&a, version, type, packet,
	    packet_len, why);

	if (bad == MQTT_SUCCESS)
		check_properties(&a.props);
	return bad;
}

static enum mqtt_reason
try_packet(enum mqtt_version version, uint8_t first, const char **why)
{
	switch (first >> 4) {
	case MQTT_CONNECT:
		return try_connect(why);
	case MQTT_PUBLISH:
		return try_publish(version, first & 0x0f, why);
	case MQTT_SUBSCRIBE:
	case MQTT_UNSUBSCRIBE:
		return try_subscribe(version, first >> 4 == MQTT_UNSUBSCRIBE,
		    why);
	}
	return try_ack(version, first >> 4, why);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = NULL;
	enum mqtt_version version;
	enum mqtt_reason bad;
	struct mqtt_header h;
	char *copy;

	if (size < 2 || (copy = malloc(size - 2)) == NULL)
		return 0;
	memcpy(copy, data + 2, size - 2);
	version = (data[0] & 1) != 0 ? MQTT_5 : MQTT_3;
	packet = copy;
	packet_len = size - 2;
	if (mqtt_check_first(data[1], version) == MQTT_SUCCESS) {
		bad = try_packet(version, data[1], &why);
		must((bad == MQTT_SUCCESS) == (why == NULL));
	}
	if (mqtt_header(&h, copy, packet_len) == 1)
		must(h.bytes <= packet_len && h.remaining < 1 << 28);
	free(copy);
	return 0;
}
