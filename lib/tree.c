#include "tree.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "topic.h"

#define BUCKETS_MIN 64 /* a power of two, as all sizes of the table */

struct node {
	struct node *parent;
	struct node *first;       /* of its children */
	struct node *next, *prev; /* among those of its parent */
	struct node *chain;       /* in the bucket */
	void *thing;
	uint32_t hash;
	uint16_t len;
	bool placed;
	bool wild; /* one of its children is "+" or "#", or was */
	char text[];
};

struct level {
	const char *text;
	size_t len;
	uint64_t hash; /* of the text alone */
};

/* All nodes but the root are in one table, by their parent and their text. */
struct tree {
	struct hash_key key;
	struct level one, rest; /* "+" and "#" */
	struct node *root; /* "" of no parent; always there */
	struct node **bucket;
	size_t mask, nodes, places, bytes;
};

/* ---- the levels of a text ---- */

struct levels {
	struct level at[TOPIC_LEVELS];
	size_t n;
};

static struct level
level(const struct tree *t, const char *s, size_t len)
{
	return (struct level){ s, len, hash_bytes(&t->key, s, len) };
}

static bool
split(const struct tree *t, struct levels *ls, const char *s, size_t len)
{
	const char *end = s + len, *slash;

	if (len > TOPIC_MAX)
		return false;
	for (ls->n = 0; ls->n < TOPIC_LEVELS; s = slash + 1) {
		slash = memchr(s, '/', (size_t)(end - s));
		len = (size_t)((slash != NULL ? slash : end) - s);
		ls->at[ls->n++] = level(t, s, len);
		if (slash == NULL)
			return true;
	}
	return false;
}

static bool
is_level(const struct level *l, char c)
{
	return l->len == 1 && l->text[0] == c;
}

/* ---- nodes ---- */

static uint32_t
child_hash(const struct tree *t, const struct node *parent, uint64_t level)
{
	return (uint32_t)hash_mix(&t->key, level ^ (uintptr_t)parent);
}

static bool
is_at(const struct node *n, const struct level *l)
{
	return n->len == l->len && memcmp(n->text, l->text, l->len) == 0;
}

/* An only child is at hand; its bucket need not come into the cache. */
static struct node *
find(const struct tree *t, const struct node *parent, const struct level *l)
{
	struct node *n = parent->first;
	uint32_t hash;

	if (n == NULL || n->next == NULL)
		return n != NULL && is_at(n, l) ? n : NULL;
	hash = child_hash(t, parent, l->hash);
	n = t->bucket[hash & t->mask];
	while (n != NULL && (n->hash != hash || n->parent != parent ||
	    !is_at(n, l)))
		n = n->chain;
	return n;
}

/* Without memory for another size, the old one has to do. */
static void
resize(struct tree *t, size_t size)
{
	struct node **bucket = calloc(size, sizeof(struct node *)), *n, *next;

	if (bucket == NULL)
		return;
	for (size_t i = 0; i <= t->mask; i++)
		for (n = t->bucket[i]; n != NULL; n = next) {
			next = n->chain;
			n->chain = bucket[n->hash & (size - 1)];
			bucket[n->hash & (size - 1)] = n;
		}
	free(t->bucket);
	t->bytes += size * sizeof(struct node *);
	t->bytes -= (t->mask + 1) * sizeof(struct node *);
	t->bucket = bucket;
	t->mask = size - 1;
}

static size_t
node_size(size_t len)
{
	size_t size = offsetof(struct node, text) + len;

	return size < sizeof(struct node) ? sizeof(struct node) : size;
}

static struct node *
add(struct tree *t, struct node *parent, const struct level *l)
{
	struct node *n = calloc(1, node_size(l->len)), **bucket;

	if (n == NULL)
		return NULL;
	if (t->nodes++ > t->mask)
		resize(t, 2 * (t->mask + 1));
	n->hash = child_hash(t, parent, l->hash);
	n->len = (uint16_t)l->len;
	memcpy(n->text, l->text, l->len);
	n->parent = parent;
	n->next = parent->first;
	if (n->next != NULL)
		n->next->prev = n;
	parent->first = n;
	parent->wild |= is_level(l, '+') || is_level(l, '#');
	bucket = &t->bucket[n->hash & t->mask];
	n->chain = *bucket;
	*bucket = n;
	t->bytes += node_size(l->len);
	return n;
}

static void
take_out(struct tree *t, struct node *n)
{
	struct node **chain = &t->bucket[n->hash & t->mask];

	while (*chain != n)
		chain = &(*chain)->chain;
	*chain = n->chain;
	if (n->prev != NULL)
		n->prev->next = n->next;
	else
		n->parent->first = n->next;
	if (n->next != NULL)
		n->next->prev = n->prev;
	t->bytes -= node_size(n->len);
	t->nodes--;
	free(n);
	if (t->mask >= BUCKETS_MIN && t->nodes < t->mask / 8)
		resize(t, (t->mask + 1) / 2);
}

/* A node that holds nothing and its ancestors that do not, either. */
static void
prune(struct tree *t, struct node *n)
{
	struct node *parent;

	for (; n != t->root && !n->placed && n->first == NULL; n = parent) {
		parent = n->parent;
		take_out(t, n);
	}
}

/* ---- places ---- */

struct tree *
tree_new(void)
{
	struct tree *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->root = calloc(1, sizeof(*t->root));
	t->bucket = calloc(BUCKETS_MIN, sizeof(struct node *));
	if (t->root == NULL || t->bucket == NULL || hash_key(&t->key) == -1) {
		free(t->root);
		free(t->bucket);
		free(t);
		return NULL;
	}
	t->one = level(t, "+", 1);
	t->rest = level(t, "#", 1);
	t->mask = BUCKETS_MIN - 1;
	t->bytes = sizeof(*t) + sizeof(*t->root) +
	    BUCKETS_MIN * sizeof(struct node *);
	return t;
}

void
tree_free(struct tree *t)
{
	struct node *n, *next;

	if (t == NULL)
		return;
	for (size_t i = 0; i <= t->mask; i++)
		for (n = t->bucket[i]; n != NULL; n = next) {
			next = n->chain;
			free(n);
		}
	free(t->bucket);
	free(t->root);
	free(t);
}

void **
tree_put(struct tree *t, const char *s, size_t len)
{
	struct node *n = t->root, *child;
	struct levels ls;

	if (!split(t, &ls, s, len))
		return NULL;
	for (size_t i = 0; i < ls.n; i++) {
		if ((child = find(t, n, &ls.at[i])) == NULL &&
		    (child = add(t, n, &ls.at[i])) == NULL) {
			prune(t, n);
			return NULL;
		}
		n = child;
	}
	t->places += !n->placed;
	n->placed = true;
	return &n->thing;
}

static struct node *
place(const struct tree *t, const char *s, size_t len)
{
	const struct node *n = t->root;
	struct node *child = NULL;
	struct levels ls;

	if (!split(t, &ls, s, len))
		return NULL;
	for (size_t i = 0; i < ls.n; i++, n = child)
		if ((child = find(t, n, &ls.at[i])) == NULL)
			return NULL;
	return child != NULL && child->placed ? child : NULL;
}

void **
tree_get(struct tree *t, const char *s, size_t len)
{
	struct node *n = place(t, s, len);

	return n == NULL ? NULL : &n->thing;
}

void
tree_drop(struct tree *t, const char *s, size_t len)
{
	struct node *n = place(t, s, len);

	if (n == NULL)
		return;
	n->placed = false;
	t->places--;
	prune(t, n);
}

size_t
tree_count(const struct tree *t)
{
	return t->places;
}

size_t
tree_bytes(const struct tree *t)
{
	return t->bytes;
}

/* ---- looks; they go no deeper than a text has levels ---- */

struct match {
	const struct tree *tree;
	const struct levels *name;
	void (*found)(void *, void *);
	void *arg;
};

static void
match(const struct match *m, const struct node *n, size_t i)
{
	/* MQTT-4.7.2-1 */
	bool wild = n->wild && (i > 0 || m->name->at[0].len == 0 ||
	    m->name->at[0].text[0] != '$');
	const struct node *child;

	if (wild && (child = find(m->tree, n, &m->tree->rest)) != NULL)
		m->found(child->thing, m->arg);
	if (i == m->name->n) {
		if (n->placed)
			m->found(n->thing, m->arg);
		return;
	}
	if ((child = find(m->tree, n, &m->name->at[i])) != NULL)
		match(m, child, i + 1);
	if (wild && (child = find(m->tree, n, &m->tree->one)) != NULL)
		match(m, child, i + 1);
}

void
tree_match(struct tree *t, const char *name, size_t len,
    void (*found)(void *, void *), void *arg)
{
	struct levels ls;
	struct match m = {
		.tree = t, .name = &ls, .found = found, .arg = arg
	};

	if (split(t, &ls, name, len))
		match(&m, t->root, 0);
}

struct walk {
	const struct tree *tree;
	const struct levels *filter;
	bool (*found)(void *, void *);
	void *arg;
};

/* Wildcards pass by what begins with '$' in first place (MQTT-4.7.2-1). */
static bool
is_hidden(const struct walk *w, const struct node *n)
{
	return n->parent == w->tree->root && n->len > 0 && n->text[0] == '$';
}

static bool
all(const struct walk *w, const struct node *n)
{
	if (n->placed && !w->found(n->thing, w->arg))
		return false;
	for (n = n->first; n != NULL; n = n->next)
		if (!is_hidden(w, n) && !all(w, n))
			return false;
	return true;
}

static bool
walk(const struct walk *w, const struct node *n, size_t i)
{
	const struct level *l = &w->filter->at[i];

	if (i == w->filter->n)
		return !n->placed || w->found(n->thing, w->arg);
	if (is_level(l, '#'))
		return all(w, n);
	if (!is_level(l, '+')) {
		n = find(w->tree, n, l);
		return n == NULL || walk(w, n, i + 1);
	}
	for (n = n->first; n != NULL; n = n->next)
		if (!is_hidden(w, n) && !walk(w, n, i + 1))
			return false;
	return true;
}

void
tree_walk(struct tree *t, const char *filter, size_t len,
    bool (*found)(void *, void *), void *arg)
{
	struct levels ls;
	struct walk w = {
		.tree = t, .filter = &ls, .found = found, .arg = arg
	};

	if (split(t, &ls, filter, len))
		walk(&w, t->root, 0);
}
