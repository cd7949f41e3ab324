#include "binding.h"

#include <string.h>

#include "check.h"

#define E "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\"," \
	  "\"type\":\"t\""
/* "|" stands for the NUL behind each. */
#define H "ce-specversion: 1.0|ce-id: 1|ce-source: /s|ce-type: t|"
#define K "ce_specversion=1.0|ce_id=1|ce_source=/s|ce_type=t|"

static struct event ev;

static void
parse(const char *text)
{
	struct fault f = { .text = "" };

	CHECK(event_parse(&ev, text, strlen(text), &f) == 0);
	if (*f.text != '\0')
		printf("# %s\n", f.text);
}

/* Is it this text? A NUL is "|". */
static bool
is(struct buf *b, const char *text)
{
	bool same;

	for (size_t i = 0; i < b->len; i++)
		if (buf_data(b)[i] == '\0')
			buf_data(b)[i] = '|';
	same = !b->bad && b->len == strlen(text) &&
	    memcmp(b->len == 0 ? "" : buf_data(b), text, b->len) == 0;
	if (!same)
		printf("# %.*s\n# %s\n", (int)b->len, b->len == 0 ? "" :
		    buf_data(b), text);
	buf_reset(b, 0);
	return same;
}

static const struct {
	const char *event, *type, *data;
} rows[] = {
	{ E "}", "", "" },
	{ E ",\"data\":{\"a\": [1 ]}}", "application/json", "{\"a\": [1 ]}" },
	{ E ",\"data\":\"x\"}", "application/json", "\"x\"" },
	{ E ",\"data\":null}", "application/json", "null" },
	{ E ",\"datacontenttype\":\"text/json\",\"data\":\"x\"}", "text/json",
	    "\"x\"" },
	{ E ",\"datacontenttype\":\"a/b+JSON; c=d\",\"data\":\"x\"}",
	    "a/b+JSON; c=d", "\"x\"" },
	{ E ",\"datacontenttype\":\"a/b+JSON ;c\",\"data\":\"x\"}",
	    "a/b+JSON ;c", "\"x\"" },
	{ E ",\"datacontenttype\":\"application\\/json\",\"data\":\"x\"}",
	    "application/json", "\"x\"" },
	{ E ",\"datacontenttype\":\"a/xjson\",\"data\":\"x\"}", "a/xjson",
	    "x" },
	{ E ",\"datacontenttype\":\"a/b;x=y/json\",\"data\":\"x\"}",
	    "a/b;x=y/json", "x" },
	{ E ",\"datacontenttype\":\"text/plain  \",\"data\":\"\\\"\\u20ac\\n\"}",
	    "text/plain", "\"\xe2\x82\xac\n" },
	{ E ",\"datacontenttype\":\"text/xml\",\"data\":\"\"}", "text/xml", "" },
	{ E ",\"datacontenttype\":\"text/xml\",\"data\":5}", "text/xml", "5" },
	{ E ",\"datacontenttype\":\"text/xml\"}", "text/xml", "" },
	{ E ",\"datacontenttype\":null,\"data\":1}", "application/json", "1" },
	{ E ",\"data_base64\":\"AAEC\"}", "", "|\1\2" },
	{ E ",\"data_base64\":\"\"}", "", "" },
	{ E ",\"datacontenttype\":\"application/json\",\"data_base64\":\"e30=\"}",
	    "application/json", "{}" },
	{ E ",\"datacontenttype\":\"a/b\",\"data_base64\":\"\\/\\/8=\"}", "a/b",
	    "\xff\xff" },
};

static void
types_and_data(void)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		parse(rows[i].event);
		binding_type(&ev, &b);
		CHECK(is(&b, rows[i].type));
		binding_data(&ev, &b);
		CHECK(is(&b, rows[i].data));
	}
	parse(E ",\"datacontenttype\":\"a/b\",\"data\":\"x\"}");
	buf_str(&b, "<");
	binding_type(&ev, &b);
	buf_str(&b, ">");
	binding_data(&ev, &b);
	CHECK(is(&b, "<a/b>x"));
	buf_free(&b);
}

static int
add(const char *name, const char *value, size_t n, void *arg)
{
	struct buf *b = arg;

	buf_printf(b, "%s=", name);
	buf_add(b, value, n);
	buf_add(b, "", 1);
	return 0;
}

static void
headers(const char *event, const char *http, const char *kafka)
{
	struct buf b = { 0 };

	parse(event);
	binding_http(&ev, &b);
	CHECK(is(&b, http));
	CHECK(binding_kafka(&ev, add, &b) == 0);
	CHECK(is(&b, kafka));
	buf_free(&b);
}

static void
attributes_are_headers(void)
{
	headers(E "}", H, K);
	headers(E ",\"n\":-5,\"yes\":true,\"no\":false,\"gone\":null,"
	    "\"subject\":null,\"empty\":\"\"}",
	    H "ce-n: -5|ce-yes: true|ce-no: false|ce-empty: |",
	    K "ce_n=-5|ce_yes=true|ce_no=false|ce_empty=|");
	/* what is not for the head */
	headers(E ",\"datacontenttype\":\"a/b\",\"data\":{\"x\":1}}", H, K);
	headers(E ",\"data\":null}", H, K);
	headers(E ",\"data_base64\":\"\"}", H, K);
	headers(E ",\"data_base64\":null,\"datacontenttype\":null}", H, K);
	headers(E ",\"dataschema\":\"a:b?c\","
	    "\"time\":\"2026-01-31T12:00:00.5+01:00\"}",
	    H "ce-dataschema: a:b?c|ce-time: 2026-01-31T12:00:00.5+01:00|",
	    K "ce_dataschema=a:b?c|ce_time=2026-01-31T12:00:00.5+01:00|");
}

static void
values_are_encoded(void)
{
	/* the specification's own sample */
	headers(E ",\"x\":\"Euro \\u20ac \xf0\x9f\x98\x80\"}",
	    H "ce-x: Euro%20%E2%82%AC%20%F0%9F%98%80|",
	    K "ce_x=Euro \xe2\x82\xac \xf0\x9f\x98\x80|");
	headers(E ",\"x\":\"\\\"%~!'\\\\ \"}",
	    H "ce-x: %22%25~!'\\%20|", K "ce_x=\"%~!'\\ |");
	headers(E ",\"\\u0078\":\"a\\/b\"}", H "ce-x: a/b|", K "ce_x=a/b|");
}

static int
stop(const char *name, const char *value, size_t n, void *arg)
{
	(void)name;
	(void)value;
	(void)n;
	return ++*(int *)arg == 2 ? 7 : 0;
}

static void
the_caller_may_stop(void)
{
	int n = 0;

	parse(E "}");
	CHECK(binding_kafka(&ev, stop, &n) == 7 && n == 2);
}

static void
fields(void)
{
	static const struct {
		const char *path, *value; /* NULL: none */
	} want[] = {
		{ "subject", "a b" }, { "n", "5" }, { "type", "t" },
		{ "data.system", "x" }, { "data.a.b", "-1.50" },
		{ "data.a.yes", "true" }, { "data.a.no", "false" },
		{ "data", NULL }, { "data.a", NULL }, { "data.list", NULL },
		{ "data.null", NULL }, { "data.system.x", NULL },
		{ "none", NULL }, { "", NULL }, { ".", NULL },
		{ "data.", "empty" }, { "data.a.", NULL }, { "Subject", NULL },
		{ "data.list.0", NULL },
	};
	struct buf b = { 0 };

	parse("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\","
	    "\"type\":\"t\",\"n\":5,\"subject\":\"a b\",\"data\":{"
	    "\"system\":\"x\",\"list\":[1],\"null\":null,\"\":\"empty\","
	    "\"a\":{\"b\":-1.50,\"yes\":true,\"no\":false,\"t\":\"a\\tb\"}}}");
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		CHECK(binding_field(&ev, want[i].path, &b) ==
		    (want[i].value == NULL ? -1 : 0));
		CHECK(is(&b, want[i].value == NULL ? "" : want[i].value));
	}
	CHECK(binding_field(&ev, "data.a.t", &b) == 0 && is(&b, "a\tb"));
	parse(E ",\"data\":\"x\"}");
	CHECK(binding_field(&ev, "data", &b) == 0 && is(&b, "x"));
	buf_free(&b);
}

int
main(void)
{
	RUN(types_and_data);
	RUN(attributes_are_headers);
	RUN(values_are_encoded);
	RUN(the_caller_may_stop);
	RUN(fields);
	event_free(&ev);
	DONE();
}
