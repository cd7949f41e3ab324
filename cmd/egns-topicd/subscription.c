/* a subscription: its configuration, and its life */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "crc32c.h"
#include "jq.h"
#include "local.h"
#include "log.h"
#include "mapping.h"

/* ---- configuration ---- */

static char *
text_of(jv v)
{
	struct buf b = { 0 };
	char *text;

	if (jv_get_kind(v) == JV_KIND_NULL || !jv_is_valid(v)) {
		jv_free(v);
		return NULL;
	}
	jq_print(&b, v, false);
	buf_add(&b, "", 1);
	text = b.bad ? NULL : strdup(buf_data(&b));
	buf_free(&b);
	return text;
}

static int
configure_filter(struct subscription *s, jv properties, struct fault *fault)
{
	jv config = jq_get(properties, "filtersConfiguration");
	struct filter *filter = NULL;
	char *text = text_of(jv_copy(config));

	if (jv_get_kind(config) == JV_KIND_NULL)
		jv_free(config);
	else if ((filter = filter_compile(config, fault)) == NULL) {
		free(text);
		return -1;
	} else if (text == NULL) {
		filter_free(filter);
		return fault_errno(fault, FAULT_INTERNAL, "filters");
	}
	filter_free(s->filter);
	free(s->config);
	s->filter = filter;
	s->config = text;
	return 0;
}

/* Whoever finds an Authorization there is let in, whatever is said of it. */
static int
add_header(const char *name, const char *value, bool secret, void *arg)
{
	struct buf *b = arg;

	if (secret || strcasecmp(name, "Authorization") == 0)
		return 0;
	buf_str(b, b->len == 0 ? "{" : ",");
	buf_json(b, name, strlen(name));
	buf_str(b, ":");
	buf_json(b, value, strlen(value));
	return 0;
}

/* What deliveries of a push have besides the event, each the same, and is no
 * secret: what dead letters tell, too. NULL: nothing. */
static char *
custom_of(jv push)
{
	static const char *const where[] = {
		"destination.properties.deliveryAttributeMappings",
		"deliveryWithResourceIdentity.destination.properties."
		"deliveryAttributeMappings",
	};
	struct buf b = { 0 };
	char *text;

	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		jv list = jq_get(push, where[i]);
		struct mappings *m = mappings_new(list, NULL);

		if (m != NULL)
			mappings_each(m, NULL, add_header, &b);
		mappings_free(m);
		jv_free(list);
	}
	if (b.len > 0)
		buf_add(&b, "}", sizeof("}"));
	text = b.bad || b.len == 0 ? NULL : strdup(buf_data(&b));
	buf_free(&b);
	return text;
}

static void
configure_delivery(struct subscription *s, jv properties)
{
	const char *mode = jq_str(properties,
	    "deliveryConfiguration.deliveryMode");
	const char *ttl;
	int64_t us;
	jv d;

	s->pushes = mode != NULL && strcmp(mode, "Push") == 0;
	d = jq_get(properties, s->pushes ? "deliveryConfiguration.push" :
					   "deliveryConfiguration.queue");
	s->lock = jq_int(jq_get(d, "receiveLockDurationInSeconds"), 60) *
	    CLOCK_SECOND;
	s->max_count = (unsigned)jq_int(jq_get(d, "maxDeliveryCount"), 10);
	s->ttl = s->topic->retention;
	ttl = jq_str(d, "eventTimeToLive");
	if (ttl != NULL && clock_duration(ttl, strlen(ttl), &us) == 0 &&
	    us < s->ttl)
		s->ttl = us;
	free(s->destination);
	s->destination =
	    text_of(jq_get(d, "deadLetterDestinationWithResourceIdentity"));
	free(s->custom);
	s->custom = custom_of(d);
	jv_free(d);
}

static int64_t
date(jv v, const char *path)
{
	const char *text = jq_str(v, path);
	int64_t us;

	return text != NULL && clock_parse(text, strlen(text), &us) == 0 ? us :
									   0;
}

/* due times of what waits depend on the time to live */
static void
rekey(struct subscription *s)
{
	const struct delivery *v;
	int64_t end;
	uint32_t i;

	for (i = 0; i < s->d.nslots; i++) {
		v = &s->d.slot[i];
		end = delivery_end(s, v);
		if (v->state == DELIVERY_AVAILABLE)
			deliveries_set(&s->d, i, DELIVERY_AVAILABLE, end);
		else if (v->state == DELIVERY_DELAYED && v->due > end)
			deliveries_set(&s->d, i, DELIVERY_DELAYED, end);
	}
}

void
subscription_clock(struct subscription *s, int64_t now)
{
	struct delivery *v;
	uint32_t i;

	for (i = 0; i < s->d.nslots; i++) {
		v = &s->d.slot[i];
		if (v->state != DELIVERY_LOCKED || v->locked <= now)
			continue;
		v->locked = now;
		deliveries_set(&s->d, i, DELIVERY_LOCKED, now + s->lock);
		subscription_dirty(s);
	}
}

int
subscription_configure(struct subscription *s, jv resource, struct fault *fault)
{
	jv properties = jq_get(resource, "properties");
	int64_t ttl = s->ttl;
	bool pushes = s->pushes;

	s->created_at = date(resource, "systemData.createdAt");
	jv_free(resource);
	if (configure_filter(s, properties, fault) == -1) {
		jv_free(properties);
		return -1;
	}
	configure_delivery(s, properties);
	s->expires = date(properties, "expirationTimeUtc");
	jv_free(properties);
	if (ttl != s->ttl || pushes != s->pushes)
		rekey(s);
	if (s->d.changed)
		subscription_dirty(s);
	return 0;
}

/* ---- life ---- */

struct subscription *
subscription_new(struct topic *t, const char *name, jv resource,
    struct fault *fault)
{
	struct subscription *s;
	const char *uid;
	uint32_t crc;

	if ((s = calloc(1, sizeof(*s))) == NULL) {
		jv_free(resource);
		fault_errno(fault, FAULT_INTERNAL, "subscription '%s'", name);
		return NULL;
	}
	s->topic = t;
	s->queue.fd = -1;
	s->head = UINT64_MAX;
	s->name = strdup(name);
	uid = jq_str(resource, "uid");
	s->uid = strdup(uid ? uid : "");
	if (s->name == NULL || s->uid == NULL ||
	    asprintf(&s->state_path, "subscriptions/%s/state.ndjson", name) ==
		-1 ||
	    asprintf(&s->queue_path, "subscriptions/%s/queue", name) == -1) {
		jv_free(resource);
		fault_errno(fault, FAULT_INTERNAL, "subscription '%s'", name);
		subscription_free(s);
		return NULL;
	}
	crc = crc32c(0, s->uid, strlen(s->uid));
	memcpy(s->token_id, &crc, 4);
	crc = crc32c(crc, s->name, strlen(s->name));
	memcpy(s->token_id + 4, &crc, 2);
	if (subscription_configure(s, resource, fault) == -1) {
		subscription_free(s);
		return NULL;
	}
	return s;
}

/* While the disk is full, or when a start fails half-way, it may be dirty. */
static void
forget_dirty(struct subscription *s)
{
	struct subscription **p = &s->topic->store->dirty;

	if (!s->dirty)
		return;
	while (*p != s)
		p = &(*p)->dirty_next;
	*p = s->dirty_next;
}

void
subscription_free(struct subscription *s)
{
	forget_dirty(s);
	if (s->queue.fd != -1)
		queue_close(&s->queue);
	deliveries_close(&s->d);
	filter_free(s->filter);
	filter_free(s->earlier);
	free(s->config);
	free(s->destination);
	free(s->custom);
	free(s->state_path);
	free(s->queue_path);
	free(s->name);
	free(s->uid);
	free(s);
}

void
subscription_dirty(struct subscription *s)
{
	struct store *st = s->topic->store;

	if (s->dirty)
		return;
	s->dirty = true;
	s->dirty_next = st->dirty;
	st->dirty = s;
}

/*
 * Which part of the queue can be believed, and from where in the log the rest
 * has to be matched again.
 */
static int
trust_queue(struct subscription *s, bool state, int64_t count, uint64_t upto)
{
	if (count >= 0 && s->queue.count >= (uint64_t)count) {
		s->scan_from = upto;
		return queue_truncate(&s->queue, (uint64_t)count);
	}
	if (state) {
		s->scan_from = s->d.cursor ? s->d.after : s->d.from;
		return queue_truncate(&s->queue, s->d.cursor);
	}
	s->scan_from = 0; /* by created_at */
	return queue_truncate(&s->queue, 0);
}

int
subscription_recover(struct subscription *s, int64_t count, uint64_t upto,
    struct fault *fault)
{
	char path[128];
	bool state;

	snprintf(path, sizeof(path), "subscriptions/%s", s->name);
	if (spool_mkdir(s->topic->dir, path, 0755) == -1)
		return fault_errno(fault, FAULT_INTERNAL, "%s", path);
	if (deliveries_open(&s->d, s->topic->dir, s->state_path, s->uid, &state,
		fault) == -1)
		return -1;
	if (queue_open(&s->queue, s->topic->dir, s->queue_path) == -1 ||
	    trust_queue(s, state, count, upto) == -1)
		return fault_errno(fault, FAULT_INTERNAL, "%s", s->queue_path);
	s->created = !state;
	if (!state && count > 0)
		log_warn("subscription '%s/%s': state file lost: everything "
			 "that still stands in its queue is delivered again",
		    s->topic->name, s->name);
	return 0;
}

/* The queue is whole: settle where the cursor stands in it. */
void
subscription_recovered(struct subscription *s)
{
	uint64_t first = queue_first(&s->queue);

	s->visible = s->queue.count;
	if (s->created && first > 0) {
		s->d.cursor = s->d.settled_before = first;
		if (first < s->queue.count)
			queue_get(&s->queue, first, &s->d.after);
	}
	if (s->d.cursor > s->visible) {
		log_warn("subscription '%s/%s': %llu events of its queue are "
			 "not in the log any more",
		    s->topic->name, s->name,
		    (unsigned long long)(s->d.cursor - s->visible));
		s->d.cursor = s->visible;
	}
	subscription_clock(s, clock_now());
	s->created = s->has_earlier = false;
	filter_free(s->earlier);
	s->earlier = NULL;
	if (s->d.changed)
		subscription_dirty(s);
}

/* ---- names ---- */

const char *
subscription_name(const struct subscription *s)
{
	return s->name;
}

struct topic *
subscription_topic(const struct subscription *s)
{
	return s->topic;
}

bool
subscription_pushes(const struct subscription *s)
{
	return s->pushes;
}

void **
subscription_context(struct subscription *s)
{
	return &s->context;
}
