/* selection.h: over all blobs of all containers */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "array.h"
#include "clock.h"
#include "file.h"
#include "quote.h"
#include "selection.h"

#define PATIENCE 3 /* blobs in a row that Blob Storage does not give */

struct walk {
	const struct selection *selection;
	const struct container_use *use;
	const struct letter_walk *calls;
	struct fault *fault;
	struct container **containers; /* each once; those in the past: NULL */
	size_t n;
	jv seen;                       /* destinations */
	const char *namespace;         /* its name, or "" */
	char prefix[BLOB_NAME + 1];
	struct container *container;   /* where it is */
	unsigned silent; /* blobs in a row that it has not given */
	uint64_t selected;
	uint32_t strange; /* reasons that no letter had */
	bool enough;
	bool failed; /* fault says why */
};

static void
trouble(const struct walk *w, const char *container, const char *blob,
    uint64_t line, const struct fault *f)
{
	if (w->calls->trouble != NULL)
		w->calls->trouble(container, blob, line, f, w->calls->arg);
}

/* ---- which containers ---- */

/* Takes ownership. 0, or -1 and the walk's fault. */
static int
add_container(struct walk *w, struct container *c)
{
	struct container **room;
	size_t i;

	for (i = 0; i < w->n; i++)
		if (strcmp(container_name(w->containers[i]),
		    container_name(c)) == 0) {
			container_close(c);
			return 0;
		}
	room = array_room(w->containers, w->n, sizeof(*room));
	if (room == NULL) {
		container_close(c);
		return fault_set(w->fault, FAULT_INTERNAL, "out of memory");
	}
	w->containers = room;
	w->containers[w->n++] = c;
	return 0;
}

static bool
is_seen(const struct walk *w, jv destination)
{
	bool found = false;

	jv_array_foreach(w->seen, i, one) {
		found = found || jv_equal(jv_copy(one), jv_copy(destination));
		jv_free(one);
	}
	return found;
}

/* destination is consumed; null is none. */
static int
add_destination(struct walk *w, jv destination)
{
	struct container *c;
	struct fault f;
	char *name;
	int rc = 0;

	if (jv_get_kind(destination) == JV_KIND_OBJECT &&
	    !is_seen(w, destination)) {
		w->seen = jv_array_append(w->seen, jv_copy(destination));
		c = container_open(w->use, destination, NULL, &f);
		if (c != NULL) {
			rc = add_container(w, c);
		} else if ((name = container_destination_name(destination)) !=
		    NULL) {
			trouble(w, name, NULL, 0, &f);
			free(name);
		} else {
			rc = fault_set(w->fault, FAULT_INTERNAL,
			    "out of memory");
		}
	}
	jv_free(destination);
	return rc;
}

static int
on_resource(const char *path, jv resource, void *arg)
{
	int rc = 0;

	if (strstr(path, "/eventSubscriptions/") != NULL)
		rc = add_destination(arg, container_destination(resource));
	jv_free(resource);
	return rc;
}

static int
add_named(struct walk *w, const char *name)
{
	struct fault f;
	struct container *c = container_open_name(w->use, name, &f);

	if (c != NULL)
		return add_container(w, c);
	trouble(w, name, NULL, 0, &f);
	return 0;
}

/* Call fn with each directory in one of the spool, as PATH/NAME. */
static int
each_directory(struct walk *w, const char *path,
    int (*fn)(struct walk *, const char *))
{
	DIR *dir = file_opendir(w->use->spool->fd, path, 0);
	char name[sizeof(SPOOL_CONTAINERS) + 2 * (NAME_MAX + 1)];
	struct dirent *d;
	struct fault f;
	struct stat st;
	int rc = 0;

	if (dir == NULL) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 0;
		fault_errno(&f, FAULT_FORBIDDEN, "%s", path);
		trouble(w, path, NULL, 0, &f);
		return 0;
	}
	while (rc == 0 && (errno = 0, d = readdir(dir)) != NULL) {
		if (d->d_name[0] == '.' ||
		    fstatat(dirfd(dir), d->d_name, &st, 0) == -1 ||
		    !S_ISDIR(st.st_mode))
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, d->d_name);
		rc = fn(w, name);
	}
	if (rc == 0 && errno != 0) {
		fault_errno(&f, FAULT_INTERNAL, "%s", path);
		trouble(w, path, NULL, 0, &f);
	}
	closedir(dir);
	return rc;
}

static int
on_local_container(struct walk *w, const char *path)
{
	return add_named(w, path + sizeof(SPOOL_CONTAINERS));
}

static int
on_account(struct walk *w, const char *path)
{
	return each_directory(w, path, on_local_container);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(container_name(*(struct container *const *)a),
	    container_name(*(struct container *const *)b));
}

/* Of those that were gathered the one of that name, which is another's then, or
 * NULL. */
static struct container *
take_container(struct walk *w, const char *name)
{
	struct container *c;

	for (size_t i = 0; i < w->n; i++) {
		c = w->containers[i];
		if (strcmp(container_name(c), name) == 0) {
			w->containers[i] = w->containers[--w->n];
			return c;
		}
	}
	return NULL;
}

static int
gather(struct walk *w, struct registry *registry)
{
	struct container *c;

	if (w->selection->container != NULL) {
		c = selection_open(w->use, registry, w->selection->container,
		    w->fault);
		return c == NULL ? -1 : add_container(w, c);
	}
	if (registry_each(registry, "topics/", on_resource, w) != 0 ||
	    each_directory(w, SPOOL_CONTAINERS, on_account) == -1)
		return -1;
	if (w->n > 1)
		qsort(w->containers, w->n, sizeof(struct container *),
		    by_name);
	return 0;
}

/* ---- a blob ---- */

static int
fail(struct walk *w)
{
	w->failed = true;
	return -1;
}

static int
tell_letter(struct walk *w, const struct letter *l,
    const struct letter_place *place)
{
	uint64_t limit = w->selection->limit;
	bool selected = false;
	struct fault f;
	int rc;

	selection_meet(w->selection, l, &w->strange);
	if (!w->enough) {
		rc = selection_has(w->selection, l, place, &f);
		if (rc == -1)
			trouble(w, container_name(w->container), place->blob,
			    l->number, &f);
		selected = rc == 1;
	}
	rc = w->calls->letter(l, place, selected, w->calls->arg, w->fault);
	if (rc == -1)
		return fail(w);
	w->selected += selected;
	w->enough |= rc == 1 || (limit > 0 && w->selected >= limit);
	return 0;
}

static int
tell_letters(struct walk *w, const char *text, size_t len,
    const struct letter_place *place)
{
	struct letters letters = { .text = text, .len = len };
	struct letter l;
	struct fault f;
	int rc, told = 0;

	while (told == 0 && (rc = letters_next(&letters, &l, &f)) != 0) {
		if (rc == 1)
			told = tell_letter(w, &l, place);
		else
			trouble(w, container_name(w->container), place->blob,
			    l.number, &f);
	}
	letters_free(&letters);
	return told;
}

/* Each may take as long as a request to Blob Storage may. */
static char *
ask_for(struct walk *w, const struct letter_place *place, size_t *len,
    char etag[BLOB_ETAG], struct fault *f)
{
	char *text = container_get(w->container, place->blob, LETTER_BLOB_MAX,
	    len, etag, f);

	if (text == NULL && f->code == FAULT_UNAVAILABLE &&
	    container_is_remote(w->container))
		w->silent++;
	else
		w->silent = 0;
	return text;
}

/* NULL, and what is to be told has been: one that is gone is nobody's trouble,
 * as many may work in a container. */
static char *
read_blob(struct walk *w, const struct letter_place *place, size_t *len,
    char etag[BLOB_ETAG])
{
	char *text = NULL;
	struct fault f;

	if (place->size > LETTER_BLOB_MAX)
		fault_set(&f, FAULT_TOO_LARGE, "%" PRIu64 " bytes: more than "
		    "%d are not read", place->size, LETTER_BLOB_MAX);
	else
		text = ask_for(w, place, len, etag, &f);
	if (text == NULL && f.code != FAULT_NOT_FOUND)
		trouble(w, container_name(w->container), place->blob, 0, &f);
	return text;
}

static int
walk_blob(struct walk *w, struct letter_place place)
{
	const struct letter_walk *calls = w->calls;
	char etag[BLOB_ETAG], *text;
	size_t len;
	int rc;

	if (calls->blob != NULL) {
		rc = calls->blob(&place, calls->arg, w->fault);
		if (rc != 1)
			return rc == -1 ? fail(w) : 0;
	}
	if (calls->letter != NULL) {
		if ((text = read_blob(w, &place, &len, etag)) == NULL)
			return w->silent == PATIENCE;
		place.etag = etag;
		place.size = len;
		rc = tell_letters(w, text, len, &place);
		free(text);
		if (rc == -1)
			return -1;
	}
	rc = calls->end == NULL ? 0 : calls->end(&place, calls->arg, w->fault);
	if (rc == -1)
		return fail(w);
	w->enough |= rc == 1;
	return w->enough;
}

/*
 * What a blob's name and age say. In the path of an hour lies what died in it,
 * and in the namespace of the path, which may share the container with others;
 * it may have been written later than that, but not before.
 */
static bool
is_meant(const struct walk *w, const struct blob_path *path,
    const struct blob_entry *entry)
{
	const struct selection *s = w->selection;

	if (path->replayed || path->quarantine != s->quarantine ||
	    (path->hour != 0 && strcasecmp(path->namespace, w->namespace) != 0)
	    || (s->topic != NULL && strcmp(s->topic, path->topic) != 0) ||
	    (s->subscription != NULL &&
	    strcmp(s->subscription, path->subscription) != 0))
		return false;
	return path->hour == 0 || entry->modified >= s->since ||
	    path->hour + 3600 * CLOCK_SECOND > s->since;
}

static int
on_blob(const struct blob_entry *entry, void *arg)
{
	struct walk *w = arg;
	struct blob_path path;
	const struct letter_place place = { .container = w->container,
		.blob = entry->name, .etag = entry->etag, .path = &path,
		.modified = entry->modified, .size = entry->size };

	blob_path_read(&path, entry->name);
	return is_meant(w, &path, entry) ? walk_blob(w, place) : 0;
}

/* ---- names that are none ---- */

/* "topics/T" or "topics/T/eventSubscriptions/S": 1 when it is what was named. */
static int
is_named(const char *path, const char *text, size_t len, void *arg)
{
	const struct selection *s = arg;
	const char *topic = path + strlen("topics/");
	const char *subscription = strrchr(path, '/') + 1;
	size_t n = strcspn(topic, "/");

	(void)text, (void)len;
	if (s->topic != NULL && (strlen(s->topic) != n ||
	    memcmp(s->topic, topic, n) != 0))
		return 0;
	return s->subscription == NULL || (topic[n] == '/' &&
	    strcmp(s->subscription, subscription) == 0);
}

/* Is what was named there? Dead letters may be left of what is not. */
static bool
is_there(const struct selection *s, struct registry *registry)
{
	return (s->topic == NULL && s->subscription == NULL) ||
	    registry_each_text(registry, "topics/", is_named,
	    (void *)(uintptr_t)s) != 0;
}

static int
nothing_there(const struct selection *s, struct fault *f)
{
	char topic[QUOTE_MAX] = "", subscription[QUOTE_MAX] = "";

	if (s->topic != NULL)
		quote(topic, s->topic, strlen(s->topic));
	if (s->subscription != NULL)
		quote(subscription, s->subscription, strlen(s->subscription));
	return fault_set(f, FAULT_NOT_FOUND, "there is no %s '%.128s%s%.128s', "
	    "nor a dead letter of it that is meant",
	    s->subscription != NULL ? "subscription" : "topic", topic,
	    s->topic != NULL && s->subscription != NULL ? "/" : "",
	    subscription);
}

/* ---- all ---- */

/* What the names of all blobs that are meant begin with. */
static void
set_prefix(struct walk *w)
{
	const struct selection *s = w->selection;
	const char *aside = s->quarantine ? CONTAINER_QUARANTINE : "";
	size_t size = sizeof(w->prefix);
	int n;

	if (s->topic == NULL || w->namespace[0] == '\0')
		n = snprintf(w->prefix, size, "%s", aside);
	else
		n = snprintf(w->prefix, size, "%s%s/%s/%s%s", aside,
		    w->namespace, s->topic, s->subscription != NULL ? s->subscription : "",
		    s->subscription != NULL ? "/" : "");
	if (n < 0 || (size_t)n >= size)
		w->prefix[0] = '\0';
}

static int
walk_container(struct walk *w)
{
	const char *prefix = w->prefix[0] == '\0' ? NULL : w->prefix;
	struct fault f;
	int rc;

	w->silent = 0;
	rc = container_list(w->container, prefix, on_blob, w, &f);
	if (w->failed)
		return -1;
	if (w->silent == PATIENCE)
		rc = fault_set(&f, FAULT_UNAVAILABLE, "%d blobs in a row "
		    "cannot be read; the rest is left", PATIENCE);
	if (rc == -1)
		trouble(w, container_name(w->container), NULL, 0, &f);
	if (w->calls->leave != NULL && w->calls->leave(w->container,
	    w->calls->arg, w->fault) == -1)
		return -1;
	return 0;
}

static void
tell_slips(struct walk *w)
{
	struct fault f;

	while (w->calls->slip != NULL &&
	    selection_slip(w->selection, &w->strange, &f))
		w->calls->slip(&f, w->calls->arg);
}

int
selection_walk(const struct selection *s, const struct container_use *use,
    struct registry *registry, const struct letter_walk *calls,
    struct fault *f)
{
	const char *name = jq_str(use->namespace, "name");
	struct walk w = { .selection = s, .use = use, .calls = calls,
		.fault = f, .seen = jv_array(),
		.strange = selection_strange(s),
		.namespace = name != NULL ? name : "" };
	bool there = is_there(s, registry);
	int rc;

	rc = gather(&w, registry);
	registry_rest(registry);
	set_prefix(&w);
	for (size_t i = 0; i < w.n; i++) {
		w.container = w.containers[i];
		if (rc == 0 && !w.enough)
			rc = walk_container(&w);
		container_close(w.container);
	}
	free(w.containers);
	jv_free(w.seen);
	if (rc == 0 && !w.enough && calls->letter != NULL)
		tell_slips(&w);
	if (rc == 0 && !there && calls->letter != NULL && w.selected == 0)
		return nothing_there(s, f);
	return rc;
}

struct container *
selection_open(const struct container_use *use, struct registry *registry,
    const char *name, struct fault *f)
{
	static const struct letter_walk calls = { .trouble = NULL };
	struct walk w = { .use = use, .calls = &calls, .fault = f,
		.seen = jv_array() };
	struct container *c = container_open_name(use, name, f), *same = NULL;
	int rc = 0;

	if (c != NULL && container_is_remote(c))
		rc = registry_each(registry, "topics/", on_resource, &w);
	if (rc == 0 && w.n > 0)
		same = take_container(&w, container_name(c));
	while (w.n > 0)
		container_close(w.containers[--w.n]);
	free(w.containers);
	jv_free(w.seen);
	if (rc == 0 && same == NULL)
		return c;
	container_close(c);
	return same;
}
