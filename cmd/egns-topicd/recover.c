/* a topic's indexes: their checkpoint, and the log read again behind it */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "jq.h"
#include "local.h"
#include "log.h"

#define CHECKPOINT "checkpoint.json"
#define CHECKPOINT_MAX (64 * 1024 * 1024) /* 500 subscriptions, all filters */
/* Queue entries gathered while the log is read again, between writes. */
#define INDEX_STEP 65536

/* ---- checkpoint ---- */

int
topic_checkpoint(struct topic *t, struct checkpoint *c)
{
	struct buf *b = &c->text;
	size_t i;

	memset(c, 0, sizeof(*c));
	c->topic = t;
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
		buf_printf(b, ",\"queue\":%llu",
		    (unsigned long long)t->subs[i]->queue.count);
		if (t->subs[i]->config != NULL) {
			buf_str(b, ",\"filters\":");
			buf_str(b, t->subs[i]->config);
		}
		buf_str(b, "}");
		c->queues[c->nqueues++] = t->subs[i]->queue.fd;
	}
	buf_str(b, "}}\n");
	t->checkpoint = journal_end(t->journal);
	return b->bad ? -1 : 0;
}

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

int
topic_write_checkpoint(struct topic *t, struct fault *fault)
{
	struct checkpoint c;
	int rc = 0, error;

	if (topic_checkpoint(t, &c) == -1 || checkpoint_write(&c) == -1) {
		error = errno;
		rc = fault_errno(fault, FAULT_INTERNAL, "topic '%s': %s",
		    t->name, CHECKPOINT);
		errno = error;
	}
	t->owed = rc != 0;
	checkpoint_free(&c);
	return rc;
}

int
topic_try_checkpoint(struct topic *t, struct fault *fault)
{
	if (topic_write_checkpoint(t, fault) == 0)
		return 0;
	if (!file_no_room(errno))
		return -1;
	log_warn("%s: written when there is room", fault->text);
	return 0;
}

jv
topic_read_checkpoint(struct topic *t)
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
	int64_t n = jq_int(v, 0);

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

/*
 * Until we went down events were matched by these filters, and counted: an
 * entry less or more in the queue, and the cursor would stand at another event.
 */
static void
earlier_filter(struct subscription *s, jv config)
{
	struct fault fault;

	s->has_earlier = true;
	if (jv_get_kind(config) == JV_KIND_NULL) {
		jv_free(config);
	} else if ((s->earlier = filter_compile(config, &fault)) == NULL) {
		s->has_earlier = false;
		log_warn("subscription '%s/%s': %s: filters: %s",
		    s->topic->name, s->name, CHECKPOINT, fault.text);
	}
}

/* How many queue entries the checkpoint vouches for; -1: none. */
static int64_t
vouched(jv checkpoint, struct subscription *s)
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
		if (strcmp(uid, s->uid) == 0) {
			n = (int64_t)natural(jq_get(sub, "queue"));
			earlier_filter(s, jq_get(sub, "filters"));
		} else /* of the same name, made anew while we were down */
			topic_gone(s->topic->store, s->topic->name, s->name,
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
	const struct filter *filter = s->has_earlier ? s->earlier : s->filter;

	if (line->offset < s->scan_from)
		return false;
	if (broken) /* nobody can say: its drop will be on record */
		return true;
	if (s->created && s->scan_from == 0 && line->time < s->created_at)
		return false;
	if (line->subscription != NULL)
		return strlen(s->name) == line->subscription_len &&
		    memcmp(s->name, line->subscription,
			line->subscription_len) == 0;
	return filter == NULL || filter_matches(filter, &t->store->event);
}

/* `whole`: and so are all before it that were read again. */
static int
index_line(struct topic *t, const struct journal_line *line, bool broken,
    bool whole)
{
	struct subscription *s;
	size_t i;

	if (whole && line->producer != NULL)
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
	bool broken, whole = true;
	size_t i;

	if (at < journal_start(t->journal))
		at = journal_start(t->journal);
	if (end - at > 4 * (uint64_t)CHECKPOINT_BYTES && end > at)
		log_info("topic '%s': reading %llu MiB of its log again",
		    t->name, (unsigned long long)((end - at) >> 20));
	for (; at < end; at = line.offset + line.len) {
		broken = journal_read(t->journal, at, &line) == -1;
		/*
		 * When the power fails, a page behind another may be on disk
		 * without it. Whose batch that was is not known: so that it
		 * comes again, the batches behind it count for no producer.
		 */
		whole = whole && !broken;
		if ((broken && errno != EBADMSG) ||
		    index_line(t, &line, broken, whole) == -1)
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

int
topic_recover(struct topic *t, jv checkpoint, struct fault *fault)
{
	uint64_t upto = 0, from;
	bool trusted;
	size_t i;

	if (jv_is_valid(checkpoint)) {
		upto = natural(jq_get(checkpoint, "offset"));
		read_producers(t, jq_get(checkpoint, "producers"));
	}
	t->journal = journal_open(t->dir, "log", upto, fault);
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
	return topic_try_checkpoint(t, fault);
}
