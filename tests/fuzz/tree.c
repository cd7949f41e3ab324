/*
 * Lines: the first is looked for in a tree of the others. What is found is what
 * topic_matches says, and all that was taken comes back.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "topic.h"
#include "tree.h"

#define LINES 64

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct line {
	const char *s;
	size_t len;
	unsigned found;
};

static void
found(void *thing, void *arg)
{
	(void)arg;
	((struct line *)thing)->found++;
}

static bool
walked(void *thing, void *arg)
{
	found(thing, arg);
	return true;
}

static bool
is_well(const struct line *l, bool filter)
{
	return (filter ? topic_bad_filter : topic_bad_name)(l->s, l->len) ==
	    NULL;
}

/* The lines below the first as filters, or as names. */
static void
look(struct line *line, size_t n, bool filters)
{
	struct tree *t = tree_new();
	size_t empty = tree_bytes(t);
	void **place;

	for (size_t i = 1; i < n; i++) {
		line[i].found = 0;
		if (is_well(&line[i], filters)) {
			place = tree_put(t, line[i].s, line[i].len);
			*place = &line[i];
		}
	}
	if (filters)
		tree_match(t, line->s, line->len, found, NULL);
	else
		tree_walk(t, line->s, line->len, walked, NULL);
	for (size_t i = 1; i < n; i++) {
		/* of equal lines the last is there */
		if ((place = tree_get(t, line[i].s, line[i].len)) == NULL ||
		    *place != &line[i])
			continue;
		if (line[i].found != (filters ?
		    topic_matches(line[i].s, line[i].len, line->s, line->len) :
		    topic_matches(line->s, line->len, line[i].s, line[i].len)))
			abort();
		tree_drop(t, line[i].s, line[i].len);
	}
	if (tree_count(t) != 0 || tree_bytes(t) != empty)
		abort();
	tree_free(t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *p = text, *end;
	struct line line[LINES];
	size_t n = 0;

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	for (end = text + size; p <= end && n < LINES; n++) {
		char *nl = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;

		line[n] = (struct line){ .s = p };
		line[n].len = (size_t)((nl != NULL ? nl : end) - p);
		p += line[n].len + 1;
	}
	if (is_well(&line[0], false))
		look(line, n, true);
	if (is_well(&line[0], true))
		look(line, n, false);
	free(text);
	return 0;
}
