/* requests and their answers, egns-protocol(7) */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "log.h"
#include "metrics.h"
#include "quote.h"
#include "registry.h"
#include "serve.h"

/* Metrics are written this often. */
#define METRICS_PERIOD (5 * CLOCK_SECOND)
/* Receives that wait are looked at this often at least. */
#define TICK 1.0
#define TICK_MOVABLE 0.05

/* Count a refusal, where there is something to count it for. */
static void
count_refusal(struct peer *p, enum metric_op op, enum fault_code code,
    uint32_t events)
{
	const struct request *r = &p->request;
	struct topic *t = store_topic(p->server->store, r->topic,
	    strlen(r->topic));
	struct subscription *sub = t == NULL || op == METRIC_PUBLISH ?
	    NULL :
	    store_subscription(t, r->subscription, strlen(r->subscription));

	if (t != NULL && (sub != NULL || op == METRIC_PUBLISH))
		store_failed(t, sub, op, code, events);
}

void
serve_refused(struct peer *p, enum fault_code code)
{
	count_refusal(p, METRIC_PUBLISH, code, p->request.count);
}

/* ---- publish ---- */

static void
skip_body(struct peer *p, const struct fault *fault)
{
	p->fault = *fault;
	p->state = PEER_SKIP;
	p->lines = p->request.count;
	p->scanned = 0;
}

static struct topic *
find_topic(struct peer *p, struct fault *fault)
{
	const struct request *r = &p->request;
	struct topic *t = store_topic(p->server->store, r->topic,
	    strlen(r->topic));
	char shown[QUOTE_MAX];

	if (t == NULL)
		fault_set(fault, FAULT_NOT_FOUND, "topic '%s': not found",
		    quote(shown, r->topic, strlen(r->topic)));
	return t;
}

static struct subscription *
find_subscription(struct peer *p, struct topic *t, struct fault *fault)
{
	const struct request *r = &p->request;
	struct subscription *sub = store_subscription(t, r->subscription,
	    strlen(r->subscription));
	char shown[QUOTE_MAX];

	if (sub == NULL)
		fault_set(fault, FAULT_NOT_FOUND,
		    "subscription '%s' of topic '%s': not found",
		    quote(shown, r->subscription, strlen(r->subscription)),
		    r->topic);
	return sub;
}

static bool
allowed(struct peer *p, enum role_right right, struct fault *fault)
{
	const struct request *r = &p->request;

	return role_check(p->server->roles, &p->who, right,
		   r->topic[0] ? r->topic : NULL,
		   r->subscription[0] ? r->subscription : NULL, fault) != NULL;
}

/* The header of a publish: may it, and is there such a topic? */
static void
begin_publish(struct peer *p)
{
	struct request *r = &p->request;
	struct topic *t;
	struct fault fault;

	if (!allowed(p, ROLE_SEND, &fault) ||
	    (t = find_topic(p, &fault)) == NULL ||
	    (r->subscription[0] &&
		find_subscription(p, t, &fault) == NULL)) {
		skip_body(p, &fault);
	} else if (r->count > EVENT_BATCH_COUNT) {
		fault_set(&fault, FAULT_TOO_LARGE,
		    "a publish has at most %d events", EVENT_BATCH_COUNT);
		skip_body(p, &fault);
	} else {
		p->state = PEER_BODY;
		p->lines = r->count;
		p->scanned = 0;
		return;
	}
	serve_refused(p, fault.code);
}

bool
serve_body(struct peer *p, const char *text, size_t len)
{
	struct server *s = p->server;
	struct request *r = &p->request;
	struct publish pub = { .text = text, .len = len, .count = r->count };
	struct about about = { .op = METRIC_PUBLISH };
	struct fault fault;
	bool duplicate;
	char ok[64];
	int n;

	if (store_held(s->store) || store_still(s->store))
		return false;
	/* a reload may have come between header and body */
	if ((about.topic = find_topic(p, &fault)) == NULL ||
	    (r->subscription[0] &&
		(pub.only = find_subscription(p, about.topic, &fault)) ==
		    NULL)) {
		answer_fault(p, &fault);
		return true;
	}
	if (r->producer[0]) {
		pub.producer = r->producer;
		pub.producer_len = strlen(r->producer);
		pub.sequence = r->sequence;
		pub.after = r->after;
	}
	about.since = clock_mono();
	if (store_publish(about.topic, &pub, &duplicate, &fault) == -1) {
		serve_refused(p, fault.code);
		answer_fault(p, &fault);
		return true;
	}
	n = snprintf(ok, sizeof(ok), "{\"ok\":true,\"count\":%u%s}\n",
	    r->count, duplicate ? ",\"duplicate\":true" : "");
	answer_durable(p, ANSWER_PUBLISH, &about, ok, (size_t)n);
	return true;
}

static void
peek(struct peer *p, struct subscription *sub)
{
	struct server *s = p->server;
	uint32_t n;

	buf_reset(&s->scratch, ANSWER_MAX / 4);
	n = store_peek(sub, p->request.max_events, ANSWER_MAX, &s->scratch);
	if (s->scratch.bad)
		peer_close(p);
	else
		answer_events(p, n, &s->scratch);
}

/* ---- settle ---- */

static const struct {
	enum settle_how how;
	enum metric_op metric;
} settles[] = {
	[OP_ACKNOWLEDGE] = { SETTLE_ACKNOWLEDGE, METRIC_ACKNOWLEDGE },
	[OP_RELEASE] = { SETTLE_RELEASE, METRIC_RELEASE },
	[OP_REJECT] = { SETTLE_REJECT, METRIC_REJECT },
	[OP_RENEW] = { SETTLE_RENEW, METRIC_OPS },
};

static const struct {
	const char *code, *message;
} lost[] = {
	[SETTLE_BAD_TOKEN] = { "BadToken",
	    "Not a token of this subscription." },
	[SETTLE_TOKEN_LOST] = { "TokenLost", "Token has expired." },
	[SETTLE_NO_RENEW] = { "TokenLost",
	    "A lock can be renewed within one hour of its beginning." },
	[SETTLE_LATER] = { "TooManyRequests",
	    "There is no room for the record of its end: try again." },
};

static void
add_failed(struct buf *b, enum settle_result result, const char *token,
    size_t len)
{
	buf_str(b, b->len ? ",{\"lockToken\":" : "{\"lockToken\":");
	buf_add(b, token, len);
	buf_str(b, ",\"error\":{\"code\":\"");
	buf_str(b, lost[result].code);
	buf_str(b, "\",\"message\":\"");
	buf_str(b, lost[result].message);
	buf_str(b, "\"}}");
}

static void
settle(struct peer *p, struct subscription *sub)
{
	struct server *s = p->server;
	const struct request *r = &p->request;
	const struct json *j = &s->json;
	const struct settle how = { .how = settles[r->op].how,
		.delay = r->delay * CLOCK_SECOND,
		.undelivered = r->undelivered,
		.reason = r->reason,
		.result = r->result };
	struct about about = { subscription_topic(sub), sub,
		settles[r->op].metric, clock_mono() };
	struct buf failed = { 0 };
	struct buf *b = &s->scratch;
	enum settle_result result;
	const char *token;
	uint32_t t, nfailed = 0;
	size_t len, empty;

	if (about.op == METRIC_OPS)
		about.topic = NULL;
	buf_reset(b, ANSWER_MAX / 4);
	buf_str(b, "{\"ok\":true,\"succeededLockTokens\":[");
	empty = b->len;
	for (t = r->tokens + 1; t < j->tok[r->tokens].next;
	     t = j->tok[t].next) {
		token = j->text + j->tok[t].start;
		len = j->tok[t].end - j->tok[t].start;
		result = store_settle(sub, &how, token + 1, len - 2);
		if (result == SETTLE_OK) {
			buf_str(b, b->len > empty ? "," : "");
			buf_add(b, token, len);
			continue;
		}
		nfailed++;
		add_failed(&failed, result, token, len);
	}
	buf_str(b, "],\"failedLockTokens\":[");
	if (failed.len > 0)
		buf_add(b, buf_data(&failed), failed.len);
	buf_str(b, "]}\n");
	if (nfailed > 0 && about.topic != NULL)
		store_failed(about.topic, sub, about.op, FAULT_BAD_REQUEST,
		    nfailed);
	if (b->bad || failed.bad)
		peer_close(p);
	else
		answer_durable(p, ANSWER_SETTLE, &about, buf_data(b), b->len);
	buf_free(&failed);
}

static void
reclaim(struct peer *p, struct subscription *sub)
{
	char ok[64];
	int n;

	n = snprintf(ok, sizeof(ok), "{\"ok\":true,\"reclaimed\":%u}\n",
	    store_reclaim(sub, p->request.delayed));
	answer_durable(p, ANSWER_SETTLE, NULL, ok, (size_t)n);
}

/* ---- what is about a subscription ---- */

/* The one that the request is about, if its sender may do that there. */
static struct subscription *
get_subscription(struct peer *p, struct fault *fault)
{
	const struct request *r = &p->request;
	bool for_push = r->op == OP_RECLAIM || r->undelivered;
	struct subscription *sub;
	struct topic *t;

	if (!allowed(p, ROLE_RECEIVE, fault) ||
	    ((for_push || r->reason >= 0 || r->result >= 0) &&
		!allowed(p, ROLE_MANAGE, fault)) ||
	    (t = find_topic(p, fault)) == NULL ||
	    (sub = find_subscription(p, t, fault)) == NULL)
		return NULL;
	if (subscription_pushes(sub))
		return allowed(p, ROLE_MANAGE, fault) ? sub : NULL;
	if (!for_push)
		return sub;
	fault_set(fault, FAULT_BAD_REQUEST,
	    "subscription '%s' of topic '%s' is not a Push subscription",
	    r->subscription, r->topic);
	return NULL;
}

static void
with_subscription(struct peer *p)
{
	struct request *r = &p->request;
	struct subscription *sub;
	struct fault fault;

	if ((sub = get_subscription(p, &fault)) == NULL) {
		if (r->op == OP_RECEIVE)
			count_refusal(p, METRIC_RECEIVE, fault.code, 1);
		else if (r->tokens != 0 && r->op != OP_RENEW)
			count_refusal(p, settles[r->op].metric, fault.code, 1);
		answer_fault(p, &fault);
		return;
	}
	if ((r->op == OP_RECEIVE || r->op == OP_PEEK) &&
	    p->server->out_total > OUT_TOTAL) {
		fault_set(&fault, FAULT_TOO_MANY,
		    "too many answers that nobody reads: try again");
		answer_fault(p, &fault);
	} else if (r->op == OP_RECEIVE)
		receive_begin(p, sub);
	else if (r->op == OP_PEEK)
		peek(p, sub);
	else if (r->op == OP_RECLAIM)
		reclaim(p, sub);
	else
		settle(p, sub);
}

/* ---- producer, stats and reload ---- */

static void
producer(struct peer *p)
{
	const struct request *r = &p->request;
	struct topic *t;
	struct fault fault;
	char ok[64];
	int n;

	if (!allowed(p, ROLE_SEND, &fault) ||
	    (t = find_topic(p, &fault)) == NULL) {
		answer_fault(p, &fault);
		return;
	}
	n = snprintf(ok, sizeof(ok), "{\"ok\":true,\"sequence\":%llu}\n",
	    (unsigned long long)store_producer(t, r->producer,
		strlen(r->producer)));
	answer_durable(p, ANSWER_PUBLISH, NULL, ok, (size_t)n);
}

static void
stats(struct peer *p)
{
	struct server *s = p->server;
	const struct request *r = &p->request;
	struct subscription *sub = NULL;
	struct topic *t = NULL;
	struct buf all = { 0 };
	struct fault fault;
	uint32_t n = 0;
	size_t i;

	if (!allowed(p, ROLE_MANAGE, &fault) ||
	    (r->topic[0] && (t = find_topic(p, &fault)) == NULL) ||
	    (r->subscription[0] &&
		(sub = find_subscription(p, t, &fault)) == NULL)) {
		answer_fault(p, &fault);
		return;
	}
	buf_reset(&s->scratch, ANSWER_MAX / 4);
	if (t != NULL)
		n = store_stats(t, sub, &s->scratch);
	else
		for (i = 0; (t = store_topic_at(s->store, i)) != NULL; i++)
			n += store_stats(t, NULL, &s->scratch);
	buf_printf(&all, "{\"ok\":true,\"count\":%u}\n", n);
	if (s->scratch.len > 0)
		buf_add(&all, buf_data(&s->scratch), s->scratch.len);
	if (all.bad || s->scratch.bad)
		peer_close(p);
	else
		answer_durable(p, ANSWER_PUBLISH, NULL, buf_data(&all), all.len);
	buf_free(&all);
}

static int
add_role(const char *path, jv resource, void *arg)
{
	struct fault fault;

	if (roles_add(arg, resource, &fault) == -1)
		log_warn("%s: %s", path, fault.text);
	return 0;
}

static int
read_roles(struct server *s, struct fault *fault)
{
	struct registry *reg;
	struct roles *roles;
	struct stat st;

	if (fstat(s->spool->fd, &st) == -1)
		return fault_errno(fault, FAULT_INTERNAL, "'%s'",
		    s->spool->path);
	if ((reg = registry_open(s->spool, false, fault)) == NULL)
		return -1;
	if ((roles = roles_new(st.st_uid)) == NULL) {
		registry_close(reg);
		return fault_errno(fault, FAULT_INTERNAL, "roles");
	}
	registry_each(reg, "roleAssignments/", add_role, roles);
	registry_close(reg);
	roles_free(s->roles);
	s->roles = roles;
	return 0;
}

static void
on_reloaded(const struct fault *fault, void *arg)
{
	static const char ok[] = "{\"ok\":true}\n";
	struct server *s = arg;
	struct fault roles;
	struct peer *p = s->reloading;

	s->reloading = NULL;
	if (fault == NULL && read_roles(s, &roles) == -1)
		fault = &roles;
	if (fault != NULL)
		log_warn("reload: %s", fault->text);
	if (p == NULL)
		return;
	p->owed--;
	p->stalled = !p->gone;
	if (fault != NULL)
		answer_fault(p, fault);
	else
		answer_put(p, ok, sizeof(ok) - 1);
	peer_want_flush(p);
}

void
serve_reload(struct server *s)
{
	store_reload(s->store, on_reloaded, s);
}

/* One at a time: the next one waits until the one under way is done. */
static bool
reload(struct peer *p)
{
	struct server *s = p->server;
	struct fault fault;

	if (!allowed(p, ROLE_MANAGE, &fault)) {
		answer_fault(p, &fault);
		return true;
	}
	if (s->reloading != NULL)
		return false;
	s->reloading = p;
	p->owed++;
	store_reload(s->store, on_reloaded, s);
	return true;
}

/* ---- requests ---- */

/* Can this wait for a commit together with others of the same peer? */
static bool
pipelined(enum op op)
{
	switch (op) {
	case OP_PUBLISH:
	case OP_ACKNOWLEDGE:
	case OP_RELEASE:
	case OP_REJECT:
	case OP_RENEW:
	case OP_RECLAIM: return true;
	case OP_RECEIVE:
	case OP_PEEK:
	case OP_PRODUCER:
	case OP_STATS:
	case OP_RELOAD: return false;
	}
	return false;
}

static bool
dispatch(struct peer *p)
{
	switch (p->request.op) {
	case OP_PUBLISH: begin_publish(p); return true;
	case OP_RECEIVE:
	case OP_PEEK:
	case OP_ACKNOWLEDGE:
	case OP_RELEASE:
	case OP_REJECT:
	case OP_RENEW:
	case OP_RECLAIM: with_subscription(p); return true;
	case OP_PRODUCER: producer(p); return true;
	case OP_STATS: stats(p); return true;
	case OP_RELOAD: return reload(p);
	}
	return true;
}

bool
serve_header(struct peer *p, const char *line, size_t len)
{
	struct server *s = p->server;
	struct fault fault;

	if (s->stopping || store_still(s->store))
		return false;
	switch (request_parse(&p->request, &s->json, line, len, &fault)) {
	case REQUEST_LOST:
		p->closing = true;
		answer_fault(p, &fault);
		return true;
	case REQUEST_BAD:
		if (p->request.count > 0)
			skip_body(p, &fault);
		else
			answer_fault(p, &fault);
		return true;
	case REQUEST_OK: break;
	}
	if (p->owed > 0 && !pipelined(p->request.op))
		return false;
	return dispatch(p);
}

/* ---- the server ---- */

static void
write_metrics(struct server *s)
{
	struct buf b = { 0 };

	store_metrics(s->store, &b);
	metrics_write(s->spool, "topicd", &b);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct server *s = timer->data;
	int64_t now = clock_mono();

	(void)loop;
	(void)events;
	peers_expire(s, now);
	if (now >= s->metrics_at) {
		s->metrics_at = now + METRICS_PERIOD;
		write_metrics(s);
	}
}

void
serve_wake(struct server *s, int64_t at)
{
	double wait = (double)(at - clock_mono()) / CLOCK_SECOND;
	double max = clock_movable() ? TICK_MOVABLE : TICK;

	if (wait > max)
		wait = max;
	if (wait < 0.001)
		wait = 0.001;
	if (ev_timer_remaining(s->loop, &s->timer) <= wait)
		return;
	ev_timer_stop(s->loop, &s->timer);
	ev_timer_set(&s->timer, wait, max);
	ev_timer_start(s->loop, &s->timer);
}

/* Peers whose next request can be taken now. */
static void
resume(struct server *s)
{
	struct peer *p, *next;

	for (p = TAILQ_FIRST(&s->peers); p != NULL; p = next) {
		next = TAILQ_NEXT(p, entry);
		if (p->stalled)
			peer_process(p);
	}
}

/* While it is active the loop does not sleep; there is nothing else to it. */
static void
on_more(struct ev_loop *loop, ev_idle *more, int events)
{
	(void)loop;
	(void)more;
	(void)events;
}

static void
on_turn(struct ev_loop *loop, ev_prepare *prepare, int events)
{
	struct server *s = prepare->data;

	(void)loop;
	(void)events;
	ev_idle_stop(s->loop, &s->more);
	do
		resume(s);
	while (store_turn(s->store, s->npeers == 1));
	peers_flush(s);
	if (s->stopping && s->answers == NULL)
		ev_break(s->loop, EVBREAK_ALL);
}

int
serve_open(struct server *s, const struct spool *spool, struct ev_loop *loop,
    struct fault *fault)
{
	const struct store_hooks hooks = { answer_committed, receive_available,
		receive_gone, s };

	memset(s, 0, sizeof(*s));
	TAILQ_INIT(&s->peers);
	s->loop = loop;
	s->spool = spool;
	if (spool_mkdir(spool->fd, "metrics", 0755) == -1)
		return fault_errno(fault, FAULT_INTERNAL, "metrics");
	if (read_roles(s, fault) == -1 ||
	    (s->store = store_open(spool, loop, &hooks, fault)) == NULL)
		goto fail;
	if (peers_open(s, fault) == -1) {
		store_close(s->store);
		goto fail;
	}
	ev_timer_init(&s->timer, on_timer, 0,
	    clock_movable() ? TICK_MOVABLE : TICK);
	s->timer.data = s;
	ev_timer_again(loop, &s->timer);
	ev_idle_init(&s->more, on_more);
	ev_prepare_init(&s->turn, on_turn);
	s->turn.data = s;
	ev_prepare_start(loop, &s->turn);
	return 0;
fail:
	roles_free(s->roles);
	return -1;
}

void
serve_stop(struct server *s)
{
	s->stopping = true;
	ev_io_stop(s->loop, &s->accept);
}

void
serve_close(struct server *s)
{
	write_metrics(s);
	peers_close(s);
	ev_prepare_stop(s->loop, &s->turn);
	ev_idle_stop(s->loop, &s->more);
	ev_timer_stop(s->loop, &s->timer);
	store_close(s->store);
	roles_free(s->roles);
	json_free(&s->json);
	buf_free(&s->scratch);
}
