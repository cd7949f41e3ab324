/* a topic: its life, and that of its subscriptions */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "jq.h"
#include "local.h"
#include "log.h"


/* ---- what ceases ---- */

bool
topic_gone(struct store *st, const char *topic, const char *subscription,
    const char *reason, const char *members)
{
	char time[CLOCK_TEXT + 1];
	struct buf b = { 0 };
	int rc;

	clock_format(time, clock_now());
	buf_printf(&b, "{\"time\":\"%s\",\"topic\":", time);
	buf_json(&b, topic, strlen(topic));
	if (subscription != NULL) {
		buf_str(&b, ",\"subscription\":");
		buf_json(&b, subscription, strlen(subscription));
	}
	buf_printf(&b, ",\"reason\":\"%s\"%s}\n", reason, members);
	rc = b.bad ? -1 :
		     dropped_append(st->spool->fd, clock_now(), buf_data(&b),
			 b.len);
	if (rc == -1)
		log_warn("topic '%s': dropped/: %s: its files stay", topic,
		    strerror(errno));
	buf_free(&b);
	return rc == 0;
}

/* ---- life ---- */

static int
add_subscription(struct topic *t, struct subscription *s)
{
	struct subscription **subs;

	subs = realloc(t->subs, (t->nsubs + 1) * sizeof(*subs));
	if (subs == NULL)
		return -1;
	t->subs = subs;
	t->subs[t->nsubs++] = s;
	return 0;
}

static struct subscription *
by_path(struct topic *t, const char *path)
{
	const char *name = strrchr(path, '/');

	return name ? store_subscription(t, name + 1, strlen(name + 1)) : NULL;
}

/* One subscription of the registry, at start or at a reload. */
struct take_up {
	struct topic *topic;
	bool running;
	struct fault *fault;
};

/* Begins now, behind all that is in the log. */
static int
begin(struct subscription *s, struct fault *fault)
{
	struct deliveries_save save = { .dir = s->topic->dir,
		.path = s->state_path };
	bool fatal;

	if (subscription_recover(s, 0, journal_end(s->topic->journal), fault) ==
	    -1)
		return -1;
	s->d.from = s->d.after = journal_end(s->topic->journal);
	subscription_recovered(s);
	if (deliveries_changes(&s->d, &save) &&
	    (save.text.bad || deliveries_save(&save, &fatal) == -1))
		fault_errno(fault, FAULT_INTERNAL, "%s", s->state_path);
	else
		fault = NULL;
	buf_free(&save.text);
	return fault ? -1 : 0;
}

/* One that has expired, and whose end is on record: nothing of it is left. */
static bool
has_ceased(struct topic *t, const char *name, jv resource)
{
	const char *end = jq_str(resource, "properties.expirationTimeUtc");
	char path[128];
	int64_t us;

	snprintf(path, sizeof(path), "subscriptions/%s", name);
	return end != NULL && clock_parse(end, strlen(end), &us) == 0 &&
	    us <= clock_now() && faccessat(t->dir, path, F_OK, 0) == -1;
}

static int
take_up(const char *path, jv resource, void *arg)
{
	struct take_up *u = arg;
	struct topic *t = u->topic;
	struct subscription *s = by_path(t, path);
	const char *uid = jq_str(resource, "uid");

	if (has_ceased(t, strrchr(path, '/') + 1, resource)) {
		jv_free(resource);
		return 0;
	}
	if (s != NULL && (uid == NULL || strcmp(uid, s->uid) == 0)) {
		s->seen = true;
		return subscription_configure(s, resource, u->fault);
	}
	s = subscription_new(t, strrchr(path, '/') + 1, resource, u->fault);
	if (s == NULL)
		return -1;
	s->seen = true;
	if ((u->running && begin(s, u->fault) == -1) ||
	    add_subscription(t, s) == -1) {
		subscription_free(s);
		return -1;
	}
	return 0;
}

/* How many events a subscription still had, and where in the log they are. */
static bool
record_subscription(struct subscription *s, const char *reason)
{
	uint64_t left = s->queue.count - s->d.cursor + s->d.used;
	char members[160];

	if (left == 0)
		return true;
	snprintf(members, sizeof(members),
	    ",\"count\":%llu,\"from\":%llu,\"to\":%llu",
	    (unsigned long long)left, (unsigned long long)subscription_needs(s),
	    (unsigned long long)journal_end(s->topic->journal));
	return topic_gone(s->topic->store, s->topic->name, s->name, reason,
	    members);
}

/* What stands in a directory of topics, or (of topic t) of subscriptions. */
void
topic_remove_strays(struct store *st, struct topic *t)
{
	int at = t ? t->dir : st->spool->fd;
	const char *where = t ? "subscriptions" : "topics";
	DIR *dir = file_opendir(at, where, 0);
	struct dirent *e;
	char path[300];
	size_t len;

	if (dir == NULL)
		return;
	while ((e = readdir(dir)) != NULL) {
		len = strlen(e->d_name);
		if (e->d_name[0] == '.' ||
		    (t ? (void *)store_subscription(t, e->d_name, len) :
			 (void *)store_topic(st, e->d_name, len)) != NULL)
			continue;
		snprintf(path, sizeof(path), "%s/%s", where, e->d_name);
		log_warn("%s was deleted: removing what it left", path);
		if (topic_gone(st, t ? t->name : e->d_name,
			t ? e->d_name : NULL,
			t ? "SubscriptionDeleted" : "TopicDeleted", "") &&
		    spool_remove(at, path) == -1)
			log_warn("%s: %s", path, strerror(errno));
	}
	closedir(dir);
}

/* A subscription that ceases takes its files with it. */
bool
topic_remove(struct topic *t, size_t i, const char *reason)
{
	struct subscription *s = t->subs[i], *n;
	char path[128];
	bool recorded;

	t->store->hooks.gone(s, t->store->hooks.arg);
	recorded = record_subscription(s, reason);
	snprintf(path, sizeof(path), "subscriptions/%s", s->name);
	n = store_subscription(t, s->name, strlen(s->name));
	memmove(&t->subs[i], &t->subs[i + 1],
	    (t->nsubs - i - 1) * sizeof(t->subs[0]));
	t->nsubs--;
	/* the same name created again has the directory now */
	if (n == s && recorded &&
	    store_subscription(t, s->name, strlen(s->name)) == NULL &&
	    spool_remove(t->dir, path) == -1)
		log_warn("%s/%s: %s", t->name, path, strerror(errno));
	subscription_free(s);
	return recorded;
}

static int
each_subscription(struct topic *t, struct registry *reg, bool running,
    struct fault *fault)
{
	struct take_up u = { t, running, fault };
	char prefix[128];

	snprintf(prefix, sizeof(prefix), "topics/%s/eventSubscriptions/",
	    t->name);
	return registry_each(reg, prefix, take_up, &u) ? -1 : 0;
}

static void
configure(struct topic *t, jv resource)
{
	t->retention = CLOCK_DAY *
	    jq_int(jq_get(resource, "properties.eventRetentionInDays"), 1);
}

int
topic_configure(struct topic *t, jv resource, struct registry *reg,
    struct fault *fault)
{
	size_t i;

	configure(t, resource);
	jv_free(resource);
	for (i = 0; i < t->nsubs; i++)
		t->subs[i]->seen = false;
	/* Queues so far were matched by the filters so far: say so on disk
	 * before others are in force. */
	if (topic_write_checkpoint(t, fault) == -1 ||
	    each_subscription(t, reg, true, fault) == -1)
		return -1;
	for (i = t->nsubs; i-- > 0;)
		if (!t->subs[i]->seen)
			topic_remove(t, i, "SubscriptionDeleted");
	return topic_try_checkpoint(t, fault);
}

static int
open_dir(struct topic *t, struct fault *fault)
{
	char path[128];

	snprintf(path, sizeof(path), "topics/%s/subscriptions", t->name);
	if (spool_mkdir(t->store->spool->fd, path, 0755) == -1)
		return fault_errno(fault, FAULT_INTERNAL, "%s", path);
	snprintf(path, sizeof(path), "topics/%s", t->name);
	t->dir = openat(t->store->spool->fd, path,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->dir == -1)
		return fault_errno(fault, FAULT_INTERNAL, "%s", path);
	return 0;
}

int
topic_remove_files(struct store *st, const char *name)
{
	/* The checkpoint tells whose they are, so it goes last: a topic of the
	 * same name must not take what a crash leaves for its own. */
	static const char *const order[] = { "/log", "/subscriptions", "" };
	char path[128];
	size_t i;

	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		snprintf(path, sizeof(path), "topics/%s%s", name, order[i]);
		if (spool_remove(st->spool->fd, path) == -1)
			return -1;
	}
	return 0;
}

/* A directory left by an earlier topic of the same name is not ours. */
static int
clear_stale(struct topic *t, jv *checkpoint, struct fault *fault)
{
	const char *uid;
	char path[128];

	if (!jv_is_valid(*checkpoint) ||
	    ((uid = jq_str(*checkpoint, "topic")) != NULL &&
		strcmp(uid, t->uid) == 0))
		return 0;
	jv_free(*checkpoint);
	*checkpoint = jv_invalid();
	close(t->dir);
	t->dir = -1;
	snprintf(path, sizeof(path), "topics/%s", t->name);
	log_warn("topic '%s': removing what a deleted topic of this name left",
	    t->name);
	if (!topic_gone(t->store, t->name, NULL, "TopicDeleted", ""))
		return fault_set(fault, FAULT_TOO_MANY, "%s: dropped/ cannot be "
		    "written", path);
	if (topic_remove_files(t->store, t->name) == -1)
		return fault_errno(fault, FAULT_INTERNAL, "%s", path);
	return open_dir(t, fault);
}

struct topic *
topic_open(struct store *st, const char *name, jv resource,
    struct registry *reg, struct fault *fault)
{
	const char *uid = jq_str(resource, "uid");
	jv checkpoint;
	struct topic *t;
	int rc;

	if ((t = calloc(1, sizeof(*t))) == NULL) {
		jv_free(resource);
		fault_errno(fault, FAULT_INTERNAL, "topic '%s'", name);
		return NULL;
	}
	t->store = st;
	t->dir = -1;
	t->seen = true;
	t->name = strdup(name);
	t->uid = strdup(uid ? uid : "");
	configure(t, resource);
	jv_free(resource);
	if (t->name == NULL || t->uid == NULL) {
		fault_errno(fault, FAULT_INTERNAL, "topic '%s'", name);
		topic_close(t);
		return NULL;
	}
	if (open_dir(t, fault) == -1) {
		topic_close(t);
		return NULL;
	}
	checkpoint = topic_read_checkpoint(t);
	rc = clear_stale(t, &checkpoint, fault) == -1 ||
	    each_subscription(t, reg, false, fault) == -1 ||
	    topic_recover(t, checkpoint, fault) == -1;
	jv_free(checkpoint);
	if (rc) {
		topic_close(t);
		return NULL;
	}
	return t;
}

void
topic_close(struct topic *t)
{
	size_t i;

	for (i = 0; i < t->nsubs; i++)
		subscription_free(t->subs[i]);
	if (t->journal != NULL)
		journal_close(t->journal);
	if (t->dir != -1)
		close(t->dir);
	free(t->subs);
	free(t->producers);
	free(t->name);
	free(t->uid);
	free(t);
}

bool
topic_has_old_segment(struct topic *t, int64_t now)
{
	uint64_t end;
	int64_t last;
	size_t i;

	if (!journal_oldest(t->journal, &end, &last) ||
	    last + t->retention > now)
		return false;
	for (i = 0; i < t->nsubs; i++)
		if (subscription_needs(t->subs[i]) < end)
			return false;
	return true;
}

void
topic_remove_segments(struct topic *t, int64_t now)
{
	struct fault fault;

	/* A start may have to look for producers in what goes: unless the
	 * checkpoint has them. Without room for it something has to go
	 * first. */
	if (topic_has_old_segment(t, now) &&
	    topic_try_checkpoint(t, &fault) == -1) {
		log_warn("old segment: %s", fault.text);
		return;
	}
	while (topic_has_old_segment(t, now))
		if (journal_remove_oldest(t->journal) == -1) {
			log_warn("topic '%s': old segment: %s", t->name,
			    strerror(errno));
			return;
		}
}

/* ---- names ---- */

struct subscription *
store_subscription(struct topic *t, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < t->nsubs; i++)
		if (strlen(t->subs[i]->name) == len &&
		    memcmp(t->subs[i]->name, name, len) == 0)
			return t->subs[i];
	return NULL;
}
