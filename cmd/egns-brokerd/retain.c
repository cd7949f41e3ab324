#include "retain.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "tree.h"

#define SWEEP 256 /* messages that one sweep takes out at most */

/* The topic is here, too: the message may have let go of its body. */
struct entry {
	struct message *message;
	int64_t expires;
	uint32_t at; /* in the heap */
	uint16_t topic_len;
	char topic[];
};

struct retain {
	struct tree *tree;
	struct entry **heap; /* the one that expires first is in front */
	uint32_t n, cap;
	size_t bytes;
	size_t count_max, bytes_max;
};

/* ---- the heap ---- */

static void
put(struct retain *r, struct entry *e, uint32_t at)
{
	r->heap[at] = e;
	e->at = at;
}

/* To its place, up or down; its own slot is free. */
static void
settle(struct retain *r, struct entry *e, uint32_t at)
{
	uint32_t child;

	while (at > 0 && e->expires < r->heap[(at - 1) / 2]->expires) {
		put(r, r->heap[(at - 1) / 2], at);
		at = (at - 1) / 2;
	}
	while ((child = 2 * at + 1) < r->n) {
		if (child + 1 < r->n && r->heap[child + 1]->expires <
		    r->heap[child]->expires)
			child++;
		if (e->expires <= r->heap[child]->expires)
			break;
		put(r, r->heap[child], at);
		at = child;
	}
	put(r, e, at);
}

static int
heap_add(struct retain *r, struct entry *e)
{
	uint32_t cap = r->cap > 0 ? r->cap * 2 : 64;
	struct entry **heap;

	if (r->n == r->cap) {
		heap = realloc(r->heap, cap * sizeof(struct entry *));
		if (heap == NULL)
			return -1;
		r->heap = heap;
		r->cap = cap;
	}
	settle(r, e, r->n++);
	return 0;
}

static void
heap_remove(struct retain *r, uint32_t at)
{
	struct entry *last = r->heap[--r->n];

	if (at < r->n)
		settle(r, last, at);
}

/* ---- entries ---- */

static struct entry *
find(const struct retain *r, const char *topic, size_t len)
{
	void **place = tree_get(r->tree, topic, len);

	return place == NULL ? NULL : *place;
}

/* When it is forgotten: by its own wish, but not later than all. */
static int64_t
expiry(const struct message *m)
{
	int64_t last = clock_now() + RETAIN_SECONDS * CLOCK_SECOND;

	return m->expires != 0 && m->expires < last ? m->expires : last;
}

static int
add(struct retain *r, void **place, struct message *m)
{
	struct mqtt_str topic = message_topic(m);
	struct entry *e = malloc(sizeof(*e) + topic.len);

	if (e == NULL)
		return -1;
	e->expires = expiry(m);
	e->topic_len = (uint16_t)topic.len;
	memcpy(e->topic, topic.p, topic.len);
	if (heap_add(r, e) == -1) {
		free(e);
		return -1;
	}
	e->message = message_ref(m);
	r->bytes += message_bytes(m);
	*place = e;
	return 0;
}

static struct message *
take_out(struct retain *r, uint32_t at)
{
	struct entry *e = r->heap[at];
	struct message *m = e->message;

	heap_remove(r, at);
	*tree_get(r->tree, e->topic, e->topic_len) = NULL;
	tree_drop(r->tree, e->topic, e->topic_len);
	r->bytes -= message_bytes(m);
	free(e);
	return m;
}

struct retain *
retain_new(void)
{
	struct retain *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	if ((r->tree = tree_new()) == NULL) {
		free(r);
		return NULL;
	}
	retain_limit(r, 1);
	return r;
}

void
retain_free(struct retain *r)
{
	if (r == NULL)
		return;
	for (uint32_t i = 0; i < r->n; i++) {
		message_unref(r->heap[i]->message);
		free(r->heap[i]);
	}
	free(r->heap);
	tree_free(r->tree);
	free(r);
}

void
retain_limit(struct retain *r, unsigned units)
{
	r->count_max = (size_t)units * RETAIN_COUNT;
	r->bytes_max = (size_t)units * RETAIN_BYTES;
}

bool
retain_room(const struct retain *r, const char *topic, size_t len,
    size_t bytes)
{
	const struct entry *e = find(r, topic, len);
	size_t count = r->n, used = r->bytes;

	if (e != NULL) {
		count--;
		used -= message_bytes(e->message);
	}
	return count < r->count_max && used <= r->bytes_max &&
	    bytes <= r->bytes_max - used;
}

int
retain_set(struct retain *r, struct message *m, struct message **old)
{
	struct mqtt_str topic = message_topic(m);
	void **place = tree_put(r->tree, topic.p, topic.len);
	struct entry *e;

	*old = NULL;
	if (place == NULL)
		return -1;
	if ((e = *place) == NULL) {
		if (add(r, place, m) == 0)
			return 0;
		tree_drop(r->tree, topic.p, topic.len);
		return -1;
	}
	*old = e->message;
	r->bytes += message_bytes(m);
	r->bytes -= message_bytes(*old);
	e->message = message_ref(m);
	e->expires = expiry(m);
	settle(r, e, e->at);
	return 0;
}

struct message *
retain_get(struct retain *r, const char *topic, size_t len)
{
	const struct entry *e = find(r, topic, len);

	return e == NULL ? NULL : e->message;
}

struct message *
retain_clear(struct retain *r, const char *topic, size_t len)
{
	const struct entry *e = find(r, topic, len);

	return e == NULL ? NULL : take_out(r, e->at);
}

struct look {
	int64_t now;
	void (*found)(struct message *, void *);
	void *arg;
};

static bool
look(void *thing, void *arg)
{
	const struct entry *e = thing;
	const struct look *l = arg;

	if (e->expires > l->now)
		l->found(e->message, l->arg);
	return true;
}

void
retain_each(struct retain *r, const char *filter, size_t len, int64_t now,
    void (*found)(struct message *, void *), void *arg)
{
	struct look l = { now, found, arg };

	tree_walk(r->tree, filter, len, look, &l);
}

void
retain_sweep(struct retain *r, int64_t now,
    void (*expired)(struct message *, void *), void *arg)
{
	for (int i = 0; i < SWEEP && r->n > 0; i++) {
		if (r->heap[0]->expires > now)
			break;
		expired(take_out(r, 0), arg);
	}
}

size_t
retain_count(const struct retain *r)
{
	return r->n;
}

size_t
retain_bytes(const struct retain *r)
{
	return r->bytes;
}
