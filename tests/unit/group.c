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

/* Is press-07 in it? `why`: NULL when it is, else the words. */
static void
holds(const char *query, const char *why)
{
	static const char text[] = "{\"attributes\":{\"hall\":\"west\","
	    "\"floor\":3,\"tags\":[\"x\",\"y\\u00e9\"],\"big\":"
	    "9007199254740993,\"half\":1.5,\"yes\":true,\"none\":[],"
	    "\"low\":-9223372036854775808,\"line\":\"a\\nb\"}}";
	struct json js = { 0 };
	struct buf b = { 0 };
	struct group *g = group_compile(query, NULL);
	uint32_t attributes;
	bool in, good;

	CHECK(json_scan(&js, text, sizeof(text) - 1, NULL) == 0);
	attributes = json_member(&js, 0, "attributes", 10);
	buf_str(&b, "why: ");
	in = group_holds(g, "press-07", 8, &js, attributes, &b);
	buf_add(&b, "", 1);
	good = in == (why == NULL) && strcmp(strstr(buf_data(&b), ": ") + 2,
	    why != NULL ? why : "") == 0 &&
	    in == group_holds(g, "press-07", 8, &js, attributes, NULL);
	if (!good)
		printf("# %s: %d %s\n", query, in, buf_data(&b));
	CHECK(good);
	buf_free(&b);
	group_free(g);
	json_free(&js);
}

static void
comparisons_hold_or_say_why_not(void)
{
	holds("attributes.hall = 'west'", NULL);
	holds("attributes.hall = \"west\"", NULL);
	holds("attributes.hall = 'West'", "attributes.hall is 'west'");
	holds("attributes.hall = 'wes'", "attributes.hall is 'west'");
	holds("attributes.Hall = 'west'", "attributes.Hall is absent");
	holds("attributes.hall != 'east'", NULL);
	holds("attributes.hall <> 'west'", "attributes.hall is 'west'");
	holds("attributes.no != 'x'", "attributes.no is absent");
	holds("attributes.hall IN ['east', 'west']", NULL);
	holds("attributes.hall IN ['east', 1]", "attributes.hall is 'west'");
	holds("attributes.floor = 3", NULL);
	holds("attributes.floor = 4", "attributes.floor is 3");
	holds("attributes.floor = '3'", "attributes.floor is 3");
	holds("attributes.floor != '3'", "attributes.floor is 3");
	holds("attributes.hall != 3", "attributes.hall is 'west'");
	holds("attributes.floor != 4", NULL);
	holds("attributes.floor > 2", NULL);
	holds("attributes.floor > 3", "attributes.floor is 3");
	holds("attributes.floor >= 3", NULL);
	holds("attributes.floor < 3", "attributes.floor is 3");
	holds("attributes.floor <= 3", NULL);
	holds("attributes.floor < 4", NULL);
	holds("attributes.floor <= 2", "attributes.floor is 3");
	holds("attributes.floor IN ['3', 3]", NULL);
	holds("attributes.big = 9007199254740993", NULL);
	holds("attributes.big = 9007199254740992",
	    "attributes.big is 9007199254740993");
	holds("attributes.low < -9223372036854775807", NULL);
	holds("attributes.half > 1", "attributes.half is 1.5");
	holds("attributes.yes = 'true'", "attributes.yes is true");
	holds("attributes.hall > 0", "attributes.hall is 'west'");
	holds("attributes.line = 'ab'", "attributes.line is 'a\\x5Cnb'");
}

static void
an_array_equals_each_of_its_strings(void)
{
	holds("attributes.tags = 'x'", NULL);
	holds("attributes.tags = 'y\xc3\xa9'", NULL);
	holds("attributes.tags IN ['z', 'x']", NULL);
	holds("attributes.tags = 'z'",
	    "attributes.tags is [\"x\",\"y\\x5Cu00e9\"]");
	holds("attributes.tags != 'z'",
	    "attributes.tags is [\"x\",\"y\\x5Cu00e9\"]");
	holds("attributes.none = 'x'", "attributes.none is []");
	holds("attributes.none != 'x'", "attributes.none is []");
}

static void
a_name_is_a_string(void)
{
	holds("authenticationName = 'press-07'", NULL);
	holds("authenticationName = 'press-0'",
	    "authenticationName is 'press-07'");
	holds("authenticationName != 'press-08'", NULL);
	holds("authenticationName <> 'press-07'",
	    "authenticationName is 'press-07'");
	holds("authenticationName IN ['a', 'press-07']", NULL);
	holds("authenticationName IN ['a', 'b']",
	    "authenticationName is 'press-07'");
}

#define W "attributes.hall = 'west'"
#define E "attributes.hall = 'east'"
#define F "attributes.floor = 4"
#define N "attributes.no = 1"

static void
the_words_are_of_what_decided(void)
{
	holds(W " or " E, NULL);
	holds(E " or " W, NULL);
	holds(W " and " E, "attributes.hall is 'west'");
	holds(E " or " F, "attributes.hall is 'west', attributes.floor is 3");
	holds(E " or attributes.hall = 'south'", "attributes.hall is 'west'");
	holds(E " and " F " or " W, NULL);
	holds(W " or " E " and " F, NULL);
	holds("(" W " or " E ") and " F, "attributes.floor is 3");
	holds("(" E " or " W ") and " F, "attributes.floor is 3");
	holds(F " and (" E " or " W ")", "attributes.floor is 3");
	holds("(" N " or " W ") and (" E " or " F ")",
	    "attributes.hall is 'west', attributes.floor is 3");
	holds("(" N " or " W ") and " N, "attributes.no is absent");
}

static void
without_attributes_all_are_absent(void)
{
	struct group *g = group_compile(W, NULL);
	struct buf b = { 0 };

	CHECK(!group_holds(g, "a", 1, NULL, 0, &b));
	buf_add(&b, "", 1);
	CHECK(strcmp(buf_data(&b), "attributes.hall is absent") == 0);
	buf_free(&b);
	group_free(g);
}

/* As many results wait for others as can: two at each depth. */
static void
the_deepest_query_is_evaluated(void)
{
	struct buf b = { 0 };

	for (int i = 0; i < GROUP_DEPTH; i++)
		buf_str(&b, N " or " W " and (");
	buf_str(&b, N " or " W " and " W);
	for (int i = 0; i < GROUP_DEPTH; i++)
		buf_str(&b, ")");
	buf_add(&b, "", 1);
	holds(buf_data(&b), NULL);
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
	RUN(comparisons_hold_or_say_why_not);
	RUN(an_array_equals_each_of_its_strings);
	RUN(a_name_is_a_string);
	RUN(the_words_are_of_what_decided);
	RUN(without_attributes_all_are_absent);
	RUN(the_deepest_query_is_evaluated);
	DONE();
}
