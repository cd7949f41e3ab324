/*
 * Three texts with NULs between them: two filters and a name. Of those that are
 * well, what the first filter covers it matches, and agreement is within the
 * text, whole when it is covered. Any text is looked at without harm.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct text {
	char *s; /* of exactly len bytes */
	size_t len;
};

static struct text
next(const uint8_t **data, size_t *size)
{
	const uint8_t *end = *size > 0 ? memchr(*data, '\0', *size) : NULL;
	struct text t = { .len = end != NULL ? (size_t)(end - *data) : *size };

	if ((t.s = malloc(t.len + (t.len == 0))) == NULL)
		abort();
	if (t.len > 0)
		memcpy(t.s, *data, t.len);
	*data += t.len + (end != NULL);
	*size -= t.len + (end != NULL);
	return t;
}

static bool
covers(const struct text *a, const struct text *b)
{
	bool does = topic_covers(a->s, a->len, b->s, b->len);
	size_t n = topic_agrees(a->s, a->len, b->s, b->len);

	if (n > b->len || (does && n != b->len))
		abort();
	return does;
}

static bool
matches(const struct text *a, const struct text *b)
{
	return topic_matches(a->s, a->len, b->s, b->len);
}

static void
share(const struct text *t)
{
	struct topic_share s;
	int rc = topic_share(t->s, t->len, &s);

	if (rc == 0 && (s.filter != t->s || s.len != t->len))
		abort();
	if (rc == 1 && (s.group_len == 0 || s.len == 0 ||
	    s.group + s.group_len + 1 != s.filter ||
	    s.filter + s.len != t->s + t->len))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text t = next(&data, &size), f = next(&data, &size);
	struct text n = next(&data, &size);
	bool through, straight;

	share(&t);
	through = covers(&t, &f) && matches(&f, &n);
	straight = matches(&t, &n);
	if (topic_bad_filter(t.s, t.len) == NULL &&
	    topic_bad_filter(f.s, f.len) == NULL) {
		if (!covers(&t, &t) || (covers(&t, &f) && covers(&f, &t) &&
		    (t.len != f.len || memcmp(t.s, f.s, t.len) != 0)))
			abort();
		if (topic_bad_name(n.s, n.len) == NULL && through && !straight)
			abort();
	}
	free(t.s);
	free(f.s);
	free(n.s);
	return 0;
}
