/* the daemon: what waits in the spool goes to where the namespace says */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "clock.h"
#include "control.h"
#include "daemon.h"
#include "jq.h"
#include "lane.h"
#include "lifecycle.h"
#include "log.h"
#include "metrics.h"
#include "registry.h"
#include "route.h"
#include "routing.h"
#include "schema.h"
#include "supplies.h"
#include "watch.h"

#define TICK 1.0          /* seconds */
#define TICK_MOVABLE 0.05 /* with a clock that may be moved */
#define METRICS_PERIOD (5 * CLOCK_SECOND)
#define STOP_TIME (5 * CLOCK_SECOND) /* for what is under way */

enum { LANE_ROUTE, LANE_SESSIONS, LANE_CHANGES, LANES };

struct route {
	struct ev_loop *loop;
	const struct spool *spool;
	struct routing *routing;
	struct routing_counts counts; /* of those before it */
	char *name, *id; /* of the namespace */
	struct lifecycle lifecycle;
	struct schedule schedule;
	struct lane *lanes[LANES];
	char *keys[LANES];  /* what their targets were made of */
	struct watch written[LANES]; /* their directories */
	struct control *control;
	ev_timer tick;
	ev_prepare turn; /* while it stops */
	int64_t measured, stop_since; /* clock_mono() */
};

/* ---- what is made of lines ---- */

static int
route_event(const char *line, size_t len, const char *id, struct buf *out,
    void *arg, struct fault *f)
{
	const struct route *r = arg;

	return routing_event(r->routing, line, len, id, clock_now(), out,
	    f) == -1 ? -1 : 1;
}

static int
session_event(const char *line, size_t len, const char *id, struct buf *out,
    void *arg, struct fault *f)
{
	struct route *r = arg;

	return lifecycle_session(&r->lifecycle, line, len, id, out, f) == -1 ?
	    -1 : 1;
}

static int
change_event(const char *line, size_t len, const char *id, struct buf *out,
    void *arg, struct fault *f)
{
	struct route *r = arg;

	return lifecycle_change(&r->lifecycle, line, len, id, out, f);
}

/* Messages, and the life of sessions and of the registry's clients. */
static const struct {
	const char *name;
	const char *path;   /* of the maildir; NULL: it is none */
	const char *target; /* the property that names it */
	int (*event)(const char *line, size_t, const char *id, struct buf *,
	    void *arg, struct fault *);
} kinds[LANES] = {
	[LANE_ROUTE] = { "route", "route", SCHEMA_ROUTE, route_event },
	[LANE_SESSIONS] = { "sessions", "lifecycle", SCHEMA_LIFECYCLE,
	    session_event },
	[LANE_CHANGES] = { "changes", NULL, SCHEMA_LIFECYCLE, change_event },
};

/* ---- settings ---- */

/* Of two that are the same the target need not be made anew. */
static char *
key_of(jv namespace, const char *id, bool own, bool exists)
{
	static const char *const parts[] = { "properties.endpoints",
		"properties.trustedCertificates",
		"properties.topicSpacesConfiguration.routingIdentityInfo" };
	struct buf b = { 0 };

	buf_printf(&b, "%d%s", exists, id == NULL ? "" : id);
	for (size_t i = 0; !own && i < sizeof(parts) / sizeof(parts[0]); i++)
		jq_print(&b, jq_get(namespace, parts[i]), false);
	buf_add(&b, "", 1);
	if (b.bad)
		log_fatal(EX_OSERR, "out of memory");
	return buf_data(&b); /* nothing was taken off its front */
}

/* A topic of ours, or a custom topic. NULL and a fault. */
static struct target *
make_target(struct route *r, struct lane *lane, jv namespace, const char *id,
    struct fault *f)
{
	const char *topic = topicd_topic(namespace, id);

	if (topic != NULL)
		return topicd_new(r->loop, r->spool, topic, &lane_hooks, lane,
		    f);
	return custom_new(r->loop, r->spool, jv_copy(namespace), id,
	    &lane_hooks, lane, f);
}

static int
set_target(struct route *r, int which, jv namespace, struct registry *reg,
    struct fault *f)
{
	const char *id = jq_str(namespace, kinds[which].target), *topic = NULL;
	struct target *target = NULL;
	char path[SCHEMA_PATH], *key;
	bool exists = false;

	if (id != NULL && *id == '\0')
		id = NULL;
	if (id != NULL && (topic = topicd_topic(namespace, id)) != NULL) {
		snprintf(path, sizeof(path), "topics/%s", topic);
		exists = registry_has(reg, path);
	}
	key = key_of(namespace, id, topic != NULL, exists);
	if (r->keys[which] != NULL && strcmp(key, r->keys[which]) == 0) {
		free(key);
		return 0;
	}
	if (id != NULL && (target = make_target(r, r->lanes[which], namespace,
	    id, f)) == NULL) {
		free(key);
		return -1;
	}
	free(r->keys[which]);
	r->keys[which] = key;
	lane_target(r->lanes[which], id, target, exists);
	return 0;
}

static int
set_lifecycle(struct route *r, jv namespace, struct fault *f)
{
	const char *name = jq_str(namespace, "name");
	const char *id = jq_str(namespace, "id");
	char *own_name, *own_id;

	if (name == NULL || id == NULL)
		return fault_set(f, FAULT_INTERNAL,
		    "the namespace has no name or no id");
	own_name = strdup(name);
	own_id = strdup(id);
	if (own_name == NULL || own_id == NULL) {
		free(own_name);
		free(own_id);
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	}
	free(r->name);
	free(r->id);
	r->lifecycle.namespace = r->name = own_name;
	r->lifecycle.resource_id = r->id = own_id;
	return 0;
}

static struct routing_counts
counts(const struct route *r)
{
	struct routing_counts c = r->counts, now;

	if (r->routing == NULL)
		return c;
	now = routing_counts(r->routing);
	c.truncated += now.truncated;
	c.wrapped += now.wrapped;
	return c;
}

/* What fails leaves the rest as it was. */
static int
take_settings(struct route *r, struct registry *reg, struct fault *f)
{
	/* reference section 14.2 */
	static const struct schedule usual = { { 10, 30, 60, 300, 600, 1800,
		3600, 10800, 21600, 43200 }, 10 };
	jv namespace = registry_get(reg, "namespace");
	struct routing *routing = NULL;
	int rc = -1;

	if (!jv_is_valid(namespace))
		fault_set(f, FAULT_NOT_FOUND, "there is no namespace");
	else if ((routing = routing_new(jv_copy(namespace), f)) != NULL)
		rc = set_lifecycle(r, namespace, f);
	if (rc == 0) {
		r->counts = counts(r);
		routing_free(r->routing);
		r->routing = routing;
		schedule_read(&r->schedule, namespace, "routingSchedule",
		    &usual);
	} else
		routing_free(routing);
	for (int i = 0; i < LANES && rc == 0; i++)
		rc = set_target(r, i, namespace, reg, f);
	jv_free(namespace);
	return rc;
}

static int
settings(struct route *r, struct fault *f)
{
	struct registry *reg = registry_open(r->spool, false, f);
	int rc = -1;

	if (reg == NULL)
		return -1;
	if (r->control == NULL || control_reload(r->control, reg, f) == 0)
		rc = take_settings(r, reg, f);
	registry_close(reg);
	for (int i = 0; i < LANES; i++)
		lane_wake(r->lanes[i]);
	return rc;
}

/* ---- what is asked of us ---- */

static void
stats(struct route *r, struct buf *b)
{
	const char *sep = "{\"lanes\":[";

	buf_str(b, "{\"ok\":true,\"count\":1}\n");
	for (int i = 0; i < LANES; i++) {
		buf_str(b, sep);
		lane_stats(r->lanes[i], b);
		sep = ",";
	}
	buf_str(b, "]}\n");
}

static int
serve(const char *op, const struct json *request, struct buf *answer,
    void *arg, struct fault *f)
{
	struct route *r = arg;

	(void)request;
	if (strcmp(op, "stats") == 0) {
		stats(r, answer);
		return 0;
	}
	if (strcmp(op, "reload") != 0)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "op: reload or stats expected");
	if (settings(r, f) == -1)
		return -1;
	buf_str(answer, "{\"ok\":true}\n");
	return 0;
}

/* HUP: somebody may have mended what we wait for. */
static void
reload(void *arg)
{
	struct route *r = arg;
	struct fault f;

	if (settings(r, &f) == -1)
		log_warn("reload: %s", f.text);
	for (int i = 0; i < LANES; i++)
		lane_retry(r->lanes[i]);
}

static void
add_metrics(struct route *r, struct buf *b)
{
	const char *routed = "egns_Mqtt_SuccessfulRoutedMessages";
	const char *failed = "egns_Mqtt_FailedRoutedMessages";
	const struct lane_counts *c;

	metrics_family(b, routed, "counter", "events that a topic has");
	for (int i = 0; i < LANES; i++)
		metrics_sample(b, routed, (const char *[]){ "Lane",
		    kinds[i].name, NULL },
		    (double)lane_counts(r->lanes[i])->routed);
	metrics_family(b, failed, "counter",
	    "attempts that failed, and messages dropped, by reason");
	for (int i = 0; i < LANES; i++) {
		c = lane_counts(r->lanes[i]);
		for (int j = 0; j < DROPS; j++)
			metrics_sample(b, failed, (const char *[]){ "Lane",
			    kinds[i].name, "Error",
			    drop_name((enum drop)j), NULL },
			    (double)c->dropped[j]);
		metrics_sample(b, failed, (const char *[]){ "Lane",
		    kinds[i].name, "Error", "ServiceError", NULL },
		    (double)c->failed);
		metrics_sample(b, failed, (const char *[]){ "Lane",
		    kinds[i].name, "Error", "TooManyRequests", NULL },
		    (double)c->throttled);
	}
}

static void
add_second_best(const struct route *r, struct buf *b)
{
	static const char truncated[] = "egns_Mqtt_TruncatedEnrichments";
	static const char wrapped[] = "egns_Mqtt_WrappedCloudEvents";
	struct routing_counts c = counts(r);

	metrics_family(b, truncated, "counter",
	    "values of enrichments that were too long");
	metrics_sample(b, truncated, (const char *[]){ NULL },
	    (double)c.truncated);
	metrics_family(b, wrapped, "counter", "messages that said to be "
	    "CloudEvents, and were none");
	metrics_sample(b, wrapped, (const char *[]){ NULL },
	    (double)c.wrapped);
}

static void
write_metrics(struct route *r)
{
	struct buf text = { 0 };

	add_metrics(r, &text);
	add_second_best(r, &text);
	metrics_write(r->spool, "route", &text);
}

/* ---- the loop ---- */

static void
on_written(void *arg)
{
	lane_wake(arg);
}

/* What inotify cannot tell is found every second; of changes a reload tells. */
static void
watch(struct route *r)
{
	char dir[32];

	for (int i = 0; i < LANES; i++) {
		if (kinds[i].path == NULL)
			continue;
		snprintf(dir, sizeof(dir), "%s/new", kinds[i].path);
		if (watch_files(&r->written[i], r->loop, r->spool, dir,
		    on_written, r->lanes[i]) == -1)
			log_warn("%s: not watched, but looked at every "
			    "second: %s", dir, strerror(errno));
	}
}

static void
on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct route *r = timer->data;
	int64_t now = clock_mono();

	(void)loop;
	(void)events;
	for (int i = 0; i < LANES; i++) {
		if (!ev_is_active(&r->written[i].io))
			lane_wake(r->lanes[i]);
		lane_tick(r->lanes[i]);
	}
	if (now - r->measured >= METRICS_PERIOD || now < r->measured) {
		r->measured = now;
		write_metrics(r);
	}
}

static void
on_turn(struct ev_loop *loop, ev_prepare *w, int events)
{
	struct route *r = w->data;
	bool idle = true;

	(void)events;
	for (int i = 0; i < LANES; i++)
		idle &= lane_idle(r->lanes[i]);
	if (idle || clock_mono() - r->stop_since > STOP_TIME)
		ev_break(loop, EVBREAK_ALL);
}

static void
stop(void *arg)
{
	struct route *r = arg;

	for (int i = 0; i < LANES; i++)
		lane_stop(r->lanes[i]);
	r->stop_since = clock_mono();
	ev_prepare_start(r->loop, &r->turn);
}

static int
open_lanes(struct route *r, struct fault *f)
{
	struct supply *s;

	for (int i = 0; i < LANES; i++) {
		s = kinds[i].path == NULL ?
		    changes_new(r->spool, kinds[i].event, r, f) :
		    files_new(r->spool, kinds[i].path, kinds[i].event, r, f);
		if (s == NULL)
			return -1;
		r->lanes[i] = lane_new(r->loop, r->spool, kinds[i].name, s,
		    &r->schedule);
		if (r->lanes[i] == NULL)
			return fault_set(f, FAULT_INTERNAL, "no thread");
	}
	return 0;
}

static int
route_open(struct route *r, struct fault *f)
{
	if (open_lanes(r, f) == -1 || settings(r, f) == -1)
		return -1;
	watch(r);
	ev_timer_init(&r->tick, on_tick, 0,
	    clock_movable() ? TICK_MOVABLE : TICK);
	r->tick.data = r;
	ev_timer_again(r->loop, &r->tick);
	ev_prepare_init(&r->turn, on_turn);
	r->turn.data = r;
	r->control = control_open(r->loop, r->spool, "route", serve, r, f);
	return r->control == NULL ? -1 : 0;
}

static void
route_close(struct route *r)
{
	write_metrics(r);
	ev_prepare_stop(r->loop, &r->turn);
	ev_timer_stop(r->loop, &r->tick);
	control_close(r->control);
	for (int i = 0; i < LANES; i++) {
		watch_stop(&r->written[i]);
		lane_free(r->lanes[i]);
		free(r->keys[i]);
	}
	routing_free(r->routing);
	json_free(&r->lifecycle.json);
	free(r->name);
	free(r->id);
}

int
daemon_run(const struct options *opt)
{
	struct route route = { 0 };
	struct daemon daemon;
	struct fault fault;

	daemon_init(&daemon, opt->spool, stop, reload, &route);
	route.loop = daemon.loop;
	route.spool = &daemon.spool;
	if (spool_lock(&daemon.spool, "route", &fault) == -1 ||
	    route_open(&route, &fault) == -1)
		log_fatal(fault_exit(fault.code), "%s", fault.text);
	daemon_ready(opt->ready);
	ev_run(daemon.loop, 0);
	route_close(&route);
	spool_close(&daemon.spool);
	return EX_OK;
}
