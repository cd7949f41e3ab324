/* dead letters: what is read of every shape, and that none changes its event */
#include <string.h>

#include "check.h"
#include "clock.h"
#include "deadletter.h"
#include "letter.h"

#define NOON (INT64_C(1769860800) * CLOCK_SECOND) /* 2026-01-31T12:00:00Z */

#define PROPS "\"deadletterProperties\":{\"deadletterreason\":" \
	"\"TimeToLiveExceeded\",\"deliveryattempts\":3}"

/* A walk, told in few letters: "1" number and event of a letter, "2!" a fault;
 * e.g. "1{\"id\":\"a\"} 2!". */
static const char *
walk(const char *text, size_t len)
{
	static struct buf out;
	struct letters ls = { .text = text, .len = len };
	struct fault f;
	struct letter l;
	int rc;

	buf_reset(&out, 0);
	while ((rc = letters_next(&ls, &l, &f)) != 0) {
		buf_printf(&out, "%s%llu", out.len > 0 ? " " : "",
		    (unsigned long long)l.number);
		if (rc == -1)
			buf_str(&out, "!");
		else
			letter_event(&l, &out);
	}
	letters_free(&ls);
	buf_add(&out, "", 1);
	return buf_data(&out);
}

static int
walk_is(const char *text, const char *want)
{
	const char *got = walk(text, strlen(text));

	if (strcmp(got, want) != 0)
		printf("# got  %s\n# want %s\n", got, want);
	return strcmp(got, want) == 0;
}

static void
ours_are_lines(void)
{
	CHECK(walk_is("", ""));
	CHECK(walk_is("\n \n", ""));
	CHECK(walk_is("{\"id\":\"a\"," PROPS "}\n{\"id\":\"b\"," PROPS "}\n",
	    "1{\"id\":\"a\"} 2{\"id\":\"b\"}"));
	CHECK(walk_is("{\"id\":\"a\"," PROPS "}\r\n\r\n{\"id\":\"b\"," PROPS
	    "}", "1{\"id\":\"a\"} 3{\"id\":\"b\"}"));
	CHECK(walk_is("\xef\xbb\xbf\n{\"id\":\"a\"," PROPS "}",
	    "2{\"id\":\"a\"}"));
	CHECK(walk_is("{" PROPS "}", "1{}"));
}

static void
other_shapes_are_read(void)
{
	CHECK(walk_is("{\"event\":{\"id\": 1},\"customDeliveryProperties\":{},"
	    PROPS "}", "1{\"id\": 1}"));
	CHECK(walk_is("{\"id\":\"a\" , \"customDeliveryProperties\" : {} ,\n"
	    PROPS ", \"data\":[1 ,\r\n2]}", "1{\"id\":\"a\"  , "
	    "\"data\":[1 ,  2]}"));
	CHECK(walk_is("{\"customDeliveryProperties\":{}, " PROPS " , "
	    "\"id\":\"a\" }", "1{\"id\":\"a\" }"));
	CHECK(walk_is("{ " PROPS " }", "1{  }"));
	CHECK(walk_is("[{\"event\":{\"id\":\"a\"}," PROPS "},\n"
	    "{\"event\":{\"id\":\"b\"},\"deadLetterProperties\":{}},"
	    "{\"brokerProperties\":{},\"event\":{}}]\n",
	    "1{\"id\":\"a\"} 2{\"id\":\"b\"} 3{}"));
	CHECK(walk_is("[\n  {\n    \"id\": \"a\",\n    \"deadLetterProperties\":"
	    " {\n    }\n  },\n  {\n    " PROPS ",\n    \"id\": \"b\"\n  }\n]\n"
	    "[{" PROPS "}]{" PROPS "}", "1{     \"id\": \"a\"   } "
	    "2{     \"id\": \"b\"   } 3{} 4{}"));
	/* an attribute of that name is no event */
	CHECK(walk_is("{\"event\":\"x\"," PROPS "}", "1{\"event\":\"x\"}"));
}

static void
faults_are_of_their_line(void)
{
	CHECK(walk_is("{" PROPS "}\n{\"id\":\"b\"," PROPS, "1{} 2!"));
	CHECK(walk_is("{\"id\":\n{" PROPS "}\n{" PROPS "}", "1! 2{} 3{}"));
	CHECK(walk_is("nonsense\n\"words\" and more\n{" PROPS "}\n\xff\n",
	    "1! 2! 3{} 4!"));
	CHECK(walk_is("[null, 1,{" PROPS "}]\n\n{\"id\":\"b\"}\n",
	    "1! 2! 3{} 5!"));
	CHECK(walk_is("[{" PROPS "},{\"id\":\"b\"", "1{} 2!"));
	CHECK(walk_is("{\"deadletterProperties\":null}", "1!"));
	CHECK(walk_is("}\n{" PROPS "}\n", "1! 2{}"));
}

static void
a_fault_says_what_it_is(void)
{
	struct letters ls = { .text = "  torn\r\nx", .len = 9 };
	struct letter l;
	struct fault f;

	CHECK(letters_next(&ls, &l, &f) == -1);
	CHECK(f.code == FAULT_BAD_REQUEST && l.number == 1);
	CHECK(l.len == 4 && memcmp(l.text, "torn", 4) == 0);
	CHECK(letters_next(&ls, &l, &f) == -1 && l.number == 2 && l.len == 1);
	CHECK(letters_next(&ls, &l, &f) == 0);
	CHECK(letters_next(&ls, &l, &f) == 0);
	letters_free(&ls);
}

static struct letter
only(struct letters *ls, const char *text)
{
	struct letter l;

	*ls = (struct letters){ .text = text, .len = strlen(text) };
	CHECK(letters_next(ls, &l, NULL) == 1);
	return l;
}

static int
string_is(const struct letter *l, uint32_t t, const char *s)
{
	return t != 0 && json_is(l->json, t, s, strlen(s));
}

static void
properties_are_told(void)
{
	struct letters ls;
	struct letter l = only(&ls, "{\"id\":\"a\",\"source\":\"/s\","
	    "\"subject\":7,\"type\":\"t\",\"deadletterProperties\":{"
	    "\"deadletterreason\":\"Unauthorized\",\"deliveryattempts\":1,"
	    "\"deliveryresult\":\"Forbidden\","
	    "\"lastDeliveryAttemptTime\":\"2026-01-31T12:00:01Z\","
	    "\"publishTime\":\"2026-01-31T12:00:00.000000Z\","
	    "\"deadLetterTime\":\"2026-01-31T12:00:02.000000Z\","
	    "\"offset\":77}}");

	CHECK(l.reason == DL_UNAUTHORIZED && l.attempts == 1 &&
	    l.offset == 77 && !l.wrapped && l.event == 0);
	CHECK(strcmp(l.reason_text, "Unauthorized") == 0);
	CHECK(strcmp(l.result, "Forbidden") == 0);
	CHECK(l.published == NOON && l.attempted == NOON + CLOCK_SECOND);
	CHECK(letter_time(&l) == NOON + 2 * CLOCK_SECOND);
	CHECK(string_is(&l, l.id, "a") && string_is(&l, l.source, "/s") &&
	    string_is(&l, l.type, "t") && l.subject == 0);
	letters_free(&ls);

	l = only(&ls, "{\"event\":{\"id\":\"42\",\"subject\":\"s\"},"
	    "\"id\":\"x\",\"deadletterProperties\":{\"deadletterreason\":"
	    "\"Maximum delivery attempts was exceeded.\","
	    "\"publishutc\":\"2026-01-31T12:00:00.0000000Z\","
	    "\"deliveryattemptutc\":\"2026-01-31T12:00:01.0000000Z\"}}");
	CHECK(l.reason == DL_MAX_DELIVERY_COUNT && l.attempts == -1 &&
	    l.offset == -1 && l.wrapped && l.result[0] == '\0');
	CHECK(string_is(&l, l.id, "42") && string_is(&l, l.subject, "s") &&
	    l.type == 0);
	CHECK(l.published == NOON && letter_time(&l) == NOON + CLOCK_SECOND);
	letters_free(&ls);

	l = only(&ls, "{\"deadletterProperties\":{\"deadletterreason\":7,"
	    "\"deliveryattempts\":-1,\"offset\":\"1\",\"publishTime\":\"x\"}}");
	CHECK(l.reason == -1 && l.reason_text[0] == '\0' && l.attempts == -1 &&
	    l.offset == -1 && letter_time(&l) == 0);
	letters_free(&ls);
}

static void
long_reasons_are_cut_between_characters(void)
{
	char text[1024] = "{\"deadletterProperties\":{\"deadletterreason\":\"\\n";
	struct letters ls;
	struct letter l;

	for (int i = 0; i < 100; i++)
		strcat(text, "\xc3\xa4");
	strcat(text, "\"}}");
	l = only(&ls, text);
	CHECK(strlen(l.reason_text) == LETTER_REASON_MAX - 1);
	CHECK(l.reason_text[0] == '\n' && l.reason == -1);
	letters_free(&ls);
	memcpy(strstr(text, "\\n"), "xyz", 2);
	l = only(&ls, text);
	CHECK(strlen(l.reason_text) == LETTER_REASON_MAX - 2);
	letters_free(&ls);
}

static int
reason(const char *words, const char *result)
{
	return letter_reason(words, strlen(words), result, strlen(result));
}

static void
reasons_of_others_are_known(void)
{
	CHECK(reason("timetoliveEXCEEDED", "") == DL_TIME_TO_LIVE);
	CHECK(reason("SchemaRejected", "") == DL_SCHEMA_REJECTED);
	CHECK(reason("MaxDeliveryAttemptsExceeded", "") ==
	    DL_MAX_DELIVERY_COUNT);
	CHECK(reason("maximum delivery attempts was exceeded.", "TimedOut") ==
	    DL_MAX_DELIVERY_COUNT);
	CHECK(reason("Undeliverable due to client error", "Unauthorized") ==
	    DL_UNAUTHORIZED);
	CHECK(reason("Undeliverable due to client error", "NotFound") ==
	    DL_ENDPOINT_NOT_FOUND);
	CHECK(reason("Undeliverable due to client error", "BadRequest") ==
	    DL_SCHEMA_REJECTED);
	CHECK(reason("Undeliverable due to client error", "PayloadTooLarge") ==
	    DL_PAYLOAD_TOO_LARGE);
	CHECK(reason("Undeliverable due to client error", "") == -1);
	CHECK(reason("", "") == -1);
	CHECK(reason("Undeliverable", "Unauthorized") == -1);
}

static int
write_line(struct buf *b, const char *line)
{
	struct json js = { 0 };
	int rc = letter_write(b, &js, line, strlen(line), NULL);

	json_free(&js);
	return rc;
}

static int
written_is(const char *line, const char *want)
{
	struct buf b = { 0 };
	int same = write_line(&b, line) == 0 && b.len == strlen(want) &&
	    memcmp(buf_data(&b), want, b.len) == 0;

	buf_free(&b);
	return same;
}

static void
records_become_letters(void)
{
	struct buf b = { 0 };

	CHECK(written_is("{\"time\":\"2026-01-31T12:01:00.000000Z\","
	    "\"topic\":\"t\",\"subscription\":\"s\",\"offset\":12,"
	    "\"destination\":{},\"deadletterProperties\":{"
	    "\"deadletterreason\":\"Rejected\",\"deliveryattempts\":1,"
	    "\"deliveryresult\":\"Rejected\","
	    "\"lastDeliveryAttemptTime\":\"2026-01-31T12:00:00.000000Z\","
	    "\"publishTime\":\"2026-01-31T12:00:00.000000Z\"},"
	    "\"event\":{\"id\": \"1\" },"
	    "\"customDeliveryProperties\":{\"x\": \"y\"}}\n",
	    "{\"id\": \"1\" ,\"deadletterProperties\":{"
	    "\"deadletterreason\":\"Rejected\",\"deliveryattempts\":1,"
	    "\"deliveryresult\":\"Rejected\","
	    "\"lastDeliveryAttemptTime\":\"2026-01-31T12:00:00.000000Z\","
	    "\"publishTime\":\"2026-01-31T12:00:00.000000Z\","
	    "\"deadLetterTime\":\"2026-01-31T12:01:00.000000Z\","
	    "\"offset\":12},\"customDeliveryProperties\":{\"x\": \"y\"}}\n"));
	/* of what people pipe: only what is known and of its type */
	CHECK(written_is("{\"offset\":\"1\",\"event\":{\n},"
	    "\"deadletterProperties\":{\"offset\":9,\"deadletterreason\":{}}}",
	    "{ \"deadletterProperties\":{}}\n"));
	CHECK(write_line(&b, "{\"deadletterProperties\":{}}") == -1);
	CHECK(write_line(&b, "{\"deadletterProperties\":{},"
	    "\"line_base64\":\"Iv8K\"}") == -1);
	CHECK(write_line(&b, "{\"deadletterProperties\":{},\"event\":[]}") ==
	    -1);
	CHECK(write_line(&b, "{\"event\":{}}") == -1);
	CHECK(write_line(&b, "[]") == -1);
	CHECK(write_line(&b, "{\"event\":{") == -1);
	CHECK(b.len == 0);
	buf_free(&b);
}

static void
blank(struct buf *b)
{
	static const char *const blanks[] = { "", "", "", " ", "  ", "\t" };

	buf_str(b, blanks[rand() % 6]);
}

/* A value of odd spacing, with names that mean something elsewhere. */
static void
random_value(struct buf *b, int depth)
{
	static const char *const scalars[] = { "1", "-0.5e3", "true", "null",
		"\"\"", "\"\\\"},\"", "\"\xc3\xa4\\u00e4\"", "\"{\"" };
	static const char *const names[] = { "id", "event", "data", "",
		"deadletterProperties", "customDeliveryProperties",
		"brokerProperties", "d\\u0065adletterProperties", "offset" };
	int kind = depth == 0 ? 1 : depth > 3 ? 2 : rand() % 4;

	if (kind > 1) {
		buf_str(b, scalars[rand() % 8]);
		return;
	}
	buf_str(b, kind == 1 ? "{" : "[");
	for (int i = 0, n = rand() % 5; i < n; i++) {
		if (i > 0)
			buf_str(b, ",");
		blank(b);
		if (kind == 1) {
			buf_printf(b, "\"%s\"", names[rand() % 9]);
			blank(b);
			buf_str(b, ":");
			blank(b);
		}
		random_value(b, depth + 1);
		blank(b);
	}
	if (rand() % 2)
		blank(b);
	buf_str(b, kind == 1 ? "}" : "]");
}

static void
add_record(struct buf *b, const struct buf *event)
{
	struct journal_line line = { .offset = (uint64_t)rand(), .time = NOON,
		.event = buf_data(event), .event_len = event->len };
	struct dl_record r = { .topic = "t", .subscription = "s",
		.destination = "{}", .line = &line, .now = NOON + 1,
		.reason = DL_REJECTED, .result = DL_RESULT_REJECTED,
		.custom = rand() % 2 ? "{\"x-team\":\"},\"}" : NULL };

	dl_format(b, &r);
}

static void
events_come_back_to_the_byte(void)
{
	struct buf event = { 0 }, record = { 0 }, blob = { 0 }, back = { 0 };
	struct json js = { 0 };
	struct letters ls;
	struct letter l;
	int bad = 0;

	srand(1);
	for (int i = 0; i < 20000; i++) {
		buf_reset(&event, 1 << 20);
		buf_reset(&record, 1 << 20);
		buf_reset(&blob, 1 << 20);
		buf_reset(&back, 1 << 20);
		random_value(&event, 0);
		add_record(&record, &event);
		if (letter_write(&blob, &js, buf_data(&record), record.len,
		    NULL) == -1)
			abort();
		ls = (struct letters){ .text = buf_data(&blob),
			.len = blob.len };
		bad += letters_next(&ls, &l, NULL) != 1;
		letter_event(&l, &back);
		bad += back.len != event.len || memcmp(buf_data(&back),
		    buf_data(&event), event.len) != 0;
		bad += l.offset < 0 || l.published != NOON ||
		    letter_time(&l) != NOON + 1 || l.reason != DL_REJECTED;
		bad += letters_next(&ls, &l, NULL) != 0;
		letters_free(&ls);
	}
	CHECK(bad == 0);
	json_free(&js);
	buf_free(&event);
	buf_free(&record);
	buf_free(&blob);
	buf_free(&back);
}

static void
keys_tell_letters_apart(void)
{
	static const char ours[] = "{\"deadletterProperties\":{\"publishTime\":"
	    "\"2026-01-31T12:00:00Z\",\"offset\":12}}";
	uint8_t a[LETTER_KEY], b[LETTER_KEY];
	struct letters ls, other;
	struct letter l = only(&ls, ours), m;

	letter_key(&l, "t", "s", "blob", a);
	letter_key(&l, "t", "s", "elsewhere", b);
	CHECK(memcmp(a, b, sizeof(a)) == 0);
	letter_key(&l, "t", "s2", "blob", b);
	CHECK(memcmp(a, b, sizeof(a)) != 0);
	letter_key(&l, "", "", "blob", a);
	letter_key(&l, "", "", "elsewhere", b);
	CHECK(memcmp(a, b, sizeof(a)) != 0);
	m = only(&other, "{\"deadletterProperties\":{\"publishTime\":"
	    "\"2026-01-31T12:00:00Z\",\"offset\":13}}");
	letter_key(&l, "t", "s", "blob", a);
	letter_key(&m, "t", "s", "blob", b);
	CHECK(memcmp(a, b, sizeof(a)) != 0);
	letters_free(&other);
	m = only(&other, "{\"event\":{}," PROPS "}");
	letter_key(&m, "t", "s", "blob", a);
	letter_key(&m, "t", "s", "elsewhere", b);
	CHECK(memcmp(a, b, sizeof(a)) != 0);
	letters_free(&other);
	letters_free(&ls);
}

/* 4 MB of a line again and again, and a good one: all are told of, and what is
 * looked at in vain is no more than twice the blob. */
static void
hostile(const char *line, int (*want)(int rc))
{
	static const char good[] = "\n{" PROPS "}\n";
	size_t size = 4000000, n = strlen(line), len = 0;
	char *text = malloc(size + sizeof(good));
	struct letters ls = { .text = text };
	struct letter l;
	struct fault f;
	uint64_t number = 0;
	int rc, odd = 0, last = 0;

	for (; len + n <= size; len += n)
		memcpy(text + len, line, n);
	memcpy(text + len, good, sizeof(good));
	ls.len = len + sizeof(good) - 1;
	while ((rc = letters_next(&ls, &l, &f)) != 0) {
		odd += !want(rc) || l.number <= number;
		number = l.number;
		last = rc;
	}
	CHECK(odd <= 1 && last == 1);
	CHECK(ls.wasted < 2 * ls.len);
	letters_free(&ls);
	free(text);
}

static int
refused(int rc)
{
	return rc == -1;
}

static void
no_blob_takes_more_than_its_length(void)
{
	hostile("{\n", refused);
	hostile("{\"\":\n", refused);
	hostile("{\"a\":1,\n", refused);
	hostile("{\"a\":[{\"b\":\n", refused);
	hostile("{\"a\":[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6],\"b\":[\n", refused);
	hostile("1\n", refused);
	hostile("[[{\"x\":[", refused);
	hostile("]\n[\n,\n", refused);
	hostile("\"\n", refused);
}

int
main(void)
{
	RUN(ours_are_lines);
	RUN(other_shapes_are_read);
	RUN(faults_are_of_their_line);
	RUN(a_fault_says_what_it_is);
	RUN(properties_are_told);
	RUN(long_reasons_are_cut_between_characters);
	RUN(reasons_of_others_are_known);
	RUN(records_become_letters);
	RUN(events_come_back_to_the_byte);
	RUN(keys_tell_letters_apart);
	RUN(no_blob_takes_more_than_its_length);
	DONE();
}
