#include <string.h>

#include "check.h"
#include "jq.h"

#define S(s) s, sizeof(s) - 1

/* The answer, or the value printed again. */
static const struct {
	const char *rule, *text, *result;
} texts[] = {
	{ "a value", "{\"b\": [1, \"x\"], \"a\":null}",
	    "{\"b\":[1,\"x\"],\"a\":null}" },
	{ "the same name in two objects", "[{\"a\":1},{\"a\":1}]",
	    "[{\"a\":1},{\"a\":1}]" },
	{ "one in the other", "{\"a\":{\"a\":{}}}", "{\"a\":{\"a\":{}}}" },
	{ "surrogates", "\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"" },
	{ "twice", "{\"a\":1,\"a\":1}",
	    "invalid JSON at byte 8: \"a\" is given twice" },
	{ "twice below", "[1,{\"x\":{\"\":1,\"b\":2,\"\":3}}]",
	    "invalid JSON at byte 21: \"\" is given twice" },
	{ "twice by escapes", "{\"a\":1,\"\\u0061\":{\"x\":1}}",
	    "invalid JSON at byte 8: \"a\" is given twice" },
	{ "libjq takes it: nan", "nan",
	    "invalid JSON at byte 1: a value was expected" },
	{ "libjq takes it: two", "1 2",
	    "invalid JSON at byte 3: something behind the value" },
	{ "libjq takes it: bad UTF-8", "\"\xff\"",
	    "invalid JSON at byte 2: invalid UTF-8" },
	{ "nothing", "", "invalid JSON at byte 1: a value was expected" },
};

static void
parsing(void)
{
	struct buf b = { 0 };
	struct fault f;
	jv v;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		buf_reset(&b, 4096);
		v = jq_parse(texts[i].text, strlen(texts[i].text), &f);
		if (jv_is_valid(v)) {
			jq_print(&b, v, false);
		} else {
			jv_free(v);
			buf_str(&b, f.text);
		}
		buf_add(&b, "", 1);
		if (strcmp(buf_data(&b), texts[i].result) != 0) {
			printf("# %s: %s\n", texts[i].rule, buf_data(&b));
			check_bad = 1;
		}
	}
	buf_free(&b);
}

/* Names are counted in one go: twice as many take about twice as long. */
static void
many_names(void)
{
	struct buf b = { 0 };
	struct fault f;
	jv v;

	buf_str(&b, "{");
	for (int i = 0; i < 100000; i++)
		buf_printf(&b, "\"name%d\":%d,", i, i);
	buf_str(&b, "\"name5\":0}");
	v = jq_parse(buf_data(&b), b.len, &f);
	CHECK(!jv_is_valid(v));
	CHECK(strstr(f.text, "\"name5\" is given twice") != NULL);
	jv_free(v);
	buf_free(&b);
}

static void
getting(void)
{
	jv v = jq_parse(S("{\"a\":{\"b\":{\"c\":\"x\",\"n\":1}},\"s\":\"t\"}"),
	    NULL);
	jv n;

	CHECK(strcmp(jq_str(v, "a.b.c"), "x") == 0);
	CHECK(strcmp(jq_str(v, "s"), "t") == 0);
	CHECK(jq_str(v, "a.b.n") == NULL);
	CHECK(jq_str(v, "a.b") == NULL);
	CHECK(jq_str(v, "a.x.c") == NULL);
	CHECK(jq_str(v, "s.x") == NULL);
	n = jq_get(v, "a.b.n");
	CHECK(jv_get_kind(n) == JV_KIND_NUMBER && jv_number_value(n) == 1);
	jv_free(n);
	n = jq_get(v, "nothing");
	CHECK(jv_get_kind(n) == JV_KIND_NULL);
	jv_free(n);
	jv_free(v);
}

static void
printing(void)
{
	struct buf b = { 0 };

	jq_print(&b, jq_parse(S("{\"a\":[1]}"), NULL), true);
	buf_add(&b, "", 1);
	CHECK(strcmp(buf_data(&b), "{\n  \"a\": [\n    1\n  ]\n}") == 0);
	buf_free(&b);
}

/* Outputs for {"a":3}, each behind a space, or the answer. */
static const struct {
	const char *expression, *result;
} programs[] = {
	{ ".a", " 3" },
	{ ".a, .b", " 3 null" },
	{ "empty", "" },
	{ "", " {\"a\":3}" },
	{ ".a |", "jq: syntax error, unexpected $end" },
	{ "foo", "jq: foo/0 is not defined at <top-level>, line 1" },
	{ "$x", "jq: $x is not defined at <top-level>, line 1" },
	{ ".a.b", "jq: Cannot index number with string \"b\"" },
	{ "1, .a.b", " 1jq: Cannot index number with string \"b\"" },
	{ "error(\"x\\ny\")", "jq: x" },
	{ "error({b: 1})", "jq: {\"b\":1}" },
	{ "error(\"\\u001b[1m\")", "jq: \\x1B[1m" },
	{ "halt", "" },
	{ "1, halt, 2", " 1" },
	{ "\"m\" | halt_error", "jq: m" },
	{ "input", "jq: break" },
	{ "debug", " {\"a\":3}" },
	{ "import \"a\" as a; .",
	    "jq: import, include and module are not available" },
	{ " # c\n#\n\tinclude \"a\"; .",
	    "jq: import, include and module are not available" },
	{ "module {}; .", "jq: import, include and module are not available" },
	{ "{import: .a}", " {\"import\":3}" },
	{ ".important", " null" },
};

static void
output(jv v, void *arg)
{
	buf_str(arg, " ");
	jq_print(arg, v, false);
}

static void
running(void)
{
	struct buf b = { 0 };
	struct jq_program *p;
	struct fault f;

	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		p = jq_compile(programs[i].expression, &f);
		/* twice, as a program has to stand it */
		for (int n = 0; n < 2; n++) {
			buf_reset(&b, 4096);
			if (p == NULL || jq_run(p, jq_parse(S("{\"a\":3}"),
			    NULL), output, &b, &f) == -1)
				buf_str(&b, f.text);
			buf_add(&b, "", 1);
			if (strcmp(buf_data(&b), programs[i].result) == 0)
				continue;
			printf("# %s: %s\n", programs[i].expression,
			    buf_data(&b));
			check_bad = 1;
		}
		jq_free(p);
	}
	buf_free(&b);
}

int
main(void)
{
	RUN(parsing);
	RUN(many_names);
	RUN(getting);
	RUN(printing);
	RUN(running);
	DONE();
}
