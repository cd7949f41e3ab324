#include "routing_message.h"

#include "base64.h"
#include "event.h"
#include "foreign.h"
#include "utf8.h"

#define TOPIC_BYTES 65535 /* of a string in a packet */

#define NAME(s) s, sizeof(s) - 1

struct member {
	const char *name;
	size_t len;
	uint32_t *to;
};

/* The values of those members of an object that are known; the last of equal
 * names. */
static void
find(const struct json *js, uint32_t obj, const struct member *members,
    size_t n)
{
	const struct json_token *tok = js->tok;

	for (uint32_t t = obj + 1; t < tok[obj].next; t = tok[t + 1].next)
		for (size_t i = 0; i < n; i++)
			if ((tok[t].escaped ||
			    tok[t].end - tok[t].start - 2 == members[i].len) &&
			    json_is(js, t, members[i].name, members[i].len))
				*members[i].to = t + 1;
}

static int
wrong(struct fault *f, const char *name, const char *what)
{
	return fault_set(f, FAULT_BAD_REQUEST, "\"%s\" %s", name, what);
}

/* It is not there, or of that type. */
static int
check_type(const struct json *js, uint32_t t, enum json_type type,
    const char *name, struct fault *f)
{
	if (t == 0 || js->tok[t].type == type)
		return 0;
	return wrong(f, name, type == JSON_OBJECT ? "is not an object" :
	    "is not a string");
}

static int
read_client(const struct json *js, uint32_t obj, struct message *m,
    struct fault *f)
{
	uint32_t protocol = 0;
	const struct member members[] = {
		{ NAME("authenticationName"), &m->from.name },
		{ NAME("protocol"), &protocol },
		{ NAME("attributes"), &m->from.attributes },
	};

	if (obj == 0)
		return 0;
	/* in records of dropped/ it is just the name */
	if (js->tok[obj].type == JSON_STRING) {
		m->from.name = obj;
		return 0;
	}
	if (check_type(js, obj, JSON_OBJECT, "client", f) == -1)
		return -1;
	find(js, obj, members, sizeof(members) / sizeof(members[0]));
	/* who does not say is of MQTT 5: without properties that is the same */
	m->mqtt3 = protocol != 0 && json_is(js, protocol, NAME("MQTT3"));
	if (check_type(js, m->from.name, JSON_STRING, "authenticationName",
	    f) == -1)
		return -1;
	return check_type(js, m->from.attributes, JSON_OBJECT, "attributes",
	    f);
}

/* Pairs of strings, as ours; or an object, as mosquitto_sub's. */
static int
check_users(const struct json *js, uint32_t users, struct fault *f)
{
	const struct json_token *tok = js->tok;
	const char *name = "user-properties";
	bool pairs = tok[users].type == JSON_ARRAY;

	if (users == 0)
		return 0;
	if (!pairs && tok[users].type != JSON_OBJECT)
		return wrong(f, name, "is neither an array nor an object");
	for (uint32_t t = users + 1, first; t < tok[users].next;
	    t = tok[first + 1].next) {
		first = pairs ? t + 1 : t;
		if (pairs && (tok[t].type != JSON_ARRAY ||
		    tok[t].next != t + 3))
			return wrong(f, name, "has something else than pairs");
		if (tok[first].type != JSON_STRING ||
		    tok[first + 1].type != JSON_STRING)
			return wrong(f, name, "has something else than "
			    "strings");
	}
	return 0;
}

static int
check_correlation(struct routing_scratch *s, const struct message *m,
    struct fault *f)
{
	uint32_t plain = m->from.correlation;
	uint32_t coded = m->from.correlation_base64;
	struct mqtt_str base64;

	if (check_type(m->js, plain, JSON_STRING, "correlation-data",
	    f) == -1 || check_type(m->js, coded, JSON_STRING,
	    "correlation-data_base64", f) == -1)
		return -1;
	if (coded == 0)
		return 0;
	if (plain != 0)
		return wrong(f, "correlation-data",
		    "is there in base64, too");
	base64 = routing_string(s, coded);
	if (base64_decode(NULL, base64.p, base64.len) == -1)
		return wrong(f, "correlation-data_base64", "is not base64");
	return 0;
}

static int
read_properties(struct routing_scratch *s, uint32_t obj, struct message *m,
    struct fault *f)
{
	const struct json *js = m->js;
	struct enrich_message *from = &m->from;
	const struct member members[] = {
		{ NAME("payload-format-indicator"), &from->pfi },
		{ NAME("content-type"), &m->content_type },
		{ NAME("response-topic"), &from->response },
		{ NAME("correlation-data"), &from->correlation },
		{ NAME("correlation-data_base64"), &from->correlation_base64 },
		{ NAME("user-properties"), &from->users },
	};
	int64_t pfi = 0;

	if (obj == 0)
		return 0;
	if (check_type(js, obj, JSON_OBJECT, "properties", f) == -1)
		return -1;
	find(js, obj, members, sizeof(members) / sizeof(members[0]));
	if (from->pfi != 0 && (js->tok[from->pfi].type != JSON_NUMBER ||
	    !json_int64(js, from->pfi, &pfi) || pfi < 0 || pfi > 1))
		return wrong(f, "payload-format-indicator",
		    "is neither 0 nor 1");
	m->utf8 = pfi == 1;
	if (check_type(js, m->content_type, JSON_STRING, "content-type",
	    f) == -1 || check_type(js, from->response, JSON_STRING,
	    "response-topic", f) == -1 || check_correlation(s, m, f) == -1 ||
	    check_users(js, from->users, f) == -1)
		return -1;
	routing_read_type(s, m);
	return 0;
}

static int
read_topic(struct routing_scratch *s, uint32_t t, struct fault *f)
{
	size_t n;

	if (t == 0)
		return wrong(f, "topic", "is missing");
	if (check_type(&s->json, t, JSON_STRING, "topic", f) == -1)
		return -1;
	n = routing_string(s, t).len;
	if (n == 0)
		return wrong(f, "topic", "is empty");
	if (n > TOPIC_BYTES)
		return wrong(f, "topic", "has more than 65535 bytes");
	return 0;
}

static int
read_message(struct routing_scratch *s, struct message *m, struct fault *f)
{
	const struct json *js = &s->json;
	uint32_t client = 0, properties = 0, length = 0;
	const struct member members[] = {
		{ NAME("tst"), &m->time },
		{ NAME("client"), &client },
		{ NAME("topic"), &m->from.topic },
		{ NAME("properties"), &properties },
		{ NAME("payload"), &m->payload },
		{ NAME("payload_base64"), &m->payload_base64 },
		{ NAME("payloadlen"), &length },
	};

	*m = (struct message){ .js = js, .from.js = js, .payload_len = -1 };
	if (js->tok[0].type != JSON_OBJECT)
		return fault_set(f, FAULT_BAD_REQUEST, "is not an object");
	find(js, 0, members, sizeof(members) / sizeof(members[0]));
	if (length != 0 && (js->tok[length].type != JSON_NUMBER ||
	    !json_int64(js, length, &m->payload_len) || m->payload_len < 0))
		return wrong(f, "payloadlen", "is out of range");
	if ((m->payload != 0) == (m->payload_base64 != 0))
		return wrong(f, "payload", m->payload == 0 ? "is missing" :
		    "and \"payload_base64\" are both there");
	if (read_topic(s, m->from.topic, f) == -1 ||
	    read_client(js, client, m, f) == -1 ||
	    read_properties(s, properties, m, f) == -1)
		return -1;
	return check_type(js, m->payload_base64, JSON_STRING,
	    "payload_base64", f);
}

/* The message as JSON. 0, or -1 and a fault. */
static int
scan(struct routing_scratch *s, const char *text, size_t n, struct fault *f)
{
	json_trim(&s->json);
	if (json_scan(&s->json, text, n, f) == 0)
		return 0;
	buf_reset(&s->line, ROUTING_KEEP);
	if (utf8_text(text, n) || !foreign_recode(&s->line, text, n))
		return -1;
	return json_scan(&s->json, buf_data(&s->line), s->line.len, f);
}

int
routing_read(struct routing_scratch *s, const char *text, size_t n,
    struct message *m, struct fault *f)
{
	return scan(s, text, n, f) == -1 ? -1 : read_message(s, m, f);
}

void
routing_read_type(struct routing_scratch *s, struct message *m)
{
	const struct json_token *tok = &m->js->tok[m->content_type];
	size_t n = 0;

	if (m->content_type == 0 ||
	    !event_is_media_type(m->js, m->content_type))
		return;
	m->type = (struct mqtt_str){ m->js->text + tok->start + 1,
		tok->end - tok->start - 2 };
	if (tok->escaped) {
		buf_reset(&s->type, ROUTING_KEEP);
		json_string(m->js, m->content_type, &s->type);
		if (buf_data(&s->type) == NULL)
			return; /* it is bad, as routing_event will find */
		m->type = (struct mqtt_str){ buf_data(&s->type), s->type.len };
	}
	while (n < m->type.len && m->type.p[n] != ';' && m->type.p[n] != ' ')
		n++;
	m->type.len = n;
}

struct mqtt_str
routing_string(struct routing_scratch *s, uint32_t t)
{
	const struct json_token *tok = &s->json.tok[t];

	if (!tok->escaped)
		return (struct mqtt_str){ s->json.text + tok->start + 1,
			tok->end - tok->start - 2 };
	buf_reset(&s->text, ROUTING_KEEP);
	json_string(&s->json, t, &s->text);
	return (struct mqtt_str){ buf_data(&s->text), s->text.len };
}

void
routing_scratch_free(struct routing_scratch *s)
{
	json_free(&s->json);
	json_free(&s->inner);
	buf_free(&s->line);
	buf_free(&s->text);
	buf_free(&s->type);
}
