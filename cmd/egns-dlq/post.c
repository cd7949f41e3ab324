#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "file.h"
#include "jq.h"
#include "log.h"
#include "merge.h"
#include "posting.h"

void
post_die(const char *what)
{
	log_fatal(EX_IOERR, "%s: %s", what, strerror(errno));
}

void
post_no_memory(void)
{
	log_fatal(EX_OSERR, "out of memory");
}

/* ---- settings ---- */

static int
add_role(const char *path, jv resource, void *arg)
{
	(void)path;
	jq_print(arg, resource, false);
	return 0;
}

/* What containers are made with, of a namespace, as text: its name, which is in
 * the id, and these. */
static char *
key_of(jv namespace, struct registry *r)
{
	static const char *const parts[] = { "properties.endpoints",
		"properties.trustedCertificates", "identity", "id" };
	struct buf b = { 0 };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		jq_print(&b, jq_get(namespace, parts[i]), false);
	registry_each(r, "roleAssignments/", add_role, &b);
	buf_add(&b, "", 1);
	if (b.bad)
		post_no_memory();
	return buf_data(&b);
}

static int
take_namespace(struct post *o, jv namespace, struct registry *r,
    struct fault *f)
{
	char *key = key_of(namespace, r);
	struct fetcher *fetcher;
	struct place *p;

	/* containers that are open have the one that we have */
	if (o->key != NULL && strcmp(key, o->key) == 0) {
		free(key);
		jv_free(namespace);
		return 0;
	}
	fetcher = fetcher_new(o->loop, jq_str(namespace,
	    "properties.trustedCertificates"), f);
	if (fetcher == NULL) {
		free(key);
		jv_free(namespace);
		return -1;
	}
	flights_end(o);
	fetcher_free(o->fetcher);
	o->fetcher = fetcher;
	free(o->key);
	o->key = key;
	jv_free(o->namespace);
	o->namespace = namespace;
	TAILQ_FOREACH(p, &o->places, entry)
		p->due = 0; /* what was missing may be there */
	return 0;
}

int
post_configure(struct post *o, struct registry *r, struct fault *f)
{
	static const struct schedule usual = { { 10, 60, 300 }, 3 };
	jv namespace = registry_get(r, "namespace");
	struct schedule schedule;
	struct lane *l;

	if (!jv_is_valid(namespace)) {
		jv_free(namespace);
		return fault_set(f, FAULT_NOT_FOUND, "there is no namespace");
	}
	schedule_read(&schedule, namespace, "deadLetterSchedule", &usual);
	if (take_namespace(o, namespace, r, f) == -1)
		return -1;
	o->schedule = schedule;
	TAILQ_FOREACH(l, &o->lanes, entry)
		lane_direct(o, l, r);
	places_sweep(o);
	return 0;
}

/* ---- life ---- */

struct loading {
	struct post *post;
	void (*saw)(const struct parcel *, void *);
	void *arg;
};

static int
load_parcel(struct parcel *p, void *arg)
{
	struct loading *a = arg;
	struct lane *l = lane_find(a->post, p);

	a->saw(p, a->arg);
	merge_insert(lane_list(l, p), p);
	return 0;
}

int
post_load(struct post *o, void (*saw)(const struct parcel *, void *),
    void *arg, struct fault *f)
{
	struct loading a = { o, saw, arg };
	int fd = o->spool->fd;
	struct lane *l;

	if (parcel_load(fd, false, load_parcel, &a) == -1 ||
	    parcel_load(fd, true, load_parcel, &a) == -1)
		return fault_errno(f, FAULT_INTERNAL, "deadletter");
	TAILQ_FOREACH(l, &o->lanes, entry) {
		if (merge_sweep(fd, &l->sorted, &l->tried) == -1)
			return fault_errno(f, FAULT_INTERNAL, "deadletter");
		lane_crowd(o, l);
	}
	return 0;
}

struct post *
post_new(struct ev_loop *loop, const struct spool *spool,
    void (*changed)(void *), void *arg)
{
	struct post *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->loop = loop;
	o->spool = spool;
	o->changed = changed;
	o->arg = arg;
	o->namespace = jv_null();
	o->by_name = tcmapnew();
	o->counters = counters_new();
	TAILQ_INIT(&o->lanes);
	TAILQ_INIT(&o->places);
	TAILQ_INIT(&o->flying);
	TAILQ_INIT(&o->landed);
	return o;
}

static void
free_parcels(struct parcels *list)
{
	struct parcel *p;

	while ((p = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, p, entry);
		free(p);
	}
}

void
post_free(struct post *o)
{
	struct place *p;
	struct lane *l;

	if (o == NULL)
		return;
	flights_end(o);
	flights_forget(o);
	while ((l = TAILQ_FIRST(&o->lanes)) != NULL) {
		TAILQ_REMOVE(&o->lanes, l, entry);
		free_parcels(&l->sorted);
		free_parcels(&l->tried);
		free(l);
	}
	while ((p = TAILQ_FIRST(&o->places)) != NULL) {
		TAILQ_REMOVE(&o->places, p, entry);
		place_free(p);
	}
	tcmapdel(o->by_name);
	counters_free(o->counters);
	fetcher_free(o->fetcher);
	jv_free(o->namespace);
	free(o->key);
	free(o);
}
