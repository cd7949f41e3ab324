/*
 * Any bytes to event_parse, and what it takes to filters of every operator.
 */
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "filter.h"
#include "jq.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define ONE(op, key, operands) \
	"{\"filters\":[{\"operatorType\":\"" op "\",\"key\":\"" key "\"" \
	operands "}]}"
static const char *const configs[] = {
	"{\"includedEventTypes\":[\"t\",\"com.example.reading\"]}",
	ONE("NumberIn", "data", ",\"values\":[0,1,2.5]"),
	ONE("NumberNotIn", "data.a", ",\"values\":[0,1,2.5]"),
	ONE("NumberInRange", "data.a", ",\"values\":[[0,1]]"),
	ONE("NumberNotInRange", "data.a", ",\"values\":[[0,1]]"),
	ONE("NumberLessThan", "n", ",\"value\":1"),
	ONE("NumberLessThanOrEquals", "data.a.b", ",\"value\":1"),
	ONE("NumberGreaterThan", "data", ",\"value\":1"),
	ONE("NumberGreaterThanOrEquals", "data", ",\"value\":1"),
	ONE("BoolEquals", "data", ",\"value\":true"),
	ONE("StringContains", "data", ",\"values\":[\"aab\",\"b\\u00e4\"]"),
	ONE("StringNotContains", "subject", ",\"values\":[\"aab\"]"),
	ONE("StringBeginsWith", "source", ",\"values\":[\"/s\"]"),
	ONE("StringNotBeginsWith", "n", ",\"values\":[\"1\"]"),
	ONE("StringEndsWith", "data", ",\"values\":[\"aab\"]"),
	ONE("StringNotEndsWith", "data.a", ",\"values\":[\"aab\"]"),
	ONE("StringIn", "id", ",\"values\":[\"1\",\"A-1\"]"),
	ONE("StringNotIn", "data.a", ",\"values\":[\"x\"]"),
	ONE("IsNullOrUndefined", "data.a.b.c", ""),
	ONE("IsNotNull", "data", ""),
};

#define N (sizeof(configs) / sizeof(*configs))

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct filter *filters[N];
	static struct event ev;
	struct fault f = { 0 };
	bool null, there;

	for (size_t i = 0; i < N && filters[i] == NULL; i++) {
		filters[i] = filter_compile(jq_parse(configs[i],
		    strlen(configs[i]), NULL), NULL);
		if (filters[i] == NULL)
			abort();
	}
	if (event_parse(&ev, (const char *)data, n, &f) == -1) {
		if (f.code == FAULT_NONE || f.text[0] == '\0')
			abort();
		return 0;
	}
	if (ev.id == 0 || ev.source == 0 || ev.type == 0)
		abort();
	for (size_t i = 0; i < N; i++)
		filter_matches(filters[i], &ev);
	null = ev.data == 0 || ev.json.tok[ev.data].type == JSON_NULL;
	there = filter_matches(filters[N - 1], &ev);
	if (null == there)
		abort();
	return 0;
}
