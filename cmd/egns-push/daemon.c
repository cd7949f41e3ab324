/* the daemon: a pusher for each push subscription of the namespace */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <tcutil.h>
#include <time.h>

#include "clock.h"
#include "control.h"
#include "daemon.h"
#include "jq.h"
#include "log.h"
#include "metrics.h"
#include "push.h"
#include "pusher.h"
#include "quote.h"
#include "registry.h"
#include "standing.h"
#include "watch.h"

#define TICK 1.0          /* seconds */
#define TICK_MOVABLE 0.05 /* with a clock that may be moved */
#define SECOND CLOCK_SECOND
#define METRICS_PERIOD (5 * CLOCK_SECOND)
#define STOP_TIME (5 * CLOCK_SECOND) /* for what is under way */

struct push {
	struct common common;
	TCMAP *pushers;       /* "topics/T/eventSubscriptions/S" -> entry */
	struct pusher **gone; /* of deleted subscriptions; not idle yet */
	size_t ngone;
	char *callback_key;   /* what the callback was made of */
	struct fault no_callback; /* why it could not be */
	struct control *control;
	bool up, told;        /* topicd is there; we said that it is not */
	struct watch back;    /* it comes back; else we look once a second */
	ev_timer tick;
	ev_prepare turn;      /* while it stops */
	int64_t second, measured, stop_since; /* clock_mono() */
};

struct entry {
	struct pusher *pusher;
	char *key;  /* what it was configured with */
	bool seen;  /* during a reload */
};

/* ---- all pushers ---- */

static void
each(struct push *p, void (*fn)(struct entry *, void *), void *arg)
{
	const void *path;
	int n;

	tcmapiterinit(p->pushers);
	while ((path = tcmapiternext(p->pushers, &n)) != NULL)
		fn(*(struct entry *const *)tcmapiterval(path, &n), arg);
}

static struct entry *
find(struct push *p, const char *path)
{
	struct entry *const *e;
	int n;

	e = tcmapget(p->pushers, path, (int)strlen(path), &n);
	return e == NULL ? NULL : *e;
}

/* ---- settings ---- */

static void
add_key(struct buf *b, jv resource, const char *path)
{
	jq_print(b, jq_get(resource, path), false);
}

/* What a target is made of, as text. */
static char *
key_of(jv namespace, jv subscription)
{
	static const char *const parts[] = { "properties.endpoints",
		"properties.trustedCertificates", "properties.webhookOrigin",
		"properties.profile", "properties.listeners.callback",
		"identity", "id" };
	struct buf b = { 0 };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		add_key(&b, namespace, parts[i]);
	add_key(&b, subscription, "uid");
	add_key(&b, subscription, "properties.deliveryConfiguration");
	buf_add(&b, "", 1);
	if (b.bad)
		log_fatal(EX_OSERR, "out of memory");
	return buf_data(&b); /* nothing was taken off its front */
}

static struct entry *
add_entry(struct push *p, const char *path)
{
	const char *topic = path + strlen("topics/");
	const char *name = strrchr(path, '/') + 1;
	struct entry *e = calloc(1, sizeof(*e));
	char *only = strndup(topic, strcspn(topic, "/"));

	if (e != NULL && only != NULL)
		e->pusher = pusher_new(&p->common, only, name);
	free(only);
	if (e == NULL || e->pusher == NULL)
		log_fatal(EX_OSERR, "out of memory");
	tcmapput(p->pushers, path, (int)strlen(path), &e, sizeof(e));
	if (p->up)
		pusher_connect(e->pusher);
	return e;
}

struct settings {
	struct push *push;
	jv namespace;
};

static int
take_subscription(const char *path, jv resource, void *arg)
{
	struct settings *s = arg;
	const char *mode = jq_str(resource,
	    "properties.deliveryConfiguration.deliveryMode");
	struct entry *e;
	char *key;

	if (mode != NULL && strcmp(mode, "Push") == 0) {
		key = key_of(s->namespace, resource);
		if ((e = find(s->push, path)) == NULL)
			e = add_entry(s->push, path);
		e->seen = true;
		if (e->key == NULL || strcmp(e->key, key) != 0)
			pusher_configure(e->pusher, s->namespace, resource);
		free(e->key);
		e->key = key;
	}
	jv_free(resource);
	return 0;
}

static void
forget_seen(struct entry *e, void *arg)
{
	(void)arg;
	e->seen = false;
}

static void
retire(struct push *p, struct pusher *pusher)
{
	struct pusher **room = realloc(p->gone, (p->ngone + 1) *
	    sizeof(*p->gone));

	if (room == NULL)
		log_fatal(EX_OSERR, "out of memory");
	p->gone = room;
	p->gone[p->ngone++] = pusher;
	pusher_end(pusher);
}

static void
bury(struct push *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->ngone; i++)
		if (pusher_idle(p->gone[i]))
			pusher_free(p->gone[i]);
		else
			p->gone[kept++] = p->gone[i];
	p->ngone = kept;
}

static bool
is_known(const char *topic, const char *name, void *arg)
{
	char path[256];

	snprintf(path, sizeof(path), "topics/%s/eventSubscriptions/%s", topic,
	    name);
	return find(arg, path) != NULL;
}

/* Subscriptions that are not there any more. */
static void
remove_unseen(struct push *p)
{
	TCLIST *paths = tcmapkeys(p->pushers);
	const char *path;
	struct entry *e;
	int n;

	for (int i = 0; i < tclistnum(paths); i++) {
		path = tclistval(paths, i, &n);
		e = find(p, path);
		if (e->seen)
			continue;
		tcmapout(p->pushers, path, n);
		retire(p, e->pusher);
		free(e->key);
		free(e);
	}
	tclistdel(paths);
	bury(p);
	standing_sweep(p->common.spool->fd, is_known, p);
}

/* Where endpoints say yes later. It is as it was when it cannot be made, and
 * there is a fault; deliveries go on without. */
static void
set_callback(struct push *p, jv namespace, struct fault *f)
{
	jv address = jq_get(namespace, "properties.listeners.callback");
	struct callback *callback;
	struct buf b = { 0 };
	bool same;

	jq_print(&b, address, false);
	buf_add(&b, "", 1);
	if (b.bad)
		log_fatal(EX_OSERR, "out of memory");
	same = p->callback_key != NULL &&
	    strcmp(p->callback_key, buf_data(&b)) == 0;
	f->code = FAULT_NONE;
	callback = same ? p->common.callback :
	    callback_open(p->common.loop, p->common.spool, namespace, f);
	if (same || (callback == NULL && f->code != FAULT_NONE)) {
		buf_free(&b);
		if (same && callback != NULL)
			callback_reload(callback, p->common.spool, f);
		return;
	}
	free(p->callback_key);
	p->callback_key = buf_data(&b);
	p->common.callback = callback;
}

static int
take_settings(struct push *p, struct registry *reg, struct fault *f)
{
	/* attempts at 0, 10 s, 30 s, 1 min, 5 min, then every 5 min */
	static const struct schedule usual = { { 10, 20, 30, 240, 300 }, 5 };
	struct settings s = { p, registry_get(reg, "namespace") };
	struct callback *before = p->common.callback;
	struct fault why = { .code = FAULT_NONE };

	if (!jv_is_valid(s.namespace)) {
		jv_free(s.namespace);
		return fault_set(f, FAULT_NOT_FOUND, "there is no namespace");
	}
	set_callback(p, s.namespace, &why);
	schedule_read(&p->common.schedule, s.namespace, "deliverySchedule",
	    &usual);
	each(p, forget_seen, NULL);
	registry_each(reg, "topics/", take_subscription, &s);
	remove_unseen(p);
	jv_free(s.namespace);
	/* nobody waits there any more: its address is in all keys */
	if (before != p->common.callback)
		callback_close(before);
	p->no_callback = why;
	return why.code == FAULT_NONE ? 0 : fault_set(f, why.code, "%s",
	    why.text);
}

static int
settings(struct push *p, struct fault *f)
{
	struct registry *reg = registry_open(p->common.spool, false, f);
	int rc = -1;

	if (reg == NULL)
		return -1;
	if (p->control == NULL || control_reload(p->control, reg, f) == 0)
		rc = take_settings(p, reg, f);
	registry_close(reg);
	return rc;
}

/* ---- what is asked of us ---- */

struct asked {
	char topic[128], subscription[128]; /* empty: all */
	char by[64], reason[200];
};

/* A string of one line. */
static int
get(const struct json *j, uint32_t t, const char *name, char *out, size_t size,
    struct fault *f)
{
	struct buf b = { 0 };
	bool good = false;

	if (j->tok[t].type == JSON_STRING)
		json_string(j, t, &b);
	for (size_t i = 0; i < b.len; i++)
		good = (unsigned char)buf_data(&b)[i] >= ' ' &&
		    (i == 0 || good);
	good = good && !b.bad && b.len < size;
	if (good)
		snprintf(out, size, "%.*s", (int)b.len, buf_data(&b));
	buf_free(&b);
	return good ? 0 : fault_set(f, FAULT_BAD_REQUEST, "\"%s\" must be one "
	    "line of 1 to %zu bytes", name, size - 1);
}

static int
take_member(struct asked *a, const struct json *j, uint32_t name,
    struct fault *f)
{
	const struct {
		const char *name;
		char *out;
		size_t size;
	} members[] = {
		{ "topic", a->topic, sizeof(a->topic) },
		{ "subscription", a->subscription, sizeof(a->subscription) },
		{ "by", a->by, sizeof(a->by) },
		{ "reason", a->reason, sizeof(a->reason) },
	};
	char q[QUOTE_MAX];

	if (json_is(j, name, "op", 2))
		return 0;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (json_is(j, name, members[i].name, strlen(members[i].name)))
			return get(j, name + 1, members[i].name, members[i].out,
			    members[i].size, f);
	return fault_set(f, FAULT_BAD_REQUEST, "no such member: %s", quote(q,
	    j->text + j->tok[name].start,
	    j->tok[name].end - j->tok[name].start));
}

static int
read_asked(struct asked *a, const struct json *j, struct fault *f)
{
	for (uint32_t t = 1; t < j->tok[0].next; t = j->tok[t + 1].next)
		if (take_member(a, j, t, f) == -1)
			return -1;
	return 0;
}

struct told {
	const struct asked *asked;
	struct buf lines;
	unsigned n;
};

static void
add_stats(struct entry *e, void *arg)
{
	struct told *t = arg;
	const struct asked *a = t->asked;

	if ((a->topic[0] != '\0' &&
	    strcmp(a->topic, pusher_topic(e->pusher)) != 0) ||
	    (a->subscription[0] != '\0' &&
	    strcmp(a->subscription, pusher_name(e->pusher)) != 0))
		return;
	pusher_stats(e->pusher, &t->lines);
	t->n++;
}

/* What concerns all of them. */
static void
add_callback(const struct push *p, struct told *t)
{
	if (p->common.callback == NULL && p->no_callback.code == FAULT_NONE)
		return;
	buf_str(&t->lines, "{\"listeners\":{");
	if (p->common.callback != NULL) {
		buf_str(&t->lines, "\"callback\":\"");
		callback_address(p->common.callback, &t->lines);
		buf_str(&t->lines, "\"");
	}
	buf_str(&t->lines, "}");
	if (p->no_callback.code != FAULT_NONE) {
		buf_str(&t->lines, ",\"error\":");
		buf_json(&t->lines, p->no_callback.text,
		    strlen(p->no_callback.text));
	}
	buf_str(&t->lines, "}\n");
	t->n++;
}

static void
stats(struct push *p, const struct asked *a, struct buf *answer)
{
	struct told t = { .asked = a };

	if (a->topic[0] == '\0')
		add_callback(p, &t);
	each(p, add_stats, &t);
	buf_printf(answer, "{\"ok\":true,\"count\":%u}\n", t.n);
	buf_add(answer, buf_data(&t.lines), t.lines.len);
	answer->bad |= t.lines.bad;
	buf_free(&t.lines);
}

static int
hold(struct push *p, bool on, const struct asked *a, struct fault *f)
{
	char path[512], by[QUOTE_MAX], reason[QUOTE_MAX];
	struct entry *e;

	if (a->topic[0] == '\0' || a->subscription[0] == '\0')
		return fault_set(f, FAULT_BAD_REQUEST,
		    "needs \"topic\" and \"subscription\"");
	snprintf(path, sizeof(path), "topics/%s/eventSubscriptions/%s",
	    a->topic, a->subscription);
	if ((e = find(p, path)) == NULL)
		return fault_set(f, FAULT_NOT_FOUND,
		    "there is no push subscription '%s/%s'", a->topic,
		    a->subscription);
	if (!on)
		return pusher_unhold(e->pusher, f);
	return pusher_hold(e->pusher, quote(by, a->by, strlen(a->by)),
	    quote(reason, a->reason, strlen(a->reason)), f);
}

static int
serve(const char *op, const struct json *request, struct buf *answer,
    void *arg, struct fault *f)
{
	struct push *p = arg;
	struct asked a = { .topic = "" };
	int rc;

	if (read_asked(&a, request, f) == -1)
		return -1;
	if (strcmp(op, "stats") == 0) {
		stats(p, &a, answer);
		return 0;
	}
	if (strcmp(op, "reload") == 0)
		rc = settings(p, f);
	else if (strcmp(op, "hold") == 0 || strcmp(op, "unhold") == 0)
		rc = hold(p, op[0] == 'h', &a, f);
	else
		rc = fault_set(f, FAULT_BAD_REQUEST,
		    "op: reload, stats, hold or unhold expected");
	if (rc == 0)
		buf_str(answer, "{\"ok\":true}\n");
	return rc;
}

static void
reload(void *arg)
{
	struct fault f;

	if (settings(arg, &f) == -1)
		log_warn("reload: %s", f.text);
}

/* ---- metrics ---- */

struct samples {
	struct metered *all;
	size_t n;
};

static void
add_sample(struct entry *e, void *arg)
{
	struct samples *s = arg;

	s->all[s->n++] = (struct metered){ pusher_topic(e->pusher),
		pusher_name(e->pusher), pusher_meter(e->pusher),
		pusher_on_hold(e->pusher) };
}

static void
write_metrics(struct push *p)
{
	struct samples s = { .n = 0 };
	struct buf b = { 0 };

	s.all = calloc(tcmaprnum(p->pushers) + 1, sizeof(*s.all));
	if (s.all == NULL)
		return;
	each(p, add_sample, &s);
	meter_write(s.all, s.n, &b);
	metrics_family(&b, "egns_LostLockCount", "counter",
	    "Events that were answered after their locks had run out.");
	metrics_sample(&b, "egns_LostLockCount", (const char *[]){ NULL },
	    (double)settler_lost(p->common.settler));
	metrics_write(p->common.spool, "push", &b);
	free(s.all);
}

/* ---- topicd ---- */

static void
connect_one(struct entry *e, void *arg)
{
	(void)arg;
	pusher_connect(e->pusher);
}

static void
on_up(void *arg)
{
	struct push *p = arg;

	p->up = true;
	each(p, connect_one, NULL);
}

static void
on_down(const struct fault *f, void *arg)
{
	struct push *p = arg;

	if (p->up || !p->told)
		log_warn("waiting for egns-topicd: %s", f->text);
	p->up = false;
	p->told = true;
}

static const struct settler_hooks settler_hooks = { on_up, on_down };

static void
on_back(void *arg)
{
	struct push *p = arg;

	if (!p->up)
		settler_retry(p->common.settler);
}

/* ---- life ---- */

static void
tick_one(struct entry *e, void *arg)
{
	struct push *p = arg;

	if (p->up)
		pusher_connect(e->pusher);
	pusher_tick(e->pusher);
}

static void
on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct push *p = timer->data;
	int64_t now = clock_mono();

	(void)loop, (void)events;
	if (now - p->second >= SECOND || now < p->second) {
		p->second = now;
		settler_tick(p->common.settler);
		bury(p);
	}
	each(p, tick_one, p);
	if (now - p->measured >= METRICS_PERIOD || now < p->measured) {
		p->measured = now;
		write_metrics(p);
	}
}

static void
ask_idle(struct entry *e, void *arg)
{
	*(bool *)arg &= pusher_idle(e->pusher);
}

static void
on_turn(struct ev_loop *loop, ev_prepare *w, int events)
{
	struct push *p = w->data;
	bool idle = !p->up || settler_owed(p->common.settler) == 0;

	(void)events;
	each(p, ask_idle, &idle);
	if (idle || clock_mono() - p->stop_since > STOP_TIME)
		ev_break(loop, EVBREAK_ALL);
}

static void
stop_one(struct entry *e, void *arg)
{
	(void)arg;
	pusher_stop(e->pusher);
}

static void
stop(void *arg)
{
	struct push *p = arg;

	p->common.stopping = true;
	each(p, stop_one, NULL);
	p->stop_since = clock_mono();
	ev_prepare_start(p->common.loop, &p->turn);
}

static int
push_open(struct push *p, struct fault *f)
{
	p->pushers = tcmapnew();
	p->common.settler = settler_new(p->common.loop, p->common.spool,
	    &settler_hooks, p);
	if (p->common.settler == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	ev_timer_init(&p->tick, on_tick, 0,
	    clock_movable() ? TICK_MOVABLE : TICK);
	p->tick.data = p;
	ev_prepare_init(&p->turn, on_turn);
	p->turn.data = p;
	if (settings(p, f) == -1 && p->no_callback.code == FAULT_NONE)
		return -1;
	if (p->no_callback.code != FAULT_NONE)
		log_warn("%s", p->no_callback.text);
	if (watch_socket(&p->back, p->common.loop, p->common.spool,
	    "topicd.sock", on_back, p) == -1)
		log_warn("run: not watched: %s", strerror(errno));
	settler_retry(p->common.settler);
	ev_timer_again(p->common.loop, &p->tick);
	p->control = control_open(p->common.loop, p->common.spool, "push",
	    serve, p, f);
	return p->control == NULL ? -1 : 0;
}

static void
free_entry(struct entry *e, void *arg)
{
	(void)arg;
	pusher_free(e->pusher);
	free(e->key);
	free(e);
}

static void
push_close(struct push *p)
{
	write_metrics(p);
	ev_prepare_stop(p->common.loop, &p->turn);
	ev_timer_stop(p->common.loop, &p->tick);
	watch_stop(&p->back);
	control_close(p->control);
	each(p, free_entry, NULL);
	for (size_t i = 0; i < p->ngone; i++)
		pusher_free(p->gone[i]);
	free(p->gone);
	tcmapdel(p->pushers);
	callback_close(p->common.callback);
	settler_free(p->common.settler);
	free(p->callback_key);
}

/* While we do not run, egns-ctl has our lock for a moment when it puts a
 * subscription on hold. */
static int
lock(const struct spool *spool, struct fault *f)
{
	struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };

	for (int i = 0; i < 20; i++) {
		if (spool_lock(spool, "push", f) != -1)
			return 0;
		if (f->code != FAULT_CONFLICT)
			break;
		nanosleep(&pause, NULL);
	}
	return -1;
}

int
daemon_run(const struct options *opt)
{
	struct push push = { 0 };
	struct daemon daemon;
	struct fault fault;

	daemon_init(&daemon, opt->spool, stop, reload, &push);
	push.common.loop = daemon.loop;
	push.common.spool = &daemon.spool;
	if (lock(&daemon.spool, &fault) == -1 ||
	    push_open(&push, &fault) == -1)
		log_fatal(fault_exit(fault.code), "%s", fault.text);
	daemon_ready(opt->ready);
	ev_run(daemon.loop, 0);
	push_close(&push);
	spool_close(&daemon.spool);
	return EX_OK;
}
