/* packets of a client: which may come when, and whose business they are */
#include "packet.h"

#include "connect.h"
#include "publish.h"
#include "store.h"
#include "subscribe.h"

static void
malformed(struct client *c, enum mqtt_reason reason, const char *why)
{
	client_end(c, END_CLIENT_ERROR, reason, why);
}

static void
take_publish(struct client *c, uint8_t flags, const unsigned char *body,
    size_t len)
{
	struct mqtt_publish p;
	const char *why = NULL;
	enum mqtt_reason reason = mqtt_read_publish(&p, c->version, flags,
	    body, len, &why);

	if (reason != MQTT_SUCCESS)
		malformed(c, reason, why);
	else
		publish_take(c, &p);
}

static void
take_puback(struct client *c, const unsigned char *body, size_t len)
{
	struct mqtt_ack p;
	const char *why = NULL;
	enum mqtt_reason reason = mqtt_read_ack(&p, c->version, MQTT_PUBACK,
	    body, len, &why);

	if (reason != MQTT_SUCCESS) {
		malformed(c, reason, why);
		return;
	}
	session_acknowledge(c->session, p.packet_id);
	if (p.props.nuser > 0)
		malformed(c, MQTT_IMPLEMENTATION,
		    "user properties in PUBACK are not supported");
	else if (p.reason >= MQTT_UNSPECIFIED)
		malformed(c, MQTT_IMPLEMENTATION,
		    "a PUBACK with an error code is not supported");
}

static void
take_disconnect(struct client *c, const unsigned char *body, size_t len)
{
	struct mqtt_ack p;
	const char *why = NULL;
	enum mqtt_reason reason = mqtt_read_ack(&p, c->version,
	    MQTT_DISCONNECT, body, len, &why);
	const struct settings *set = &c->broker->settings;

	if (reason == MQTT_SUCCESS && p.props.nuser > 0) {
		reason = MQTT_IMPLEMENTATION;
		why = "user properties in DISCONNECT are not supported";
	} else if (reason == MQTT_SUCCESS && c->expiry == 0 &&
	    p.props.session_expiry != 0) {
		reason = MQTT_PROTOCOL_ERROR; /* MQTT-3.14.2.2.2 */
		why = "session expiry was 0 at CONNECT";
	}
	if (reason != MQTT_SUCCESS) {
		malformed(c, reason, why);
		return;
	}
	if (mqtt_has(&p.props, MQTT_P_SESSION_EXPIRY)) {
		c->session->expiry = p.props.session_expiry < set->expiry_max ?
		    p.props.session_expiry : set->expiry_max;
		if (c->session->stored)
			store_session(c->session);
	}
	/* MQTT-3.14.4-3: no will after a normal disconnect */
	if (p.reason == MQTT_SUCCESS)
		will_free(&c->session->will);
	client_lost(c, END_INITIATED, "it has disconnected");
}

bool
packet_allowed(struct client *c, const struct mqtt_header *h, unsigned first)
{
	enum mqtt_reason reason;

	if (c->state == CLIENT_CONNECT) {
		/* MQTT-3.1.0-1; nothing is worth an answer before */
		if (first != MQTT_CONNECT << 4) {
			client_lost(c, END_CLIENT_ERROR,
			    "MQTT-3.1.0-1: the first packet is no CONNECT");
			return false;
		}
		if (h->remaining > CLIENT_PACKET_MAX - h->bytes) {
			client_lost(c, END_CLIENT_ERROR,
			    "a CONNECT of more than 512 KiB");
			return false;
		}
		return true;
	}
	if (h->remaining > CLIENT_PACKET_MAX - h->bytes) {
		client_end(c, END_CLIENT_ERROR, MQTT_TOO_LARGE,
		    "a packet of more than 512 KiB");
		return false;
	}
	reason = mqtt_check_first((uint8_t)first, c->version);
	if (reason == MQTT_SUCCESS && h->padded && c->version == MQTT_5)
		reason = MQTT_MALFORMED; /* MQTT-1.5.5-1 */
	if (reason == MQTT_SUCCESS && h->type == MQTT_CONNECT)
		reason = MQTT_PROTOCOL_ERROR; /* MQTT-3.1.0-2 */
	if (reason != MQTT_SUCCESS)
		malformed(c, reason, h->type == MQTT_CONNECT ?
		    "MQTT-3.1.0-2: a second CONNECT" :
		    "a packet that clients do not send, or wrong flags");
	return reason == MQTT_SUCCESS;
}

void
packet_take(struct client *c, const struct mqtt_header *h,
    const unsigned char *body)
{
	switch (h->type) {
	case MQTT_CONNECT: connect_take(c, h, body); return;
	case MQTT_PUBLISH:
		take_publish(c, h->flags, body, h->remaining);
		return;
	case MQTT_PUBACK: take_puback(c, body, h->remaining); return;
	case MQTT_SUBSCRIBE:
	case MQTT_UNSUBSCRIBE:
		subscribe_take(c, h->type == MQTT_UNSUBSCRIBE, body,
		    h->remaining);
		return;
	case MQTT_PINGREQ:
		if (h->remaining != 0) { /* section 3.12 */
			malformed(c, MQTT_MALFORMED, "PINGREQ with a body");
			return;
		}
		mqtt_write_pingresp(&c->out);
		client_want_flush(c);
		return;
	case MQTT_DISCONNECT:
		take_disconnect(c, body, h->remaining);
		return;
	case MQTT_AUTH: connect_again(c, body, h->remaining); return;
	default:
		/* the QoS 2 dance: we never begin one */
		malformed(c, MQTT_PROTOCOL_ERROR, "QoS 2 is not supported");
	}
}
