#include "container.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "array.h"
#include "clock.h"
#include "container_dir.h"
#include "endpoint.h"
#include "jq.h"
#include "putter.h"
#include "quote.h"
#include "storage.h"
#include "storage_role.h"

#define LOCAL SPOOL_CONTAINERS "/"
#define SILENCES 2     /* in a row, and a container is not asked again */
#define PAGES_MAX 1000 /* of a list, in a row, without a blob */

struct container {
	char *name;
	struct ev_loop *loop;
	struct blob_use use;
	struct blob_container *remote; /* NULL: a directory */
	unsigned silences;             /* of it, in a row */
	int64_t deadline;
	struct container_dir dir;
	struct putter *putter;         /* of it; NULL: not needed yet */
};

/* ---- which it is ---- */

static struct container *
no_memory(struct container *c, struct fault *f)
{
	fault_set(f, FAULT_INTERNAL, "out of memory");
	container_close(c);
	return NULL;
}

static struct container *
new_container(const struct container_use *use)
{
	struct container *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->loop = use->loop;
	c->use.loop = use->loop;
	c->use.dir = use->spool->fd;
	c->use.fetcher = use->fetcher;
	c->deadline = use->deadline;
	return c;
}

/* A directory; the path is that of the spool, unless it is absolute. */
static struct container *
open_directory(const struct container_use *use, const char *name,
    const char *path, struct fault *f)
{
	struct container *c = new_container(use);

	if (c == NULL || (c->name = strdup(name)) == NULL ||
	    (c->dir.path = strdup(path)) == NULL)
		return no_memory(c, f);
	c->dir.root = path[0] == '/' ? AT_FDCWD : use->spool->fd;
	if (path[0] == '/')
		c->dir.shown = strdup(path);
	else if (asprintf(&c->dir.shown, "%s/%s", use->spool->path,
	    path[0] == '.' && path[1] == '/' ? path + 2 : path) == -1)
		c->dir.shown = NULL;
	return c->dir.shown == NULL ? no_memory(c, f) : c;
}

/* An absolute path that leads into the spool is one of the spool. */
static const char *
of_spool(const struct spool *spool, const char *path)
{
	char link[32], at[PATH_MAX];
	ssize_t n;
	size_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", spool->fd);
	if ((n = readlink(link, at, sizeof(at))) <= 0)
		return path;
	len = (size_t)n;
	if (strncmp(path, at, len) != 0 ||
	    (path[len] != '/' && path[len] != '\0'))
		return path;
	path += len;
	path += strspn(path, "/");
	return *path != '\0' ? path : ".";
}

/* Of the Directory type. Its name cannot be taken for ACCOUNT/CONTAINER. */
static struct container *
open_path(const struct container_use *use, const char *given, struct fault *f)
{
	char path[PATH_MAX], name[PATH_MAX + 2];
	struct fault why;
	size_t len;

	given = of_spool(use->spool, given);
	len = strlen(given);
	if (storage_check_path(given, &why) == -1) {
		fault_set(f, FAULT_BAD_REQUEST, "the path of a container %s",
		    why.text);
		return NULL;
	}
	while (len > 1 && given[len - 1] == '/')
		len--;
	if (len >= sizeof(path)) {
		fault_set(f, FAULT_BAD_REQUEST,
		    "the path of a container has more than %d bytes",
		    PATH_MAX - 1);
		return NULL;
	}
	snprintf(path, sizeof(path), "%.*s", (int)len, given);
	snprintf(name, sizeof(name), "%s%s",
	    path[0] == '/' || path[0] == '.' ? "" : "./", path);
	return open_directory(use, name, path, f);
}

static bool
is_part(const char *name)
{
	size_t len = strlen(name);

	return len <= NAME_MAX && container_dir_part(name, len) &&
	    strchr(name, '/') == NULL;
}

/* Of an account that is a directory of the spool. */
static struct container *
open_local(const struct container_use *use, const char *account,
    const char *container, struct fault *f)
{
	char path[sizeof(LOCAL) + 2 * NAME_MAX + 2], q[QUOTE_MAX];

	if (!is_part(account) || !is_part(container)) {
		fault_set(f, FAULT_BAD_REQUEST, "'%s' cannot be the name of a "
		    "container", quote(q, container, strlen(container)));
		return NULL;
	}
	snprintf(path, sizeof(path), LOCAL "%s/%s", account, container);
	return open_directory(use, path + sizeof(LOCAL) - 1, path, f);
}

/* The entry is consumed. */
static struct container *
open_remote(const struct container_use *use, jv entry, const char *identity,
    const char *container, struct fault *f)
{
	struct container *c = new_container(use);

	if (c == NULL) {
		jv_free(entry);
		return no_memory(c, f);
	}
	c->remote = blob_open(&c->use, entry, identity, container, f);
	if (c->remote == NULL) {
		container_close(c);
		return NULL;
	}
	c->name = strdup(blob_url(c->remote));
	return c->name == NULL ? no_memory(c, f) : c;
}

/* ---- what a destination means ---- */

#define PROPERTIES "deadLetterDestination.properties."

jv
container_destination(jv subscription)
{
	static const char *const where[] = {
		"properties.deliveryConfiguration.queue."
		"deadLetterDestinationWithResourceIdentity",
		"properties.deliveryConfiguration.push."
		"deadLetterDestinationWithResourceIdentity",
	};

	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		jv d = jq_get(subscription, where[i]);

		if (jv_get_kind(d) == JV_KIND_OBJECT)
			return d;
		jv_free(d);
	}
	return jv_null();
}

char *
container_destination_name(jv destination)
{
	const char *id = jq_str(destination, PROPERTIES "resourceId");
	const char *name = jq_str(destination, id != NULL ?
	    PROPERTIES "blobContainerName" : PROPERTIES "path");
	char account[STORAGE_ACCOUNT], *out;
	const char *first = "./", *slash = "";

	if (id != NULL) {
		first = storage_account(account, id) == 0 ? account :
		    storage_name(id);
		slash = "/";
	} else if (name == NULL || *name == '/' || *name == '.') {
		first = "";
	}
	if (asprintf(&out, "%s%s%s", first, slash,
	    name != NULL ? name : "?") == -1)
		return NULL;
	return out;
}

/* Has the spool such an account? */
static bool
is_local(const struct container_use *use, const char *account)
{
	char path[sizeof(LOCAL) + STORAGE_ACCOUNT];
	struct stat st;

	snprintf(path, sizeof(path), LOCAL "%s", account);
	return fstatat(use->spool->fd, path, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static struct container *
no_account(const struct container_use *use, const char *id,
    const char *account, struct fault *f)
{
	char q[QUOTE_MAX], spool[QUOTE_MAX];

	fault_set(f, FAULT_NOT_FOUND, "the namespace's endpoints have no "
	    "storage account '%.150s'; to make it one of this machine: "
	    "mkdir %.150s/" LOCAL "%s", quote(q, id, strlen(id)),
	    quote(spool, use->spool->path, strlen(use->spool->path)), account);
	return NULL;
}

/* In an account that the namespace has no endpoint of. */
static struct container *
open_account(const struct container_use *use, const char *id,
    const char *container, jv identity, struct registry *registry,
    struct fault *f)
{
	char account[STORAGE_ACCOUNT];
	struct fault why;

	if (storage_check_account(id, &why) == -1) {
		fault_set(f, why.code, "the dead-letter destination's "
		    "resourceId %s", why.text);
		return NULL;
	}
	storage_account(account, id);
	if (!is_local(use, account))
		return no_account(use, id, account, f);
	if (registry != NULL && storage_role_check(registry, use->namespace,
	    identity, id, container, f) == -1)
		return NULL;
	return open_local(use, account, container, f);
}

static struct container *
open_blob(const struct container_use *use, jv destination,
    struct registry *registry, struct fault *f)
{
	const char *id = jq_str(destination, PROPERTIES "resourceId");
	const char *container = jq_str(destination,
	    PROPERTIES "blobContainerName");
	struct container *c;
	jv entry, identity;

	if (id == NULL || container == NULL) {
		fault_set(f, FAULT_BAD_REQUEST, "the dead-letter destination "
		    "lacks its resourceId or blobContainerName");
		return NULL;
	}
	identity = jq_get(destination, "identity");
	entry = endpoint_find(use->namespace, id);
	if (jv_get_kind(entry) == JV_KIND_OBJECT) {
		c = open_remote(use, entry, jq_str(identity,
		    "userAssignedIdentity"), container, f);
	} else {
		jv_free(entry);
		c = open_account(use, id, container, identity, registry, f);
	}
	jv_free(identity);
	return c;
}

struct container *
container_open(const struct container_use *use, jv destination,
    struct registry *registry, struct fault *f)
{
	const char *type, *path;

	type = jq_str(destination, "deadLetterDestination.endpointType");
	if (type != NULL && strcasecmp(type, "StorageBlob") == 0)
		return open_blob(use, destination, registry, f);
	path = jq_str(destination, PROPERTIES "path");
	if (type != NULL && strcasecmp(type, "Directory") == 0 && path != NULL)
		return open_path(use, path, f);
	if (type == NULL)
		fault_set(f, FAULT_BAD_REQUEST, "neither the subscription nor "
		    "its records have a dead-letter destination: which it is "
		    "tells ls deadletter/sending; make it, or give it one");
	else
		fault_set(f, FAULT_BAD_REQUEST, "the dead-letter destination "
		    "is neither a StorageBlob nor a Directory with its path");
	return NULL;
}

/* Is it this account's container? The entry is consumed. */
static struct container *
open_if(const struct container_use *use, jv entry, const char *url,
    const char *container)
{
	struct container *c = open_remote(use, entry, NULL, container, NULL);

	if (c == NULL || strcasecmp(c->name, url) == 0)
		return c;
	container_close(c);
	return NULL;
}

/* Each account is asked what it would call the container. */
static struct container *
open_url(const struct container_use *use, const char *given, struct fault *f)
{
	jv list = jq_get(use->namespace, "properties.endpoints");
	struct container *c = NULL;
	size_t len = strcspn(given, "?#");
	char *url = strndup(given, len), *slash, q[QUOTE_MAX];

	while (url != NULL && len > 0 && url[len - 1] == '/')
		url[--len] = '\0';
	slash = url == NULL ? NULL : strrchr(url, '/');
	if (slash != NULL && jv_get_kind(list) == JV_KIND_ARRAY) {
		jv_array_foreach(list, i, entry) {
			const char *id = jq_str(entry, "resourceId");

			if (c == NULL && id != NULL &&
			    storage_check_account(id, NULL) == 0)
				c = open_if(use, jv_copy(entry), url,
				    slash + 1);
			jv_free(entry);
		}
	}
	if (c == NULL)
		fault_set(f, FAULT_NOT_FOUND, "the namespace's endpoints have "
		    "no storage account for '%s'", quote(q, given,
		    strcspn(given, "?#")));
	jv_free(list);
	free(url);
	return c;
}

struct container *
container_open_name(const struct container_use *use, const char *name,
    struct fault *f)
{
	const char *slash = strchr(name, '/');
	char account[NAME_MAX + 1], q[QUOTE_MAX];

	if (strstr(name, "://") != NULL)
		return open_url(use, name, f);
	if (name[0] == '/' || name[0] == '.')
		return open_path(use, name, f);
	if (slash == NULL || (size_t)(slash - name) >= sizeof(account) ||
	    strchr(slash + 1, '/') != NULL) {
		fault_set(f, FAULT_BAD_REQUEST, "'%s' is no container: "
		    "ACCOUNT/NAME, a path that begins with / or ., or a URL",
		    quote(q, name, strlen(name)));
		return NULL;
	}
	snprintf(account, sizeof(account), "%.*s", (int)(slash - name), name);
	return open_local(use, account, slash + 1, f);
}

void
container_close(struct container *c)
{
	if (c == NULL)
		return;
	if (c->remote != NULL)
		blob_close(c->remote);
	putter_free(c->putter);
	free(c->dir.path);
	free(c->dir.shown);
	free(c->name);
	free(c);
}

const char *
container_name(const struct container *c)
{
	return c->name;
}

bool
container_is_remote(const struct container *c)
{
	return c->remote != NULL;
}

/* ---- requests that are waited for ---- */

struct waiting {
	struct container *container;
	struct fault *fault;
	bool done, late;
	ev_timer deadline;
	int rc;
	char *text; /* of a get: a copy; of a list: the next marker */
	size_t len;
	bool keep;  /* is the text wanted? */
	char *etag; /* or NULL */
};

/* A copy with a NUL behind. */
static int
keep_text(struct waiting *w, const struct blob_answer *a)
{
	if ((w->text = malloc(a->len + 1)) == NULL)
		return fault_set(w->fault, FAULT_INTERNAL, "out of memory");
	if (a->len > 0)
		memcpy(w->text, a->text, a->len);
	w->text[a->len] = '\0';
	w->len = a->len;
	return 0;
}

static void
landed(const struct blob_answer *a, void *arg)
{
	struct waiting *w = arg;

	w->done = true;
	w->container->silences = a->silent ? w->container->silences + 1 : 0;
	if (a->result != BLOB_DONE)
		w->rc = fault_set(w->fault, a->fault.code, "%s",
		    a->fault.text);
	else if (w->keep)
		w->rc = keep_text(w, a);
	if (w->rc == 0 && w->etag != NULL)
		snprintf(w->etag, BLOB_ETAG, "%s", a->etag);
	ev_break(w->container->loop, EVBREAK_ONE);
}

static void
on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct waiting *w = timer->data;

	(void)events;
	w->late = true;
	ev_break(loop, EVBREAK_ONE);
}

/* Somebody else's events may end the loop's run, too. */
static void
run_until(struct waiting *w, int64_t deadline)
{
	struct ev_loop *loop = w->container->loop;
	double left = (double)(deadline - clock_mono()) / CLOCK_SECOND;

	ev_timer_init(&w->deadline, on_deadline, left > 0 ? left : 0, 0);
	w->deadline.data = w;
	if (deadline != 0) {
		ev_now_update(loop);
		ev_timer_start(loop, &w->deadline);
	}
	while (!w->done && !w->late && ev_run(loop, 0))
		;
	ev_timer_stop(loop, &w->deadline);
}

static int
await(struct waiting *w, struct blob_request *r)
{
	struct container *c = w->container;

	if (r == NULL)
		return fault_set(w->fault, FAULT_INTERNAL, "out of memory");
	if (c->silences >= SILENCES) {
		blob_drop(r); /* nothing of it has been sent */
		return fault_set(w->fault, FAULT_UNAVAILABLE,
		    "it was silent twice, and is not asked again");
	}
	run_until(w, c->deadline);
	if (w->done)
		return w->rc;
	blob_drop(r);
	if (w->late)
		return fault_set(w->fault, FAULT_UNAVAILABLE,
		    "no answer in the time that there is");
	return fault_set(w->fault, FAULT_INTERNAL, "nobody waits for '%s'",
	    c->name);
}

/* ---- put, get, replace, delete ---- */

int
container_put_start(struct container *c, const char *name, const void *text,
    size_t len, blob_done *done, void *arg)
{
	if (c->remote != NULL)
		return blob_put(c->remote, name, text, len, NULL, done, arg) ==
		    NULL ? -1 : 0;
	if (c->putter == NULL &&
	    (c->putter = putter_new(c->loop, &c->dir)) == NULL)
		return -1;
	return putter_put(c->putter, name, text, len, done, arg);
}

int
container_put(struct container *c, const char *name, const void *text,
    size_t len, struct fault *f)
{
	struct waiting w = { .container = c, .fault = f };
	char etag[BLOB_ETAG];

	if (c->remote == NULL)
		return container_dir_put(&c->dir, name, text, len, etag, f) ==
		    BLOB_DONE ? 0 : -1;
	return await(&w, blob_put(c->remote, name, text, len, NULL, landed,
	    &w));
}

char *
container_get(struct container *c, const char *name, size_t max, size_t *len,
    char etag[BLOB_ETAG], struct fault *f)
{
	struct waiting w = { .container = c, .fault = f, .keep = true,
		.etag = etag };
	char *text = NULL;

	if (c->remote == NULL)
		return container_dir_get(&c->dir, name, max, &text, len, etag,
		    f) == BLOB_DONE ? text : NULL;
	if (await(&w, blob_get(c->remote, name, max, landed, &w)) == -1) {
		free(w.text);
		return NULL;
	}
	*len = w.len;
	return w.text;
}

int
container_replace(struct container *c, const char *name, const char *etag,
    const void *text, size_t len, struct fault *f)
{
	struct waiting w = { .container = c, .fault = f };

	if (c->remote == NULL)
		return container_dir_replace(&c->dir, name, etag, text, len,
		    f) == BLOB_DONE ? 0 : -1;
	return await(&w, blob_put(c->remote, name, text, len, etag, landed,
	    &w));
}

int
container_delete(struct container *c, const char *name, const char *etag,
    struct fault *f)
{
	struct waiting w = { .container = c, .fault = f };

	if (c->remote == NULL)
		return container_dir_delete(&c->dir, name, etag, f) ==
		    BLOB_DONE ? 0 : -1;
	return await(&w, blob_delete(c->remote, name, etag, landed, &w));
}

/* ---- list ---- */

struct listed {
	uint64_t size;
	int64_t modified;
	size_t name, etag; /* where they begin in the page's text */
};

/* Of Blob Storage: told of when all of it is here. */
struct page {
	struct waiting wait; /* first: what requests know */
	struct buf text;
	struct listed *listed;
	size_t n;
	bool bad; /* no memory */
};

static size_t
add_text(struct page *p, const char *s)
{
	size_t at = p->text.len;

	buf_add(&p->text, s, strlen(s) + 1);
	return at;
}

static void
list_entry(const struct blob_entry *e, void *arg)
{
	struct page *p = arg;
	struct listed *listed = array_room(p->listed, p->n, sizeof(*listed));

	if (listed == NULL) {
		p->bad = true;
		return;
	}
	p->listed = listed;
	listed += p->n++;
	listed->size = e->size;
	listed->modified = e->modified;
	listed->name = add_text(p, e->name);
	listed->etag = add_text(p, e->etag);
}

static void
page_free(struct page *p)
{
	free(p->wait.text);
	buf_free(&p->text);
	free(p->listed);
}

static int
page_get(struct page *p, struct container *c, const char *prefix,
    const char *marker, struct fault *f)
{
	struct waiting *w = &p->wait;

	*w = (struct waiting){ .container = c, .fault = f, .keep = true };
	if (await(w, blob_list(c->remote, prefix, marker, list_entry, landed,
	    p)) == -1)
		return -1;
	if (p->bad || p->text.bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	return 0;
}

static int
page_tell(const struct page *p, int (*fn)(const struct blob_entry *, void *),
    void *arg)
{
	const char *text = buf_data(&p->text);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < p->n; i++) {
		const struct listed *l = &p->listed[i];
		const struct blob_entry e = { text + l->name, l->size,
			l->modified, text + l->etag };

		rc = fn(&e, arg);
	}
	return rc;
}

/* The way through the pages of a list. */
struct course {
	char *mark;          /* the marker of a page that was seen */
	uint64_t pages, next; /* when it is another's */
	unsigned empty;      /* pages without a blob, in a row */
};

/* A list that comes back to a page has its mark again, once that is of a page that
 * it comes back to: it is replaced less and less often. */
static bool
is_endless(struct course *c, const struct page *p, const char *marker)
{
	c->empty = p->n == 0 ? c->empty + 1 : 0;
	if (c->empty > PAGES_MAX ||
	    (c->mark != NULL && strcmp(c->mark, marker) == 0))
		return true;
	if (c->pages++ == c->next) {
		free(c->mark);
		c->mark = strdup(marker);
		c->next = 2 * c->pages;
	}
	return false;
}

static int
list_remote(struct container *c, const char *prefix,
    int (*fn)(const struct blob_entry *, void *), void *arg, struct fault *f)
{
	struct course course = { .next = 0 };
	char *marker = NULL;
	bool more = true;
	int rc = 0;

	while (rc == 0 && more) {
		struct page p = { .n = 0 };

		rc = page_get(&p, c, prefix, marker, f);
		free(marker);
		marker = NULL;
		if (rc == 0 && (more = p.wait.len > 0)) {
			marker = p.wait.text;
			p.wait.text = NULL;
		}
		if (rc == 0)
			rc = page_tell(&p, fn, arg);
		if (rc == 0 && more && is_endless(&course, &p, marker))
			rc = fault_set(f, FAULT_UNAVAILABLE,
			    "the list does not come to an end");
		page_free(&p);
	}
	free(course.mark);
	free(marker);
	return rc;
}

int
container_list(struct container *c, const char *prefix,
    int (*fn)(const struct blob_entry *, void *arg), void *arg,
    struct fault *f)
{
	if (c->remote != NULL)
		return list_remote(c, prefix, fn, arg, f);
	return container_dir_list(&c->dir, prefix, fn, arg, f);
}
