#include "tree.h"

#include <stdint.h>
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "topic.h"

#define TEXTS 300

/* What was found, in the order of finding. */
struct finds {
	void *thing[1000];
	size_t n, most;
};

static void
found(void *thing, void *arg)
{
	struct finds *f = arg;

	f->thing[f->n++] = thing;
}

static bool
found_some(void *thing, void *arg)
{
	struct finds *f = arg;

	found(thing, arg);
	return f->n < f->most;
}

static void
put(struct tree *t, const char *text, const char *thing)
{
	void **place = tree_put(t, text, strlen(text));

	CHECK(place != NULL);
	*(const char **)place = thing;
}

static const char *
get(struct tree *t, const char *text)
{
	void **place = tree_get(t, text, strlen(text));

	return place == NULL ? NULL : *place;
}

static void
places_are_kept_until_they_are_dropped(void)
{
	struct tree *t = tree_new();
	size_t empty = tree_bytes(t);
	void **place;

	put(t, "a/b", "1");
	put(t, "a/b/c", "2");
	put(t, "a", "3");
	put(t, "", "4");
	put(t, "/", "5");
	put(t, "a/+", "6");
	CHECK(tree_count(t) == 6);
	CHECK(strcmp(get(t, "a/b"), "1") == 0);
	CHECK(strcmp(get(t, "a/b/c"), "2") == 0);
	CHECK(strcmp(get(t, "a"), "3") == 0);
	CHECK(strcmp(get(t, ""), "4") == 0);
	CHECK(strcmp(get(t, "/"), "5") == 0);
	CHECK(strcmp(get(t, "a/+"), "6") == 0);
	CHECK(tree_get(t, "b", 1) == NULL && tree_get(t, "a/c", 3) == NULL);
	CHECK(tree_get(t, "a/b/c/d", 7) == NULL);
	place = tree_get(t, "a/b", 3);
	CHECK(tree_put(t, "a/b", 3) == place && tree_count(t) == 6);
	tree_drop(t, "a/b", 3);
	CHECK(tree_count(t) == 5 && tree_get(t, "a/b", 3) == NULL);
	CHECK(strcmp(get(t, "a/b/c"), "2") == 0);
	tree_drop(t, "a/b", 3);
	tree_drop(t, "x", 1);
	CHECK(tree_count(t) == 5);
	tree_drop(t, "a/b/c", 5);
	tree_drop(t, "a", 1);
	tree_drop(t, "", 0);
	tree_drop(t, "/", 1);
	tree_drop(t, "a/+", 3);
	CHECK(tree_count(t) == 0 && tree_bytes(t) == empty);
	tree_free(t);
}

static void
memory_comes_back(void)
{
	struct tree *t = tree_new();
	size_t empty = tree_bytes(t);
	char text[64];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 10000; i++) {
			snprintf(text, sizeof(text), "a/%d/b/%d", i % 100, i);
			put(t, text, "x");
		}
		CHECK(tree_count(t) == 10000);
		for (int i = 0; i < 10000; i++) {
			snprintf(text, sizeof(text), "a/%d/b/%d", i % 100, i);
			tree_drop(t, text, strlen(text));
		}
		CHECK(tree_count(t) == 0 && tree_bytes(t) == empty);
	}
	tree_free(t);
}

static void
a_walk_ends_when_it_is_told_to(void)
{
	struct finds f = { .most = 3 };
	struct tree *t = tree_new();
	char text[16];

	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "a/%d", i);
		put(t, text, "x");
	}
	tree_walk(t, "a/+", 3, found_some, &f);
	CHECK(f.n == 3);
	tree_walk(t, "#", 1, found_some, &f);
	CHECK(f.n == 4);
	tree_free(t);
}

static void
what_is_no_topic_is_nowhere(void)
{
	char text[TOPIC_MAX + 2];
	struct finds f = { .most = 1000 };
	struct tree *t = tree_new();

	put(t, "#", "x");
	memset(text, '/', sizeof(text));
	CHECK(tree_put(t, text, TOPIC_LEVELS) == NULL);
	CHECK(tree_get(t, text, TOPIC_LEVELS) == NULL);
	tree_match(t, text, TOPIC_LEVELS, found, &f);
	tree_walk(t, text, TOPIC_LEVELS, found_some, &f);
	memset(text, 'a', sizeof(text));
	CHECK(tree_put(t, text, TOPIC_MAX + 1) == NULL);
	tree_match(t, text, TOPIC_MAX + 1, found, &f);
	CHECK(f.n == 0);
	CHECK(tree_put(t, text, TOPIC_MAX) != NULL);
	memset(text, '/', sizeof(text));
	CHECK(tree_put(t, text, TOPIC_LEVELS - 1) != NULL);
	CHECK(tree_count(t) == 3);
	tree_free(t);
}

/* ---- against topic_matches, with texts of a small alphabet ---- */

static uint32_t
roll(uint32_t n)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)(state >> 33) % n;
}

static void
make_text(char *text, bool filter)
{
	static const char *const parts[] = { "a", "b", "", "$c", "aa" };
	uint32_t levels = 1 + roll(roll(8) == 0 ? TOPIC_LEVELS : 4);

	text[0] = '\0';
	for (uint32_t i = 0; i < levels; i++) {
		if (i > 0)
			strcat(text, "/");
		if (filter && i + 1 == levels && roll(4) == 0)
			strcat(text, "#");
		else if (filter && roll(3) == 0)
			strcat(text, "+");
		else
			strcat(text, parts[roll(5)]);
	}
}

struct texts {
	char text[TEXTS][64];
	bool there[TEXTS];
};

/* Put them, and drop about half of them again. */
static struct tree *
plant(struct texts *x, bool filters)
{
	struct tree *t = tree_new();
	void **place;

	for (size_t i = 0; i < TEXTS; i++) {
		make_text(x->text[i], filters);
		place = tree_put(t, x->text[i], strlen(x->text[i]));
		if ((x->there[i] = *place == NULL))
			*place = x->text[i];
	}
	for (size_t i = 0; i < TEXTS; i++)
		if (x->there[i] && roll(2) == 0) {
			tree_drop(t, x->text[i], strlen(x->text[i]));
			x->there[i] = false;
		}
	return t;
}

/* Were exactly those found that should be, once each? */
static bool
agrees(const struct texts *x, const struct finds *f, const char *text,
    bool filters)
{
	size_t want = 0, len = strlen(text);

	for (size_t i = 0; i < TEXTS; i++) {
		const char *s = x->text[i];
		size_t n = 0;

		for (size_t j = 0; j < f->n; j++)
			n += f->thing[j] == s;
		if (n != (x->there[i] && (filters ?
		    topic_matches(s, strlen(s), text, len) :
		    topic_matches(text, len, s, strlen(s))))) {
			printf("# '%s' '%s': %zu times\n", s, text, n);
			return false;
		}
		want += n;
	}
	return want == f->n;
}

static void
finds_are_what_topic_matches_says(void)
{
	static struct texts x;
	char text[64];
	bool filters, good = true;
	struct tree *t;

	for (int round = 0; good && round < 200; round++) {
		filters = round % 2 == 0;
		t = plant(&x, filters);
		for (int i = 0; good && i < 30; i++) {
			struct finds f = { .most = 1000 };

			make_text(text, !filters);
			if (filters)
				tree_match(t, text, strlen(text), found, &f);
			else
				tree_walk(t, text, strlen(text), found_some,
				    &f);
			good = agrees(&x, &f, text, filters);
		}
		tree_free(t);
	}
	CHECK(good);
}

int
main(void)
{
	RUN(places_are_kept_until_they_are_dropped);
	RUN(memory_comes_back);
	RUN(a_walk_ends_when_it_is_told_to);
	RUN(what_is_no_topic_is_nowhere);
	RUN(finds_are_what_topic_matches_says);
	DONE();
}
