#include "query.h"

#include <stdio.h>
#include <string.h>

#include <jv.h>

#include "check.h"
#include "jq.h"
#include "table.h"

static const char data[] = "{\"a\":{\"b\":{\"c\":1}},\"n\":null,\"f\":false,"
    "\"list\":[{\"k\":\"x\",\"v\":1,\"t\":[1,2]},{\"k\":\"y\",\"v\":2,"
    "\"t\":[3]},{\"k\":\"z\"}],\"odd name\":7,\"nums\":[3,1,2],"
    "\"o\":{\"p\":{\"q\":1},\"r\":{\"q\":2}}}";

/* Expected values are what jmespath.org's specification says. */
static const struct {
	const char *query, *out; /* "! words" of a fault */
} cases[] = {
	{ "a.b.c", "1" },
	{ "a.b.c.d", "null" },
	{ "missing", "null" },
	{ "f", "false" },
	{ "\"odd name\"", "7" },
	{ "@.a.b", "{\"c\":1}" },
	{ "list[0].k", "\"x\"" },
	{ "list[-1].k", "\"z\"" },
	{ "list[9]", "null" },
	{ "a[0]", "null" },
	{ "list[*].k", "[\"x\",\"y\",\"z\"]" },
	{ "list[*].v", "[1,2]" },
	{ "list[].t", "[[1,2],[3]]" },
	{ "list[].t[]", "[1,2,3]" },
	{ "list[*].t[0]", "[1,3]" },
	{ "list[*].k | [0]", "\"x\"" },
	{ "nums[1:]", "[1,2]" },
	{ "nums[:2]", "[3,1]" },
	{ "nums[::-1]", "[2,1,3]" },
	{ "nums[-2:]", "[1,2]" },
	{ "o.*.q", "[1,2]" },
	{ "list[?k=='y'].v", "[2]" },
	{ "list[?k=='y'].v | [0]", "2" },
	{ "list[?v>`1`].k", "[\"y\"]" },
	{ "list[?v>=`1` && k!='x'].k", "[\"y\"]" },
	{ "list[?!v].k", "[\"z\"]" },
	{ "list[?k=='x'||k=='z'].k", "[\"x\",\"z\"]" },
	{ "list[?contains(k,'x')].v", "[1]" },
	{ "list[?starts_with(k, 'y')] | length(@)", "1" },
	{ "list[*].{name:k,value:v}", "[{\"name\":\"x\",\"value\":1},"
	    "{\"name\":\"y\",\"value\":2},{\"name\":\"z\",\"value\":null}]" },
	{ "list[*].[k,v]", "[[\"x\",1],[\"y\",2],[\"z\",null]]" },
	{ "[a.b.c,f]", "[1,false]" },
	{ "{state:a.b.c, identity:missing}",
	    "{\"state\":1,\"identity\":null}" },
	{ "a.{x:b.c}", "{\"x\":1}" },
	{ "missing.{x:b}", "null" },
	{ "length(list)", "3" },
	{ "keys(a)", "[\"b\"]" },
	{ "sort(nums)", "[1,2,3]" },
	{ "sort_by(list[?v], &k)[-1].k", "\"y\"" },
	{ "join(',', list[*].k)", "\"x,y,z\"" },
	{ "max(nums)", "3" },
	{ "type(a)", "\"object\"" },
	{ "missing || 'd'", "\"d\"" },
	{ "a && f", "false" },
	{ "(a.b).c", "1" },
	{ "'it\\'s'", "\"it's\"" },
	{ "`{\"x\":1}`.x", "1" },
	{ "a.", "! expected a name at its end" },
	{ "a b", "! not understood" },
	{ "list[?k=='x'", "! expected ]" },
	{ "foo(a)", "! function 'foo' is not supported" },
	{ "{a}", "! expected :" },
	{ "", "! expected an expression" },
	{ "((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((("
	    "((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((",
	    "! nested too deeply" },
};

static void
keep(jv v, void *arg)
{
	jv_free(*(jv *)arg);
	*(jv *)arg = v;
}

static void
queries_mean_what_jmespath_says(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *out = cases[i].out;
		struct fault f = { 0 };
		struct buf b = { 0 };
		struct jq_program *p;
		jv result = jv_invalid(), text;

		if (query_translate(&b, cases[i].query, &f) == -1) {
			if (out[0] != '!' || !strstr(f.text, out + 2))
				printf("# %s: %s\n", cases[i].query, f.text);
			CHECK(out[0] == '!' && strstr(f.text, out + 2));
			buf_free(&b);
			continue;
		}
		buf_add(&b, "", 1);
		p = jq_compile(buf_data(&b), &f);
		CHECK(p != NULL);
		if (p == NULL || jq_run(p, jv_parse(data), keep, &result, &f))
			printf("# %s: %s\n", cases[i].query, f.text);
		text = jv_dump_string(result, 0);
		if (strcmp(jv_string_value(text), out) != 0)
			printf("# %s: %s\n", cases[i].query,
			    jv_string_value(text));
		CHECK(strcmp(jv_string_value(text), out) == 0);
		jv_free(text);
		jq_free(p);
		buf_free(&b);
	}
}

static void
printed(void (*print)(struct buf *, jv), const char *in, const char *out)
{
	struct buf b = { 0 };

	print(&b, jv_parse(in));
	buf_add(&b, "", 1);
	if (strcmp(buf_data(&b), out) != 0)
		printf("# %s: %s\n", in, buf_data(&b));
	CHECK(strcmp(buf_data(&b), out) == 0);
	buf_free(&b);
}

static void
tables_are_az_like(void)
{
	printed(table_print, "[{\"name\":\"a\",\"n\":10,\"o\":{}},"
	    "{\"name\":\"bbbbb\",\"id\":\"/x\",\"m\":null}]",
	    "Name   N   M\n-----  --  -\na      10\nbbbbb\n");
	printed(table_print, "{\"state\":\"Enabled\",\"x\":true}",
	    "State    X\n-------  ----\nEnabled  true\n");
	printed(table_print, "[[1,2],[3,4]]",
	    "Column1  Column2\n-------  -------\n1        2\n3        4\n");
	printed(table_print, "[]", "");
	printed(table_tsv, "[{\"a\":1,\"b\":null,\"c\":\"x\\ty\"},[1,\"z\"]]",
	    "1\t\tx\\x09y\n1\tz\n");
	printed(table_tsv, "\"plain\"", "plain\n");
	printed(table_tsv, "null", "");
}

int
main(void)
{
	RUN(queries_mean_what_jmespath_says);
	RUN(tables_are_az_like);
	DONE();
}
