/* what should be on disk, from topicd or from its files */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "books.h"
#include "clock.h"
#include "deliveries.h"
#include "jq.h"
#include "registry.h"
#include "stats.h"

#define CHECKPOINT_MAX (16 * 1024 * 1024)
#define MARK_BITS 8
#define PATH_SIZE 256 /* topics and subscriptions have at most 50 letters */

int
offsets_add(struct offsets *o, uint64_t offset)
{
	size_t cap = o->cap > 0 ? o->cap * 2 : 64;
	uint64_t *at;

	if (o->n == o->cap) {
		if ((at = realloc(o->at, cap * sizeof(*at))) == NULL)
			return -1;
		o->at = at;
		o->cap = cap;
	}
	o->at[o->n++] = offset;
	return 0;
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int
marks_add(struct offsets *o, int64_t offset, unsigned marks)
{
	if (offset < 0 || offset > (int64_t)(UINT64_MAX >> MARK_BITS))
		return 0;
	return offsets_add(o, (uint64_t)offset << MARK_BITS | marks);
}

/* What is equal but for the lower bits becomes one, with all of these. */
static void
sort(struct offsets *o, unsigned bits)
{
	size_t i, n = 0;

	if (o->n == 0)
		return;
	qsort(o->at, o->n, sizeof(*o->at), compare);
	for (i = 1; i < o->n; i++) {
		if (o->at[i] >> bits == o->at[n] >> bits)
			o->at[n] |= o->at[i];
		else
			o->at[++n] = o->at[i];
	}
	o->n = n + 1;
}

void
offsets_sort(struct offsets *o)
{
	sort(o, 0);
}

void
marks_sort(struct offsets *o)
{
	sort(o, MARK_BITS);
}

static bool
named(const char *have, const char *name, size_t len)
{
	return strlen(have) == len && memcmp(have, name, len) == 0;
}

struct ledger *
books_ledger(struct books *b, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < b->n; i++) {
		if (named(b->ledger[i].topic, name, len))
			return &b->ledger[i];
	}
	return NULL;
}

struct account *
ledger_account(struct ledger *l, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (named(l->account[i].name, name, len))
			return &l->account[i];
	}
	return NULL;
}

/* ---- which there are: the registry ---- */

struct listing {
	struct books *books;
	const char *only; /* a topic; NULL: all */
};

static char *
copy_string(jv v, const char *path)
{
	const char *s = jq_str(v, path);

	return strdup(s != NULL ? s : "");
}

static int
add_ledger(struct books *b, const char *name, jv resource)
{
	struct ledger *l = realloc(b->ledger, (b->n + 1) * sizeof(*l));
	char path[PATH_SIZE];

	if (l == NULL)
		return -1;
	b->ledger = l;
	l = &b->ledger[b->n++];
	*l = (struct ledger){ .topic = strdup(name),
		.uid = copy_string(resource, "uid"), .end = UINT64_MAX };
	snprintf(path, sizeof(path), "topics/%s", name);
	l->dir = openat(b->spool.fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->topic == NULL || l->uid == NULL)
		return -1;
	return l->dir == -1 && errno != ENOENT ? -1 : 0;
}

bool
books_expired(jv resource)
{
	const char *end = jq_str(resource, "properties.expirationTimeUtc");
	int64_t time;

	return end != NULL && clock_parse(end, strlen(end), &time) == 0 &&
	    time <= clock_now();
}

static int
add_account(struct ledger *l, const char *name, jv resource)
{
	struct account *a = realloc(l->account, (l->n + 1) * sizeof(*a));
	const char *created = jq_str(resource, "systemData.createdAt");

	if (a == NULL)
		return -1;
	l->account = a;
	a = &l->account[l->n++];
	*a = (struct account){ .name = strdup(name),
		.uid = copy_string(resource, "uid") };
	if (created != NULL)
		clock_parse(created, strlen(created), &a->created);
	return a->name == NULL || a->uid == NULL ? -1 : 0;
}

/* topics/T comes before all topics/T/eventSubscriptions/S. */
static int
list(const char *path, jv resource, void *arg)
{
	struct listing *of = arg;
	const char *topic = path + strlen("topics/");
	const char *slash = strchr(topic, '/');
	size_t len = slash != NULL ? (size_t)(slash - topic) : strlen(topic);
	struct ledger *l;
	int rc = 0;

	if (of->only == NULL || named(of->only, topic, len)) {
		if (slash == NULL)
			rc = add_ledger(of->books, topic, resource);
		else if (!books_expired(resource) &&
		    (l = books_ledger(of->books, topic, len)) != NULL)
			rc = add_account(l, strrchr(slash, '/') + 1, resource);
	}
	jv_free(resource);
	return rc;
}

static int
list_all(struct books *b, const char *only, struct fault *f)
{
	struct listing of = { b, only };
	struct registry *r = registry_open(&b->spool, false, f);
	int rc;

	if (r == NULL)
		return -1;
	rc = registry_each(r, "topics/", list, &of);
	registry_close(r);
	if (rc != 0)
		return fault_errno(f, FAULT_INTERNAL, "topics");
	if (only != NULL && b->n == 0)
		return fault_set(f, FAULT_NOT_FOUND, "topic '%s': not found",
		    only);
	return 0;
}

/* ---- their counts, from topicd ---- */

static void
take_account(struct account *a, jv line)
{
	a->counted = true;
	a->matched = stats_number(line, "matched");
	a->cursor = stats_number(line, "cursor");
	a->pending = stats_number(line, "pending");
	a->in_flight = stats_number(line, "inFlight");
	a->acknowledged = stats_number(line, "acknowledged");
	a->dead_lettered = stats_sum(line, "deadLettered");
	a->dropped = stats_sum(line, "dropped");
	a->settled_before = stats_number(line, "settledBefore");
}

static void
take_ledger(struct ledger *l, jv line)
{
	l->counted = true;
	l->start = stats_number(line, "start");
	l->end = stats_number(line, "end");
	l->number = stats_number(line, "number");
}

static void
take(jv line, void *arg)
{
	const char *topic = jq_str(line, "topic");
	const char *name = jq_str(line, "subscription");
	struct account *a;
	struct ledger *l = NULL;

	if (topic != NULL)
		l = books_ledger(arg, topic, strlen(topic));
	if (l != NULL && name == NULL)
		take_ledger(l, line);
	else if (l != NULL &&
	    (a = ledger_account(l, name, strlen(name))) != NULL)
		take_account(a, line);
	jv_free(line);
}

/* ---- their counts, from files ---- */

static uint64_t
sum(const uint64_t n[DL_REASONS])
{
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < DL_REASONS; i++)
		total += n[i];
	return total;
}

static int
read_deliveries(struct account *a, const struct deliveries *d)
{
	uint32_t i;

	a->cursor = d->cursor;
	a->acknowledged = d->acknowledged;
	a->settled_before = d->settled_before;
	a->dead_lettered = sum(d->dead_lettered);
	a->dropped = sum(d->dropped);
	for (i = 0; i < d->nslots; i++) {
		if (d->slot[i].state == DELIVERY_FREE)
			continue;
		a->in_flight++;
		if (offsets_add(&a->held, d->slot[i].offset) == -1)
			return -1;
	}
	offsets_sort(&a->held);
	return 0;
}

static int
read_account(const struct ledger *l, struct account *a, struct fault *f)
{
	char path[PATH_SIZE];
	struct deliveries d;
	struct stat st;
	int rc;

	snprintf(path, sizeof(path), "subscriptions/%s/state.ndjson", a->name);
	if (deliveries_open(&d, l->dir, path, a->uid, &a->counted, f) == -1)
		return -1;
	rc = read_deliveries(a, &d);
	deliveries_close(&d);
	if (rc == -1)
		return fault_errno(f, FAULT_INTERNAL, "%s", path);
	snprintf(path, sizeof(path), "subscriptions/%s/queue", a->name);
	if (fstatat(l->dir, path, &st, 0) == 0)
		a->matched = (uint64_t)st.st_size / sizeof(uint64_t);
	if (a->matched > a->cursor)
		a->pending = a->matched - a->cursor;
	return 0;
}

static void
take_vouched(struct account *a, jv subscriptions)
{
	jv sub = jv_null();
	const char *uid;

	if (jv_get_kind(subscriptions) == JV_KIND_OBJECT)
		sub = jv_object_get(jv_copy(subscriptions), jv_string(a->name));
	if (jv_get_kind(sub) == JV_KIND_OBJECT &&
	    (uid = jq_str(sub, "uid")) != NULL && strcmp(uid, a->uid) == 0)
		a->vouched = stats_number(sub, "queue");
	jv_free(sub);
}

/* A checkpoint is an index: one that cannot be read vouches for nothing. */
static void
read_checkpoint(struct ledger *l)
{
	char *text = NULL;
	const char *uid;
	size_t len = 0, i;
	jv v, subs;

	if (l->dir != -1)
		text = spool_read(l->dir, "checkpoint.json", CHECKPOINT_MAX,
		    &len);
	if (text == NULL)
		return;
	v = jq_parse(text, len, NULL);
	free(text);
	if (jv_get_kind(v) == JV_KIND_OBJECT &&
	    (uid = jq_str(v, "topic")) != NULL && strcmp(uid, l->uid) == 0) {
		l->vouched = stats_number(v, "offset");
		subs = jq_get(v, "subscriptions");
		for (i = 0; i < l->n; i++)
			take_vouched(&l->account[i], subs);
		jv_free(subs);
	}
	jv_free(v);
}

static int
read_files(struct books *b, struct fault *f)
{
	struct ledger *l;
	size_t i;

	for (l = b->ledger; l < b->ledger + b->n; l++) {
		read_checkpoint(l);
		l->counted = true;
		for (i = 0; l->dir != -1 && i < l->n; i++) {
			if (read_account(l, &l->account[i], f) == -1)
				return -1;
		}
	}
	return 0;
}

/* ---- */

int
books_open(struct books *b, const char *spool, const char *topic,
    struct fault *f)
{
	*b = (struct books){ .spool.fd = -1, .lock = -1 };
	if (spool_open(&b->spool, spool, f) == -1)
		return -1;
	b->lock = spool_lock(&b->spool, "topicd", f);
	b->running = b->lock == -1 && f->code == FAULT_CONFLICT;
	if ((b->lock == -1 && !b->running) || list_all(b, topic, f) == -1)
		goto fail;
	if (b->running ? stats_each(&b->spool, "topicd", NULL, NULL, take, b,
	    f) == -1 : read_files(b, f) == -1)
		goto fail;
	return 0;
fail:
	books_close(b);
	return -1;
}

static void
account_free(struct account *a)
{
	free(a->name);
	free(a->uid);
	free(a->held.at);
	free(a->drops.at);
	free(a->letters.at);
}

void
books_close(struct books *b)
{
	struct ledger *l;
	size_t i;

	for (l = b->ledger; l < b->ledger + b->n; l++) {
		for (i = 0; i < l->n; i++)
			account_free(&l->account[i]);
		free(l->account);
		free(l->topic);
		free(l->uid);
		if (l->dir != -1)
			close(l->dir);
	}
	free(b->ledger);
	if (b->lock != -1)
		close(b->lock);
	spool_close(&b->spool);
}
