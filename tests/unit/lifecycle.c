#include <stdint.h>
#include <string.h>

#include "buf.h"
#include "changes.h"
#include "check.h"
#include "event.h"
#include "lifecycle.h"

#define NS "/subscriptions/s/resourceGroups/g/providers/" \
	"Microsoft.EventGrid/namespaces/plant"
#define T "2026-03-01T08:15:30.123456Z"
#define US INT64_C(1772352930123456)

#define SESSION "{\"tst\":\"" T "\",\"event\":" \
	"\"MQTTClientSessionConnected\",\"name\":\"a\",\"session\":\"s\"," \
	"\"sequenceNumber\":1}"

static struct lifecycle lc = { .namespace = "plant", .resource_id = NS };
static struct buf line, out;
static struct event event;
static struct fault fault;

static const char *
text(const struct buf *b)
{
	static char copy[65536];

	memcpy(copy, buf_data(b), b->len);
	copy[b->len] = '\0';
	return copy;
}

/* Behind what is there already, one line, and an event that a topic takes. */
static bool
good(void)
{
	if (out.len < 2 || memcmp(buf_data(&out), "x", 1) != 0 ||
	    memchr(buf_data(&out), '\n', out.len) !=
	    buf_data(&out) + out.len - 1)
		return false;
	if (event_parse(&event, buf_data(&out) + 1, out.len - 2, &fault) == 0)
		return true;
	printf("# %s: %s\n", fault.text, text(&out));
	return false;
}

static int
session(const char *s, size_t n)
{
	buf_reset(&out, SIZE_MAX);
	buf_str(&out, "x");
	fault = (struct fault){ 0 };
	return lifecycle_session(&lc, s, n, "1.M2P3Q4.h/1", &out, &fault);
}

static int
change(const char *path, const char *resource, const char *name)
{
	struct change c = { .transaction = 1, .number = 1, .of = 1,
		.path = path, .path_len = strlen(path), .resource = resource,
		.resource_len = resource == NULL ? 0 : strlen(resource),
		.name = name, .name_len = name == NULL ? 0 : strlen(name) };

	buf_reset(&line, SIZE_MAX);
	changes_format(&line, &c, US, "user:ann");
	buf_reset(&out, SIZE_MAX);
	buf_str(&out, "x");
	fault = (struct fault){ 0 };
	return lifecycle_change(&lc, buf_data(&line), line.len - 1, "u/17",
	    &out, &fault);
}

static void
a_session_that_begins_is_an_event(void)
{
	buf_reset(&line, SIZE_MAX);
	lifecycle_record(&line, US, "press", "press-1", 7, NULL);
	CHECK(session(buf_data(&line), line.len) == 0 && good());
	CHECK(strcmp(text(&out), "x{\"specversion\":\"1.0\",\"type\":"
	    "\"Microsoft.EventGrid.MQTTClientSessionConnected\",\"source\":\""
	    NS "\",\"id\":\"1.M2P3Q4.h/1\",\"time\":\"" T "\",\"subject\":"
	    "\"clients/press/sessions/press-1\",\"datacontenttype\":"
	    "\"application/json\",\"data\":{\"namespaceName\":\"plant\","
	    "\"clientAuthenticationName\":\"press\",\"clientSessionName\":"
	    "\"press-1\",\"sequenceNumber\":7}}\n") == 0);
}

static void
a_session_that_ends_says_why(void)
{
	buf_reset(&line, SIZE_MAX);
	lifecycle_record(&line, US, "press", "press-1", 7, "ConnectionLost");
	CHECK(session(buf_data(&line), line.len) == 0 && good());
	CHECK(strstr(text(&out), "MQTTClientSessionDisconnected") != NULL);
	CHECK(strstr(text(&out), "\"sequenceNumber\":7,"
	    "\"disconnectionReason\":\"ConnectionLost\"}}\n") != NULL);
}

/* Whatever a name is made of, the topic takes the event, and data has it all. */
static void
names_of_any_characters(void)
{
	static const char *const names[] = { "", "\"", "\\", "\n", "\x01\x7f",
		"\xc2\x85", "\xef\xb7\x90", "\xef\xbf\xbf",
		"\xf0\x9f\xbf\xbf", "a\xff", "/", "\xe2\x82\xac" };
	struct buf name = { 0 };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		buf_reset(&line, SIZE_MAX);
		lifecycle_record(&line, US, names[i], names[i], 1, "ServerError");
		CHECK(session(buf_data(&line), line.len) == 0 && good());
		buf_reset(&name, SIZE_MAX);
		buf_str(&name, "\"clientSessionName\":");
		buf_json(&name, names[i], strlen(names[i]));
		CHECK(memmem(buf_data(&out), out.len, buf_data(&name),
		    name.len) != NULL);
	}
	buf_free(&name);
	buf_reset(&line, SIZE_MAX);
	lifecycle_record(&line, US, "a\nb", "\"", 1, NULL);
	CHECK(session(buf_data(&line), line.len) == 0);
	CHECK(strstr(text(&out), "\"subject\":\"clients/a\xef\xbf\xbd"
	    "b/sessions/\\\"\"") != NULL);
}

static void
the_source_is_a_uri(void)
{
	lc.resource_id = "/a b/gr\xc3\xb6\xc3\x9f{%}/namespaces/plant";
	CHECK(session(SESSION, sizeof(SESSION) - 1) == 0 && good());
	CHECK(strstr(text(&out), "\"source\":\"/a%20b/gr%C3%B6%C3%9F%7B%25%7D/"
	    "namespaces/plant\"") != NULL);
	lc.resource_id = NS;
}

static void
other_lines_are_refused(void)
{
#define NAMED "\"name\":\"a\",\"session\":\"s\",\"sequenceNumber\":1"
#define BEGUN "\"event\":\"MQTTClientSessionConnected\","
#define ENDED "\"event\":\"MQTTClientSessionDisconnected\","
#define TIME "\"tst\":\"" T "\","
	static const char *const lines[] = {
		"", "{}", "[]", "7", "{\"tst\":1}", "\xff",
		"{" BEGUN NAMED "}",
		"{\"tst\":\"yesterday\"," BEGUN NAMED "}",
		"{\"tst\":\"\\u0032026-03-01T08:15:30Z\"," BEGUN NAMED "}",
		"{" TIME NAMED "}",
		"{" TIME "\"event\":\"MQTTClientDeleted\"," NAMED "}",
		"{" TIME ENDED NAMED "}",
		"{" TIME ENDED NAMED ",\"disconnectionReason\":1}",
		"{" TIME BEGUN "\"name\":1,\"session\":\"s\","
		    "\"sequenceNumber\":1}",
		"{" TIME BEGUN "\"name\":\"a\",\"sequenceNumber\":1}",
		"{" TIME BEGUN "\"name\":\"a\",\"session\":\"s\"}",
		"{" TIME BEGUN "\"name\":\"a\",\"session\":\"s\","
		    "\"sequenceNumber\":-1}",
		"{" TIME BEGUN "\"name\":\"a\",\"session\":\"s\","
		    "\"sequenceNumber\":1.5}",
		"{" TIME BEGUN "\"name\":\"a\",\"session\":\"s\","
		    "\"sequenceNumber\":9223372036854775808}",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		CHECK(session(lines[i], strlen(lines[i])) == -1);
		CHECK(fault.code == FAULT_BAD_REQUEST);
		CHECK(out.len == 1);
	}
}

#define PUT(made, changed, attributes) "{\"properties\":" \
	"{\"authenticationName\":\"press\",\"state\":\"Enabled\"" attributes \
	"},\"systemData\":{\"createdAt\":\"" made "\",\"lastModifiedAt\":\"" \
	changed "\"}}"

static void
a_client_that_is_put_is_an_event(void)
{
	CHECK(change("clients/c", PUT(T, T, ",\"attributes\":"
	    "{\"kind\":\"a\",\"tags\":[\"x\",\"\\n\"]}"), NULL) == 1 && good());
	CHECK(strcmp(text(&out), "x{\"specversion\":\"1.0\",\"type\":"
	    "\"Microsoft.EventGrid.MQTTClientCreatedOrUpdated\",\"source\":\""
	    NS "\",\"id\":\"u/17\",\"time\":\"" T "\",\"subject\":"
	    "\"clients/c\",\"datacontenttype\":\"application/json\","
	    "\"data\":{\"namespaceName\":\"plant\",\"clientName\":\"c\","
	    "\"clientAuthenticationName\":\"press\",\"createdOn\":\"" T "\","
	    "\"updatedOn\":\"" T "\",\"state\":\"Enabled\",\"attributes\":"
	    "{\"kind\":\"a\",\"tags\":[\"x\",\"\\n\"]}}}\n") == 0);
	CHECK(change("clients/c", PUT(T, "2027-01-01T00:00:00.000000Z", ""),
	    NULL) == 1 && good());
	CHECK(strstr(text(&out), "\"createdOn\":\"" T "\",\"updatedOn\":"
	    "\"2027-01-01T00:00:00.000000Z\",") != NULL);
	CHECK(strstr(text(&out), "\"attributes\":{}}}\n") != NULL);
}

static void
a_client_that_is_deleted_is_an_event(void)
{
	CHECK(change("clients/c", NULL, "pre\"ss") == 1 && good());
	CHECK(strstr(text(&out), "Grid.MQTTClientDeleted\"") != NULL);
	CHECK(strstr(text(&out), "\"data\":{\"namespaceName\":\"plant\","
	    "\"clientName\":\"c\",\"clientAuthenticationName\":"
	    "\"pre\\\"ss\"}}\n") != NULL);
}

static void
other_changes_are_none(void)
{
	CHECK(change("topics/t", "{}", NULL) == 0 && out.len == 1);
	CHECK(change("clientGroups/g", NULL, NULL) == 0 && out.len == 1);
	CHECK(change("clients/", "{}", NULL) == 0 && out.len == 1);
	CHECK(change("namespace", "{}", NULL) == 0 && out.len == 1);
}

static void
broken_changes_are_refused(void)
{
	CHECK(change("clients/c", "{}", NULL) == -1 && out.len == 1);
	CHECK(fault.code == FAULT_BAD_REQUEST);
	CHECK(change("clients/c", "[]", NULL) == -1 && out.len == 1);
	CHECK(change("clients/c", PUT("soon", T, ""), NULL) == -1);
	CHECK(change("clients/c", NULL, NULL) == -1 && out.len == 1);
	CHECK(change("clients/c", PUT(T, T, ""), NULL) == 1);
	for (size_t n = 0; n < line.len - 1; n++)
		CHECK(lifecycle_change(&lc, buf_data(&line), n, "i", &out,
		    &fault) == -1);
	buf_data(&line)[line.len / 2] ^= 1;
	CHECK(lifecycle_change(&lc, buf_data(&line), line.len - 1, "i", &out,
	    &fault) == -1 && fault.code == FAULT_BAD_REQUEST);
}

int
main(void)
{
	RUN(a_session_that_begins_is_an_event);
	RUN(a_session_that_ends_says_why);
	RUN(names_of_any_characters);
	RUN(the_source_is_a_uri);
	RUN(other_lines_are_refused);
	RUN(a_client_that_is_put_is_an_event);
	RUN(a_client_that_is_deleted_is_an_event);
	RUN(other_changes_are_none);
	RUN(broken_changes_are_refused);
	event_free(&event);
	json_free(&lc.json);
	buf_free(&line);
	buf_free(&out);
	DONE();
}
