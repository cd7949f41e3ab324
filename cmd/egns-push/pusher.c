/* a push subscription at work: its settings, and its life */
#include "pusher.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "jq.h"
#include "log.h"
#include "pushing.h"

#define WINDOW_FIRST 4 /* attempts under way, before one has succeeded */
/* A lock lasts for 60 s, an attempt for 30 s, its token and its answer's body
 * for some more: what has waited for so long is given back. */
#define READY_TIME (15 * CLOCK_SECOND)
/* Where the order counts it is kept instead, and its lock renewed. */
#define RENEW_TIME (25 * CLOCK_SECOND)

/* ---- settings ---- */

static void
aim_free(struct aim *aim)
{
	aim->target->calls->free(aim->target);
	free(aim);
}

static void
retire(struct pusher *p)
{
	if (p->aim != NULL) {
		p->aim->next = p->retired;
		p->retired = p->aim;
	}
	p->aim = NULL;
	p->prepared = p->preparing = false;
}

static void
bury_retired(struct pusher *p)
{
	struct aim *aim, **link = &p->retired;

	while ((aim = *link) != NULL)
		if (aim->users == 0) {
			*link = aim->next;
			aim_free(aim);
		} else
			link = &aim->next;
}

static struct aim *
make_aim(struct pusher *p, jv namespace, jv subscription, struct fault *f)
{
	struct target_use use = {
		.loop = p->common->loop,
		.spool = p->common->spool,
		.namespace = namespace,
		.subscription = subscription,
		.topic = p->topic,
		.name = p->name,
		.standing = &p->standing,
		.callback = p->common->callback,
	};
	struct aim *aim = calloc(1, sizeof(*aim));

	if (aim == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	aim->pusher = p;
	if ((aim->target = target_new(&use, f)) == NULL) {
		free(aim);
		return NULL;
	}
	aim->target->hooks = &attempts_target;
	aim->target->arg = aim;
	return aim;
}

/* It may have been on hold: then it is, until somebody has looked. */
static void
load_standing(struct pusher *p, jv subscription)
{
	const char *uid = jq_str(subscription, "uid");
	char reason[sizeof(p->standing.hold.reason)];
	struct fault f;

	if (uid == NULL || strcmp(uid, p->standing.uid) == 0)
		return;
	if (standing_load(&p->standing, p->common->spool->fd, p->topic,
	    p->name, uid, &f) == 0)
		return;
	snprintf(reason, sizeof(reason), "whether it was is not known: %.200s",
	    f.text);
	waiting_set_hold(p, "egns-push", reason);
	waiting_begin_hold(p);
}

static unsigned
number(jv subscription, const char *name, unsigned otherwise)
{
	char path[96];

	snprintf(path, sizeof(path), "properties.deliveryConfiguration.push.%s",
	    name);
	return (unsigned)jq_int(jq_get(subscription, path), otherwise);
}

static void
read_settings(struct pusher *p, jv subscription)
{
	jv order = jq_get(subscription,
	    "properties.deliveryConfiguration.push.orderBySubject");
	bool ordered = jv_get_kind(order) == JV_KIND_TRUE;
	const char *type = target_type(subscription);

	jv_free(order);
	p->max_in_flight = number(subscription, "maxInFlight", 0);
	p->max_count = number(subscription, "maxDeliveryCount", 10);
	p->breaker = number(subscription, "circuitBreaker.failures", 0);
	if (p->type == NULL || strcmp(p->type, type) != 0) {
		free(p->type);
		p->type = strdup(type);
	}
	if (ordered == (p->subjects != NULL))
		return;
	/* what is held has no subjects; what comes has */
	items_give_back_all(p);
	subjects_free(p->subjects);
	p->subjects = ordered ? subjects_new() : NULL;
	feed_ordered(p->feed, p->subjects != NULL);
	p->rewind |= p->subjects != NULL;
}

void
pusher_configure(struct pusher *p, jv namespace, jv subscription)
{
	struct fault f;

	load_standing(p, subscription);
	read_settings(p, subscription);
	retire(p);
	p->hold.until = p->hold.since = 0;
	p->setbacks = p->finals = 0;
	p->window = WINDOW_FIRST;
	p->aim = make_aim(p, namespace, subscription, &f);
	if (p->aim == NULL) {
		p->hold.told = 0; /* somebody waits for this */
		hold_begin(&p->hold, 0, "settings", f.text);
		items_give_back_all(p);
	}
	bury_retired(p);
	attempts_pump(p);
}

/* ---- life ---- */

struct pusher *
pusher_new(struct common *common, const char *topic, const char *name)
{
	struct pusher *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->common = common;
	p->ready.last = &p->ready.first;
	ev_timer_init(&p->due, attempts_due, 0, 0);
	p->due.data = p;
	p->topic = strdup(topic);
	p->name = strdup(name);
	p->hold.topic = p->topic;
	p->hold.name = p->name;
	if (p->topic != NULL && p->name != NULL) {
		p->feed = feed_new(common->loop, common->spool, topic, name,
		    false, &attempts_feed, p);
		p->ledger = ledger_new(common->settler, topic, name);
	}
	if (p->feed == NULL || p->ledger == NULL) {
		pusher_free(p);
		return NULL;
	}
	return p;
}

static void
attempt_free(struct pusher *p, struct aim *aim, struct attempt *a)
{
	struct item *item;

	while ((item = a->first) != NULL) {
		a->first = item->next;
		items_free(p, item);
	}
	attempts_end(p, aim, a);
}

void
pusher_free(struct pusher *p)
{
	struct attempt *a;

	if (p == NULL)
		return;
	ev_timer_stop(p->common->loop, &p->due);
	feed_free(p->feed);
	retire(p);
	for (struct aim *aim = p->retired; aim != NULL; aim = aim->next)
		aim->target->calls->drop(aim->target);
	while ((a = p->attempts) != NULL)
		attempt_free(p, a->aim, a); /* NOLINT(*-unix.Malloc) */
	bury_retired(p);
	while (p->ready.first != NULL)
		items_free(p, items_take(p, &p->ready.first));
	ledger_free(p->ledger);
	subjects_free(p->subjects);
	free(p->topic);
	free(p->name);
	free(p->type);
	free(p);
}

void
pusher_end(struct pusher *p)
{
	p->ended = true;
	/* were it a queue now, it would take events away from others */
	feed_free(p->feed);
	p->feed = NULL;
	while (p->ready.first != NULL)
		items_free(p, items_take(p, &p->ready.first));
}

void
pusher_connect(struct pusher *p)
{
	if (!p->ended)
		feed_open(p->feed);
}

/* What waits is given back before its lock runs out; or keeps it, where the
 * order counts, and while an event is what prepare may fail. */
static void
care_for_locks(struct pusher *p)
{
	static const struct settlement renew = { .how = SETTLE_RENEW };
	int64_t now = clock_mono();
	struct item *item;

	if (p->subjects == NULL && !p->preparing) {
		while ((item = p->ready.first) != NULL &&
		    now - item->since > READY_TIME)
			items_give_back(p, items_take(p, &p->ready.first));
		return;
	}
	for (item = p->ready.first; item != NULL; item = item->next)
		if (now - item->since > RENEW_TIME) {
			ledger_settle(p->ledger, &renew, item->token);
			item->since = now;
		}
}

void
pusher_tick(struct pusher *p)
{
	bury_retired(p);
	care_for_locks(p);
	result_say(p);
	attempts_pump(p);
}

void
pusher_stop(struct pusher *p)
{
	items_give_back_all(p);
}

bool
pusher_idle(const struct pusher *p)
{
	return p->in_flight == 0;
}

/* ---- holds ---- */

int
pusher_hold(struct pusher *p, const char *by, const char *reason,
    struct fault *f)
{
	struct standing before = p->standing;

	waiting_set_hold(p, by, reason);
	if (waiting_save_hold(p, f) == -1) {
		p->standing = before;
		return -1;
	}
	waiting_begin_hold(p);
	return 0;
}

int
pusher_unhold(struct pusher *p, struct fault *f)
{
	struct standing before = p->standing;

	p->standing.hold.since = 0;
	if (waiting_save_hold(p, f) == -1) {
		p->standing = before;
		return -1;
	}
	if (before.hold.since != 0)
		log_warn("%s/%s: unhold was said", p->topic, p->name);
	p->hold.until = 0;
	p->finals = 0;
	p->window = 1;
	attempts_pump(p);
	return 0;
}

/* ---- looks ---- */

const char *
pusher_topic(const struct pusher *p)
{
	return p->topic;
}

const char *
pusher_name(const struct pusher *p)
{
	return p->name;
}

const struct meter *
pusher_meter(const struct pusher *p)
{
	return &p->meter;
}

bool
pusher_on_hold(const struct pusher *p)
{
	return waiting_held(p) || p->hold.since != 0;
}

void
pusher_stats(const struct pusher *p, struct buf *b)
{
	buf_printf(b, "{\"topic\":\"%s\",\"subscription\":\"%s\","
	    "\"endpointType\":\"%s\",\"state\":\"%s\"", p->topic, p->name,
	    p->type, pusher_on_hold(p) ? "onHold" :
	    p->prepared ? "active" : "starting");
	if (waiting_held(p))
		hold_tell(b, p->standing.hold.since, p->standing.hold.by,
		    p->standing.hold.reason);
	else if (pusher_on_hold(p))
		hold_show(&p->hold, b);
	if (p->standing.handshake.state != HANDSHAKE_NONE) {
		buf_str(b, ",\"handshake\":");
		standing_show(&p->standing, b);
	}
	buf_printf(b, ",\"inFlight\":%u,\"held\":%u,\"window\":%u,"
	    "\"attempts\":%" PRIu64 ",\"delivered\":%" PRIu64
	    ",\"failures\":", p->in_flight, p->ready.n,
	    p->aim == NULL ? 0 : attempts_limit(p), p->meter.attempts,
	    p->meter.delivered);
	meter_failures(&p->meter, b);
	if (p->error[0] != '\0') {
		buf_str(b, ",\"lastError\":");
		buf_json(b, p->error, strlen(p->error));
	}
	buf_str(b, "}\n");
}
