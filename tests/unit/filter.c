#include <string.h>

#include "check.h"
#include "filter.h"
#include "jq.h"

/* The event that rows below look at. */
static const char event[] =
    "{\"specversion\":\"1.0\",\"id\":\"A-1\",\"source\":\"/Plant/7\","
    "\"type\":\"Com.Example.Reading\",\"subject\":\"line3/sensor-0007\","
    "\"time\":null,\"level\":5,\"flag\":true,"
    "\"area\":\"n\\u00d6rd \xd0\x90\xd0\x81\","
    "\"empty\":\"\","
    "\"rep\":\"aabaaabaaac-xaaabaaa\","
    "\"data\":{\"t\":21.5,\"i\":-3,\"ok\":false,\"unit\":\"C\",\"n\":null,"
    "\"aab\":\"aAbaab\\/x\",\"deep\":{\"a\":{\"B\":1}},\"obj\":{},"
    "\"nums\":[1,\"x\",25,null],\"strs\":[\"Red\",7,\"green\"],"
    "\"objs\":[{\"a\":1}],\"none\":[],\"bools\":[true],\"nest\":[[1]]}}";

#define F(op, key, operands) \
	"{\"filters\":[{\"operatorType\":\"" op "\",\"key\":\"" key "\"" \
	operands "}]}"
#define V(v) ",\"value\":" v
#define VS(v) ",\"values\":" v

/* Rules are of the fact sheet on delivery, section 10. */
static const struct {
	const char *rule, *config;
	bool result;
} rows[] = {
	{ "no configuration", "null", true },
	{ "empty configuration", "{}", true },
	{ "nulls", "{\"includedEventTypes\":null,\"filters\":null}", true },
	{ "empty lists", "{\"includedEventTypes\":[],\"filters\":[]}", true },
	{ "a type", "{\"includedEventTypes\":[\"com.example.reading\"]}",
	    true },
	{ "one of the types",
	    "{\"includedEventTypes\":[\"x\",\"Com.Example.Reading\"]}", true },
	{ "other types", "{\"includedEventTypes\":[\"x\",\"Com.Example\","
	    "\"Com.Example.Reading2\"]}", false },
	{ "type and filter", "{\"includedEventTypes\":[\"x\"],\"filters\":[{"
	    "\"operatorType\":\"IsNotNull\",\"key\":\"id\"}]}", false },
	{ "two filters, one true", "{\"filters\":["
	    "{\"operatorType\":\"IsNotNull\",\"key\":\"id\"},"
	    "{\"operatorType\":\"IsNotNull\",\"key\":\"x\"}]}", false },
	{ "one key in two filters", "{\"filters\":["
	    "{\"operatorType\":\"NumberGreaterThan\",\"key\":\"data.t\","
	    "\"value\":21},{\"operatorType\":\"NumberLessThan\","
	    "\"key\":\"data.t\",\"value\":22}]}", true },

	{ "NumberIn", F("NumberIn", "data.t", VS("[1,21.5]")), true },
	{ "NumberIn", F("NumberIn", "data.t", VS("[1,21]")), false },
	{ "NumberIn value", F("NumberIn", "data.i", V("-3")), true },
	{ "NumberIn value list", F("NumberIn", "data.i", V("[1,-3]")), true },
	{ "NumberIn exponent", F("NumberIn", "data.t", VS("[2.15e1]")), true },
	{ "NumberIn missing", F("NumberIn", "data.x", VS("[1]")), false },
	{ "NumberIn null", F("NumberIn", "data.n", VS("[1]")), false },
	{ "NumberIn string", F("NumberIn", "data.unit", VS("[1]")), false },
	{ "NumberNotIn", F("NumberNotIn", "data.t", VS("[1,2]")), true },
	{ "NumberNotIn", F("NumberNotIn", "data.t", VS("[1,21.5]")), false },
	{ "NumberNotIn missing", F("NumberNotIn", "data.x", VS("[1]")), true },
	{ "NumberNotIn null", F("NumberNotIn", "data.n", VS("[1]")), true },
	{ "NumberLessThan", F("NumberLessThan", "data.t", V("22")), true },
	{ "NumberLessThan", F("NumberLessThan", "data.t", V("21.5")), false },
	{ "NumberLessThan values",
	    F("NumberLessThan", "data.t", VS("[22]")), true },
	{ "NumberLessThan missing",
	    F("NumberLessThan", "data.x", V("22")), false },
	{ "NumberLessThanOrEquals",
	    F("NumberLessThanOrEquals", "data.t", V("21.5")), true },
	{ "NumberLessThanOrEquals",
	    F("NumberLessThanOrEquals", "data.t", V("21.4")), false },
	{ "NumberLessThanOrEquals missing",
	    F("NumberLessThanOrEquals", "data.x", V("1")), false },
	{ "NumberGreaterThan",
	    F("NumberGreaterThan", "data.i", V("-4")), true },
	{ "NumberGreaterThan",
	    F("NumberGreaterThan", "data.i", V("-3")), false },
	{ "NumberGreaterThan missing",
	    F("NumberGreaterThan", "data.x", V("-3")), false },
	{ "NumberGreaterThanOrEquals",
	    F("NumberGreaterThanOrEquals", "data.i", V("-3")), true },
	{ "NumberGreaterThanOrEquals",
	    F("NumberGreaterThanOrEquals", "data.i", V("-2")), false },
	{ "NumberGreaterThanOrEquals missing",
	    F("NumberGreaterThanOrEquals", "data.x", V("-2")), false },
	{ "NumberInRange low end",
	    F("NumberInRange", "data.t", VS("[[21.5,30]]")), true },
	{ "NumberInRange high end",
	    F("NumberInRange", "data.t", VS("[[0,1],[0,21.5]]")), true },
	{ "NumberInRange", F("NumberInRange", "data.t",
	    VS("[[0,21],[22,30]]")), false },
	{ "NumberInRange value",
	    F("NumberInRange", "data.t", V("[21,22]")), true },
	{ "NumberInRange missing",
	    F("NumberInRange", "data.x", VS("[[0,30]]")), false },
	{ "NumberNotInRange", F("NumberNotInRange", "data.t",
	    VS("[[0,21],[22,30]]")), true },
	{ "NumberNotInRange",
	    F("NumberNotInRange", "data.t", VS("[[0,30]]")), false },
	{ "NumberNotInRange missing",
	    F("NumberNotInRange", "data.x", VS("[[0,30]]")), false },
	{ "BoolEquals", F("BoolEquals", "data.ok", V("false")), true },
	{ "BoolEquals", F("BoolEquals", "data.ok", V("true")), false },
	{ "BoolEquals values", F("BoolEquals", "data.ok", VS("[false]")),
	    true },
	{ "BoolEquals missing", F("BoolEquals", "data.x", V("false")), false },
	{ "BoolEquals null", F("BoolEquals", "data.n", V("false")), false },
	{ "BoolEquals number", F("BoolEquals", "data.i", V("true")), false },

	{ "StringContains", F("StringContains", "subject",
	    VS("[\"x\",\"SENSOR\"]")), true },
	{ "StringContains", F("StringContains", "subject", VS("[\"seso\"]")),
	    false },
	{ "StringContains overlap",
	    F("StringContains", "data.aab", VS("[\"BAAB\"]")), true },
	{ "StringContains repeats",
	    F("StringContains", "rep", VS("[\"xaaaa\",\"xaaab\"]")), true },
	{ "StringContains repeats more",
	    F("StringContains", "rep", VS("[\"aabaaac\"]")), true },
	{ "StringContains escaped",
	    F("StringContains", "data.aab", VS("[\"b/\"]")), true },
	{ "StringContains empty", F("StringContains", "empty", VS("[\"\"]")),
	    true },
	{ "StringContains missing", F("StringContains", "x", VS("[\"\"]")),
	    false },
	{ "StringNotContains", F("StringNotContains", "subject",
	    VS("[\"x\",\"y\"]")), true },
	{ "StringNotContains", F("StringNotContains", "subject",
	    VS("[\"x\",\"line\"]")), false },
	{ "StringNotContains missing",
	    F("StringNotContains", "x", VS("[\"x\"]")), false },
	{ "StringBeginsWith",
	    F("StringBeginsWith", "source", VS("[\"/plant/\"]")), true },
	{ "StringBeginsWith",
	    F("StringBeginsWith", "source", VS("[\"plant\"]")), false },
	{ "StringBeginsWith longer",
	    F("StringBeginsWith", "source", VS("[\"/plant/77\"]")), false },
	{ "StringBeginsWith missing",
	    F("StringBeginsWith", "x", VS("[\"\"]")), false },
	{ "StringNotBeginsWith",
	    F("StringNotBeginsWith", "source", VS("[\"x\",\"y\"]")), true },
	{ "StringNotBeginsWith",
	    F("StringNotBeginsWith", "source", VS("[\"x\",\"/p\"]")), false },
	{ "StringNotBeginsWith missing",
	    F("StringNotBeginsWith", "x", VS("[\"x\"]")), false },
	{ "StringEndsWith", F("StringEndsWith", "subject",
	    VS("[\"-0007\"]")), true },
	{ "StringEndsWith", F("StringEndsWith", "subject",
	    VS("[\"-000\"]")), false },
	{ "StringEndsWith overlap",
	    F("StringEndsWith", "data.aab", VS("[\"aab/x\"]")), true },
	{ "StringEndsWith repeats",
	    F("StringEndsWith", "rep", VS("[\"b\",\"aa\"]")), true },
	{ "StringEndsWith all",
	    F("StringEndsWith", "data.unit", VS("[\"c\"]")), true },
	{ "StringEndsWith longer",
	    F("StringEndsWith", "data.unit", VS("[\"cc\"]")), false },
	{ "StringEndsWith missing", F("StringEndsWith", "x", VS("[\"\"]")),
	    false },
	{ "StringNotEndsWith",
	    F("StringNotEndsWith", "subject", VS("[\"x\",\"y\"]")), true },
	{ "StringNotEndsWith",
	    F("StringNotEndsWith", "subject", VS("[\"7\"]")), false },
	{ "StringNotEndsWith missing",
	    F("StringNotEndsWith", "x", VS("[\"7\"]")), false },
	{ "StringIn", F("StringIn", "data.unit", VS("[\"k\",\"c\"]")), true },
	{ "StringIn", F("StringIn", "data.unit", VS("[\"k\",\"cc\",\"\"]")),
	    false },
	{ "StringIn value", F("StringIn", "data.unit", V("\"C\"")), true },
	{ "StringIn missing", F("StringIn", "x", VS("[\"\"]")), false },
	{ "StringNotIn", F("StringNotIn", "data.unit", VS("[\"k\"]")), true },
	{ "StringNotIn", F("StringNotIn", "data.unit", VS("[\"k\",\"c\"]")),
	    false },
	{ "StringNotIn missing", F("StringNotIn", "x", VS("[\"k\"]")), true },
	{ "StringNotIn null", F("StringNotIn", "time", VS("[\"k\"]")), true },
	{ "String* on a number in data",
	    F("StringIn", "data.i", VS("[\"-3\"]")), false },
	{ "StringNot* on a number in data",
	    F("StringNotContains", "data.i", VS("[\"3\"]")), true },
	{ "String* on an object", F("StringContains", "data.obj", VS("[\"\"]")),
	    false },
	{ "IsNullOrUndefined", F("IsNullOrUndefined", "data.x", ""), true },
	{ "IsNullOrUndefined null", F("IsNullOrUndefined", "data.n", ""),
	    true },
	{ "IsNullOrUndefined null attribute",
	    F("IsNullOrUndefined", "time", ""), true },
	{ "IsNullOrUndefined", F("IsNullOrUndefined", "data.i", ""), false },
	{ "IsNotNull", F("IsNotNull", "data.i", ""), true },
	{ "IsNotNull", F("IsNotNull", "data.x", ""), false },
	{ "IsNotNull null", F("IsNotNull", "data.n", ""), false },
	{ "IsNotNull null values", F("IsNotNull", "id", VS("null")), true },
	{ "IsNotNull array", F("IsNotNull", "data.none", ""), true },
	{ "IsNotNull object", F("IsNotNull", "data", ""), true },

	{ "case: Latin-1 and Cyrillic", F("StringIn", "area",
	    VS("[\"N\xc3\xb6RD \xd0\xb0\xd1\x91\"]")), true },
	{ "case: other characters", F("StringIn", "area",
	    VS("[\"nord \xd0\x90\xd0\x81\"]")), false },
	{ "case: operatorType", F("stringin", "id", VS("[\"a-1\"]")), true },

	{ "array: an element", F("NumberIn", "data.nums", VS("[25]")), true },
	{ "array: no element", F("NumberIn", "data.nums", VS("[2]")), false },
	{ "array: Not", F("NumberNotIn", "data.nums", VS("[25]")), false },
	{ "array: Not", F("NumberNotIn", "data.nums", VS("[2]")), true },
	{ "array: other types ignored",
	    F("StringNotIn", "data.nums", VS("[\"1\"]")), true },
	{ "array: range", F("NumberInRange", "data.nums", VS("[[20,30]]")),
	    true },
	{ "array: Not range",
	    F("NumberNotInRange", "data.nums", VS("[[20,30]]")), false },
	{ "array: less", F("NumberLessThan", "data.nums", V("2")), true },
	{ "array: strings", F("StringBeginsWith", "data.strs", VS("[\"GR\"]")),
	    true },
	{ "array: Not contains",
	    F("StringNotContains", "data.strs", VS("[\"ree\"]")), false },
	{ "array: booleans", F("BoolEquals", "data.bools", V("true")), true },
	{ "array: empty", F("StringIn", "data.none", VS("[\"x\"]")), false },
	{ "array: empty, Not", F("StringNotIn", "data.none", VS("[\"x\"]")),
	    true },
	{ "array: of objects", F("IsNotNull", "data.objs.a", ""), false },
	{ "array: of arrays", F("NumberIn", "data.nest", VS("[1]")), false },

	{ "key: id", F("StringIn", "id", VS("[\"A-1\"]")), true },
	{ "key: eventid", F("StringIn", "eventid", VS("[\"A-1\"]")), true },
	{ "key: EventType",
	    F("StringEndsWith", "EventType", VS("[\"reading\"]")), true },
	{ "key: without case", F("StringIn", "SUBJECT",
	    VS("[\"line3/sensor-0007\"]")), true },
	{ "key: specversion", F("StringIn", "specversion", VS("[\"1.0\"]")),
	    true },
	{ "key: extension", F("NumberIn", "Level", VS("[5]")), true },
	{ "key: extension in string form",
	    F("StringBeginsWith", "level", VS("[\"5\"]")), true },
	{ "key: flag in string form", F("StringIn", "flag", VS("[\"True\"]")),
	    true },
	{ "key: flag", F("BoolEquals", "flag", V("true")), true },
	{ "key: path", F("NumberIn", "data.deep.a.B", VS("[1]")), true },
	{ "key: path with case", F("NumberIn", "data.deep.a.b", VS("[1]")),
	    false },
	{ "key: Data", F("NumberIn", "DATA.deep.a.B", VS("[1]")), true },
	{ "key: path through a string", F("IsNotNull", "data.unit.x", ""),
	    false },
	{ "key: data alone", F("StringContains", "data", VS("[\"\"]")),
	    false },
};

static struct filter *
compiled(const char *config, struct fault *f)
{
	return filter_compile(jq_parse(config, strlen(config), NULL), f);
}

static void
operators_and_keys(void)
{
	struct event ev = { 0 };
	struct fault f = { 0 };
	struct filter *filter;

	CHECK(event_parse(&ev, event, sizeof(event) - 1, &f) == 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		f = (struct fault){ 0 };
		filter = compiled(rows[i].config, &f);
		if (filter == NULL ||
		    filter_matches(filter, &ev) != rows[i].result) {
			printf("# %s: %s %s\n", rows[i].rule, rows[i].config,
			    f.text);
			check_bad = 1;
		}
		filter_free(filter);
	}
	event_free(&ev);
}

/* A payload that is a string, and data_base64, which has no paths. */
static void
payloads(void)
{
	static const char text[] = "{\"specversion\":\"1.0\",\"id\":\"1\","
	    "\"source\":\"s\",\"type\":\"t\",\"data\":\"Hello\"}";
	static const char base64[] = "{\"specversion\":\"1.0\",\"id\":\"1\","
	    "\"source\":\"s\",\"type\":\"t\",\"data_base64\":\"AAAA\"}";
	struct event ev = { 0 };
	struct filter *filter = compiled(F("StringBeginsWith", "data",
	    VS("[\"hell\"]")), NULL);

	CHECK(event_parse(&ev, text, sizeof(text) - 1, NULL) == 0);
	CHECK(filter_matches(filter, &ev));
	CHECK(event_parse(&ev, base64, sizeof(base64) - 1, NULL) == 0);
	CHECK(!filter_matches(filter, &ev));
	filter_free(filter);
	event_free(&ev);
}

#define KEY "must be an attribute's name, \"data\" or \"data.NAME...\""
#define RANGE "must be a range [LOW, HIGH] of two numbers, LOW not above HIGH"

static const struct {
	const char *config, *fault;
} refused[] = {
	{ "[]", "filtersConfiguration: must be an object" },
	{ "{\"filter\":[]}", "filter: no such member" },
	{ "{\"includedEventTypes\":\"x\"}",
	    "includedEventTypes: must be an array" },
	{ "{\"includedEventTypes\":[\"x\",1]}",
	    "includedEventTypes[1]: must be a string" },
	{ "{\"filters\":{}}", "filters: must be an array" },
	{ "{\"filters\":[1]}", "filters[0]: must be an object" },
	{ "{\"filters\":[{\"opertorType\":\"IsNotNull\",\"key\":\"id\"}]}",
	    "filters[0].opertorType: no such member" },
	{ "{\"filters\":[{\"operatorType\":\"IsNotNull\",\"key\":\"id\"},"
	    "{\"key\":\"id\"}]}", "filters[1].operatorType: is missing" },
	{ "{\"filters\":[{\"operatorType\":\"IsNotNull\"}]}",
	    "filters[0].key: is missing" },
	{ "{\"filters\":[{\"operatorType\":1,\"key\":\"id\"}]}",
	    "filters[0].operatorType: must be a string" },
	{ F("StringLike", "id", VS("[\"a\"]")),
	    "filters[0].operatorType: no such operator" },
	{ F("IsNotNull", "", ""), "filters[0].key: " KEY },
	{ F("IsNotNull", "a.b", ""), "filters[0].key: " KEY },
	{ F("IsNotNull", "a_b", ""), "filters[0].key: " KEY },
	{ F("IsNotNull", "abcdefghij01234567890", ""),
	    "filters[0].key: " KEY },
	{ F("IsNotNull", "data.", ""), "filters[0].key: " KEY },
	{ F("IsNotNull", "data..a", ""), "filters[0].key: " KEY },
	{ F("IsNotNull", ".data", ""), "filters[0].key: " KEY },
	{ F("IsNotNull", "data.a\\u0000b", ""), "filters[0].key: " KEY },
	{ "{\"filters\":[{\"operatorType\":\"IsNotNull\",\"key\":1}]}",
	    "filters[0].key: " KEY },
	{ F("IsNotNull", "id", V("1")),
	    "filters[0].value: the operator takes no value" },
	{ F("IsNullOrUndefined", "id", VS("[]")),
	    "filters[0].values: the operator takes no value" },
	{ F("NumberIn", "level", ""), "filters[0].values: is missing" },
	{ F("NumberIn", "level", VS("[]")),
	    "filters[0].values: must not be empty" },
	{ F("NumberIn", "level", V("1") VS("[1]")),
	    "filters[0].value: stands beside \"values\"; give only one" },
	{ F("NumberIn", "level", VS("[1,\"2\"]")),
	    "filters[0].values[1]: must be a number" },
	{ F("NumberLessThan", "level", VS("[1,2]")),
	    "filters[0].values: the operator takes one value" },
	{ F("NumberLessThan", "level", V("\"5\"")),
	    "filters[0].value: must be a number" },
	{ F("NumberInRange", "level", VS("[1,2]")),
	    "filters[0].values[0]: " RANGE },
	{ F("NumberInRange", "level", VS("[[1,2],[1]]")),
	    "filters[0].values[1]: " RANGE },
	{ F("NumberInRange", "level", VS("[[2,1]]")),
	    "filters[0].values[0]: " RANGE },
	{ F("NumberInRange", "level", V("[1,2,3]")),
	    "filters[0].value: " RANGE },
	{ F("BoolEquals", "flag", V("\"true\"")),
	    "filters[0].value: must be true or false" },
	{ F("StringIn", "id", VS("[1]")),
	    "filters[0].values[0]: must be a string" },
	{ F("StringIn", "id", VS("[null]")),
	    "filters[0].values[0]: must be a string" },
};

static void
refusals_name_the_member(void)
{
	struct filter *filter;
	struct fault f;

	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		f = (struct fault){ 0 };
		filter = compiled(refused[i].config, &f);
		if (filter != NULL || f.code != FAULT_BAD_REQUEST ||
		    strcmp(f.text, refused[i].fault) != 0) {
			printf("# %s: %s\n", refused[i].config, f.text);
			check_bad = 1;
		}
		filter_free(filter);
	}
}

/* `filters` filters of `operands` strings of `chars` characters each. */
static struct filter *
sized(int filters, int operands, int chars, struct fault *f)
{
	struct buf b = { 0 };
	struct filter *filter;

	buf_str(&b, "{\"filters\":[");
	for (int i = 0; i < filters; i++) {
		buf_printf(&b, "%s{\"operatorType\":\"StringIn\","
		    "\"key\":\"id\",\"values\":[", i > 0 ? "," : "");
		for (int j = 0; j < operands; j++) {
			buf_str(&b, j > 0 ? ",\"" : "\"");
			for (int k = 0; k < chars; k++)
				buf_str(&b, "\xc3\xa4");
			buf_str(&b, "\"");
		}
		buf_str(&b, "]}");
	}
	buf_str(&b, "]}");
	filter = filter_compile(jq_parse(buf_data(&b), b.len, NULL), f);
	buf_free(&b);
	return filter;
}

static void
limits(void)
{
	static const struct {
		int filters, operands, chars;
		const char *fault;
	} row[] = {
		{ 25, 1, 1, "" },
		{ 26, 1, 1, "filters: more than 25 filters" },
		{ 1, 25, 1, "" },
		{ 1, 26, 1,
		    "filters[0].values: more than 25 values in all filters" },
		{ 2, 13, 1,
		    "filters[1].values: more than 25 values in all filters" },
		{ 1, 1, 512, "" },
		{ 1, 2, 513,
		    "filters[0].values[0]: has more than 512 characters" },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct fault f = { 0 };

		filter_free(sized(row[i].filters, row[i].operands,
		    row[i].chars, &f));
		CHECK(strcmp(f.text, row[i].fault) == 0);
	}
}

int
main(void)
{
	RUN(operators_and_keys);
	RUN(payloads);
	RUN(refusals_name_the_member);
	RUN(limits);
	DONE();
}
