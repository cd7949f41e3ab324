#include "topic.h"

#include <stdbool.h>
#include <string.h>

#include "check.h"

#define LEVELS15 "//////////////" /* 14 slashes */

static bool
same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void
names_and_filters_have_rules(void)
{
	static const struct {
		const char *text, *name, *filter;
	} table[] = {
		{ "a", NULL, NULL },
		{ "/", NULL, NULL },
		{ "/a//b/", NULL, NULL },
		{ "a b/\xc3\xa9", NULL, NULL },
		{ "$SYS/x", NULL, NULL },
		{ "", "is empty", "is empty" },
		{ LEVELS15, NULL, NULL },
		{ LEVELS15 "a", NULL, NULL },
		{ LEVELS15 "/", "has more than 15 levels",
		    "has more than 15 levels" },
		{ "+", "has a wildcard", NULL },
		{ "#", "has a wildcard", NULL },
		{ "+/+/#", "has a wildcard", NULL },
		{ "a/+/b", "has a wildcard", NULL },
		{ "a/#/b", "has a wildcard", "has levels behind '#'" },
		{ "#/", "has a wildcard", "has levels behind '#'" },
		{ "a+", "has a wildcard",
		    "has a wildcard that is not a level of its own" },
		{ "+a/b", "has a wildcard",
		    "has a wildcard that is not a level of its own" },
		{ "a/b#", "has a wildcard",
		    "has a wildcard that is not a level of its own" },
		{ "a/#b", "has a wildcard",
		    "has a wildcard that is not a level of its own" },
		{ "++", "has a wildcard",
		    "has a wildcard that is not a level of its own" },
	};
	char text[TOPIC_MAX + 1];

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *s = table[i].text;
		bool ok = same(topic_bad_name(s, strlen(s)), table[i].name) &&
		    same(topic_bad_filter(s, strlen(s)), table[i].filter);

		if (!ok)
			printf("# '%s'\n", s);
		CHECK(ok);
	}
	memset(text, 'a', sizeof(text));
	CHECK(topic_bad_name(text, TOPIC_MAX) == NULL);
	CHECK(topic_bad_filter(text, TOPIC_MAX) == NULL);
	CHECK(same(topic_bad_name(text, TOPIC_MAX + 1),
	    "has more than 256 bytes"));
	CHECK(same(topic_bad_filter(text, TOPIC_MAX + 1),
	    "has more than 256 bytes"));
	CHECK(same(topic_bad_name("a\0b", 3), "has a NUL"));
	CHECK(same(topic_bad_filter("a\0b", 3), "has a NUL"));
}

static void
shared_subscriptions_come_apart(void)
{
	static const struct {
		const char *text;
		int rc;
		const char *group, *filter;
	} table[] = {
		{ "a/b", 0, "", "a/b" },
		{ "$shared/a/b", 0, "", "$shared/a/b" },
		{ "$share", 0, "", "$share" },
		{ "$SHARE/a/b", 0, "", "$SHARE/a/b" },
		{ "$share/g/a", 1, "g", "a" },
		{ "$share/g/a/+/#", 1, "g", "a/+/#" },
		{ "$share/g//a", 1, "g", "/a" },
		{ "$share/g/$share/g/a", 1, "g", "$share/g/a" },
		{ "$share/", -1, NULL, NULL },
		{ "$share/g", -1, NULL, NULL },
		{ "$share/g/", -1, NULL, NULL },
		{ "$share//a", -1, NULL, NULL },
		{ "$share/+/a", -1, NULL, NULL },
		{ "$share/g#/a", -1, NULL, NULL },
	};
	struct topic_share s;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *text = table[i].text;
		int rc = topic_share(text, strlen(text), &s);
		bool ok = rc == table[i].rc;

		if (rc != -1)
			ok = ok && s.len == strlen(table[i].filter) &&
			    memcmp(s.filter, table[i].filter, s.len) == 0 &&
			    s.group_len == strlen(table[i].group) &&
			    (s.group_len == 0 || memcmp(s.group,
			    table[i].group, s.group_len) == 0);
		if (!ok)
			printf("# '%s': %d\n", text, rc);
		CHECK(ok);
	}
}

static void
filters_match_names(void)
{
	static const struct {
		const char *filter, *name;
		bool want;
	} table[] = {
		{ "a", "a", true }, { "a", "b", false }, { "a", "A", false },
		{ "a", "a/", false }, { "a/", "a", false },
		{ "a/", "a/", true }, { "/a", "a", false },
		{ "ab", "a", false }, { "a", "ab", false },
		{ "a/b", "a/b", true }, { "a/b", "a/b/c", false },
		{ "a/b/c", "a/b", false },
		{ "+", "a", true }, { "+", "a/b", false }, { "+", "/a", false },
		{ "+/+", "/a", true }, { "/+", "/a", true },
		{ "+/", "a/", true }, { "+/", "a", false },
		{ "a/+", "a", false }, { "a/+", "a/", true },
		{ "a/+/c", "a/b/c", true }, { "a/+/c", "a//c", true },
		{ "a/+/c", "a/b/d", false }, { "a/+/c", "a/b/c/d", false },
		{ "a/+/c", "a/c", false },
		{ "#", "a", true }, { "#", "a/b/c", true }, { "#", "/", true },
		{ "a/#", "a", true }, { "a/#", "a/", true },
		{ "a/#", "a/b/c", true }, { "a/#", "ab", false },
		{ "a/#", "b/a", false }, { "a/b/#", "a", false },
		{ "a/b/#", "a/b", true }, { "+/#", "a", true },
		{ "+/b/#", "a/b", true }, { "+/b/#", "a/c", false },
		{ "/#", "/", true }, { "/#", "a", false },
		{ "#", "$SYS/a", false }, { "+/a", "$SYS/a", false },
		{ "+", "$SYS", false }, { "+/#", "$SYS/a", false },
		{ "$SYS/#", "$SYS/a", true }, { "$SYS/#", "$SYS", true },
		{ "$SYS/+", "$SYS/a", true }, { "a/+", "a/$b", true },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *f = table[i].filter, *n = table[i].name;
		bool ok = topic_matches(f, strlen(f), n, strlen(n)) ==
		    table[i].want;

		if (!ok)
			printf("# '%s' '%s'\n", f, n);
		CHECK(ok);
	}
}

static void
filters_cover_filters(void)
{
	static const struct {
		const char *t, *f;
		bool want;
	} table[] = {
		{ "a/#", "a", true }, { "a/#", "a/+", true },
		{ "a/#", "a/#", true }, { "a/#", "a/b/#", true },
		{ "a/+", "a/+", true }, { "a/+", "a/b", true },
		{ "a/+", "a/#", false }, { "a/+/#", "a/#", false },
		{ "a/+/#", "a/+", true }, { "a/+/#", "a/b", true },
		{ "a/+/#", "a", false }, { "a/+/#", "a/+/#", true },
		{ "m/x/t", "m/x/t", true }, { "m/x/t", "m/+/t", false },
		{ "m/x/t", "m/y/t", false }, { "m/x/t", "m/x", false },
		{ "m/x", "m/x/t", false }, { "m/x", "m/x/#", false },
		{ "#", "#", true }, { "#", "+", true }, { "#", "a/b", true },
		{ "+", "#", false }, { "+", "+", true }, { "+/#", "#", false },
		{ "a/b/#", "a/#", false }, { "a/b/#", "a/+", false },
		{ "#", "$SYS/a", false }, { "+/a", "$SYS/a", false },
		{ "#", "$SYS/#", false }, { "$SYS/#", "$SYS/a", true },
		{ "a/#", "ab", false }, { "a/#", "+/#", false },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *t = table[i].t, *f = table[i].f;
		bool ok = topic_covers(t, strlen(t), f, strlen(f)) ==
		    table[i].want;

		if (!ok)
			printf("# '%s' '%s'\n", t, f);
		CHECK(ok);
	}
}

static void
agreement_ends_with_a_level(void)
{
	static const struct {
		const char *filter, *text;
		size_t want;
	} table[] = {
		{ "plant/+/status", "plant/x", 7 },
		{ "plant/+/status", "plant/x/stat", 7 },
		{ "plant/+/status", "plant/x/status", 14 },
		{ "plant/+/status", "plant/x/status/y", 14 },
		{ "plant/ab", "plant/ac", 5 },
		{ "plant/#", "plant/a/b", 9 },
		{ "plant/#", "plan", 0 },
		{ "plant/+", "plant/#", 5 },
		{ "plant/x", "plant/+", 5 },
		{ "+/x", "$SYS/x", 0 },
		{ "a", "b/c", 0 },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *f = table[i].filter, *s = table[i].text;
		size_t n = topic_agrees(f, strlen(f), s, strlen(s));

		if (n != table[i].want)
			printf("# '%s' '%s': %zu\n", f, s, n);
		CHECK(n == table[i].want);
	}
}

int
main(void)
{
	RUN(names_and_filters_have_rules);
	RUN(shared_subscriptions_come_apart);
	RUN(filters_match_names);
	RUN(filters_cover_filters);
	RUN(agreement_ends_with_a_level);
	DONE();
}
