#include <string.h>

#include "check.h"
#include "record.h"

#define S(s) { s, sizeof(s) - 1 }

static struct buf text, packed, expected;
static struct json json;
static struct record record;

static bool
same(struct mqtt_str a, struct mqtt_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static struct mqtt_str
held(const struct buf *b)
{
	return (struct mqtt_str){ buf_data(b), b->len };
}

static bool
text_has(const char *s)
{
	return memmem(buf_data(&text), text.len, s, strlen(s)) != NULL;
}

static void
write_text(const struct mqtt_publish *p)
{
	buf_reset(&text, SIZE_MAX);
	buf_add(&text, "{", 1);
	record_write(&text, p, &json);
	buf_add(&text, "}", 1);
	CHECK(memchr(buf_data(&text), '\n', text.len) == NULL);
	CHECK(memchr(buf_data(&text), '\r', text.len) == NULL);
}

/* Written, read: the same? */
static void
check_round(const struct mqtt_publish *p)
{
	struct fault f = { 0 };

	write_text(p);
	if (json_scan(&json, buf_data(&text), text.len, &f) == -1 ||
	    record_read(&record, &json, 0, &f) == -1) {
		printf("# %.*s: %s\n", (int)text.len, buf_data(&text), f.text);
		CHECK(!"read back");
		return;
	}
	buf_reset(&expected, SIZE_MAX);
	mqtt_forward_properties(&expected, &p->props);
	CHECK(same(record.topic, p->topic));
	CHECK(same(record.payload, p->payload));
	CHECK(record.qos == p->qos && record.retain == p->retain);
	CHECK(same(held(&record.forward), held(&expected)));
	CHECK(record.expires == mqtt_has(&p->props, MQTT_P_MESSAGE_EXPIRY));
	CHECK(record.expiry == p->props.message_expiry);
}

/* What a payload becomes, behind what is in front of it. */
static const struct {
	struct mqtt_str payload;
	const char *json;
} payloads[] = {
	{ S("{\"t\":20.50}"), "\"payload\":{\"t\":20.50}" },
	{ S("{ \"t\" : 20 }"), "\"payload\":{ \"t\" : 20 }" },
	{ S("[1,{\"a\":[]}]"), "\"payload\":[1,{\"a\":[]}]" },
	{ S("{\"a\":1,\"a\":2}"), "\"payload\":{\"a\":1,\"a\":2}" },
	{ S("{}"), "\"payload\":{}" },
	{ S("{\"\xc3\xa4\":\"\\u0000\"}"),
	    "\"payload\":{\"\xc3\xa4\":\"\\u0000\"}" },
	{ S("{\"\\u0000\":1}"), "\"payload\":\"{\\\"\\\\u0000\\\":1}\"" },
	{ S(" {}"), "\"payload\":\" {}\"" },
	{ S("{} "), "\"payload\":\"{} \"" },
	{ S("{\n}"), "\"payload\":\"{\\n}\"" },
	{ S("[1,\r2]"), "\"payload\":\"[1,\\r2]\"" },
	{ S("{}{}"), "\"payload\":\"{}{}\"" },
	{ S("{1}"), "\"payload\":\"{1}\"" },
	{ S("{]"), "\"payload\":\"{]\"" },
	{ S("{"), "\"payload\":\"{\"" },
	{ S(""), "\"payload\":\"\"" },
	{ { NULL, 0 }, "\"payload\":\"\"" },
	{ S("20"), "\"payload\":\"20\"" },
	{ S("null"), "\"payload\":\"null\"" },
	{ S("\"on\""), "\"payload\":\"\\\"on\\\"\"" },
	{ S("21 \xc2\xb0""C"), "\"payload\":\"21 \xc2\xb0""C\"" },
	{ S("\xf0\x9f\x98\x80\xef\xbf\xbd"),
	    "\"payload\":\"\xf0\x9f\x98\x80\xef\xbf\xbd\"" },
	{ S("a\0b\x1f\x7f/\\"), "\"payload\":\"a\\u0000b\\u001f\x7f/\\\\\"" },
	{ S("{\"\xff\":1}"), "\"payload_base64\":\"eyL/IjoxfQ==\"" },
	{ S("\xff"), "\"payload_base64\":\"/w==\"" },
	{ S("ab\xc3"), "\"payload_base64\":\"YWLD\"" },
	{ S("\xed\xa0\x80"), "\"payload_base64\":\"7aCA\"" },
};

static void
payloads_are_written_as_what_they_are(void)
{
	static const char front[] = "{\"topic\":\"a\",\"qos\":0,\"retain\":0,";
	struct mqtt_publish p = { .topic = S("a") };
	struct mqtt_str got;

	for (size_t i = 0; i < sizeof(payloads) / sizeof(*payloads); i++) {
		p.payload = payloads[i].payload;
		write_text(&p);
		got = held(&text);
		got.p += sizeof(front) - 1;
		got.len -= sizeof(front);
		if (!same(got, (struct mqtt_str){ payloads[i].json,
			strlen(payloads[i].json) })) {
			printf("# %.*s\n", (int)text.len, buf_data(&text));
			CHECK(!"written so");
		}
		check_round(&p);
	}
}

static void
deep_payloads_are_text(void)
{
	char nested[2 * JSON_DEPTH + 2];
	struct mqtt_publish p = { .topic = S("a") };
	int embedded = 0;

	for (size_t depth = 1; depth <= JSON_DEPTH + 1; depth++) {
		memset(nested, '[', depth);
		memset(nested + depth, ']', depth);
		p.payload = (struct mqtt_str){ nested, 2 * depth };
		check_round(&p);
		embedded += text_has(":[");
	}
	CHECK(embedded == JSON_DEPTH - 8);
}

static void
wide_payloads_are_not_deep(void)
{
	struct mqtt_publish p = { .topic = S("a") };
	struct buf wide = { 0 };

	buf_str(&wide, "[[]");
	for (int i = 0; i < 5000; i++)
		buf_str(&wide, ",[[],{}]");
	buf_str(&wide, "]");
	p.payload = held(&wide);
	check_round(&p);
	CHECK(text_has(":[[],"));
	buf_free(&wide);
}

static void
pack(struct mqtt_str s)
{
	char len[2] = { (char)(s.len >> 8), (char)s.len };

	buf_add(&packed, len, 2);
	buf_add(&packed, s.p, s.len);
}

static void
property(struct mqtt_properties *props, enum mqtt_property id,
    struct mqtt_str value)
{
	char byte = (char)id;

	buf_add(&packed, &byte, 1);
	if (id == MQTT_P_PAYLOAD_FORMAT || id == MQTT_P_MESSAGE_EXPIRY)
		buf_add(&packed, value.p, value.len);
	else
		pack(value);
	props->has |= UINT64_C(1) << id;
}

static void
user(struct mqtt_properties *props, struct mqtt_str name,
    struct mqtt_str value)
{
	property(props, MQTT_P_USER, name);
	pack(value);
	props->nuser++;
}

static void
all_properties_are_written(void)
{
	static const char wanted[] = "{\"topic\":\"a/\\\"b\",\"qos\":1,"
	    "\"retain\":1,\"properties\":{\"payload-format-indicator\":1,"
	    "\"message-expiry-interval\":3600,\"content-type\":\"\","
	    "\"response-topic\":\"r/\\t\",\"correlation-data\":\"c\\u0000\","
	    "\"user-properties\":[[\"k\",\"1\"],[\"k\",\"\"],"
	    "[\"\",\"\xc3\xa9\"]]},\"payload\":\"x\"}";
	struct mqtt_publish p = { .topic = S("a/\"b"), .qos = 1,
		.retain = true, .payload = S("x") };
	struct mqtt_properties *props = &p.props;

	buf_reset(&packed, SIZE_MAX);
	props->payload_format = 1;
	property(props, MQTT_P_PAYLOAD_FORMAT, (struct mqtt_str)S("\1"));
	props->message_expiry = 3600;
	property(props, MQTT_P_MESSAGE_EXPIRY,
	    (struct mqtt_str)S("\0\0\x0e\x10"));
	property(props, MQTT_P_CONTENT_TYPE, (struct mqtt_str)S(""));
	props->response_topic = (struct mqtt_str)S("r/\t");
	property(props, MQTT_P_RESPONSE_TOPIC, props->response_topic);
	props->correlation = (struct mqtt_str)S("c\0");
	property(props, MQTT_P_CORRELATION, props->correlation);
	user(props, (struct mqtt_str)S("k"), (struct mqtt_str)S("1"));
	user(props, (struct mqtt_str)S("k"), (struct mqtt_str)S(""));
	user(props, (struct mqtt_str)S(""), (struct mqtt_str)S("\xc3\xa9"));
	props->raw = (const uint8_t *)buf_data(&packed);
	props->raw_len = packed.len;
	write_text(&p);
	CHECK(same(held(&text), (struct mqtt_str)S(wanted)));
	check_round(&p);
}

/* One property alone, and one that is not the message's. */
static void
single_properties_are_written(void)
{
	struct mqtt_publish p = { .topic = S("a") };

	buf_reset(&packed, SIZE_MAX);
	p.props.correlation = (struct mqtt_str)S("\xff\0");
	property(&p.props, MQTT_P_CORRELATION, p.props.correlation);
	p.props.raw = (const uint8_t *)buf_data(&packed);
	p.props.raw_len = packed.len;
	check_round(&p);
	CHECK(text_has(",\"properties\":{\"correlation-data_base64\":"
	    "\"/wA=\"},"));
	p.props = (struct mqtt_properties){ .topic_alias = 3,
		.has = UINT64_C(1) << MQTT_P_TOPIC_ALIAS };
	check_round(&p);
	CHECK(!text_has("properties"));
}

static char pool[4096];

/* Some text, often awkward. */
static struct mqtt_str
random_text(size_t *used, size_t most)
{
	static const char *const pieces[] = { "a", "/", "\"", "\\", "\n", "\r",
		"\t", "{", "}", "[", "]", "\x01", "\x7f", "\xc3\xa4",
		"\xe2\x82\xac", "\xf0\x9f\x98\x80", "abcdefghijklmnopq", ":",
		"," };
	struct mqtt_str s = { pool + *used, 0 };
	size_t n = (size_t)rand() % (most + 1), len;
	const char *piece;

	while (n-- > 0) {
		piece = pieces[(size_t)rand() % (sizeof(pieces) /
		    sizeof(*pieces))];
		len = strlen(piece);
		memcpy(pool + *used, piece, len);
		*used += len;
		s.len += len;
	}
	return s;
}

/* The same with any bytes. */
static struct mqtt_str
random_bytes(size_t *used)
{
	struct mqtt_str s = random_text(used, 12);

	if (s.len > 0 && rand() % 2 == 0)
		pool[*used - s.len + (size_t)rand() % s.len] = (char)rand();
	return s;
}

static struct mqtt_str
random_json(size_t *used)
{
	static const char *const texts[] = { "{\"a\":[1,2,{}]}", "[[],\"x\"]",
		"{\"t\": -1e5}", "[true , null]" };
	const char *chosen = texts[rand() % 4];
	struct mqtt_str s = { pool + *used, strlen(chosen) };

	memcpy(pool + *used, chosen, s.len);
	if (rand() % 3 == 0)
		pool[*used + (size_t)rand() % s.len] = (char)rand();
	*used += s.len;
	return s;
}

static void
random_publish(struct mqtt_publish *p)
{
	struct mqtt_properties *props = &p->props;
	struct mqtt_str name;
	size_t used = 0;

	buf_reset(&packed, SIZE_MAX);
	*p = (struct mqtt_publish){ .qos = (uint8_t)(rand() % 2),
		.retain = rand() % 2 == 0, .topic = random_text(&used, 6) };
	if (p->topic.len == 0)
		p->topic = (struct mqtt_str)S("t");
	if (rand() % 2 == 0) {
		props->content_type = random_text(&used, 5);
		property(props, MQTT_P_CONTENT_TYPE, props->content_type);
	}
	if (rand() % 2 == 0) {
		props->correlation = random_bytes(&used);
		property(props, MQTT_P_CORRELATION, props->correlation);
	}
	for (int n = rand() % 4; n > 0; n--) {
		name = random_text(&used, 3);
		user(props, name, random_text(&used, 4));
	}
	props->raw = (const uint8_t *)buf_data(&packed);
	props->raw_len = packed.len;
	p->payload = rand() % 2 == 0 ? random_json(&used) :
	    random_bytes(&used);
}

static void
random_messages_are_kept(void)
{
	struct mqtt_publish p;

	srand(11);
	for (int i = 0; i < 20000; i++) {
		random_publish(&p);
		check_round(&p);
	}
}

/* Texts that are not written here, and what of them is read. */
static const struct {
	const char *json, *topic, *payload;
	int qos, retain;
} foreign[] = {
	{ "{\"payload\":25,\"topic\":\"a\"}", "a", "25", 0, 0 },
	{ "{\"topic\":\"\\u0061\\/b\",\"payload\":\"\\/\",\"qos\":2,"
	  "\"mid\":7,\"retain\":1}", "a/b", "/", 2, 1 },
	{ "{\"topic\":\"a\",\"payload\":{\n\"a\" : 1 },\"properties\":{}}",
	    "a", "{\n\"a\" : 1 }", 0, 0 },
	{ "{\"topic\":\"b\",\"topic\":\"a\",\"payload\":null}", "a", "null",
	    0, 0 },
	{ "{\"topic\":\"a\",\"payload_base64\":\"Pz8\\/\"}", "a", "???", 0, 0 },
};

static void
foreign_texts_are_read(void)
{
	const char *s;

	for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++) {
		s = foreign[i].json;
		CHECK(json_scan(&json, s, strlen(s), NULL) == 0);
		CHECK(record_read(&record, &json, 0, NULL) == 0);
		s = foreign[i].topic;
		CHECK(same(record.topic, (struct mqtt_str){ s, strlen(s) }));
		s = foreign[i].payload;
		CHECK(same(record.payload, (struct mqtt_str){ s, strlen(s) }));
		CHECK(record.qos == foreign[i].qos);
		CHECK(record.retain == (foreign[i].retain == 1));
		CHECK(record.forward.len == 0 && !record.expires);
	}
}

#define PROPS(s) "{\"topic\":\"a\",\"payload\":\"\",\"properties\":" s "}"

static const struct {
	const char *json, *fault;
} refused[] = {
	{ "[]", "is not an object" },
	{ "{}", "\"topic\" is missing" },
	{ "{\"topic\":1}", "\"topic\" is not a string" },
	{ "{\"topic\":\"\"}", "\"topic\" is empty" },
	{ "{\"topic\":\"a/#\"}", "\"topic\" has a wildcard" },
	{ "{\"topic\":\"a\\u0000\"}", "\"topic\" has a NUL" },
	{ "{\"topic\":\"a\"}", "\"payload\" is missing" },
	{ "{\"topic\":\"a\",\"payload\":\"\",\"payload_base64\":\"\"}",
	    "\"payload\" and \"payload_base64\" are both there" },
	{ "{\"topic\":\"a\",\"payload_base64\":1}",
	    "\"payload_base64\" is not a string" },
	{ "{\"topic\":\"a\",\"payload_base64\":\"YQ\"}",
	    "\"payload_base64\" is not base64" },
	{ "{\"topic\":\"a\",\"payload\":1,\"qos\":3}",
	    "\"qos\" is out of range" },
	{ "{\"topic\":\"a\",\"payload\":1,\"qos\":\"1\"}",
	    "\"qos\" is out of range" },
	{ "{\"topic\":\"a\",\"payload\":1,\"retain\":true}",
	    "\"retain\" is out of range" },
	{ PROPS("[]"), "\"properties\" is not an object" },
	{ PROPS("{\"payload-format-indicator\":2}"),
	    "\"payload-format-indicator\" is out of range" },
	{ PROPS("{\"message-expiry-interval\":4294967296}"),
	    "\"message-expiry-interval\" is out of range" },
	{ PROPS("{\"message-expiry-interval\":-1}"),
	    "\"message-expiry-interval\" is out of range" },
	{ PROPS("{\"content-type\":null}"),
	    "\"content-type\" is not a string" },
	{ PROPS("{\"content-type\":\"\\u0000\"}"),
	    "\"content-type\" has a NUL" },
	{ PROPS("{\"response-topic\":\"\\u0000\"}"),
	    "\"response-topic\" is not a topic name" },
	{ PROPS("{\"response-topic\":\"a/+\"}"),
	    "\"response-topic\" is not a topic name" },
	{ PROPS("{\"response-topic\":\"\"}"),
	    "\"response-topic\" is not a topic name" },
	{ PROPS("{\"response-topic\":[]}"),
	    "\"response-topic\" is not a string" },
	{ PROPS("{\"correlation-data\":\"\",\"correlation-data_base64\":\"\"}"),
	    "\"correlation-data\" is there in base64, too" },
	{ PROPS("{\"correlation-data_base64\":\"?\"}"),
	    "\"correlation-data_base64\" is not base64" },
	{ PROPS("{\"user-properties\":{}}"),
	    "\"user-properties\" is not an array" },
	{ PROPS("{\"user-properties\":[[\"a\"]]}"),
	    "\"user-properties\" has something else than pairs" },
	{ PROPS("{\"user-properties\":[[\"a\",\"b\",\"c\"]]}"),
	    "\"user-properties\" has something else than pairs" },
	{ PROPS("{\"user-properties\":[\"a\",\"b\"]}"),
	    "\"user-properties\" has something else than pairs" },
	{ PROPS("{\"user-properties\":[[\"a\",1]]}"),
	    "\"user-properties\" is not a string" },
};

static void
damaged_texts_are_refused(void)
{
	struct fault f;
	const char *s;

	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		s = refused[i].json;
		f = (struct fault){ 0 };
		CHECK(json_scan(&json, s, strlen(s), NULL) == 0);
		CHECK(record_read(&record, &json, 0, &f) == -1);
		CHECK(f.code == FAULT_BAD_REQUEST);
		if (strcmp(f.text, refused[i].fault) != 0) {
			printf("# %s: %s\n", s, f.text);
			CHECK(!"says why");
		}
	}
}

static void
strings_have_their_longest(void)
{
	struct mqtt_publish p = { .topic = S("a") };
	struct buf big = { 0 };
	struct fault f;
	char *to;

	if ((to = buf_room(&big, 65535)) == NULL)
		return;
	memset(to, 'x', 65535);
	buf_grew(&big, 65535);
	buf_reset(&packed, SIZE_MAX);
	p.props.content_type = held(&big);
	property(&p.props, MQTT_P_CONTENT_TYPE, held(&big));
	p.props.raw = (const uint8_t *)buf_data(&packed);
	p.props.raw_len = packed.len;
	check_round(&p);
	buf_add(&big, "x", 1);
	p.props.content_type = held(&big);
	write_text(&p);
	CHECK(json_scan(&json, buf_data(&text), text.len, NULL) == 0);
	CHECK(record_read(&record, &json, 0, &f) == -1);
	CHECK(strcmp(f.text, "\"content-type\" has more than 65535 bytes") ==
	    0);
	buf_free(&big);
}

int
main(void)
{
	RUN(payloads_are_written_as_what_they_are);
	RUN(deep_payloads_are_text);
	RUN(wide_payloads_are_not_deep);
	RUN(all_properties_are_written);
	RUN(single_properties_are_written);
	RUN(random_messages_are_kept);
	RUN(foreign_texts_are_read);
	RUN(damaged_texts_are_refused);
	RUN(strings_have_their_longest);
	buf_free(&text);
	buf_free(&packed);
	buf_free(&expected);
	json_free(&json);
	record_free(&record);
	DONE();
}
