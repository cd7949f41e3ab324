#include "group.h"

#include <string.h>

#include "buf.h"
#include "check.h"

static void
accepted(const char *query)
{
	struct fault f = { 0 };
	struct group *g = group_compile(query, &f);

	if (g == NULL)
		printf("# %s: %s\n", query, f.text);
	CHECK(g != NULL);
	group_free(g);
}

static void
refused(const char *query, const char *words)
{
	struct fault f = { 0 };
	struct group *g = group_compile(query, &f);

	if (g != NULL || strstr(f.text, words) == NULL)
		printf("# %s: %s\n", query, f.text);
	CHECK(g == NULL && strstr(f.text, words) != NULL);
	group_free(g);
}

static void
comparisons(void)
{
	accepted("attributes.role = 'sensor'");
	accepted("attributes.role=\"sensor\"");
	accepted(" attributes.a <> 1\n");
	accepted("attributes.a != -1");
	accepted("attributes.a < 9223372036854775807");
	accepted("attributes.a > -9223372036854775808");
	accepted("attributes.a <= 0");
	accepted("attributes.a >= 007");
	accepted("attributes.A_1 = ''");
	accepted("attributes.in = 'it is \"quoted\"'");
	accepted("attributes.a = \"it's\"");
	accepted("authenticationName = 'press-07'");
	accepted("authenticationName <> 'press-07'");
	accepted("authenticationName IN ['a', \"b\"]");
	accepted("attributes.a IN ['x']");
	accepted("attributes.a in[1,'b' , 3]");
}

static void
logic(void)
{
	accepted("attributes.a = 1 AND attributes.b = 2 or attributes.c = 3");
	accepted("(attributes.a = 1)");
	accepted("((attributes.a=1)and(attributes.b=2))or(attributes.c='d')");
	accepted("attributes.a = 1 And (attributes.b = 2 OR attributes.c = 3 "
	    "AND authenticationName = 'd')");
	accepted("attributes.a='b'and attributes.b='c'or attributes.d=1");
}

static void
a_fault_says_where_and_what_was_expected(void)
{
	refused("", "attributes.KEY, authenticationName or '(' expected at its "
	    "end");
	refused(" \t", "expected at its end");
	refused("x", "authenticationName or '(' expected at 'x', byte 1");
	refused("role = 'a'", "expected at 'role = 'a'', byte 1");
	refused("attributes", "expected at 'attributes', byte 1");
	refused("Attributes.a = 1", "expected at 'Attributes.a = 1'");
	refused("attributes. = 1", "a name of letters, digits and _ expected");
	refused("attributes .a = 1", "expected at 'attributes .a");
	refused("attributes.a-b = 1", "IN expected at '-b = 1', byte 13");
	refused("authenticationNames = 'a'", "'(' expected at 'auth");
	refused("authenticationName.x = 'a'", "IN expected at '.x");
	refused("attributes.a", "= <> != < > <= >= or IN expected at its end");
	refused("attributes.a LIKE 'b'", "IN expected at 'LIKE");
	refused("attributes.a INTO ['b']", "IN expected at 'INTO");
	refused("attributes.a == 1", "a whole number expected at '= 1'");
	refused("attributes.a = b", "in quotes or a whole number expected at "
	    "'b', byte 16");
	refused("attributes.a = ", "a whole number expected at its end");
	refused("attributes.a = true", "a whole number expected at 'true'");
	refused("attributes.a = 1.5", "a whole number expected at '1.5'");
	refused("attributes.a = 1e3", "a whole number expected at '1e3'");
	refused("attributes.a = +1", "a whole number expected at '+1'");
	refused("attributes.a = -", "a whole number expected at '-'");
	refused("attributes.a = 9223372036854775808", "more than 64 bits");
	refused("attributes.a = 'b", "without its closing quote at ''b'");
	refused("attributes.a = 'b\"", "without its closing quote");
	refused("attributes.a = 1 attributes.b = 2", "and, or or its end "
	    "expected at 'attributes.b");
	refused("attributes.a = 1 and", "expected at its end");
	refused("attributes.a = 1 or or attributes.b = 1", "at 'or attr");
	refused("attributes.a = 1 && attributes.b = 1", "its end expected at "
	    "'&&");
	refused("attributes.a = 1 andattributes.b = 1", "expected at 'andattr");
	refused("(attributes.a = 1", "and, or or ')' expected at its end");
	refused("attributes.a = 1)", "its end expected at ')'");
	refused("()", "expected at ')'");
	refused("attributes.a IN 'b'", "'[' expected at ''b''");
	refused("attributes.a IN []", "a whole number expected at ']'");
	refused("attributes.a IN ['b',]", "expected at ']'");
	refused("attributes.a IN ['b' 'c']", "',' or ']' expected at ''c']'");
	refused("attributes.a IN ['b'", "',' or ']' expected at its end");
	refused("NOT attributes.a = 1", "there is no NOT; != expected at 'NOT");
	refused("attributes.a = 1 and not (attributes.b = 2)", "there is no "
	    "NOT");
}

static void
types_have_to_fit(void)
{
	refused("attributes.a < 'b'", "compare with a whole number");
	refused("attributes.a >= \"b\"", "compare with a whole number");
	refused("authenticationName = 1", "a string in quotes expected at '1'");
	refused("authenticationName IN ['a', 1]", "a string in quotes");
	refused("authenticationName < 'b'", "= <> != or IN expected at '<");
	refused("authenticationName >= 'b'", "= <> != or IN expected at '>=");
}

static void
nested(struct buf *b, int n)
{
	buf_reset(b, 4096);
	for (int i = 0; i < n; i++)
		buf_str(b, "(");
	buf_str(b, "attributes.a = 1");
	for (int i = 0; i < n; i++)
		buf_str(b, ")");
	buf_add(b, "", 1);
}

static void
it_may_be_long_but_not_deep(void)
{
	struct buf b = { 0 };

	nested(&b, GROUP_DEPTH);
	accepted(buf_data(&b));
	nested(&b, GROUP_DEPTH + 1);
	refused(buf_data(&b), "too many parentheses");
	buf_reset(&b, 4096);
	buf_str(&b, "attributes.a IN [0");
	for (int i = 1; i < 1000; i++)
		buf_printf(&b, ",%d", i);
	buf_str(&b, "]");
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, " %s (attributes.a%d = 'b')", i % 3 == 0 ? "or" :
		    "and", i);
	buf_add(&b, "", 1);
	accepted(buf_data(&b));
	buf_free(&b);
}

int
main(void)
{
	RUN(comparisons);
	RUN(logic);
	RUN(a_fault_says_where_and_what_was_expected);
	RUN(types_have_to_fit);
	RUN(it_may_be_long_but_not_deep);
	DONE();
}
