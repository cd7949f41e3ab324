#include "routing.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base64.h"
#include "clock.h"
#include "enrich.h"
#include "event.h"
#include "foreign.h"
#include "jq.h"
#include "json.h"
#include "record.h"
#include "utf8.h"

#define ROUTING_KEEP 65536 /* bytes of scratch from message to message */
#define TOPIC_BYTES 65535  /* of a string in a packet */

#define NAME(s) s, sizeof(s) - 1

struct enrichment {
	char *text;     /* ,"key": and the value of a static one */
	size_t len;
	const char *name; /* the key, within the text */
	size_t name_len;
	bool dynamic;
	struct enrich enrich;
	char *key;      /* of the expression */
};

struct routing {
	bool azure;
	char *source; /* a JSON string */
	struct enrichment enrichments[ENRICH_MAX];
	size_t nenrichments;
	struct routing_counts counts;

	/* scratch */
	struct json json;    /* of the message */
	struct json inner;   /* of its payload */
	struct buf line;     /* the message, when it had to be recoded */
	struct buf text;     /* its payload's bytes */
	struct buf value;    /* of an enrichment */
	struct buf type;     /* its content type, unescaped */
	struct event event;
};

/* A message: tokens, 0 for what it lacks. */
struct message {
	const struct json *js;
	struct enrich_message from;
	uint32_t time, payload, payload_base64;
	uint32_t content_type; /* it has one */
	struct mqtt_str type;  /* without its parameters; len 0: it has none */
	int64_t payload_len;   /* -1: it does not say */
	bool mqtt3;
	bool utf8;             /* its payload format is text */
};

/* What becomes of the payload. */
enum form { FORM_NONE, FORM_JSON, FORM_TEXT, FORM_BYTES };

struct payload {
	struct mqtt_str bytes;
	uint32_t string; /* the token of just these bytes as text; 0 */
	uint32_t coded;  /* and of just these in base64; 0 */
	bool json;       /* a JSON value that stood in the message */
	bool too_long;   /* as text: there are too many escapes in it */
	enum form form;
};

/* ---- what a message has ---- */

static struct mqtt_str
text_of(const struct json *js, uint32_t t)
{
	const struct json_token *tok = &js->tok[t];

	return (struct mqtt_str){ js->text + tok->start,
		tok->end - tok->start };
}

/* A string's bytes, in `text` when they are not in the message as they are. */
static struct mqtt_str
bytes_of(struct routing *r, uint32_t t)
{
	const struct json_token *tok = &r->json.tok[t];

	if (!tok->escaped)
		return (struct mqtt_str){ r->json.text + tok->start + 1,
			tok->end - tok->start - 2 };
	buf_reset(&r->text, ROUTING_KEEP);
	json_string(&r->json, t, &r->text);
	return (struct mqtt_str){ buf_data(&r->text), r->text.len };
}

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
check_correlation(struct routing *r, struct message *m, struct fault *f)
{
	uint32_t plain = m->from.correlation, coded = m->from.correlation_base64;
	struct mqtt_str s;

	if (check_type(m->js, plain, JSON_STRING, "correlation-data", f) == -1 ||
	    check_type(m->js, coded, JSON_STRING, "correlation-data_base64",
	    f) == -1)
		return -1;
	if (coded == 0)
		return 0;
	if (plain != 0)
		return wrong(f, "correlation-data",
		    "is there in base64, too");
	s = bytes_of(r, coded);
	if (base64_decode(NULL, s.p, s.len) == -1)
		return wrong(f, "correlation-data_base64", "is not base64");
	return 0;
}

/* The content type without its parameters, if it can be an event's. */
static void
read_type(struct routing *r, struct message *m)
{
	const struct json_token *tok = &m->js->tok[m->content_type];
	size_t n = 0;

	if (m->content_type == 0 || !event_is_media_type(m->js, m->content_type))
		return;
	m->type = (struct mqtt_str){ m->js->text + tok->start + 1,
		tok->end - tok->start - 2 };
	if (tok->escaped) {
		buf_reset(&r->type, ROUTING_KEEP);
		json_string(m->js, m->content_type, &r->type);
		m->type = (struct mqtt_str){ buf_data(&r->type), r->type.len };
	}
	while (n < m->type.len && m->type.p[n] != ';' && m->type.p[n] != ' ')
		n++;
	m->type.len = n;
}

static int
read_properties(struct routing *r, uint32_t obj, struct message *m,
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
	    "response-topic", f) == -1 || check_correlation(r, m, f) == -1 ||
	    check_users(js, from->users, f) == -1)
		return -1;
	read_type(r, m);
	return 0;
}

static int
read_topic(struct routing *r, uint32_t t, struct fault *f)
{
	size_t n;

	if (t == 0)
		return wrong(f, "topic", "is missing");
	if (check_type(&r->json, t, JSON_STRING, "topic", f) == -1)
		return -1;
	n = bytes_of(r, t).len;
	if (n == 0)
		return wrong(f, "topic", "is empty");
	if (n > TOPIC_BYTES)
		return wrong(f, "topic", "has more than 65535 bytes");
	return 0;
}

static int
read_message(struct routing *r, struct message *m, struct fault *f)
{
	const struct json *js = &r->json;
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
	if (read_topic(r, m->from.topic, f) == -1 ||
	    read_client(js, client, m, f) == -1 ||
	    read_properties(r, properties, m, f) == -1)
		return -1;
	return check_type(js, m->payload_base64, JSON_STRING,
	    "payload_base64", f);
}

/* ---- the payload ---- */

static int
decode(struct routing *r, const struct message *m, struct payload *p,
    struct fault *f)
{
	struct mqtt_str s = bytes_of(r, m->payload_base64);
	char *to = buf_data(&r->text);
	long n;

	if (!m->js->tok[m->payload_base64].escaped) {
		p->coded = m->payload_base64;
		buf_reset(&r->text, ROUTING_KEEP);
		if ((to = buf_room(&r->text, s.len)) == NULL)
			return 0;
	}
	if ((n = base64_decode(to, s.p, s.len)) == -1)
		return wrong(f, "payload_base64", "is not base64");
	p->bytes = (struct mqtt_str){ to, (size_t)n };
	if (m->payload_len != -1 && m->payload_len != n)
		return wrong(f, "payload", "is not all there");
	return 0;
}

/*
 * A string is the payload's text; but not when its length shows that the payload
 * was a string in JSON, as %J has it: quotes and all.
 */
static bool
is_text(const struct message *m, struct mqtt_str s)
{
	return m->payload_len < 0 || (uint64_t)m->payload_len < s.len + 2;
}

static int
read_payload(struct routing *r, const struct message *m, struct payload *p,
    struct fault *f)
{
	const struct json_token *tok = &m->js->tok[m->payload];
	struct mqtt_str s;

	*p = (struct payload){ .form = FORM_NONE };
	if (m->payload == 0)
		return decode(r, m, p, f);
	p->bytes = text_of(m->js, m->payload);
	p->json = true;
	if (tok->type == JSON_NULL && m->payload_len == 0)
		p->bytes.len = 0;
	if (tok->type != JSON_STRING)
		return 0;
	s = bytes_of(r, m->payload);
	if (is_text(m, s)) {
		p->bytes = s;
		p->string = m->payload;
		p->json = false;
	}
	return 0;
}

/* Is it JSON? It is without white space around it then. */
static bool
is_json(struct routing *r, struct payload *p)
{
	size_t i = 0;

	if (p->json)
		return true;
	while (i < p->bytes.len && memchr(" \t\r\n", p->bytes.p[i], 4) != NULL)
		i++;
	/* most texts are none from the first character on */
	if (i == p->bytes.len || memchr("{[\"-0123456789tfn", p->bytes.p[i],
	    17) == NULL)
		return false;
	json_trim(&r->inner);
	if (json_scan(&r->inner, p->bytes.p, p->bytes.len, NULL) == -1 ||
	    !json_is_within(&r->inner, RECORD_PAYLOAD_DEPTH))
		return false;
	p->bytes = text_of(&r->inner, 0);
	return true;
}

static bool
is_type(struct mqtt_str s, const char *type, size_t len)
{
	return s.len == len && strncasecmp(s.p, type, len) == 0;
}

/* text/ and whatever. */
static bool
is_text_type(struct mqtt_str s)
{
	return s.len > 5 && strncasecmp(s.p, "text/", 5) == 0;
}

/* Whatever /json or +json. */
static bool
is_json_type(struct mqtt_str s)
{
	return s.len > 5 && (s.p[s.len - 5] == '/' || s.p[s.len - 5] == '+') &&
	    strncasecmp(s.p + s.len - 4, "json", 4) == 0;
}

static bool
is_utf8(const struct payload *p)
{
	return p->string != 0 || utf8_text(p->bytes.p, p->bytes.len);
}

/* The service's rule: reference, section 14.3. */
static enum form
azure_form(struct routing *r, const struct message *m, struct payload *p)
{
	if (m->mqtt3 || (!m->utf8 &&
	    !is_type(m->type, NAME("application/json"))))
		return FORM_BYTES;
	if (is_json(r, p))
		return FORM_JSON;
	return is_utf8(p) ? FORM_TEXT : FORM_BYTES;
}

static enum form
default_form(struct routing *r, const struct message *m, struct payload *p)
{
	if (is_json(r, p))
		return FORM_JSON;
	if ((m->utf8 || is_text_type(m->type) || is_json_type(m->type)) &&
	    is_utf8(p))
		return FORM_TEXT;
	return FORM_BYTES;
}

/* JSON on one line: outside strings a line's end is white space, and within
 * there is none. */
static void
add_json(struct buf *b, struct mqtt_str s)
{
	char *to = buf_room(b, s.len), *p;

	if (to == NULL)
		return;
	memcpy(to, s.p, s.len);
	buf_grew(b, s.len);
	for (p = to; (p = memchr(p, '\n', (size_t)(to + s.len - p))) != NULL;)
		*p = ' ';
	for (p = to; (p = memchr(p, '\r', (size_t)(to + s.len - p))) != NULL;)
		*p = ' ';
}

static void
add_bytes(struct buf *b, const struct json *js, const struct payload *p)
{
	buf_add(b, NAME(",\"data_base64\":"));
	if (p->coded != 0) {
		add_json(b, text_of(js, p->coded));
		return;
	}
	buf_add(b, "\"", 1);
	base64_add(b, p->bytes.p, p->bytes.len);
	buf_add(b, "\"", 1);
}

static void
add_payload(struct buf *b, const struct json *js, const struct payload *p)
{
	switch (p->form) {
	case FORM_NONE:
		break;
	case FORM_JSON:
		buf_add(b, NAME(",\"data\":"));
		add_json(b, p->bytes);
		break;
	case FORM_TEXT:
		buf_add(b, NAME(",\"data\":"));
		if (p->string != 0)
			add_json(b, text_of(js, p->string));
		else
			buf_json(b, p->bytes.p, p->bytes.len);
		break;
	case FORM_BYTES:
		add_bytes(b, js, p);
		break;
	}
}

/* ---- attributes ---- */

/* Those of a message; of how many the value was cut. */
static unsigned
add_enrichments(struct routing *r, const struct message *m, struct buf *b)
{
	unsigned cut = 0;

	for (size_t i = 0; i < r->nenrichments; i++) {
		const struct enrichment *e = &r->enrichments[i];

		buf_add(b, e->text, e->len);
		if (e->dynamic)
			cut += enrich_value(&e->enrich, &m->from, &r->value, b);
	}
	return cut;
}

/* datacontenttype: the message's, or what consumers would not guess. */
static void
add_type(const struct routing *r, const struct message *m,
    const struct payload *p, struct buf *b)
{
	static const char *const types[] = {
		[FORM_NONE] = NULL,
		[FORM_JSON] = "\"application/json\"",
		[FORM_TEXT] = "\"text/plain\"",
		[FORM_BYTES] = "\"application/octet-stream\"",
	};
	const char *type = types[p->form];

	if (m->type.len == 0 && p->form == FORM_TEXT && r->azure)
		type = NULL;
	if (m->type.len == 0 && type == NULL)
		return;
	buf_add(b, NAME(",\"datacontenttype\":"));
	if (m->type.len > 0)
		event_add_token(b, m->js, m->content_type);
	else
		buf_str(b, type);
}

/* A time that mosquitto_sub prints: the local one, a 'Z' that does not belong
 * there, and the zone without its colon. */
static bool
foreign_time(struct mqtt_str s, int64_t *us)
{
	char text[64];
	size_t n = s.len;

	if (n < 6 || n > sizeof(text) - 1 ||
	    (s.p[n - 5] != '+' && s.p[n - 5] != '-'))
		return false;
	n -= 5;
	if (s.p[n - 1] == 'Z')
		n--;
	memcpy(text, s.p, n);
	memcpy(text + n, s.p + s.len - 5, 3);
	text[n + 3] = ':';
	memcpy(text + n + 4, s.p + s.len - 2, 2);
	return clock_parse(text, n + 6, us) == 0;
}

/* Older ones print seconds. */
static bool
seconds(const struct json *js, uint32_t t, int64_t *us)
{
	return js->tok[t].type == JSON_NUMBER && json_int64(js, t, us) &&
	    !__builtin_mul_overflow(*us, CLOCK_SECOND, us);
}

static void
add_time(const struct message *m, int64_t now, struct buf *b)
{
	struct mqtt_str s = text_of(m->js, m->time);
	char text[CLOCK_TEXT + 1];
	int64_t us;

	buf_add(b, NAME(",\"time\":"));
	if (m->time != 0 && m->js->tok[m->time].type == JSON_STRING &&
	    !m->js->tok[m->time].escaped) {
		s.p++;
		s.len -= 2;
		if (clock_parse(s.p, s.len, &us) == 0) {
			if (s.p[s.len - 1] == 'Z') {
				buf_add(b, s.p - 1, s.len + 2);
				return;
			}
			now = us;
		} else if (foreign_time(s, &us)) {
			now = us;
		}
	} else if (m->time != 0 && seconds(m->js, m->time, &us)) {
		now = us;
	}
	clock_format(text, now);
	buf_add(b, "\"", 1);
	buf_add(b, text, CLOCK_TEXT);
	buf_add(b, "\"", 1);
}

/* ---- messages that are CloudEvents already ---- */

/* Does an enrichment take the place of this member? */
static bool
is_replaced(const struct routing *r, const struct json *js, uint32_t name)
{
	for (size_t i = 0; i < r->nenrichments; i++)
		if (json_is(js, name, r->enrichments[i].name,
		    r->enrichments[i].name_len))
			return true;
	return false;
}

/* The event that was parsed, with the enrichments; false when these are too
 * many for it. */
static bool
enrich_event(struct routing *r, const struct message *m, struct buf *b,
    unsigned *cut)
{
	const struct json *js = &r->event.json;
	const struct json_token *tok = js->tok;
	size_t before = b->len, members = r->nenrichments;

	for (uint32_t t = 1; t < tok[0].next; t = tok[t + 1].next) {
		if (is_replaced(r, js, t))
			continue;
		buf_add(b, ",", 1);
		add_json(b, (struct mqtt_str){ js->text + tok[t].start,
			tok[t + 1].end - tok[t].start });
		members++;
	}
	*cut = add_enrichments(r, m, b);
	if (!b->bad)
		buf_data(b)[before] = '{';
	buf_add(b, "}", 1);
	return members <= EVENT_ATTRIBUTES;
}

/* Structured mode: the payload is the event. */
static bool
is_structured(const struct message *m)
{
	return is_type(m->type, NAME("application/cloudevents")) ||
	    is_type(m->type, NAME("application/cloudevents+json"));
}

static bool
add_structured(struct routing *r, const struct message *m,
    const struct payload *p, struct buf *b, unsigned *cut)
{
	if (event_parse(&r->event, p->bytes.p, p->bytes.len, NULL) == -1)
		return false;
	if (r->nenrichments > 0)
		return enrich_event(r, m, b, cut);
	add_json(b, text_of(&r->event.json, 0));
	return true;
}

/* Binary mode: user properties are the attributes. */
static bool
is_binary(const struct message *m)
{
	static const struct {
		const char *name;
		size_t len;
	} needed[] = { { NAME("specversion") }, { NAME("id") },
		{ NAME("source") }, { NAME("type") } };
	uint32_t at = 0, name, value;
	unsigned found = 0;

	while (enrich_next_user(&m->from, &at, &name, &value))
		for (unsigned i = 0; i < 4; i++)
			if (json_is(m->js, name, needed[i].name,
			    needed[i].len))
				found |= 1u << i;
	return found == 0xf;
}

/* The attributes that were added. */
struct names {
	struct mqtt_str name[EVENT_ATTRIBUTES];
	size_t n;
};

static bool
has_name(const struct names *names, struct mqtt_str s)
{
	for (size_t i = 0; i < names->n; i++)
		if (names->name[i].len == s.len &&
		    memcmp(names->name[i].p, s.p, s.len) == 0)
			return true;
	return false;
}

/* A user property that is an attribute: the first of its name. */
static bool
add_user(struct routing *r, struct message *m, struct names *names,
    uint32_t name, uint32_t value, struct buf *b)
{
	struct mqtt_str s = text_of(m->js, name);

	s.p++;
	s.len -= 2;
	/* an escape is in no attribute's name, unless to hide it */
	if (!event_is_name(s.p, s.len) || is_type(s, NAME("data")) ||
	    is_replaced(r, m->js, name) || has_name(names, s))
		return true;
	if (is_type(s, NAME("datacontenttype"))) {
		if (m->type.len == 0) {
			m->content_type = value;
			read_type(r, m);
		}
		return true;
	}
	if (names->n == EVENT_ATTRIBUTES)
		return false;
	names->name[names->n++] = s;
	buf_add(b, ",\"", 2);
	buf_add(b, s.p, s.len);
	buf_add(b, "\":", 2);
	event_add_token(b, m->js, value);
	return true;
}

static bool
add_binary(struct routing *r, struct message m, const struct payload *p,
    struct buf *b, unsigned *cut)
{
	struct names names = { .n = 0 };
	uint32_t at = 0, name, value;
	size_t before = b->len;

	while (enrich_next_user(&m.from, &at, &name, &value))
		if (!add_user(r, &m, &names, name, value, b))
			return false;
	add_type(r, &m, p, b);
	*cut = add_enrichments(r, &m, b);
	add_payload(b, m.js, p);
	buf_add(b, "}", 1);
	if (b->bad)
		return true;
	buf_data(b)[before] = '{';
	return b->len - before > EVENT_MAX || event_parse(&r->event,
	    buf_data(b) + before, b->len - before, NULL) == 0;
}

/* ---- events ---- */

static unsigned
add_wrapped(struct routing *r, const struct message *m,
    const struct payload *p, const char *id, int64_t now, struct buf *b)
{
	unsigned cut;

	buf_add(b, NAME("{\"specversion\":\"1.0\",\"id\":\""));
	buf_str(b, id);
	buf_add(b, NAME("\",\"source\":"));
	buf_str(b, r->source);
	buf_add(b, NAME(",\"type\":\"MQTT.EventPublished\",\"subject\":"));
	event_add_token(b, m->js, m->from.topic);
	add_time(m, now, b);
	add_type(r, m, p, b);
	cut = add_enrichments(r, m, b);
	add_payload(b, m->js, p);
	buf_add(b, "}", 1);
	return cut;
}

static void
shape(struct routing *r, const struct message *m, struct payload *p)
{
	if (p->bytes.len == 0)
		p->form = FORM_NONE;
	else if (r->azure)
		p->form = azure_form(r, m, p);
	else
		p->form = default_form(r, m, p);
	if (p->form == FORM_TEXT && p->too_long)
		p->form = FORM_BYTES;
}

/* In whichever way it can be; the number of enrichments that were cut. */
static unsigned
add_event(struct routing *r, const struct message *m, struct payload *p,
    const char *id, int64_t now, struct buf *b)
{
	bool structured = is_structured(m);
	size_t before = b->len;
	unsigned cut = 0;

	if (structured && add_structured(r, m, p, b, &cut))
		return cut;
	shape(r, m, p);
	if (!structured && is_binary(m)) {
		if (add_binary(r, *m, p, b, &cut))
			return cut;
		structured = true;
	}
	b->len = before;
	r->counts.wrapped += structured;
	return add_wrapped(r, m, p, id, now, b);
}

/* ---- the namespace ---- */

static int
add_enrichment(struct routing *r, const char *key, const char *value,
    bool dynamic, struct fault *f)
{
	struct enrichment *e = &r->enrichments[r->nenrichments];
	struct buf b = { 0 };

	if (r->nenrichments == ENRICH_MAX)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "more than %d enrichments", ENRICH_MAX);
	if (key == NULL || value == NULL)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "an enrichment without key or value");
	if (enrich_check_key(key, f) == -1 ||
	    (dynamic && enrich_parse(&e->enrich, value, f) == -1))
		return -1;
	buf_printf(&b, ",\"%s\":", key);
	if (!dynamic)
		event_add_text(&b, value, strlen(value));
	e->text = b.bad ? NULL : strndup(buf_data(&b), b.len);
	e->key = malloc(e->enrich.key_len + 1);
	buf_free(&b);
	r->nenrichments++;
	if (e->text == NULL || e->key == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	e->len = strlen(e->text);
	e->name = e->text + 2;
	e->name_len = strlen(key);
	e->dynamic = dynamic;
	enrich_unescape(&e->enrich, e->key);
	return 0;
}

/* A list of them. */
static int
add_list(struct routing *r, jv namespace, const char *path, bool dynamic,
    struct fault *f)
{
	jv list = jq_get(namespace, path);
	int rc = 0;

	if (jv_get_kind(list) == JV_KIND_ARRAY) {
		jv_array_foreach(list, i, one) {
			if (rc == 0)
				rc = add_enrichment(r, jq_str(one, "key"),
				    jq_str(one, "value"), dynamic, f);
			jv_free(one);
		}
	}
	jv_free(list);
	return rc;
}

/* The name as a JSON string; it is what an event's source may be. */
static int
set_source(struct routing *r, const char *name, struct fault *f)
{
	struct buf b = { 0 };
	size_t before;
	int rc;

	buf_str(&b, "{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"t\","
	    "\"source\":");
	before = b.len;
	buf_json(&b, name, strlen(name));
	if (!b.bad)
		r->source = strndup(buf_data(&b) + before, b.len - before);
	buf_str(&b, "}");
	if (b.bad || r->source == NULL)
		rc = fault_set(f, FAULT_INTERNAL, "out of memory");
	else
		rc = event_parse(&r->event, buf_data(&b), b.len, f);
	buf_free(&b);
	return rc;
}

struct routing *
routing_new(jv namespace, struct fault *f)
{
	static const char path[] =
	    "properties.topicSpacesConfiguration.routingEnrichments";
	const char *name = jq_str(namespace, "name");
	const char *profile = jq_str(namespace, "properties.profile");
	struct routing *r = calloc(1, sizeof(*r));
	jv lists = jq_get(namespace, path);
	int rc = -1;

	if (r == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
	} else {
		r->azure = profile != NULL && strcmp(profile, "Azure") == 0;
		rc = set_source(r, name != NULL ? name : "", f);
	}
	if (rc == 0)
		rc = add_list(r, lists, "static", false, f);
	if (rc == 0)
		rc = add_list(r, lists, "dynamic", true, f);
	jv_free(lists);
	jv_free(namespace);
	if (rc == 0 || r == NULL)
		return r;
	routing_free(r);
	return NULL;
}

void
routing_free(struct routing *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->nenrichments; i++) {
		free(r->enrichments[i].text);
		free(r->enrichments[i].key);
	}
	free(r->source);
	json_free(&r->json);
	json_free(&r->inner);
	buf_free(&r->line);
	buf_free(&r->text);
	buf_free(&r->value);
	buf_free(&r->type);
	event_free(&r->event);
	free(r);
}

/* The message as JSON. 0, or -1 and a fault. */
static int
scan(struct routing *r, const char *text, size_t n, struct fault *f)
{
	json_trim(&r->json);
	if (json_scan(&r->json, text, n, f) == 0)
		return 0;
	buf_reset(&r->line, ROUTING_KEEP);
	if (utf8_text(text, n) || !foreign_recode(&r->line, text, n))
		return -1;
	return json_scan(&r->json, buf_data(&r->line), r->line.len, f);
}

int
routing_event(struct routing *r, const char *text, size_t n, const char *id,
    int64_t now, struct buf *b, struct fault *f)
{
	struct routing_counts counts = r->counts;
	struct message m;
	struct payload p;
	size_t before = b->len;
	unsigned cut;

	if (scan(r, text, n, f) == -1 || read_message(r, &m, f) == -1 ||
	    read_payload(r, &m, &p, f) == -1)
		return -1;
	cut = add_event(r, &m, &p, id, now, b);
	if (p.form == FORM_TEXT && b->len - before > EVENT_MAX) {
		/* six bytes for one, where base64 has four for three */
		p.too_long = true;
		b->len = before;
		r->counts = counts;
		cut = add_event(r, &m, &p, id, now, b);
	}
	buf_add(b, "\n", 1);
	if (b->bad || r->text.bad || r->type.bad) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
	} else if (b->len - before - 1 > EVENT_MAX) {
		fault_set(f, FAULT_TOO_LARGE, "its event has %zu bytes; an "
		    "event may have at most %d", b->len - before - 1,
		    EVENT_MAX);
	} else {
		r->counts.truncated += cut;
		return 0;
	}
	b->len = before;
	return -1;
}

struct routing_counts
routing_counts(const struct routing *r)
{
	return r->counts;
}
