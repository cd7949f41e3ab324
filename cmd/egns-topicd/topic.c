/* a topic: its log, its subscriptions, and the checkpoint of their indexes */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "jq.h"
#include "local.h"
#include "log.h"

#define CHECKPOINT "checkpoint.json"
#define CHECKPOINT_MAX (16 * 1024 * 1024) /* 500 subscriptions, producers */
#define DAY (86400 * CLOCK_SECOND)
/* Queue entries gathered while the log is read again, between writes. */
#define INDEX_STEP 65536

/* ---- what ceases ---- */

/*
 * A record of what ceases as a whole: members of it as text behind topic,
 * subscription (if any) and reason. False when it could not be written: then the
 * files stay, and the next start tries again.
 */
static bool
record_gone(struct store *st, const char *topic, const char *subscription,
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

/* ---- producers ---- */

static struct producer *
producer_find(struct topic *t, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < t->nproducers; i++)
		if (strlen(t->producers[i].name) == len &&
		    memcmp(t->producers[i].name, name, len) == 0)
			return &t->producers[i];
	return NULL;
}

/* A place for a new one: another, or that of the one not heard of longest. */
static struct producer *
producer_place(struct topic *t)
{
	struct producer *p, *oldest;
	size_t i;

	if (t->nproducers < PRODUCERS_MAX) {
		p = realloc(t->producers, (t->nproducers + 1) * sizeof(*p));
		if (p == NULL)
			return NULL;
		t->producers = p;
		return &t->producers[t->nproducers++];
	}
	for (oldest = t->producers, i = 1; i < t->nproducers; i++)
		if (t->producers[i].used < oldest->used)
			oldest = &t->producers[i];
	return oldest;
}

static struct producer *
producer_get(struct topic *t, const char *name, size_t len)
{
	struct producer *p = producer_find(t, name, len);

	if (p != NULL || (p = producer_place(t)) == NULL)
		return p;
	memset(p, 0, sizeof(*p));
	memcpy(p->name, name, len);
	return p;
}

static int
producer_seen(struct topic *t, const char *name, size_t len, uint64_t sequence,
    uint64_t offset)
{
	struct producer *p;

	if (len > JOURNAL_NAME_MAX || (p = producer_get(t, name, len)) == NULL)
		return -1;
	if (sequence > p->stored)
		p->stored = p->pending = sequence;
	p->used = offset;
	return 0;
}

static void
producers_settle(struct topic *t, bool written)
{
	size_t i;

	for (i = 0; i < t->nproducers; i++)
		if (written)
			t->producers[i].stored = t->producers[i].pending;
		else
			t->producers[i].pending = t->producers[i].stored;
}

/* ---- checkpoint ---- */

int
topic_checkpoint(struct topic *t, struct checkpoint *c)
{
	struct buf *b = &c->text;
	size_t i;

	memset(c, 0, sizeof(*c));
	c->dir = t->dir;
	if ((c->queues = calloc(t->nsubs + 1, sizeof(int))) == NULL)
		return -1;
	buf_str(b, "{\"topic\":");
	buf_json(b, t->uid, strlen(t->uid));
	buf_printf(b, ",\"offset\":%llu,\"producers\":{",
	    (unsigned long long)journal_end(t->journal));
	for (i = 0; i < t->nproducers; i++) {
		buf_str(b, i ? "," : "");
		buf_json(b, t->producers[i].name,
		    strlen(t->producers[i].name));
		buf_printf(b, ":[%llu,%llu]",
		    (unsigned long long)t->producers[i].stored,
		    (unsigned long long)t->producers[i].used);
	}
	buf_str(b, "},\"subscriptions\":{");
	for (i = 0; i < t->nsubs; i++) {
		buf_str(b, i ? "," : "");
		buf_json(b, t->subs[i]->name, strlen(t->subs[i]->name));
		buf_str(b, ":{\"uid\":");
		buf_json(b, t->subs[i]->uid, strlen(t->subs[i]->uid));
		buf_printf(b, ",\"queue\":%llu}",
		    (unsigned long long)t->subs[i]->queue.count);
		c->queues[c->nqueues++] = t->subs[i]->queue.fd;
	}
	buf_str(b, "}}\n");
	t->checkpoint = journal_end(t->journal);
	return b->bad ? -1 : 0;
}

/* In any thread. */
int
checkpoint_write(struct checkpoint *c)
{
	size_t i;

	for (i = 0; i < c->nqueues; i++)
		if (queue_sync(c->queues[i]) == -1)
			return -1;
	return spool_replace(c->dir, CHECKPOINT, buf_data(&c->text),
	    c->text.len, true);
}

void
checkpoint_free(struct checkpoint *c)
{
	free(c->queues);
	buf_free(&c->text);
}

/* Now, by the loop. */
int
topic_write_checkpoint(struct topic *t, struct fault *fault)
{
	struct checkpoint c;
	int rc = 0;

	if (topic_checkpoint(t, &c) == -1 || checkpoint_write(&c) == -1)
		rc = fault_errno(fault, FAULT_INTERNAL, "topic '%s': %s",
		    t->name, CHECKPOINT);
	checkpoint_free(&c);
	return rc;
}

/* The checkpoint on disk, or invalid when there is none that can be read. */
static jv
checkpoint_read(struct topic *t)
{
	struct fault fault;
	size_t len;
	char *text;
	jv v;

	text = spool_read(t->dir, CHECKPOINT, CHECKPOINT_MAX, &len);
	if (text == NULL)
		return jv_invalid();
	v = jq_parse(text, len, &fault);
	free(text);
	if (!jv_is_valid(v))
		log_warn("topic '%s': %s: %s: the log is read again", t->name,
		    CHECKPOINT, fault.text);
	return v;
}

static uint64_t
natural(jv v)
{
	double n = jv_get_kind(v) == JV_KIND_NUMBER ? jv_number_value(v) : 0;

	jv_free(v);
	return n > 0 ? (uint64_t)n : 0;
}

static void
read_producers(struct topic *t, jv producers)
{
	const char *name;

	if (jv_get_kind(producers) == JV_KIND_OBJECT)
		jv_object_foreach(producers, key, pair) {
			name = jv_string_value(key);
			if (jv_get_kind(pair) == JV_KIND_ARRAY)
				producer_seen(t, name, strlen(name),
				    natural(jv_array_get(jv_copy(pair), 0)),
				    natural(jv_array_get(jv_copy(pair), 1)));
			jv_free(key);
			jv_free(pair);
		}
	jv_free(producers);
}

/* How many queue entries the checkpoint vouches for; -1: none. */
static int64_t
vouched(jv checkpoint, const struct subscription *s)
{
	const char *uid;
	int64_t n = -1;
	jv subs, sub;

	if (!jv_is_valid(checkpoint))
		return -1;
	subs = jq_get(checkpoint, "subscriptions");
	if (jv_get_kind(subs) != JV_KIND_OBJECT) {
		jv_free(subs);
		return -1;
	}
	sub = jv_object_get(subs, jv_string(s->name));
	if (jv_is_valid(sub) && (uid = jq_str(sub, "uid")) != NULL) {
		if (strcmp(uid, s->uid) == 0)
			n = (int64_t)natural(jq_get(sub, "queue"));
		else /* of the same name, made anew while we were down */
			record_gone(s->topic->store, s->topic->name, s->name,
			    "SubscriptionDeleted", "");
	}
	jv_free(sub);
	return n;
}

/* ---- reading the log again ---- */

static bool
wants(struct topic *t, struct subscription *s, const struct journal_line *line,
    bool broken)
{
	if (line->offset < s->scan_from)
		return false;
	if (broken) /* nobody can say: its drop will be on record */
		return true;
	if (s->scan_from == 0 && line->time < s->created_at)
		return false;
	if (line->subscription != NULL)
		return strlen(s->name) == line->subscription_len &&
		    memcmp(s->name, line->subscription,
			line->subscription_len) == 0;
	return s->filter == NULL ||
	    filter_matches(s->filter, &t->store->event);
}

static int
index_line(struct topic *t, const struct journal_line *line, bool broken)
{
	struct subscription *s;
	size_t i;

	if (!broken && line->producer != NULL)
		producer_seen(t, line->producer, line->producer_len,
		    line->sequence, line->offset);
	if (!broken)
		broken = event_parse(&t->store->event, line->event,
			     line->event_len, NULL) == -1;
	for (i = 0; i < t->nsubs; i++) {
		s = t->subs[i];
		if (!wants(t, s, line, broken))
			continue;
		if (queue_add(&s->queue, line->offset) == -1 ||
		    (s->queue.pending >= INDEX_STEP &&
			queue_write(&s->queue) == -1))
			return -1;
	}
	return 0;
}

/* Rebuild what the queues lack from the log. */
static int
index_log(struct topic *t, uint64_t from, struct fault *fault)
{
	struct journal_line line;
	uint64_t at = from, end = journal_end(t->journal);
	bool broken;
	size_t i;

	if (at < journal_start(t->journal))
		at = journal_start(t->journal);
	if (end - at > 4 * (uint64_t)CHECKPOINT_BYTES && end > at)
		log_info("topic '%s': reading %llu MiB of its log again",
		    t->name, (unsigned long long)((end - at) >> 20));
	for (; at < end; at = line.offset + line.len) {
		broken = journal_read(t->journal, at, &line) == -1;
		if ((broken && errno != EBADMSG) ||
		    index_line(t, &line, broken) == -1)
			return fault_errno(fault, FAULT_INTERNAL,
			    "topic '%s': log", t->name);
	}
	for (i = 0; i < t->nsubs; i++)
		if (queue_write(&t->subs[i]->queue) == -1)
			return fault_errno(fault, FAULT_INTERNAL,
			    "topic '%s': queue of '%s'", t->name,
			    t->subs[i]->name);
	return 0;
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
	return record_gone(s->topic->store, s->topic->name, s->name, reason,
	    members);
}

/* What stands in a directory of topics, or (of topic t) of subscriptions. */
void
topic_remove_strays(struct store *st, struct topic *t)
{
	int at = t ? t->dir : st->spool->fd, fd;
	const char *where = t ? "subscriptions" : "topics";
	struct dirent *e;
	char path[300];
	size_t len;
	DIR *dir;

	fd = openat(at, where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (dir = fdopendir(fd)) == NULL)
		return;
	while ((e = readdir(dir)) != NULL) {
		len = strlen(e->d_name);
		if (e->d_name[0] == '.' ||
		    (t ? (void *)store_subscription(t, e->d_name, len) :
			 (void *)store_topic(st, e->d_name, len)) != NULL)
			continue;
		snprintf(path, sizeof(path), "%s/%s", where, e->d_name);
		log_warn("%s was deleted: removing what it left", path);
		if (record_gone(st, t ? t->name : e->d_name,
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
	jv days = jq_get(resource, "properties.eventRetentionInDays");

	t->retention = DAY;
	if (jv_get_kind(days) == JV_KIND_NUMBER)
		t->retention = (int64_t)jv_number_value(days) * DAY;
	jv_free(days);
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
	return topic_write_checkpoint(t, fault);
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
	if (!record_gone(t->store, t->name, NULL, "TopicDeleted", ""))
		return fault_set(fault, FAULT_TOO_MANY, "%s: dropped/ cannot be "
		    "written", path);
	if (spool_remove(t->store->spool->fd, path) == -1)
		return fault_errno(fault, FAULT_INTERNAL, "%s", path);
	return open_dir(t, fault);
}

/* A subscription without any state of its own begins at its creation; when
 * nothing was published since, that is the end of the log. */
static void
begin_at_creation(struct topic *t, struct subscription *s)
{
	if (!s->created || s->scan_from != 0)
		return;
	if (journal_time(t->journal) < s->created_at)
		s->scan_from = s->d.from = s->d.after = journal_end(t->journal);
}

static int
recover(struct topic *t, jv checkpoint, struct fault *fault)
{
	uint64_t upto = 0, from;
	bool trusted;
	size_t i;

	if (jv_is_valid(checkpoint)) {
		upto = natural(jq_get(checkpoint, "offset"));
		read_producers(t, jq_get(checkpoint, "producers"));
	}
	t->journal = journal_open(t->dir, "log", upto, NULL, NULL, fault);
	if (t->journal == NULL)
		return -1;
	if (!(trusted = upto <= journal_end(t->journal)))
		log_warn("topic '%s': its log ends at %llu, but reached %llu "
			 "once: somebody made it shorter",
		    t->name, (unsigned long long)journal_end(t->journal),
		    (unsigned long long)upto);
	from = trusted ? upto : 0;
	for (i = 0; i < t->nsubs; i++) {
		if (subscription_recover(t->subs[i],
			trusted ? vouched(checkpoint, t->subs[i]) : -1, upto,
			fault) == -1)
			return -1;
		begin_at_creation(t, t->subs[i]);
		if (t->subs[i]->scan_from < from)
			from = t->subs[i]->scan_from;
	}
	if (index_log(t, from, fault) == -1)
		return -1;
	for (i = 0; i < t->nsubs; i++)
		subscription_recovered(t->subs[i]);
	topic_remove_strays(t->store, t);
	return topic_write_checkpoint(t, fault);
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
	checkpoint = checkpoint_read(t);
	rc = clear_stale(t, &checkpoint, fault) == -1 ||
	    each_subscription(t, reg, false, fault) == -1 ||
	    recover(t, checkpoint, fault) == -1;
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

/* ---- writing ---- */

static void
roll_back(struct topic *t, size_t written)
{
	struct subscription *s;
	size_t i;

	for (i = 0; i < t->nsubs; i++) {
		s = t->subs[i];
		queue_rollback(&s->queue);
		if (i < written && queue_truncate(&s->queue, s->before) == -1)
			store_die(errno, s->queue_path);
	}
	journal_rollback(t->journal);
	producers_settle(t, false);
	store_failed(t, NULL, METRIC_PUBLISH, FAULT_TOO_MANY,
	    t->pending_events);
	t->pending_events = t->pending_unmatched = 0;
}

int
topic_write(struct topic *t)
{
	struct subscription *s;
	int error = 0;
	size_t i;

	for (i = 0; i < t->nsubs && error == 0; i++) {
		s = t->subs[i];
		s->before = s->queue.count;
		if (s->queue.pending && queue_write(&s->queue) == -1)
			error = errno;
	}
	if (error == 0 && journal_write(t->journal) == -1)
		error = errno;
	if (error != 0) {
		roll_back(t, i);
		return error;
	}
	producers_settle(t, true);
	t->meter.done[METRIC_PUBLISH] += t->pending_events;
	t->unmatched += t->pending_unmatched;
	t->pending_events = t->pending_unmatched = 0;
	return 0;
}

void
topic_expire_segments(struct topic *t, int64_t now)
{
	uint64_t end;
	int64_t last;
	size_t i;

	while (journal_oldest(t->journal, &end, &last) &&
	    last + t->retention <= now) {
		for (i = 0; i < t->nsubs; i++)
			if (subscription_needs(t->subs[i]) < end)
				return;
		if (journal_remove_oldest(t->journal) == -1) {
			log_warn("topic '%s': old segment: %s", t->name,
			    strerror(errno));
			return;
		}
	}
}

/* ---- publish ---- */

static int
match_one(struct store *st, uint32_t event, struct subscription *s)
{
	struct matched *m;
	size_t cap;

	if (st->nmatched == st->matched_cap) {
		cap = st->matched_cap ? 2 * st->matched_cap : 1024;
		if ((m = realloc(st->matched, cap * sizeof(*m))) == NULL)
			return -1;
		st->matched = m;
		st->matched_cap = cap;
	}
	st->matched[st->nmatched++] = (struct matched){ event, s };
	return 0;
}

static int
match(struct topic *t, uint32_t event, struct subscription *only)
{
	struct store *st = t->store;
	size_t i;

	if (only != NULL)
		return match_one(st, event, only);
	for (i = 0; i < t->nsubs; i++)
		if ((t->subs[i]->filter == NULL ||
			filter_matches(t->subs[i]->filter, &st->event)) &&
		    match_one(st, event, t->subs[i]) == -1)
			return -1;
	return 0;
}

/* Check and match every event before anything of them is kept. */
static int
check(struct topic *t, const struct publish *p, struct fault *fault)
{
	struct store *st = t->store;
	const char *at = p->text, *nl;
	struct fault why;
	uint32_t i;

	st->nmatched = 0;
	for (i = 0; i < p->count; i++, at = nl + 1) {
		nl = memchr(at, '\n', p->len - (size_t)(at - p->text));
		if (event_parse(&st->event, at, (size_t)(nl - at), &why) == -1)
			return fault_set(fault, why.code, "event %u: %s", i + 1,
			    why.text);
		if (match(t, i, p->only) == -1)
			return fault_errno(fault, FAULT_INTERNAL, "event %u",
			    i + 1);
	}
	return 0;
}

static void
keep(struct topic *t, const struct publish *p)
{
	struct store *st = t->store;
	const char *at = p->text, *nl;
	size_t m = 0, first;
	uint32_t i;

	for (i = 0; i < p->count; i++, at = nl + 1) {
		struct journal_line line = { .part = i + 1, .of = p->count,
			.producer = p->producer,
			.producer_len = p->producer_len,
			.sequence = p->sequence, .event = at };

		nl = memchr(at, '\n', p->len - (size_t)(at - p->text));
		line.event_len = (size_t)(nl - at);
		if (p->only != NULL) {
			line.subscription = p->only->name;
			line.subscription_len = strlen(p->only->name);
		}
		if (journal_append(t->journal, &line) == -1)
			store_die(ENOMEM, t->name);
		for (first = m; m < st->nmatched && st->matched[m].event == i;
		     m++)
			if (queue_add(&st->matched[m].sub->queue,
				line.offset) == -1)
				store_die(ENOMEM, t->name);
		t->pending_unmatched += first == m;
		if (p->producer != NULL && i == 0)
			producer_find(t, p->producer, p->producer_len)->used =
			    line.offset;
	}
	t->pending_events += p->count;
}

int
store_publish(struct topic *t, const struct publish *p, bool *duplicate,
    struct fault *fault)
{
	struct store *st = t->store;
	struct producer *producer;

	*duplicate = false;
	if (p->producer != NULL) {
		producer = producer_find(t, p->producer, p->producer_len);
		*duplicate = producer && p->sequence <= producer->pending;
		if (*duplicate)
			return 0;
	}
	if (check(t, p, fault) == -1)
		return -1;
	if (p->producer != NULL) {
		producer = producer_get(t, p->producer, p->producer_len);
		if (producer == NULL)
			return fault_errno(fault, FAULT_INTERNAL, "producer");
		producer->pending = p->sequence;
	}
	if (p->count > 0 && !t->touched) {
		t->touched = true;
		t->touched_next = st->touched;
		st->touched = t;
	}
	st->urgent = true;
	keep(t, p);
	return 0;
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
