/* groups: dead letters counted by what they have in common */
#include "groups.h"

#include <stdlib.h>
#include <string.h>

#include <tcutil.h>

struct group *
groups_get(struct groups *g, const char *key, size_t len)
{
	struct group empty = { 0 };
	const void *found;
	int size;

	if (g->map == NULL)
		g->map = tcmapnew();
	if ((found = tcmapget(g->map, key, (int)len, &size)) == NULL) {
		if (g->n == GROUPS_MAX)
			return NULL;
		g->n++;
		tcmapput(g->map, key, (int)len, &empty, sizeof(empty));
		found = tcmapget(g->map, key, (int)len, &size);
	}
	/* it stays where it is: nothing is taken out of the map */
	return (struct group *)(uintptr_t)found;
}

void
group_count(struct group *g, size_t bytes, int64_t time, uint64_t blob)
{
	g->letters++;
	g->bytes += bytes;
	g->blobs += g->blob != blob;
	g->blob = blob;
	if (time != 0 && (g->oldest == 0 || time < g->oldest))
		g->oldest = time;
	if (time > g->newest)
		g->newest = time;
}

static int
order(const void *a, const void *b)
{
	const struct group *g = a, *h = b;
	int n = memcmp(g->key, h->key, g->len < h->len ? g->len : h->len);

	return n != 0 ? n : (g->len > h->len) - (g->len < h->len);
}

int
groups_sort(struct groups *g)
{
	const char *key;
	size_t i = 0;
	int len, size;

	if (g->n == 0)
		return 0;
	if ((g->sorted = calloc(g->n, sizeof(*g->sorted))) == NULL)
		return -1;
	tcmapiterinit(g->map);
	while ((key = tcmapiternext(g->map, &len)) != NULL) {
		memcpy(&g->sorted[i], tcmapget(g->map, key, len, &size),
		    sizeof(*g->sorted));
		g->sorted[i].key = key;
		g->sorted[i++].len = (size_t)len;
	}
	qsort(g->sorted, g->n, sizeof(*g->sorted), order);
	return 0;
}

void
groups_free(struct groups *g)
{
	if (g->map != NULL)
		tcmapdel(g->map);
	free(g->sorted);
}
