#include <string.h>

#include "check.h"
#include "event.h"

/* What every event needs; rows without a name of these stand behind it. */
#define E "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\"," \
	  "\"type\":\"t\""

#define CONTROL "has a control character or a non-character"
#define EXTENSION "must be a string, a whole number, true, false or null"
#define WHOLE "\"n\" must be a whole number, -2147483648 to 2147483647"
#define NO_NAME \
	"is no attribute name: 1 to 20 characters of a-z and 0-9"
#define SOURCE "\"source\" must be a non-empty URI-reference (RFC 3986)"
#define SCHEMA "\"dataschema\" must be an absolute URI (RFC 3986)"
#define MEDIA \
	"\"datacontenttype\" must be a media type, as \"application/json\""
#define TIME "\"time\" must be a time with its zone (RFC 3339)"
#define BASE64 \
	"\"data_base64\" must be a string in base64, padded (RFC 4648)"
#define EVENT_GRID "this is an event of the EventGridSchema; " \
	"a topic takes CloudEvents 1.0 only"

/* The rule is a section of the fact sheet on CloudEvents; "" is "accepted". */
static const struct {
	const char *rule, *text, *fault;
} rows[] = {
	{ "1 the least", E "}", "" },
	{ "1 everything", E ",\"subject\":\"x\","
	    "\"time\":\"2026-01-31T12:00:00.5+01:00\","
	    "\"datacontenttype\":\"application/json; charset=utf-8\","
	    "\"dataschema\":\"https://a.b/c?d#e\",\"ext\":true,\"n\":-5,"
	    "\"partitionkey\":\"p\",\"data\":{\"A_-.\":[1.5,{}]}}", "" },
	{ "2 an object", "[" E "}]", "an event must be a JSON object" },
	{ "2 an object", "\"x\"", "an event must be a JSON object" },
	{ "2 JSON", E ",}",
	    "invalid JSON at byte 56: a name in quotes was expected" },
	{ "8.1 no specversion", "{\"id\":\"1\",\"source\":\"/s\","
	    "\"type\":\"t\"}", "\"specversion\" is missing" },
	{ "8.1 null specversion", "{\"specversion\":null,\"id\":\"1\","
	    "\"source\":\"/s\",\"type\":\"t\"}", "\"specversion\" is missing" },
	{ "8.1 another", "{\"specversion\":\"0.3\"}",
	    "\"specversion\" must be \"1.0\"" },
	{ "8.1 a patch release", "{\"specversion\":\"1.0.2\"}",
	    "\"specversion\" must be \"1.0\"" },
	{ "8.1 a number", "{\"specversion\":1.0}",
	    "\"specversion\" must be \"1.0\"" },
	{ "8.2 no id", "{\"specversion\":\"1.0\",\"source\":\"/s\","
	    "\"type\":\"t\"}", "\"id\" is missing" },
	{ "8.2 null id", "{\"specversion\":\"1.0\",\"id\":null,"
	    "\"source\":\"/s\",\"type\":\"t\"}", "\"id\" is missing" },
	{ "8.2 empty id", "{\"id\":\"\"}",
	    "\"id\" must be a non-empty string" },
	{ "8.2 number as id", "{\"id\":1}",
	    "\"id\" must be a non-empty string" },
	{ "8.2 object as id", "{\"id\":{\"a\":1}}",
	    "\"id\" must be a non-empty string" },
	{ "8.2 no source", "{\"specversion\":\"1.0\",\"id\":\"1\","
	    "\"type\":\"t\"}", "\"source\" is missing" },
	{ "8.2 empty source", "{\"source\":\"\"}", SOURCE },
	{ "8.2 true as source", "{\"source\":true}", SOURCE },
	{ "8.2 no type", "{\"specversion\":\"1.0\",\"id\":\"1\","
	    "\"source\":\"/s\"}", "\"type\" is missing" },
	{ "8.2 empty type", "{\"type\":\"\"}",
	    "\"type\" must be a non-empty string" },
	{ "8.2 array as type", "{\"type\":[\"t\"]}",
	    "\"type\" must be a non-empty string" },

	{ "3986-4.2 a name", "{\"source\":\"1-555-123-4567\"}", "\"spec" },
	{ "3986-4.1 urn", "{\"source\":\"urn:uuid:6e8b\"}", "\"spec" },
	{ "3986-4.1 everything",
	    "{\"source\":\"a+.-1://u@[::1]:8/p;a=b/%7E?q=1&r=/?#f/?\"}",
	    "\"spec" },
	{ "3986-4.1 escaped slash", "{\"source\":\"\\/a\\/b\"}", "\"spec" },
	{ "3986-4.2 colon behind a slash", "{\"source\":\"/a:b\"}", "\"spec" },
	{ "3986-4.1 only a fragment", "{\"source\":\"#\"}", "\"spec" },
	{ "3986-2 space", "{\"source\":\"/a b\"}", SOURCE },
	{ "3986-2 braces", "{\"source\":\"/{a}\"}", SOURCE },
	{ "3986-2 escaped backslash", "{\"source\":\"a\\\\b\"}", SOURCE },
	{ "3986-2 no ASCII", "{\"source\":\"/\xc3\xa4\"}", SOURCE },
	{ "3986-2.1 percent", "{\"source\":\"/100%\"}", SOURCE },
	{ "3986-2.1 one digit", "{\"source\":\"/%a\"}", SOURCE },
	{ "3986-2.1 no digit", "{\"source\":\"/%ag\"}", SOURCE },
	{ "3986-3.1 digit first", "{\"source\":\"1-555:a\"}", SOURCE },
	{ "3986-3.1 no scheme", "{\"source\":\":a\"}", SOURCE },
	{ "3986-3.1 bad scheme", "{\"source\":\"a_b:c\"}", SOURCE },
	{ "3986-3.5 two fragments", "{\"source\":\"/a#b#c\"}", SOURCE },
	{ "8.3 dataschema", E ",\"dataschema\":\"urn:x\"}", "" },
	{ "8.3 null dataschema", E ",\"dataschema\":null}", "" },
	{ "8.3 relative", E ",\"dataschema\":\"/schema\"}", SCHEMA },
	{ "8.3 no scheme", E ",\"dataschema\":\"//a/b\"}", SCHEMA },
	{ "8.3 empty dataschema", E ",\"dataschema\":\"\"}", SCHEMA },
	{ "8.3 number as dataschema", E ",\"dataschema\":3}", SCHEMA },

	{ "8.3 null subject", E ",\"subject\":null}", "" },
	{ "8.3 empty subject", E ",\"subject\":\"\"}",
	    "\"subject\" must be a non-empty string" },
	{ "8.3 false as subject", E ",\"subject\":false}",
	    "\"subject\" must be a non-empty string" },
	{ "8.3 null time", E ",\"time\":null}", "" },
	{ "8.3 time in lower case", E ",\"time\":\"2026-01-31t12:00:00z\"}",
	    "" },
	{ "8.3 time with escapes",
	    E ",\"time\":\"2026\\u002d01-31T12:00:00Z\"}",
	    "" },
	{ "8.3 no zone", E ",\"time\":\"2026-01-31T12:00:00\"}", TIME },
	{ "8.3 no such day", E ",\"time\":\"2026-02-30T12:00:00Z\"}", TIME },
	{ "8.3 a date", E ",\"time\":\"2026-01-31\"}", TIME },
	{ "8.3 empty time", E ",\"time\":\"\"}", TIME },
	{ "8.3 seconds", E ",\"time\":1769860800}", TIME },
	{ "2046 no slash", E ",\"datacontenttype\":\"json\"}", MEDIA },
	{ "2046 no type", E ",\"datacontenttype\":\"/json\"}", MEDIA },
	{ "2046 no subtype", E ",\"datacontenttype\":\"text/\"}", MEDIA },
	{ "2046 two words", E ",\"datacontenttype\":\"text/plain x\"}", MEDIA },
	{ "2046 two slashes", E ",\"datacontenttype\":\"a/b/c\"}", MEDIA },
	{ "2046 empty", E ",\"datacontenttype\":\"\"}", MEDIA },
	{ "2046 suffix", E ",\"datacontenttype\":\"a/b+json;x=\\\"y\\\"\"}",
	    "" },
	{ "1 type without data", E ",\"datacontenttype\":\"text/plain\"}", "" },
	{ "2 other type, no string",
	    E ",\"datacontenttype\":\"text/plain\",\"data\":{\"a\":1}}", "" },

	{ "8.4 twenty characters", E ",\"abcdefghij0123456789\":1}", "" },
	{ "8.4 twenty-one", E ",\"abcdefghij01234567890\":1}",
	    "\"abcdefghij01234567890\" " NO_NAME },
	{ "8.4 data in front", E ",\"dataref\":\"x\",\"data1\":1}", "" },
	{ "8.4 empty", E ",\"\":1}", "\"\" " NO_NAME },
	{ "8.4 upper case", E ",\"Ext\":1}", "\"Ext\" " NO_NAME },
	{ "8.4 upper case of a rule", E ",\"Subject\":\"x\"}",
	    "\"Subject\" " NO_NAME },
	{ "8.4 hyphen", E ",\"a-b\":1}", "\"a-b\" " NO_NAME },
	{ "8.4 underscore", E ",\"a_b\":1}", "\"a_b\" " NO_NAME },
	{ "8.4 dot", E ",\"data.x\":1}", "\"data.x\" " NO_NAME },
	{ "8.4 no ASCII", E ",\"\xc3\xa4\":1}", "\"\xc3\xa4\" " NO_NAME },
	{ "8.4 by escapes", E ",\"e\\u0078t\":1}", "" },
	{ "8.4 upper case by escapes", E ",\"\\u0041\":1}",
	    "\"\\x5Cu0041\" " NO_NAME },
	{ "8.4 long by escapes", E ",\"\\u0061aaaaaaaaaaaaaaaaaaaa\":1}",
	    "\"\\x5Cu0061aaaaaaaaaaaaaaaaaaaa\" " NO_NAME },
	{ "8.4 values", E ",\"a\":\"\",\"b\":true,\"c\":false,\"d\":null}",
	    "" },
	{ "8.4 whole numbers", E ",\"n\":-2147483648,\"m\":2147483647}", "" },
	{ "8.4 too great", E ",\"n\":2147483648}", WHOLE },
	{ "8.4 too small", E ",\"n\":-2147483649}", WHOLE },
	{ "8.4 far too great", E ",\"n\":99999999999999999999}", WHOLE },
	{ "8.4 fraction", E ",\"n\":1.5}", WHOLE },
	{ "8.4 point", E ",\"n\":1.0}", WHOLE },
	{ "8.4 exponent", E ",\"n\":1e2}", WHOLE },
	{ "8.4 object", E ",\"o\":{}}", "\"o\" " EXTENSION },
	{ "8.4 array", E ",\"o\":[1]}", "\"o\" " EXTENSION },

	{ "1 id twice", E ",\"id\":\"2\"}", "\"id\" is given twice" },
	{ "1 null and a value", E ",\"time\":null,\"time\":null}",
	    "\"time\" is given twice" },
	{ "1 extension twice", E ",\"a\":1,\"b\":2,\"a\":1}",
	    "\"a\" is given twice" },
	{ "1 twice by escapes", E ",\"\\u0069d\":\"2\"}",
	    "\"id\" is given twice" },
	{ "1 extension by escapes", E ",\"\\u0061\":1,\"\\u0061\":1}",
	    "\"a\" is given twice" },
	{ "1 data twice", E ",\"data\":1,\"data\":1}",
	    "\"data\" is given twice" },
	{ "1 data is free", E ",\"data\":{\"a\":1,\"a\":\"\\u0000\"}}", "" },

	{ "8.5 both", E ",\"data\":1,\"data_base64\":\"AA==\"}",
	    "\"data\" and \"data_base64\" exclude each other" },
	{ "2 null is a payload", E ",\"data_base64\":\"AA==\",\"data\":null}",
	    "\"data\" and \"data_base64\" exclude each other" },
	{ "2 null is none", E ",\"data\":1,\"data_base64\":null}", "" },
	{ "8.5 base64", E ",\"data_base64\":\"AAEC/w==\"}", "" },
	{ "8.5 escaped slash", E ",\"data_base64\":\"AAEC\\/w==\"}", "" },
	{ "8.5 empty", E ",\"data_base64\":\"\"}", "" },
	{ "8.5 no padding", E ",\"data_base64\":\"AA\"}", BASE64 },
	{ "8.5 other alphabet", E ",\"data_base64\":\"AA_-\"}", BASE64 },
	{ "8.5 space", E ",\"data_base64\":\"AA AA\"}", BASE64 },
	{ "8.5 newline", E ",\"data_base64\":\"AAAA\\n\"}", BASE64 },
	{ "8.5 stray bits", E ",\"data_base64\":\"AB==\"}", BASE64 },
	{ "8.5 object", E ",\"data_base64\":{}}", BASE64 },

	{ "8.6 control", "{\"id\":\"a\\u0001\"}", "\"id\" " CONTROL },
	{ "8.6 NUL", "{\"id\":\"\\u0000\"}", "\"id\" " CONTROL },
	{ "8.6 newline", E ",\"subject\":\"a\\nb\"}", "\"subject\" " CONTROL },
	{ "8.6 DEL", "{\"id\":\"\x7f\"}", "\"id\" " CONTROL },
	{ "8.6 DEL far in", "{\"id\":\"0123456789\x7f""0123456789\"}",
	    "\"id\" " CONTROL },
	{ "8.6 U+009F", "{\"type\":\"\xc2\x9f\"}", "\"type\" " CONTROL },
	{ "8.6 U+FDD0", E ",\"a\":\"\xef\xb7\x90\"}", "\"a\" " CONTROL },
	{ "8.6 U+FFFE", E ",\"a\":\"\xef\xbf\xbe\"}", "\"a\" " CONTROL },
	{ "8.6 U+10FFFF", E ",\"a\":\"\\udbff\\udfff\"}", "\"a\" " CONTROL },
	{ "8.6 others", E ",\"a\":\"\xc2\xa0\xc3\xa4\xe2\x82\xac\xef\xbf\xbd"
	    "\xf0\x9f\x98\x80\\u00e4\\\"\"}", "" },
	{ "8.6 invalid UTF-8", "{\"id\":\"\xff\"}",
	    "invalid JSON at byte 8: invalid UTF-8" },
	{ "8.6 surrogate", "{\"id\":\"\\ud800\"}",
	    "invalid JSON at byte 8: unpaired surrogate" },

	{ "EventGridSchema", "{\"id\":\"1\",\"topic\":\"/t\","
	    "\"subject\":\"s\",\"eventType\":\"t\","
	    "\"eventTime\":\"2026-01-31T12:00:00Z\",\"dataVersion\":\"1\","
	    "\"data\":{}}", EVENT_GRID },
	{ "EventGridSchema, bad in other ways", "{\"id\":\"\","
	    "\"eventType\":\"t\"}", EVENT_GRID },
	{ "CloudEvent with a name of it", E ",\"eventType\":\"t\"}",
	    "\"eventType\" " NO_NAME },
};

static void
rules_of_the_sheet(void)
{
	struct event ev = { 0 };
	struct fault f;
	size_t n;
	char *copy;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		f = (struct fault){ 0 };
		n = strlen(rows[i].text);
		copy = malloc(n);
		memcpy(copy, rows[i].text, n);
		event_parse(&ev, copy, n, &f);
		/* one name in a row is enough to look at one rule */
		if (strcmp(rows[i].fault, "\"spec") == 0 ?
		    strcmp(f.text, "\"specversion\" is missing") != 0 :
		    strcmp(f.text, rows[i].fault) != 0) {
			printf("# %s: %s\n", rows[i].rule, f.text);
			check_bad = 1;
		}
		free(copy);
	}
	event_free(&ev);
}

static void
tokens_are_found(void)
{
	static const char text[] = E ",\"time\":null,\"x\":1,"
	    "\"subject\":\"s\",\"data\":null}";
	struct event ev = { 0 };
	const struct json *js = &ev.json;

	CHECK(event_parse(&ev, text, sizeof(text) - 1, NULL) == 0);
	CHECK(json_is(js, ev.id, "1", 1));
	CHECK(json_is(js, ev.source, "/s", 2));
	CHECK(json_is(js, ev.type, "t", 1));
	CHECK(json_is(js, ev.subject, "s", 1));
	CHECK(ev.time == 0 && ev.data_base64 == 0 && ev.dataschema == 0);
	CHECK(ev.data != 0 && js->tok[ev.data].type == JSON_NULL);
	CHECK(event_parse(&ev, E "}", sizeof(E "}") - 1, NULL) == 0);
	CHECK(ev.id != 0 && ev.subject == 0 && ev.data == 0);
	event_free(&ev);
}

static void
size_is_bounded(void)
{
	struct event ev = { 0 };
	struct fault f = { 0 };
	char *text = malloc(EVENT_MAX + 1);

	memset(text, ' ', EVENT_MAX + 1);
	memcpy(text, E "}", sizeof(E "}") - 1);
	CHECK(event_parse(&ev, text, EVENT_MAX, &f) == 0);
	CHECK(event_parse(&ev, text, EVENT_MAX + 1, &f) == -1);
	CHECK(f.code == FAULT_TOO_LARGE);
	event_free(&ev);
	free(text);
}

static void
depth_is_bounded(void)
{
	static const char front[] = E ",\"data\":";
	struct event ev = { 0 };
	struct fault f = { 0 };
	char text[sizeof(front) + 20001];

	memset(text, '[', sizeof(text));
	memcpy(text, front, sizeof(front) - 1);
	CHECK(event_parse(&ev, text, sizeof(text), &f) == -1);
	CHECK(f.code == FAULT_BAD_REQUEST);
	CHECK(strstr(f.text, "nested too deep") != NULL);
	/* the event itself is a level, and records go around it */
	memset(text + sizeof(front) - 1 + EVENT_DEPTH - 1, ']', EVENT_DEPTH - 1);
	text[sizeof(front) - 1 + 2 * (EVENT_DEPTH - 1)] = '}';
	CHECK(event_parse(&ev, text, sizeof(front) + 2 * (EVENT_DEPTH - 1),
	    &f) == 0);
	memset(text + sizeof(front) - 1, '[', EVENT_DEPTH);
	memset(text + sizeof(front) - 1 + EVENT_DEPTH, ']', EVENT_DEPTH);
	text[sizeof(front) - 1 + 2 * EVENT_DEPTH] = '}';
	CHECK(event_parse(&ev, text, sizeof(front) + 2 * EVENT_DEPTH, &f) ==
	    -1);
	CHECK(strcmp(f.text, "an event may have at most 126 levels") == 0);
	event_free(&ev);
}

static void
attributes_are_bounded(void)
{
	struct event ev = { 0 };
	struct fault f = { 0 };
	struct buf b = { 0 };

	buf_str(&b, E);
	for (int i = 4; i < EVENT_ATTRIBUTES; i++)
		buf_printf(&b, ",\"\\u0061%d\":1", i);
	buf_str(&b, "}");
	CHECK(event_parse(&ev, buf_data(&b), b.len, &f) == 0);
	b.len--;
	buf_str(&b, ",\"more\":1}");
	CHECK(event_parse(&ev, buf_data(&b), b.len, &f) == -1);
	CHECK(strcmp(f.text, "an event may have at most 128 attributes") == 0);
	buf_free(&b);
	event_free(&ev);
}

static void
memory_is_given_back(void)
{
	static const char front[] = E ",\"data\":[1";
	struct event ev = { 0 };
	char *text = malloc(EVENT_MAX);

	memset(text, '1', EVENT_MAX);
	memcpy(text, front, sizeof(front) - 1);
	for (size_t i = sizeof(front) - 1; i < EVENT_MAX; i += 2)
		text[i] = ',';
	memcpy(text + EVENT_MAX - 3, "1]}", 3);
	CHECK(event_parse(&ev, text, EVENT_MAX, NULL) == 0);
	CHECK(event_parse(&ev, E "}", sizeof(E "}") - 1, NULL) == 0);
	CHECK(ev.json.cap < 100);
	event_free(&ev);
	free(text);
}

int
main(void)
{
	RUN(rules_of_the_sheet);
	RUN(tokens_are_found);
	RUN(size_is_bounded);
	RUN(depth_is_bounded);
	RUN(attributes_are_bounded);
	RUN(memory_is_given_back);
	DONE();
}
