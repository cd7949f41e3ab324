#include "record.h"

#include <string.h>

#include "base64.h"
#include "crc32c.h"
#include "topic.h"
#include "utf8.h"

#define RECORD_KEEP 65536 /* bytes of memory from record to record */
#define STRING_MAX 65535  /* bytes of a string in a packet */

#define NAME(s) s, sizeof(s) - 1

/* May it stand in the record as it is? */
static bool
is_embeddable(struct json *js, const char *p, size_t len)
{
	if (len < 2 || (p[0] != '{' && p[0] != '[') ||
	    (p[len - 1] != '}' && p[len - 1] != ']') ||
	    memchr(p, '\n', len) != NULL || memchr(p, '\r', len) != NULL)
		return false;
	return json_scan(js, p, len, NULL) == 0 &&
	    json_is_within(js, RECORD_PAYLOAD_DEPTH);
}

static bool
is_text(struct mqtt_str s)
{
	uint64_t word;
	size_t n;

	for (size_t i = 0; i < s.len; i += n) {
		n = sizeof(word);
		if (n <= s.len - i) {
			memcpy(&word, s.p + i, n);
			if ((word & UINT64_C(0x8080808080808080)) == 0)
				continue; /* ASCII */
		}
		if ((n = utf8_char(s.p + i, s.len - i)) == 0)
			return false;
	}
	return true;
}

static void
add_json(struct buf *b, struct mqtt_str s)
{
	buf_json(b, s.p, s.len);
}

static void
add_base64(struct buf *b, struct mqtt_str s)
{
	buf_add(b, "\"", 1);
	base64_add(b, s.p, s.len);
	buf_add(b, "\"", 1);
}

static void
add_payload(struct buf *b, struct mqtt_str s, struct json *js)
{
	if (is_embeddable(js, s.p, s.len)) {
		buf_add(b, NAME(",\"payload\":"));
		buf_add(b, s.p, s.len);
	} else if (is_text(s)) {
		buf_add(b, NAME(",\"payload\":"));
		add_json(b, s);
	} else {
		buf_add(b, NAME(",\"payload_base64\":"));
		add_base64(b, s);
	}
	json_trim(js);
}

static void
add_correlation(struct buf *b, struct mqtt_str s)
{
	if (is_text(s)) {
		buf_add(b, NAME("\"correlation-data\":"));
		add_json(b, s);
	} else {
		buf_add(b, NAME("\"correlation-data_base64\":"));
		add_base64(b, s);
	}
	buf_add(b, ",", 1);
}

static void
add_users(struct buf *b, const struct mqtt_properties *props)
{
	struct mqtt_user user = { 0 };
	const char *sep = "[";

	buf_add(b, NAME("\"user-properties\":["));
	while (mqtt_next_user(props, &user)) {
		buf_add(b, sep, strlen(sep));
		add_json(b, user.name);
		buf_add(b, ",", 1);
		add_json(b, user.value);
		sep = "],[";
	}
	buf_add(b, NAME("]],"));
}

/* Each member with a comma behind it. */
static void
add_properties(struct buf *b, const struct mqtt_properties *props)
{
	if (mqtt_has(props, MQTT_P_PAYLOAD_FORMAT)) {
		buf_add(b, NAME("\"payload-format-indicator\":"));
		buf_u64(b, props->payload_format);
		buf_add(b, ",", 1);
	}
	if (mqtt_has(props, MQTT_P_MESSAGE_EXPIRY)) {
		buf_add(b, NAME("\"message-expiry-interval\":"));
		buf_u64(b, props->message_expiry);
		buf_add(b, ",", 1);
	}
	if (mqtt_has(props, MQTT_P_CONTENT_TYPE)) {
		buf_add(b, NAME("\"content-type\":"));
		add_json(b, props->content_type);
		buf_add(b, ",", 1);
	}
	if (mqtt_has(props, MQTT_P_RESPONSE_TOPIC)) {
		buf_add(b, NAME("\"response-topic\":"));
		add_json(b, props->response_topic);
		buf_add(b, ",", 1);
	}
	if (mqtt_has(props, MQTT_P_CORRELATION))
		add_correlation(b, props->correlation);
	if (props->nuser > 0)
		add_users(b, props);
}

/* What is read of a record, and where its faults go. */
struct reader {
	const struct json *js;
	struct record *record;
	struct fault *fault;
};

static int
wrong(struct reader *r, const char *name, const char *what)
{
	return fault_set(r->fault, FAULT_BAD_REQUEST, "\"%s\" %s", name, what);
}

/* A whole number; 0 when there is none, 1, or -1. */
static int
read_number(struct reader *r, uint32_t obj, const char *name, int64_t max,
    int64_t *value)
{
	uint32_t t = json_member(r->js, obj, name, strlen(name));

	*value = 0;
	if (t == 0)
		return 0;
	if (r->js->tok[t].type != JSON_NUMBER || !json_int64(r->js, t, value) ||
	    *value < 0 || *value > max)
		return wrong(r, name, "is out of range");
	return 1;
}

/* Token t's bytes into `mem`, where there is room already. */
static struct mqtt_str
unescape(struct reader *r, uint32_t t)
{
	struct buf *mem = &r->record->mem;
	size_t before = mem->len;

	json_string(r->js, t, mem);
	if (mem->bad || mem->mem == NULL)
		return (struct mqtt_str){ "", 0 };
	return (struct mqtt_str){ buf_data(mem) + before, mem->len - before };
}

/* The text of a token, without the quotes of a string. */
static struct mqtt_str
text_of(struct reader *r, uint32_t t)
{
	const struct json_token *tok = &r->js->tok[t];
	unsigned quote = tok->type == JSON_STRING;

	if (quote && tok->escaped)
		return unescape(r, t);
	return (struct mqtt_str){ r->js->text + tok->start + quote,
		tok->end - tok->start - 2 * quote };
}

/* A string of base64, decoded where it stands in `mem`. */
static int
bytes_of(struct reader *r, uint32_t t, const char *name, struct mqtt_str *s)
{
	struct buf *mem = &r->record->mem;
	char *p;
	long n;

	*s = unescape(r, t);
	if (s->len == 0)
		return 0;
	p = buf_data(mem) + mem->len - s->len;
	if ((n = base64_decode(p, p, s->len)) == -1)
		return wrong(r, name, "is not base64");
	s->len = (size_t)n;
	return 0;
}

/* A member that is a string; its token, 0, or -1 and a fault. */
static int64_t
find_string(struct reader *r, uint32_t obj, const char *name)
{
	uint32_t t = json_member(r->js, obj, name, strlen(name));

	if (t != 0 && r->js->tok[t].type != JSON_STRING)
		return wrong(r, name, "is not a string");
	return t;
}

static int
read_topic(struct reader *r, uint32_t obj)
{
	struct mqtt_str *topic = &r->record->topic;
	int64_t t = find_string(r, obj, "topic");
	const char *why;

	if (t == -1)
		return -1;
	if (t == 0)
		return wrong(r, "topic", "is missing");
	*topic = text_of(r, (uint32_t)t);
	if ((why = topic_bad_name(topic->p, topic->len)) != NULL)
		return wrong(r, "topic", why);
	return 0;
}

static int
read_payload(struct reader *r, uint32_t obj)
{
	uint32_t t = json_member(r->js, obj, NAME("payload"));
	int64_t coded = find_string(r, obj, "payload_base64");

	if (coded == -1)
		return -1;
	if ((t != 0) == (coded != 0))
		return wrong(r, "payload", t == 0 ? "is missing" :
		    "and \"payload_base64\" are both there");
	if (coded != 0)
		return bytes_of(r, (uint32_t)coded, "payload_base64",
		    &r->record->payload);
	r->record->payload = text_of(r, t);
	return 0;
}

/* Two bytes of length, and the bytes (MQTT 5 section 1.5.4 and 1.5.6). */
static int
add_packed(struct reader *r, const char *name, struct mqtt_str s)
{
	unsigned char len[2] = { (unsigned char)(s.len >> 8),
		(unsigned char)s.len };

	if (s.len > STRING_MAX)
		return wrong(r, name, "has more than 65535 bytes");
	buf_add(&r->record->forward, len, sizeof(len));
	buf_add(&r->record->forward, s.p, s.len);
	return 0;
}

static bool
has_byte(struct mqtt_str s, char c)
{
	return s.len > 0 && memchr(s.p, c, s.len) != NULL;
}

/* A string that a packet may hold: without U+0000. */
static int
add_string(struct reader *r, const char *name, uint32_t t)
{
	struct mqtt_str s;

	if (r->js->tok[t].type != JSON_STRING)
		return wrong(r, name, "is not a string");
	s = text_of(r, t);
	if (has_byte(s, '\0'))
		return wrong(r, name, "has a NUL"); /* MQTT-1.5.4-2 */
	return add_packed(r, name, s);
}

static void
add_id(struct reader *r, enum mqtt_property id)
{
	unsigned char byte = (unsigned char)id;

	buf_add(&r->record->forward, &byte, 1);
}

static int
read_content_type(struct reader *r, uint32_t obj)
{
	uint32_t t = json_member(r->js, obj, NAME("content-type"));

	if (t == 0)
		return 0;
	add_id(r, MQTT_P_CONTENT_TYPE);
	return add_string(r, "content-type", t);
}

static int
read_response_topic(struct reader *r, uint32_t obj)
{
	const char *name = "response-topic";
	int64_t t = find_string(r, obj, name);
	struct mqtt_str s;

	if (t <= 0)
		return (int)t;
	s = text_of(r, (uint32_t)t);
	/* MQTT-3.3.2-14 */
	if (s.len == 0 || has_byte(s, '\0') || has_byte(s, '+') ||
	    has_byte(s, '#'))
		return wrong(r, name, "is not a topic name");
	add_id(r, MQTT_P_RESPONSE_TOPIC);
	return add_packed(r, name, s);
}

static int
read_correlation(struct reader *r, uint32_t obj)
{
	const char *plain = "correlation-data";
	const char *base64 = "correlation-data_base64";
	int64_t t = find_string(r, obj, plain);
	int64_t coded = find_string(r, obj, base64);
	struct mqtt_str s;

	if (t == -1 || coded == -1)
		return -1;
	if (t == 0 && coded == 0)
		return 0;
	if (t != 0 && coded != 0)
		return wrong(r, plain, "is there in base64, too");
	if (coded != 0 && bytes_of(r, (uint32_t)coded, base64, &s) == -1)
		return -1;
	if (t != 0)
		s = text_of(r, (uint32_t)t);
	add_id(r, MQTT_P_CORRELATION);
	return add_packed(r, plain, s);
}

static int
read_users(struct reader *r, uint32_t obj)
{
	const struct json_token *tok = r->js->tok;
	const char *name = "user-properties";
	uint32_t t = json_member(r->js, obj, name, strlen(name));

	if (t == 0)
		return 0;
	if (tok[t].type != JSON_ARRAY)
		return wrong(r, name, "is not an array");
	for (uint32_t pair = t + 1; pair < tok[t].next; pair = tok[pair].next) {
		if (tok[pair].type != JSON_ARRAY ||
		    tok[pair].next != pair + 3)
			return wrong(r, name, "has something else than pairs");
		add_id(r, MQTT_P_USER);
		if (add_string(r, name, pair + 1) == -1 ||
		    add_string(r, name, pair + 2) == -1)
			return -1;
	}
	return 0;
}

/* In the order of mqtt_forward_properties. */
static int
read_properties(struct reader *r, uint32_t obj)
{
	uint32_t t = json_member(r->js, obj, NAME("properties"));
	unsigned char byte;
	int64_t value;
	int n;

	if (t == 0)
		return 0;
	if (r->js->tok[t].type != JSON_OBJECT)
		return wrong(r, "properties", "is not an object");
	n = read_number(r, t, "message-expiry-interval", UINT32_MAX, &value);
	if (n == -1)
		return -1;
	r->record->expires = n == 1;
	r->record->expiry = (uint32_t)value;
	n = read_number(r, t, "payload-format-indicator", 1, &value);
	if (n == -1)
		return -1;
	if (n == 1) {
		byte = (unsigned char)value;
		add_id(r, MQTT_P_PAYLOAD_FORMAT);
		buf_add(&r->record->forward, &byte, 1);
	}
	if (read_content_type(r, t) == -1 ||
	    read_response_topic(r, t) == -1 ||
	    read_correlation(r, t) == -1 || read_users(r, t) == -1)
		return -1;
	return 0;
}

void
record_write(struct buf *b, const struct mqtt_publish *p, struct json *js)
{
	size_t before;

	buf_add(b, NAME("\"topic\":"));
	add_json(b, p->topic);
	buf_add(b, NAME(",\"qos\":"));
	buf_u64(b, p->qos);
	buf_add(b, NAME(",\"retain\":"));
	buf_u64(b, p->retain);
	if (p->props.has != 0) {
		before = b->len;
		buf_add(b, NAME(",\"properties\":{"));
		add_properties(b, &p->props);
		/* the last comma, or all: none of these is of the message */
		if (!b->bad && buf_data(b)[b->len - 1] == ',')
			buf_data(b)[b->len - 1] = '}';
		else
			b->len = before;
	}
	add_payload(b, p->payload, js);
}

int
record_read(struct record *rec, const struct json *js, uint32_t obj,
    struct fault *f)
{
	struct reader r = { js, rec, f };
	int64_t qos, retain;

	buf_reset(&rec->forward, RECORD_KEEP);
	buf_reset(&rec->mem, RECORD_KEEP);
	rec->expires = false;
	rec->expiry = 0;
	if (js->tok[obj].type != JSON_OBJECT)
		return fault_set(f, FAULT_BAD_REQUEST, "is not an object");
	/* nothing moves afterwards: each string stands in the text once */
	if (buf_room(&rec->mem, js->tok[obj].end - js->tok[obj].start) == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	if (read_topic(&r, obj) == -1 ||
	    read_number(&r, obj, "qos", 2, &qos) == -1 ||
	    read_number(&r, obj, "retain", 1, &retain) == -1 ||
	    read_properties(&r, obj) == -1 || read_payload(&r, obj) == -1)
		return -1;
	rec->qos = (uint8_t)qos;
	rec->retain = retain == 1;
	if (rec->forward.bad || rec->mem.bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	return 0;
}

void
record_free(struct record *rec)
{
	buf_free(&rec->forward);
	buf_free(&rec->mem);
	*rec = (struct record){ 0 };
}

/* ---- lines with a checksum ---- */

#define PREFIX "{\"crc32c\":\"00000000\","
#define CRC_AT 11

size_t
record_begin(struct buf *b)
{
	size_t at = b->len;

	buf_add(b, PREFIX, sizeof(PREFIX) - 1);
	return at;
}

/* The checksum is over what is behind it, without the newline. */
void
record_end(struct buf *b, size_t at)
{
	char *line;

	buf_add(b, "}\n", 2);
	if (b->bad)
		return;
	line = buf_data(b) + at;
	crc32c_format(line + CRC_AT, crc32c(0, line + sizeof(PREFIX) - 1,
	    b->len - at - sizeof(PREFIX)));
}

bool
record_whole(const char *line, size_t len)
{
	char crc[CRC32C_TEXT];

	if (len < sizeof(PREFIX) || line[len - 1] != '\n' ||
	    memcmp(line, PREFIX, CRC_AT) != 0)
		return false;
	crc32c_format(crc, crc32c(0, line + sizeof(PREFIX) - 1,
	    len - sizeof(PREFIX)));
	return memcmp(crc, line + CRC_AT, CRC32C_TEXT) == 0;
}
