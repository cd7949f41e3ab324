#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "array.h"
#include "known.h"

static int
add(const char *path, const char *text, size_t len, void *arg)
{
	struct known *k = arg;
	char **paths = array_room(k->paths, k->n, sizeof(*paths));

	(void)text, (void)len;
	if (paths == NULL)
		return -1;
	k->paths = paths;
	if ((k->paths[k->n] = strdup(path)) == NULL)
		return -1;
	k->n++;
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static const char *
find(const struct known *k, const char *path)
{
	char **found;

	if (k->n == 0)
		return NULL;
	found = bsearch(&path, k->paths, k->n, sizeof(*k->paths), by_name);
	for (size_t i = 0; found == NULL && i < k->n; i++) {
		if (strcasecmp(k->paths[i], path) == 0)
			found = &k->paths[i];
	}
	return found != NULL ? strrchr(*found, '/') + 1 : NULL;
}

int
known_read(struct known *k, struct registry *registry, struct fault *f)
{
	if (registry_each_text(registry, "topics/", add, k) != 0)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	if (k->n > 0)
		qsort(k->paths, k->n, sizeof(*k->paths), by_name);
	return 0;
}

void
known_free(struct known *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->paths[i]);
	free(k->paths);
}

const char *
known_topic(const struct known *k, const char *topic)
{
	char path[256];

	snprintf(path, sizeof(path), "topics/%s", topic);
	return find(k, path);
}

const char *
known_subscription(const struct known *k, const char *topic,
    const char *subscription)
{
	char path[256];

	snprintf(path, sizeof(path), "topics/%s/eventSubscriptions/%s", topic,
	    subscription);
	return find(k, path);
}
