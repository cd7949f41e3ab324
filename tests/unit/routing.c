#include "routing.h"

#include <string.h>

#include "check.h"
#include "event.h"
#include "jq.h"

#define NOW INT64_C(1769860800000000) /* 2026-01-31T12:00:00Z */
#define T "\"tst\":\"2026-01-31T12:00:00.123456Z\",\"topic\":\"a/b\""
#define V5 "\"client\":{\"authenticationName\":\"d\",\"protocol\":\"MQTT5\"}"
#define V3 "\"client\":{\"authenticationName\":\"d\",\"protocol\":\"MQTT3\"}"
#define P(x) ",\"properties\":{" x "}"
#define CT(x) "\"content-type\":\"" x "\""
#define PFI "\"payload-format-indicator\":1"

/* What stands before the datacontenttype of a message with T. */
#define HEAD "{\"specversion\":\"1.0\",\"id\":\"run/1\",\"source\":\"ns\"," \
	"\"type\":\"MQTT.EventPublished\",\"subject\":\"a/b\"," \
	"\"time\":\"2026-01-31T12:00:00.123456Z\""
#define TYPE(x) ",\"datacontenttype\":\"" x "\""

static struct routing *routing;
static struct buf out;
static struct event event;

static void
begin(const char *namespace)
{
	struct fault f = { 0 };

	routing = routing_new(jq_parse(namespace, strlen(namespace), &f), &f);
	if (routing == NULL) {
		printf("# %s\n", f.text);
		abort();
	}
}

static void
end(void)
{
	routing_free(routing);
	buf_free(&out);
	event_free(&event);
}

/* The event of a message, without its newline; or NULL and a fault. Whatever
 * it is, it is one that a topic takes, on one line. */
static const char *
map(const char *text, size_t n, struct fault *f)
{
	/* exactly as large as it is, so that a byte too far is seen */
	char *copy = malloc(n);
	int rc;

	memcpy(copy, text, n);
	buf_reset(&out, SIZE_MAX);
	buf_add(&out, "before", 6);
	rc = routing_event(routing, copy, n, "run/1", NOW, &out, f);
	free(copy);
	if (rc == -1) {
		CHECK(out.len == 6 && f->code != FAULT_NONE);
		return NULL;
	}
	CHECK(memchr(buf_data(&out), '\n', out.len) ==
	    buf_data(&out) + out.len - 1);
	buf_data(&out)[out.len - 1] = '\0';
	CHECK(event_parse(&event, buf_data(&out) + 6, out.len - 7, f) == 0);
	return buf_data(&out) + 6;
}

static void
is(const char *message, const char *expected)
{
	struct fault f = { 0 };
	const char *got = map(message, strlen(message), &f);

	if (got == NULL || strcmp(got, expected) != 0)
		printf("# %s\n# is   %s\n# not  %s\n", message,
		    got != NULL ? got : f.text, expected);
	CHECK(got != NULL && strcmp(got, expected) == 0);
}

static void
refused(const char *message, const char *words)
{
	struct fault f = { 0 };
	const char *got = map(message, strlen(message), &f);

	if (got != NULL || strstr(f.text, words) == NULL)
		printf("# %s: %s\n", message, got != NULL ? got : f.text);
	CHECK(got == NULL && f.code == FAULT_BAD_REQUEST &&
	    strstr(f.text, words) != NULL);
}

struct row {
	const char *message, *event; /* between T and }, behind HEAD */
};

static void
rows(const struct row *row, size_t n)
{
	char message[4096], expected[4096];

	for (size_t i = 0; i < n; i++) {
		snprintf(message, sizeof(message), "{" T "%s}", row[i].message);
		snprintf(expected, sizeof(expected), HEAD "%s}", row[i].event);
		is(message, expected);
	}
}
#define ROWS(table) rows(table, sizeof(table) / sizeof(table[0]))

#define JSON TYPE("application/json") ",\"data\":"
#define BYTES TYPE("application/octet-stream") ",\"data_base64\":"

static void
a_payload_has_the_form_that_is_best(void)
{
	static const struct row table[] = {
		/* JSON, of whatever protocol, type and format */
		{ ",\"payload\":{\"t\": [1,{}]}", JSON "{\"t\": [1,{}]}" },
		{ "," V3 ",\"payload\":[]", JSON "[]" },
		{ ",\"payload\":\"12\"", JSON "12" },
		{ ",\"payload\":\"-1.5e3\"", JSON "-1.5e3" },
		{ ",\"payload\":\"\\\"x\\\"\"", JSON "\"x\"" },
		{ ",\"payload\":\"null\"", JSON "null" },
		{ ",\"payload\":\" true \"", JSON "true" },
		{ ",\"payload\":\"{\\\"a\\\":1,\\r\\n \\\"b\\\":\\\"\\\\n\\\"}\\n\"",
		    JSON "{\"a\":1,   \"b\":\"\\n\"}" },
		{ P(CT("text/plain")) ",\"payload\":\"12\"",
		    TYPE("text/plain") ",\"data\":12" },
		{ P(CT("image/png")) ",\"payload\":{}",
		    TYPE("image/png") ",\"data\":{}" },
		{ ",\"payload_base64\":\"eyJhIjoxfQ==\"", JSON "{\"a\":1}" },
		/* text */
		{ ",\"payload\":\"on\"", BYTES "\"b24=\"" },
		{ "," V3 ",\"payload\":\"on\"", BYTES "\"b24=\"" },
		{ P(PFI) ",\"payload\":\"on\"",
		    TYPE("text/plain") ",\"data\":\"on\"" },
		{ P(PFI) ",\"payload\":\"a\\u0000\\\"\\u00e4\xc3\xa4\"",
		    TYPE("text/plain")
		    ",\"data\":\"a\\u0000\\\"\\u00e4\xc3\xa4\"" },
		{ P("\"payload-format-indicator\":0") ",\"payload\":\"on\"",
		    BYTES "\"b24=\"" },
		{ P(CT("text/csv; header=absent")) ",\"payload\":\"a,b\"",
		    TYPE("text/csv; header=absent") ",\"data\":\"a,b\"" },
		{ P(CT("a/json ; x=y")) ",\"payload\":\"a,b\"",
		    TYPE("a/json ; x=y") ",\"data\":\"a,b\"" },
		{ P(CT("TEXT/CSV")) ",\"payload\":\"a,b\"",
		    TYPE("TEXT/CSV") ",\"data\":\"a,b\"" },
		{ P(CT("application/json")) ",\"payload\":\"{\"",
		    TYPE("application/json") ",\"data\":\"{\"" },
		{ P(CT("application/geo+JSON;x=y")) ",\"payload\":\"x\"",
		    TYPE("application/geo+JSON;x=y") ",\"data\":\"x\"" },
		{ P(CT("application/xml")) ",\"payload\":\"<a/>\"",
		    TYPE("application/xml") ",\"data_base64\":\"PGEvPg==\"" },
		{ P(CT("application/xjson")) ",\"payload\":\"x\"",
		    TYPE("application/xjson") ",\"data_base64\":\"eA==\"" },
		{ P(PFI) ",\"payload_base64\":\"YSwi\"",
		    TYPE("text/plain") ",\"data\":\"a,\\\"\"" },
		/* other bytes */
		{ ",\"payload_base64\":\"/wA=\"", BYTES "\"/wA=\"" },
		{ ",\"payload_base64\":\"\\/wA=\"", BYTES "\"/wA=\"" },
		{ P(PFI "," CT("text/plain")) ",\"payload_base64\":\"/wA=\"",
		    TYPE("text/plain") ",\"data_base64\":\"/wA=\"" },
		/* nothing */
		{ ",\"payload\":\"\"", "" },
		{ ",\"payload_base64\":\"\"", "" },
		{ P(CT("text/plain")) ",\"payload\":\"\"", TYPE("text/plain") },
		/* no JSON after all */
		{ ",\"payload\":\"{\\\"a\\\\u0000\\\":1}\"",
		    BYTES "\"eyJhXHUwMDAwIjoxfQ==\"" },
		{ ",\"payload\":\"\\\"\\\\ud800\\\"\"",
		    BYTES "\"Ilx1ZDgwMCI=\"" },
		{ ",\"payload\":\"\\u0000\"", BYTES "\"AA==\"" },
	};
	begin("{\"name\":\"ns\"}");
	ROWS(table);
	end();
}

static void
the_profile_azure_goes_by_protocol_and_format(void)
{
	static const struct row table[] = {
		{ "," V3 ",\"payload\":{\"t\":1}", BYTES "\"eyJ0IjoxfQ==\"" },
		{ ",\"payload\":{\"t\":1}", BYTES "\"eyJ0IjoxfQ==\"" },
		{ "," V5 ",\"payload\":{\"t\":1}", BYTES "\"eyJ0IjoxfQ==\"" },
		{ "," V3 P(PFI) ",\"payload\":\"1\"", BYTES "\"MQ==\"" },
		{ "," V5 P(CT("application/json; charset=utf-8"))
		    ",\"payload\":{\"t\":1}",
		    TYPE("application/json; charset=utf-8")
		    ",\"data\":{\"t\":1}" },
		{ "," V5 P(CT("application/json")
		    ",\"payload-format-indicator\":0") ",\"payload\":\"{\"",
		    TYPE("application/json") ",\"data\":\"{\"" },
		{ "," V5 P(CT("application/json"))
		    ",\"payload_base64\":\"/w==\"",
		    TYPE("application/json") ",\"data_base64\":\"/w==\"" },
		{ P(PFI) ",\"payload\":{\"t\":1}", JSON "{\"t\":1}" },
		{ "," V5 P(PFI) ",\"payload\":\"on\"", ",\"data\":\"on\"" },
		{ "," V5 P(PFI) ",\"payload_base64\":\"/w==\"",
		    BYTES "\"/w==\"" },
		{ "," V5 P(CT("text/plain")) ",\"payload\":\"on\"",
		    TYPE("text/plain") ",\"data_base64\":\"b24=\"" },
		{ "," V5 P(CT("application/geo+json")) ",\"payload\":{}",
		    TYPE("application/geo+json") ",\"data_base64\":\"e30=\"" },
		{ "," V5 ",\"payload\":\"\"", "" },
	};
	begin("{\"name\":\"ns\",\"properties\":{\"profile\":\"Azure\"}}");
	ROWS(table);
	end();
}

static void
a_content_type_that_is_none_is_left_out(void)
{
	static const struct row table[] = {
		{ P(CT("json")) ",\"payload\":{}", JSON "{}" },
		{ P(CT("")) ",\"payload\":{}", JSON "{}" },
		{ P(CT("text/plain\\u0007")) ",\"payload\":\"x\"",
		    BYTES "\"eA==\"" },
		{ P(CT("te\\u0078t/plain")) ",\"payload\":\"x\"",
		    TYPE("te\\u0078t/plain") ",\"data\":\"x\"" },
		{ P(CT("text/")) ",\"payload\":\"\"", "" },
	};
	begin("{\"name\":\"ns\"}");
	ROWS(table);
	end();
}

#define AT(tst, time) { "{" tst "\"topic\":\"a\",\"payload\":\"\"}", \
	"{\"specversion\":\"1.0\",\"id\":\"run/1\",\"source\":\"ns\"," \
	"\"type\":\"MQTT.EventPublished\",\"subject\":\"a\",\"time\":\"" \
	time "\"}" }
#define NOT_TOLD "2026-01-31T12:00:00.000000Z"

static void
the_time_is_the_records(void)
{
	static const struct row table[] = {
		AT("\"tst\":\"2025-01-31T12:00:00Z\",", "2025-01-31T12:00:00Z"),
		AT("\"tst\":\"2025-01-31T12:00:00.123456789Z\",",
		    "2025-01-31T12:00:00.123456789Z"),
		AT("\"tst\":\"2025-01-31T12:00:00+02:00\",",
		    "2025-01-31T10:00:00.000000Z"),
		AT("\"tst\":\"2025-01-31T12:00:00z\",",
		    "2025-01-31T12:00:00.000000Z"),
		/* mosquitto_sub: local time, whatever the Z says */
		AT("\"tst\":\"2026-11-22T04:50:50.263354Z+0000\",",
		    "2026-11-22T04:50:50.263354Z"),
		AT("\"tst\":\"2026-11-22T10:20:50.263354Z+0530\",",
		    "2026-11-22T04:50:50.263354Z"),
		AT("\"tst\":\"2026-11-22T04:50:50.263354-0100\",",
		    "2026-11-22T05:50:50.263354Z"),
		/* and an old one */
		AT("\"tst\":1588598354,", "2020-05-04T13:19:14.000000Z"),
		AT("", NOT_TOLD),
		AT("\"tst\":null,", NOT_TOLD),
		AT("\"tst\":\"\",", NOT_TOLD),
		AT("\"tst\":\"yesterday\",", NOT_TOLD),
		AT("\"tst\":\"+0000\",", NOT_TOLD),
		AT("\"tst\":\"Z+0000\",", NOT_TOLD),
		AT("\"tst\":\"2025-02-30T12:00:00Z\",", NOT_TOLD),
		AT("\"tst\":1.5,", NOT_TOLD),
		AT("\"tst\":9223372036854775807,", NOT_TOLD),
		AT("\"tst\":\"2025-01-31T12:00:00\\u005a\",", NOT_TOLD),
	};
	begin("{\"name\":\"ns\"}");
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		is(table[i].message, table[i].event);
	end();
}

static void
a_topic_may_hold_what_an_attribute_may_not(void)
{
	static const struct row table[] = {
		{ "a\\\"\\\\b", "a\\\"\\\\b" },
		{ "\xc3\xbc", "\xc3\xbc" },
		{ "a\\u0001b", "a\xef\xbf\xbd""b" },
		{ "a\\nb\xc3\xbc\\\"", "a\xef\xbf\xbd""b\xc3\xbc\\\"" },
		{ "\x7f", "\xef\xbf\xbd" },
		{ "\xc2\x80\xc2\x9f\xc2\xa0",
		    "\xef\xbf\xbd\xef\xbf\xbd\xc2\xa0" },
		{ "\xef\xb7\x90\xef\xb7\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xef\xbf\xbf\\uffff", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf0\x9f\xbf\xbe", "\xef\xbf\xbd" },
		{ "\\ud83f\\udffe\\ud83d\\ude00",
		    "\xef\xbf\xbd\xf0\x9f\x98\x80" },
		{ "$SYS/x/#", "$SYS/x/#" },
	};
	char message[256], expected[256];

	begin("{\"name\":\"ns\"}");
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		snprintf(message, sizeof(message), "{\"tst\":\"2026-01-31T12:00"
		    ":00Z\",\"payload\":\"\",\"topic\":\"%s\"}",
		    table[i].message);
		snprintf(expected, sizeof(expected), "{\"specversion\":\"1.0\","
		    "\"id\":\"run/1\",\"source\":\"ns\",\"type\":"
		    "\"MQTT.EventPublished\",\"subject\":\"%s\","
		    "\"time\":\"2026-01-31T12:00:00Z\"}", table[i].event);
		is(message, expected);
	}
	end();
}

static void
what_mosquitto_sub_prints_is_taken(void)
{
	static const struct row table[] = {
		/* %j */
		{ ",\"qos\":0,\"retain\":0,\"payloadlen\":8,"
		    "\"payload\":\"{\\\"t\\\":20}\"", JSON "{\"t\":20}" },
		{ ",\"qos\":1,\"retain\":0,\"payloadlen\":4,\"mid\":1,"
		    "\"payload\":\"text\"", BYTES "\"dGV4dA==\"" },
		{ ",\"payloadlen\":0,\"payload\":null", "" },
		{ ",\"payloadlen\":5,\"payload\":\"\\\"str\\\"\"",
		    JSON "\"str\"" },
		{ ",\"payloadlen\":2,\"payload\":\"\xc3\xa4\"",
		    BYTES "\"w6Q=\"" },
		{ ",\"payloadlen\":3,\"payload\":\"\xff\\\"\\u001f\"",
		    BYTES "\"/yIf\"" },
		{ ",\"properties\":{\"content-type\":\"application/json\","
		    "\"payload-format-indicator\":1,\"response-topic\":\"r/t\","
		    "\"correlation-data\":\"co\\\"r\",\"user-properties\":"
		    "{\"a\":\"b\",\"a\":\"c\"},\"message-expiry-interval\":100}"
		    ",\"payload\":\"{\\\"t\\\": 1}\"", JSON "{\"t\": 1}" },
		/* %J */
		{ ",\"payloadlen\":8,\"payload\":{\"t\":20}",
		    JSON "{\"t\":20}" },
		{ ",\"payloadlen\":5,\"payload\":\"str\"", JSON "\"str\"" },
		{ ",\"payloadlen\":2,\"payload\":\"\"", JSON "\"\"" },
		{ ",\"payloadlen\":2,\"payload\":12", JSON "12" },
		{ ",\"payloadlen\":4,\"payload\":true", JSON "true" },
		{ ",\"payloadlen\":4,\"payload\":null", JSON "null" },
		{ ",\"payload\":null", JSON "null" },
	};
	begin("{\"name\":\"ns\"}");
	ROWS(table);
	/* what has been cut at a NUL is not all there */
	refused("{" T ",\"payloadlen\":5,\"payload\":\"\xff\"}", "not all");
	refused("{" T ",\"payloadlen\":5,\"payload\":{\"a\":\"\xff\"}}",
	    "invalid UTF-8");
	end();
}

static void
what_is_no_message_is_refused(void)
{
	begin("{\"name\":\"ns\"}");
	refused("", "invalid JSON");
	refused("{", "invalid JSON");
	refused("[]", "is not an object");
	refused("{}", "\"payload\" is missing");
	refused("{\"topic\":\"a\"}", "\"payload\" is missing");
	refused("{\"payload\":1}", "\"topic\" is missing");
	refused("{\"topic\":1,\"payload\":1}", "\"topic\" is not a string");
	refused("{\"topic\":\"\",\"payload\":1}", "\"topic\" is empty");
	refused("{" T ",\"payload\":1,\"payload_base64\":\"\"}", "both there");
	refused("{" T ",\"payload_base64\":1}", "is not a string");
	refused("{" T ",\"payload_base64\":\"a\"}", "is not base64");
	refused("{" T ",\"payload_base64\":\"YQ==\",\"payloadlen\":2}",
	    "not all there");
	refused("{" T ",\"payload\":1,\"payloadlen\":-1}", "out of range");
	refused("{" T ",\"payload\":1,\"payloadlen\":\"1\"}", "out of range");
	refused("{" T ",\"payload\":1,\"client\":[\"x\"]}", "not an object");
	refused("{" T ",\"payload\":1,\"client\":{\"attributes\":[]}}",
	    "\"attributes\" is not an object");
	refused("{" T ",\"payload\":1,\"client\":"
	    "{\"authenticationName\":7}}", "is not a string");
	refused("{" T ",\"payload\":1,\"properties\":[]}", "not an object");
	refused("{" T ",\"payload\":1" P("\"payload-format-indicator\":2") "}",
	    "neither 0 nor 1");
	refused("{" T ",\"payload\":1" P("\"payload-format-indicator\":\"1\"")
	    "}", "neither 0 nor 1");
	refused("{" T ",\"payload\":1" P("\"content-type\":1") "}",
	    "\"content-type\" is not a string");
	refused("{" T ",\"payload\":1" P("\"response-topic\":{}") "}",
	    "\"response-topic\" is not a string");
	refused("{" T ",\"payload\":1" P("\"correlation-data\":1") "}",
	    "\"correlation-data\" is not a string");
	refused("{" T ",\"payload\":1" P("\"correlation-data_base64\":\"x\"")
	    "}", "is not base64");
	refused("{" T ",\"payload\":1" P("\"correlation-data\":\"\","
	    "\"correlation-data_base64\":\"\"") "}", "in base64, too");
	refused("{" T ",\"payload\":1" P("\"user-properties\":1") "}",
	    "neither an array nor an object");
	refused("{" T ",\"payload\":1" P("\"user-properties\":[1]") "}",
	    "something else than pairs");
	refused("{" T ",\"payload\":1" P("\"user-properties\":[[\"a\"]]") "}",
	    "something else than pairs");
	refused("{" T ",\"payload\":1" P("\"user-properties\":"
	    "[[\"a\",\"b\",\"c\"]]") "}", "something else than pairs");
	refused("{" T ",\"payload\":1" P("\"user-properties\":[[\"a\",1]]")
	    "}", "something else than strings");
	refused("{" T ",\"payload\":1" P("\"user-properties\":{\"a\":[]}")
	    "}", "something else than strings");
	end();
}

static void
of_members_given_twice_the_last_counts(void)
{
	begin("{\"name\":\"ns\"}");
	is("{\"topic\":\"x\",\"payload\":1," T ",\"payl\\u006fad\":2}",
	    HEAD JSON "2}");
	end();
}

#define ENRICHMENTS(fixed, dynamic) "{\"name\":\"ns\",\"properties\":" \
	"{\"topicSpacesConfiguration\":{\"routingEnrichments\":{" \
	"\"static\":[" fixed "],\"dynamic\":[" dynamic "]}}}}"
#define E(key, value) "{\"key\":\"" key "\",\"value\":\"" value "\"}"

static const char enriched[] = ENRICHMENTS(E("plant", "we\\\"st\\u0001"),
    E("sender", "${client.authenticationName}") ","
    E("hall", "${client.attributes.hall}") ","
    E("unit", "${mqtt.message.userProperties.unit}") ","
    E("odd", "${mqtt.message.userProperties['it\\\\'s \\\\\\\\']}") ","
    E("topic", "${mqtt.message.topicName}") ","
    E("reply", "${mqtt.message.responseTopic}") ","
    E("corr", "${mqtt.message.correlationData}") ","
    E("pfi", "${mqtt.message.pfi}"));

#define PLANT ",\"plant\":\"we\\\"st\xef\xbf\xbd\""
#define EMPTY(topic) PLANT ",\"sender\":\"\",\"hall\":\"\",\"unit\":\"\"," \
	"\"odd\":\"\",\"topic\":\"" topic "\",\"reply\":\"\",\"corr\":\"\"," \
	"\"pfi\":\"\""

static void
enrichments_are_of_the_message_and_its_publisher(void)
{
	begin(enriched);
	is("{" T ",\"payload\":\"\"}", HEAD EMPTY("a/b") "}");
	is("{" T ",\"client\":{\"authenticationName\":\"Press \xc3\xbc\","
	    "\"attributes\":{\"hall\":2}},\"properties\":{" PFI ","
	    "\"response-topic\":\"r\\\"t\",\"correlation-data\":\"abc\","
	    "\"user-properties\":[[\"unit\",\"C\"],[\"x\",\"y\"],"
	    "[\"unit\",\"K\\u0007\"],[\"it's \\\\\",\"yes\"]]},"
	    "\"payload\":\"12\"}",
	    HEAD TYPE("application/json") PLANT
	    ",\"sender\":\"Press \xc3\xbc\",\"hall\":\"2\","
	    "\"unit\":\"C,K\xef\xbf\xbd\",\"odd\":\"yes\",\"topic\":\"a/b\","
	    "\"reply\":\"r\\\"t\",\"corr\":\"YWJj\",\"pfi\":1,\"data\":12}");
	/* as in dropped/ */
	is("{\"time\":\"2026-02-01T00:00:00Z\",\"session\":\"s\"," T
	    ",\"client\":\"d\",\"payload\":\"\"}", HEAD PLANT
	    ",\"sender\":\"d\",\"hall\":\"\",\"unit\":\"\",\"odd\":\"\","
	    "\"topic\":\"a/b\",\"reply\":\"\",\"corr\":\"\",\"pfi\":\"\"}");
	is("{" T ",\"client\":{\"attributes\":{\"hall\":null}},"
	    "\"payload\":\"\"}", HEAD EMPTY("a/b") "}");
	/* as mosquitto_sub has them; binary; an array; pfi 0 */
	is("{" T ",\"client\":{\"attributes\":{\"hall\":[\"a\",\"\",3,\"b\"]}},"
	    "\"properties\":{\"payload-format-indicator\":0,"
	    "\"correlation-data_base64\":\"/wA=\","
	    "\"user-properties\":{\"unit\":\"C\",\"unit\":\"\"}},"
	    "\"payload\":\"\"}",
	    HEAD PLANT ",\"sender\":\"\",\"hall\":\"a,,3,b\",\"unit\":\"C,\","
	    "\"odd\":\"\",\"topic\":\"a/b\",\"reply\":\"\",\"corr\":\"/wA=\","
	    "\"pfi\":0}");
	CHECK(routing_counts(routing).truncated == 0);
	end();
}

/* "x" n times. */
static const char *
many(const char *x, size_t n)
{
	static struct buf b;

	buf_reset(&b, SIZE_MAX);
	while (n-- > 0)
		buf_str(&b, x);
	buf_add(&b, "", 1);
	return buf_data(&b);
}

#define USER_K "\"properties\":{\"user-properties\":[[\"k\",\"a\"],[\"k\",\""

/* The one enrichment of a message with this value in its place. */
static void
value(const char *const where[2], const char *text, const char *expected)
{
	struct buf b = { 0 }, want = { 0 };
	struct fault f;
	const char *got;

	buf_str(&b, where[0]);
	buf_str(&b, text);
	buf_str(&b, where[1]);
	buf_printf(&want, ",\"x\":\"%s\"", expected);
	buf_add(&want, "", 1);
	got = map(buf_data(&b), b.len, &f);
	CHECK(got != NULL && strstr(got, buf_data(&want)) != NULL);
	buf_free(&b);
	buf_free(&want);
}

static void
values_are_cut_at_128_characters(void)
{
	static const char *const topic[] = { "{\"topic\":\"",
		"\",\"payload\":1}" };
	static const char *const user[] = { "{" T ",\"payload\":1," USER_K,
		"\"]]}}" };
	static const char *const corr[] = { "{" T ",\"payload\":1,"
		"\"properties\":{\"correlation-data\":\"", "\"}}" };
	static const char *const coded[] = { "{" T ",\"payload\":1,"
		"\"properties\":{\"correlation-data_base64\":\"", "\"}}" };
	char u128[2 * 128 + 1], want[4 * 128 + 1], three[4 * 128 + 1];

	strcpy(u128, many("\xc3\xbc", 128));
	begin(ENRICHMENTS("", E("x", "${mqtt.message.topicName}")));
	value(topic, u128, u128);
	CHECK(routing_counts(routing).truncated == 0);
	value(topic, many("\xc3\xbc", 129), u128);
	strcpy(want, many("x", 128));
	value(topic, many("x", 129), want);
	CHECK(routing_counts(routing).truncated == 2);
	strcpy(want, many("\xef\xbf\xbd", 128));
	value(topic, many("\\n", 129), want);
	CHECK(routing_counts(routing).truncated == 3);
	end();
	begin(ENRICHMENTS("", E("x", "${mqtt.message.userProperties.k}")));
	snprintf(want, sizeof(want), "a,%s", many("b", 126));
	value(user, many("b", 126), want);
	CHECK(routing_counts(routing).truncated == 0);
	value(user, many("b", 127), want);
	value(user, many("b", 60000), want);
	/* up to 512 bytes can be 128 characters */
	snprintf(three, sizeof(three), "%s\"],[\"k\",\"c",
	    many("\xf0\x9f\x98\x80", 123));
	snprintf(want, sizeof(want), "a,%s,c", many("\xf0\x9f\x98\x80", 123));
	value(user, three, want);
	CHECK(routing_counts(routing).truncated == 2);
	end();
	begin(ENRICHMENTS("", E("x", "${mqtt.message.correlationData}")));
	strcpy(want, many("YWFh", 32));
	value(corr, many("aaa", 32), want);
	CHECK(routing_counts(routing).truncated == 0);
	value(corr, many("a", 97), want);
	value(coded, many("YWFh", 33), want);
	CHECK(routing_counts(routing).truncated == 2);
	end();
}

#define CE "application/cloudevents+json; charset=utf-8"
#define OWN "{ \"id\":\"own\",\"source\":\"/d\",\"specversion\":\"1.0\"," \
	"\"type\":\"x\",\"data\":{\"a\": 1} }"
#define ESCAPED_OWN "{\\\"id\\\":\\\"own\\\",\\r\\n\\\"source\\\":" \
	"\\\"/d\\\",\\\"specversion\\\":\\\"1.0\\\",\\\"type\\\":\\\"x\\\"}\\n"

static void
an_event_passes_as_it_is(void)
{
	begin("{\"name\":\"ns\"}");
	is("{" T P(CT(CE)) ",\"payload\":" OWN "}", OWN);
	is("{" T P(CT("Application/CloudEvents")) ",\"payload\":" OWN "}", OWN);
	is("{" T P(CT(CE)) ",\"payload\":\"" ESCAPED_OWN "\"}",
	    "{\"id\":\"own\",  \"source\":\"/d\",\"specversion\":\"1.0\","
	    "\"type\":\"x\"}");
	CHECK(routing_counts(routing).wrapped == 0);
	end();
	begin("{\"name\":\"ns\",\"properties\":{\"profile\":\"Azure\"}}");
	is("{" T P(CT(CE)) ",\"payload\":" OWN "}", OWN);
	end();
}

static void
an_event_that_is_none_is_wrapped(void)
{
	begin("{\"name\":\"ns\"}");
	is("{" T P(CT(CE)) ",\"payload\":{\"id\":\"1\"}}",
	    HEAD TYPE(CE) ",\"data\":{\"id\":\"1\"}}");
	CHECK(routing_counts(routing).wrapped == 1);
	is("{" T P(CT(CE)) ",\"payload\":\"x\"}",
	    HEAD TYPE(CE) ",\"data\":\"x\"}");
	is("{" T P(CT(CE)) ",\"payload\":\"\"}", HEAD TYPE(CE) "}");
	CHECK(routing_counts(routing).wrapped == 3);
	/* several, and another format: not said to be one event in JSON */
	is("{" T P(CT("application/cloudevents-batch+json"))
	    ",\"payload\":[]}",
	    HEAD TYPE("application/cloudevents-batch+json") ",\"data\":[]}");
	is("{" T P(CT("application/cloudevents+avro"))
	    ",\"payload_base64\":\"/w==\"}",
	    HEAD TYPE("application/cloudevents+avro")
	    ",\"data_base64\":\"/w==\"}");
	CHECK(routing_counts(routing).wrapped == 3);
	end();
}

static void
a_device_cannot_forge_an_enrichment(void)
{
	begin(enriched);
	is("{" T P(CT(CE)) ",\"payload\":{\"specversion\":\"1.0\",\"plant\":"
	    "\"forged\",\"id\":\"own\",\"send\\u0065r\":\"boss\","
	    "\"source\":\"/d\",\"type\":\"x\",\"other\":1}}",
	    "{\"specversion\":\"1.0\",\"id\":\"own\",\"source\":\"/d\","
	    "\"type\":\"x\",\"other\":1" EMPTY("a/b") "}");
	is("{" T P("\"user-properties\":[[\"sender\",\"boss\"],"
	    "[\"specversion\",\"1.0\"],[\"id\",\"own\"],[\"source\",\"/d\"],"
	    "[\"type\",\"x\"],[\"plant\",\"forged\"]]") ",\"payload\":\"\"}",
	    "{\"specversion\":\"1.0\",\"id\":\"own\",\"source\":\"/d\","
	    "\"type\":\"x\"" EMPTY("a/b") "}");
	end();
}

static void
an_event_keeps_to_its_number_of_attributes(void)
{
	struct buf b = { 0 };
	struct fault f;
	const char *got;

	/* 124 attributes; with 9 enrichments these are too many */
	buf_str(&b, "{" T P(CT(CE)) ",\"payload\":{\"specversion\":\"1.0\","
	    "\"id\":\"1\",\"source\":\"/d\",\"type\":\"x\"");
	for (int i = 0; i < 120; i++)
		buf_printf(&b, ",\"a%d\":1", i);
	buf_str(&b, "}}");
	begin("{\"name\":\"ns\"}");
	got = map(buf_data(&b), b.len, &f);
	CHECK(got != NULL && strstr(got, "\"source\":\"/d\"") != NULL);
	CHECK(routing_counts(routing).wrapped == 0);
	end();
	begin(enriched);
	got = map(buf_data(&b), b.len, &f);
	CHECK(got != NULL && strstr(got, "\"source\":\"ns\"") != NULL);
	CHECK(routing_counts(routing).wrapped == 1);
	end();
	buf_free(&b);
}

#define NEEDED "[\"specversion\",\"1.0\"],[\"id\",\"own\"]," \
	"[\"source\",\"/d\"],[\"type\",\"x\"]"
#define USERS(x) "\"user-properties\":[" x "]"
#define GOT "{\"specversion\":\"1.0\",\"id\":\"own\",\"source\":\"/d\"," \
	"\"type\":\"x\""

static void
user_properties_can_be_attributes(void)
{
	begin("{\"name\":\"ns\"}");
	is("{" T P(USERS(NEEDED)) ",\"payload\":{}}",
	    GOT TYPE("application/json") ",\"data\":{}}");
	is("{" T P("\"user-properties\":{\"specversion\":\"1.0\",\"id\":"
	    "\"own\",\"source\":\"/d\",\"type\":\"x\"}") ",\"payload\":{}}",
	    GOT TYPE("application/json") ",\"data\":{}}");
	is("{" T P(USERS(NEEDED ",[\"time\",\"2020-01-01T00:00:00Z\"],"
	    "[\"Name\",\"x\"],[\"a_b\",\"x\"],[\"\",\"x\"],[\"data\",\"x\"],"
	    "[\"data_base64\",\"x\"],[\"id\",\"2\"],[\"ext\",\"a\\u0001\"],"
	    "[\"ext\",\"b\"],[\"long4567890123456789x\",\"x\"]") ","
	    CT("text/plain")) ",\"payload\":\"on\"}",
	    GOT ",\"time\":\"2020-01-01T00:00:00Z\",\"ext\":\"a\xef\xbf\xbd\""
	    TYPE("text/plain") ",\"data\":\"on\"}");
	/* the content type, and leniently the user property */
	is("{" T P(USERS(NEEDED ",[\"datacontenttype\",\"text/csv\"]"))
	    ",\"payload\":\"a\"}", GOT TYPE("text/csv")
	    ",\"data_base64\":\"YQ==\"}");
	is("{" T P(USERS(NEEDED ",[\"datacontenttype\",\"text/csv\"]") ","
	    CT("text/xml")) ",\"payload\":\"\"}", GOT TYPE("text/xml") "}");
	CHECK(routing_counts(routing).wrapped == 0);
	/* three of four; another version; a bad source */
	is("{" T P(USERS("[\"specversion\",\"1.0\"],[\"id\",\"own\"],"
	    "[\"source\",\"/d\"]")) ",\"payload\":\"\"}", HEAD "}");
	CHECK(routing_counts(routing).wrapped == 0);
	is("{" T P(USERS("[\"specversion\",\"0.3\"],[\"id\",\"own\"],"
	    "[\"source\",\"/d\"],[\"type\",\"x\"]")) ",\"payload\":\"\"}",
	    HEAD "}");
	is("{" T P(USERS("[\"specversion\",\"1.0\"],[\"id\",\"own\"],"
	    "[\"source\",\"\"],[\"type\",\"x\"]")) ",\"payload\":\"\"}",
	    HEAD "}");
	CHECK(routing_counts(routing).wrapped == 2);
	end();
}

static void
very_many_user_properties_are_wrapped(void)
{
	struct buf b = { 0 };
	struct fault f;
	const char *got;

	buf_str(&b, "{" T ",\"properties\":{\"user-properties\":[" NEEDED);
	for (int i = 0; i < 60000; i++)
		buf_printf(&b, ",[\"a%d\",\"\"]", i);
	buf_str(&b, "]},\"payload\":1}");
	begin("{\"name\":\"ns\"}");
	got = map(buf_data(&b), b.len, &f);
	CHECK(got != NULL && strcmp(got, HEAD JSON "1}") == 0);
	CHECK(routing_counts(routing).wrapped == 1);
	end();
	buf_free(&b);
}

/* A payload of so many levels, as text. */
static const char *
nested(unsigned levels, bool text)
{
	struct buf b = { 0 };
	struct fault f;
	const char *got;

	buf_str(&b, text ? "{" T ",\"payload\":\"" : "{" T ",\"payload\":");
	for (unsigned i = 0; i < levels; i++)
		buf_str(&b, "[");
	for (unsigned i = 0; i < levels; i++)
		buf_str(&b, "]");
	buf_str(&b, text ? "\"}" : "}");
	got = map(buf_data(&b), b.len, &f);
	buf_free(&b);
	return got;
}

static void
deep_payloads_are_no_json(void)
{
	begin("{\"name\":\"ns\"}");
	CHECK(strstr(nested(120, true), "\"data\":[[[") != NULL);
	CHECK(strstr(nested(121, true), "\"data_base64\":\"W1tb") != NULL);
	CHECK(strstr(nested(100000, true), "\"data_base64\":\"W1tb") != NULL);
	CHECK(strstr(nested(125, false), "\"data\":[[[") != NULL);
	CHECK(strstr(nested(126, false), "\"data_base64\":\"W1tb") != NULL);
	CHECK(strstr(nested(127, false), "\"data_base64\":\"W1tb") != NULL);
	CHECK(nested(128, false) == NULL);
	end();
}

static void
an_event_has_at_most_1_mib(void)
{
	/* what stands around the payload in its event */
	size_t around = strlen(HEAD JSON "\"\"}");
	char *message = malloc(EVENT_MAX + 1024);
	struct fault f = { 0 };
	int n;

	begin("{\"name\":\"ns\"}");
	for (size_t more = 0; more < 2; more++) {
		n = sprintf(message, "{" T ",\"payload\":[\"");
		memset(message + n, 'x', EVENT_MAX);
		n += (int)(EVENT_MAX - around - 2 + more);
		n += sprintf(message + n, "\"]}");
		CHECK((map(message, (size_t)n, &f) == NULL) == (more == 1));
	}
	CHECK(f.code == FAULT_TOO_LARGE);
	free(message);
	end();
}

/* 512 KiB of U+0001, six bytes each as text, four thirds of one in base64. */
static void
text_that_is_too_long_goes_as_bytes(void)
{
	static const char *const heads[] = { "{" T P("\"payload-format-"
	    "indicator\":1"), "{" T P("\"payload-format-indicator\":1,"
	    USERS(NEEDED)) };
	struct fault f;
	const char *got;

	begin(enriched);
	for (int i = 0; i < 2; i++) {
		struct buf b = { 0 };

		buf_str(&b, heads[i]);
		buf_str(&b, ",\"payload\":\"");
		for (int j = 0; j < 512 * 1024; j++)
			buf_str(&b, "\\u0001");
		buf_str(&b, "\"}");
		got = map(buf_data(&b), b.len, &f);
		CHECK(got != NULL &&
		    strstr(got, ",\"data_base64\":\"AQEBAQEB") != NULL);
		CHECK(got != NULL && strstr(got, i == 0 ?
		    "\"id\":\"run/1\"" : "\"id\":\"own\"") != NULL);
		buf_free(&b);
	}
	end();
}

static void
long_topics_are_taken(void)
{
	struct buf b = { 0 };
	struct fault f;

	begin("{\"name\":\"ns\"}");
	buf_printf(&b, "{\"payload\":1,\"topic\":\"%s\"}",
	    many("\\u00fc", 32767));
	CHECK(map(buf_data(&b), b.len, &f) != NULL);
	buf_reset(&b, 0);
	buf_printf(&b, "{\"payload\":1,\"topic\":\"%s\"}",
	    many("\\u00fc", 32768));
	CHECK(map(buf_data(&b), b.len, &f) == NULL);
	CHECK(strstr(f.text, "more than 65535 bytes") != NULL);
	end();
	buf_free(&b);
}

static void
no_namespace(const char *text, const char *words)
{
	struct fault f = { 0 };

	CHECK(routing_new(jq_parse(text, strlen(text), NULL), &f) == NULL);
	if (strstr(f.text, words) == NULL)
		printf("# %s\n", f.text);
	CHECK(strstr(f.text, words) != NULL);
}

static void
a_namespace_has_a_name_and_good_enrichments(void)
{
	no_namespace("{}", "\"source\" must be a non-empty URI");
	no_namespace("{\"name\":\"a b\"}", "\"source\" must be");
	no_namespace(ENRICHMENTS(E("id", "x"), ""), "attribute of every event");
	no_namespace(ENRICHMENTS("{\"key\":\"a\"}", ""), "without key or value");
	no_namespace(ENRICHMENTS("", E("a", "x")), "is none of");
}

int
main(void)
{
	RUN(a_payload_has_the_form_that_is_best);
	RUN(the_profile_azure_goes_by_protocol_and_format);
	RUN(a_content_type_that_is_none_is_left_out);
	RUN(the_time_is_the_records);
	RUN(a_topic_may_hold_what_an_attribute_may_not);
	RUN(what_mosquitto_sub_prints_is_taken);
	RUN(what_is_no_message_is_refused);
	RUN(of_members_given_twice_the_last_counts);
	RUN(enrichments_are_of_the_message_and_its_publisher);
	RUN(values_are_cut_at_128_characters);
	RUN(an_event_passes_as_it_is);
	RUN(an_event_that_is_none_is_wrapped);
	RUN(a_device_cannot_forge_an_enrichment);
	RUN(an_event_keeps_to_its_number_of_attributes);
	RUN(user_properties_can_be_attributes);
	RUN(very_many_user_properties_are_wrapped);
	RUN(deep_payloads_are_no_json);
	RUN(an_event_has_at_most_1_mib);
	RUN(text_that_is_too_long_goes_as_bytes);
	RUN(long_topics_are_taken);
	RUN(a_namespace_has_a_name_and_good_enrichments);
	DONE();
}
