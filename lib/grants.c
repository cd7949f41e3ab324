#include "grants.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "topic.h"
#include "tree.h"

#define BUCKETS_MIN 64 /* a power of two, as all sizes of the table */
#define LIST_MAX 64    /* filters that are quicker tried one by one */

struct grants {
	struct grants_pool *pool;
	struct grants *chain; /* in the bucket */
	uint64_t hash;
	size_t refs;
	struct tree *tree;      /* of the filters to publish, if many */
	size_t publish, size;   /* bytes of the first list, of both */
	char lists[]; /* two bytes of length and the filter, each */
};

struct grants_pool {
	struct hash_key key;
	struct grants **bucket;
	size_t mask, n;
	bool freed;
};

/* ---- lists ---- */

void
grants_list_add(struct buf *list, const char *filter, size_t len)
{
	uint16_t head = (uint16_t)len;

	buf_add(list, &head, sizeof(head));
	buf_add(list, filter, len);
}

/* The filter that begins here; *next is behind it. */
static const char *
filter_at(const char *p, size_t *len, const char **next)
{
	uint16_t head;

	memcpy(&head, p, sizeof(head));
	*len = head;
	*next = p + sizeof(head) + head;
	return p + sizeof(head);
}

static bool
is_covered(const char *list, const char *end, const char *text, size_t len)
{
	const char *filter;
	size_t filter_len;

	while (list < end) {
		filter = filter_at(list, &filter_len, &list);
		if (topic_covers(filter, filter_len, text, len))
			return true;
	}
	return false;
}

static void
found(void *thing, void *arg)
{
	(void)thing;
	*(bool *)arg = true;
}

bool
grants_some(const struct grants *g)
{
	return g->size > 0;
}

bool
grants_publish(const struct grants *g, const char *topic, size_t len)
{
	bool any = false;

	/* a filter covers a name that it matches */
	if (g->tree == NULL)
		return is_covered(g->lists, g->lists + g->publish, topic, len);
	tree_match(g->tree, topic, len, found, &any);
	return any;
}

bool
grants_subscribe(const struct grants *g, const char *filter, size_t len)
{
	return is_covered(g->lists + g->publish, g->lists + g->size, filter,
	    len);
}

bool
grants_equal(const struct grants *a, const struct grants *b)
{
	return a == b || (a->publish == b->publish && a->size == b->size &&
	    memcmp(a->lists, b->lists, a->size) == 0);
}

/* ---- the pool ---- */

struct grants_pool *
grants_pool_new(void)
{
	struct grants_pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return NULL;
	pool->mask = BUCKETS_MIN - 1;
	pool->bucket = calloc(BUCKETS_MIN, sizeof(struct grants *));
	if (pool->bucket != NULL && hash_key(&pool->key) == 0)
		return pool;
	free(pool->bucket);
	free(pool);
	return NULL;
}

static void
pool_gone(struct grants_pool *pool)
{
	if (!pool->freed || pool->n > 0)
		return;
	free(pool->bucket);
	free(pool);
}

void
grants_pool_free(struct grants_pool *pool)
{
	if (pool == NULL)
		return;
	pool->freed = true;
	pool_gone(pool);
}

/* Without memory for more buckets, these have to do. */
static void
grow(struct grants_pool *pool)
{
	size_t mask = 2 * pool->mask + 1;
	struct grants **bucket = calloc(mask + 1, sizeof(struct grants *));
	struct grants *g, *next;

	if (bucket == NULL)
		return;
	for (size_t i = 0; i <= pool->mask; i++)
		for (g = pool->bucket[i]; g != NULL; g = next) {
			next = g->chain;
			g->chain = bucket[g->hash & mask];
			bucket[g->hash & mask] = g;
		}
	free(pool->bucket);
	pool->bucket = bucket;
	pool->mask = mask;
}

/* A tree of the filters to publish when they are many. 0, or -1. */
static int
plant(struct grants *g)
{
	const char *p = g->lists, *end = p + g->publish, *filter;
	size_t n = 0, len;
	void **place;

	for (; p < end; n++)
		filter_at(p, &len, &p);
	if (n <= LIST_MAX)
		return 0;
	if ((g->tree = tree_new()) == NULL)
		return -1;
	for (p = g->lists; p < end;) {
		filter = filter_at(p, &len, &p);
		if ((place = tree_put(g->tree, filter, len)) == NULL)
			return -1;
		*place = g;
	}
	return 0;
}

static struct grants *
make(struct grants_pool *pool, const struct buf *publish,
    const struct buf *subscribe)
{
	size_t size = publish->len + subscribe->len;
	struct grants *g = calloc(1, sizeof(*g) + size);

	if (g == NULL)
		return NULL;
	g->pool = pool;
	g->refs = 1;
	g->publish = publish->len;
	g->size = size;
	if (publish->len > 0)
		memcpy(g->lists, buf_data(publish), publish->len);
	if (subscribe->len > 0)
		memcpy(g->lists + publish->len, buf_data(subscribe),
		    subscribe->len);
	g->hash = hash_bytes(&pool->key, g->lists, size) ^ g->publish;
	if (plant(g) == 0)
		return g;
	tree_free(g->tree);
	free(g);
	return NULL;
}

struct grants *
grants_intern(struct grants_pool *pool, const struct buf *publish,
    const struct buf *subscribe)
{
	struct grants *g, *same;

	if (publish->bad || subscribe->bad ||
	    (g = make(pool, publish, subscribe)) == NULL)
		return NULL;
	same = pool->bucket[g->hash & pool->mask];
	while (same != NULL &&
	    (same->hash != g->hash || !grants_equal(same, g)))
		same = same->chain;
	if (same != NULL) {
		tree_free(g->tree);
		free(g);
		same->refs++;
		return same;
	}
	if (pool->n++ > pool->mask)
		grow(pool);
	g->chain = pool->bucket[g->hash & pool->mask];
	pool->bucket[g->hash & pool->mask] = g;
	return g;
}

void
grants_free(struct grants *g)
{
	struct grants **at;

	if (g == NULL || --g->refs > 0)
		return;
	at = &g->pool->bucket[g->hash & g->pool->mask];
	while (*at != g)
		at = &(*at)->chain;
	*at = g->chain;
	g->pool->n--;
	pool_gone(g->pool);
	tree_free(g->tree);
	free(g);
}
