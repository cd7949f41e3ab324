#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "clock.h"
#include "mosq.h"
#include "mqtt.h"
#include "record.h"

/* ---- messages ---- */

static struct mqtt_str
text(const char *p)
{
	struct mqtt_str s = { .p = p, .len = p != NULL ? strlen(p) : 0 };

	return s;
}

static void
add_text(struct buf *b, const char *p)
{
	size_t len = strlen(p);
	char size[2] = { (char)(len >> 8), (char)len };

	buf_add(b, size, 2);
	buf_add(b, p, len);
}

/* User properties as they stand in a packet; how many. */
static uint32_t
user_properties(struct buf *raw, const mosquitto_property *props)
{
	static const char id = MQTT_P_USER;
	char *name, *value;
	uint32_t n = 0;

	while ((props = mosquitto_property_read_string_pair(props,
	    MQTT_PROP_USER_PROPERTY, &name, &value, n > 0)) != NULL) {
		buf_add(raw, &id, 1);
		add_text(raw, name);
		add_text(raw, value);
		free(name);
		free(value);
		n++;
	}
	return n;
}

/* What libmosquitto knows of a message, in our terms. What it allocates for
 * that is in mem[]. */
static void
take_properties(struct mqtt_properties *to, const mosquitto_property *from,
    void *mem[3], struct buf *raw)
{
	char *type = NULL, *response = NULL;
	void *data = NULL;
	uint16_t len = 0;

	if (mosquitto_property_read_byte(from,
	    MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, &to->payload_format, false))
		to->has |= 1u << MQTT_P_PAYLOAD_FORMAT;
	if (mosquitto_property_read_int32(from,
	    MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, &to->message_expiry, false))
		to->has |= 1u << MQTT_P_MESSAGE_EXPIRY;
	if (mosquitto_property_read_string(from, MQTT_PROP_CONTENT_TYPE,
	    &type, false))
		to->has |= 1u << MQTT_P_CONTENT_TYPE;
	if (mosquitto_property_read_string(from, MQTT_PROP_RESPONSE_TOPIC,
	    &response, false))
		to->has |= 1u << MQTT_P_RESPONSE_TOPIC;
	if (mosquitto_property_read_binary(from, MQTT_PROP_CORRELATION_DATA,
	    &data, &len, false))
		to->has |= 1u << MQTT_P_CORRELATION;
	to->content_type = text(type);
	to->response_topic = text(response);
	to->correlation.p = data;
	to->correlation.len = len;
	mem[0] = type, mem[1] = response, mem[2] = data;
	to->nuser = user_properties(raw, from);
	to->raw = (const uint8_t *)buf_data(raw);
	to->raw_len = raw->len;
	if (to->nuser > 0)
		to->has |= UINT64_C(1) << MQTT_P_USER;
}

void
mosq_record(struct buf *b, const struct mosquitto_message *m,
    const mosquitto_property *props, struct json *scratch)
{
	struct mqtt_publish p = {
		.qos = (uint8_t)m->qos,
		.retain = m->retain,
		.topic = text(m->topic),
		.payload = { .p = m->payload, .len = (size_t)m->payloadlen },
	};
	char tst[CLOCK_TEXT + 1];
	struct buf raw = { 0 };
	void *mem[3];

	clock_format(tst, clock_now());
	take_properties(&p.props, props, mem, &raw);
	buf_printf(b, "{\"tst\":\"%s\",", tst);
	record_write(b, &p, scratch);
	buf_str(b, "}");
	b->bad |= raw.bad;
	for (size_t i = 0; i < 3; i++)
		free(mem[i]);
	buf_free(&raw);
}

/* ---- answers and faults ---- */

int
mosq_reason(int connack)
{
	static const int reasons[] = { 0,
		MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION,
		MQTT_RC_CLIENTID_NOT_VALID, MQTT_RC_SERVER_UNAVAILABLE,
		MQTT_RC_BAD_USERNAME_OR_PASSWORD, MQTT_RC_NOT_AUTHORIZED };

	return connack >= 0 && connack <= 5 ? reasons[connack] : connack;
}

int
mosq_status(int reason)
{
	switch (reason) {
	case MQTT_RC_BAD_USERNAME_OR_PASSWORD:
	case MQTT_RC_NOT_AUTHORIZED:
	case MQTT_RC_BANNED:
	case MQTT_RC_BAD_AUTHENTICATION_METHOD:
	case MQTT_RC_CLIENTID_NOT_VALID:
		return EX_NOPERM;
	case MQTT_RC_SERVER_UNAVAILABLE:
	case MQTT_RC_SERVER_BUSY:
	case MQTT_RC_SERVER_SHUTTING_DOWN:
	case MQTT_RC_KEEP_ALIVE_TIMEOUT:
	case MQTT_RC_SESSION_TAKEN_OVER:
	case MQTT_RC_ADMINISTRATIVE_ACTION:
		return EX_UNAVAILABLE;
	case MQTT_RC_QUOTA_EXCEEDED:
	case MQTT_RC_MESSAGE_RATE_TOO_HIGH:
	case MQTT_RC_CONNECTION_RATE_EXCEEDED:
		return EX_TEMPFAIL;
	case MQTT_RC_MALFORMED_PACKET:
	case MQTT_RC_PROTOCOL_ERROR:
	case MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION:
		return EX_PROTOCOL;
	}
	return EX_DATAERR;
}

/* "Topic Name invalid" as the rest of a sentence; "QoS" stays as it is. */
static void
lower(char *out, size_t size, const char *words)
{
	size_t len = strcspn(words, "."), word;

	snprintf(out, size, "%.*s", (int)len, words);
	for (; *out != '\0'; out += word + (out[word] == ' ')) {
		word = strcspn(out, " ");
		if (*out >= 'A' && *out <= 'Z' &&
		    strspn(out + 1, "abcdefghijklmnopqrstuvwxyz") == word - 1)
			*out += 'a' - 'A';
	}
}

bool
mosq_why(char why[MOSQ_WHY], int reason, const mosquitto_property *props)
{
	char words[80], q[QUOTE_MAX] = "";
	char *own = NULL;

	lower(words, sizeof(words), mosquitto_reason_string(reason));
	if (mosquitto_property_read_string(props, MQTT_PROP_REASON_STRING,
	    &own, false) != NULL && own != NULL)
		quote(q, own, strlen(own));
	free(own);
	snprintf(why, MOSQ_WHY, "%s (0x%02x)%s%s", words, (unsigned)reason,
	    q[0] != '\0' ? ": " : "", q);
	return q[0] != '\0';
}

bool
mosq_is_tls(int rc)
{
	/* OpenSSL's errors come as this errno, too, not always with words */
	return rc == MOSQ_ERR_TLS || (rc == MOSQ_ERR_ERRNO && errno == EPROTO);
}

void
mosq_error(char why[MOSQ_WHY], int rc, const char *tls)
{
	if (mosq_is_tls(rc))
		snprintf(why, MOSQ_WHY, "TLS: %s", tls[0] != '\0' ? tls :
		    "cut off; the broker may not accept the certificate");
	else if (rc == MOSQ_ERR_ERRNO)
		snprintf(why, MOSQ_WHY, "%s", strerror(errno));
	else
		lower(why, MOSQ_WHY, mosquitto_strerror(rc));
}

/* OpenSSL's words come as log lines: "OpenSSL Error[0]: error:0A000086:SSL
 * routines::certificate verify failed". */
void
mosq_log(char tls[QUOTE_MAX], int level, const char *line)
{
	const char *last = strrchr(line, ':');

	if (level != MOSQ_LOG_ERR || tls[0] != '\0')
		return;
	if (strncmp(line, "OpenSSL", 7) == 0 && last != NULL)
		line = last + 1;
	else if (strncmp(line, "Error: ", 7) == 0)
		line += 7;
	quote(tls, line, strlen(line));
}

int
mosq_no_password(char *password, int size, int flag, void *arg)
{
	(void)password, (void)size, (void)flag, (void)arg;
	return 0;
}
