/* a topic of this namespace, by egns-topicd's socket, as a target */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "client.h"
#include "jq.h"
#include "log.h"
#include "target.h"

#define NAME "topicd"

enum state { CLOSED, GREETING, OPEN };

struct topicd {
	struct target target; /* first */
	struct ev_loop *loop;
	const struct spool *spool;
	char *topic;
	enum state state;
	struct client client;
	struct fault fault; /* of an open that has failed at once */
	ev_io io;
	ev_timer failed;
	unsigned owed; /* answers to parcels */
	bool asked;
	bool again;    /* it came back since this attempt began */
	int inotify;   /* on run/: topicd comes back */
	ev_io back;
};

/* ---- the connection ---- */

static void
watch(struct topicd *t)
{
	int events = EV_READ | (t->client.out.len > 0 ? EV_WRITE : 0);

	if (t->client.fd == -1) {
		ev_io_stop(t->loop, &t->io);
		return;
	}
	if (ev_is_active(&t->io) &&
	    (t->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(t->loop, &t->io);
	ev_io_set(&t->io, t->client.fd, events);
	ev_io_start(t->loop, &t->io);
}

static void
hang_up(struct topicd *t)
{
	ev_io_stop(t->loop, &t->io);
	ev_timer_stop(t->loop, &t->failed);
	client_close(&t->client);
	t->state = CLOSED;
	t->owed = 0;
	t->asked = false;
}

static void
lost(struct topicd *t, const struct fault *f)
{
	hang_up(t);
	t->target.hooks->lost(f, t->target.arg);
	/* that one may be told of before the end of the one before it */
	if (t->again)
		t->target.hooks->hint(t->target.arg);
}

static enum outcome
outcome_of(enum fault_code code)
{
	switch (code) {
	case FAULT_CONFLICT: return OUTCOME_BEHIND;
	case FAULT_NOT_FOUND: return OUTCOME_GONE;
	case FAULT_UNAUTHORIZED:
	case FAULT_FORBIDDEN: return OUTCOME_DENIED;
	case FAULT_BAD_REQUEST:
	case FAULT_TOO_LARGE: return OUTCOME_REFUSED;
	default: return OUTCOME_LATER;
	}
}

/* A topic that is not there has nothing stored; what is sent will be told. */
static int
take_position(struct topicd *t)
{
	struct fault f = { .code = FAULT_NONE };
	uint64_t number = 0;

	if (client_answer(&t->client, &f) == 0)
		number = client_number(&t->client, "sequence");
	else if (f.code != FAULT_NOT_FOUND && f.code != FAULT_FORBIDDEN) {
		lost(t, &f);
		return -1;
	}
	t->asked = false;
	t->target.hooks->position(number, t->target.arg);
	return 0;
}

static int
take_answer(struct topicd *t)
{
	struct fault f = { .code = FAULT_NONE };
	enum outcome outcome = OUTCOME_STORED;

	if (client_answer(&t->client, &f) == -1) {
		if (t->client.fd == -1) {
			lost(t, &f);
			return -1;
		}
		outcome = outcome_of(f.code);
	}
	t->owed--;
	t->target.hooks->answered(outcome, 0, &f, t->target.arg);
	return 0;
}

/* It would be taken for the answer to what is sent next. */
static int
surplus(struct topicd *t)
{
	struct fault f;

	fault_set(&f, FAULT_INTERNAL, NAME ": it answers what was not asked");
	lost(t, &f);
	return -1;
}

static int
greet(struct topicd *t)
{
	struct fault f;
	int rc = client_greeted(&t->client, &f);

	if (rc == 1) {
		t->state = OPEN;
		t->target.hooks->opened(t->target.arg);
	} else if (rc == -1)
		lost(t, &f);
	return rc == 1 ? 0 : -1;
}

static void
on_io(struct ev_loop *loop, ev_io *io, int events)
{
	struct topicd *t = io->data;
	struct fault f;
	int gone, rc = 0;

	(void)loop;
	(void)events;
	if (t->state == GREETING && greet(t) == -1) {
		watch(t);
		return;
	}
	gone = client_move(&t->client, &f);
	/* answers that came before the end count */
	while (rc == 0 && t->state == OPEN && client_ready(&t->client)) {
		if (t->asked)
			rc = take_position(t);
		else if (t->owed > 0)
			rc = take_answer(t);
		else
			rc = surplus(t);
	}
	if (rc == 0 && gone == -1)
		lost(t, &f);
	watch(t);
}

/* ---- calls of the lane ---- */

static void
on_failed(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct topicd *t = timer->data;

	(void)loop;
	(void)events;
	lost(t, &t->fault);
}

static void
topicd_open(struct target *target)
{
	struct topicd *t = (struct topicd *)target;

	t->again = false;
	if (client_connect(&t->client, t->spool, NAME, &t->fault) == -1) {
		ev_timer_set(&t->failed, 0, 0);
		ev_timer_start(t->loop, &t->failed);
		return;
	}
	t->state = GREETING;
	watch(t);
}

static void
add_text(struct topicd *t, const char *text)
{
	client_add(&t->client, text, strlen(text));
}

static void
add_number(struct topicd *t, const char *member, uint64_t n)
{
	char text[64];

	snprintf(text, sizeof(text), "%s%" PRIu64, member, n);
	add_text(t, text);
}

/* Names of topics have nothing to be escaped. */
static void
add_head(struct topicd *t, const char *op, uint64_t run)
{
	char text[256];

	snprintf(text, sizeof(text), "{\"op\":\"%s\",\"topic\":\"%.128s\","
	    "\"producer\":\"route.%016" PRIx64 "\"", op, t->topic, run);
	add_text(t, text);
}

static void
topicd_ask(struct target *target, uint64_t run)
{
	struct topicd *t = (struct topicd *)target;

	add_head(t, "producer", run);
	add_text(t, "}\n");
	t->asked = true;
	watch(t);
}

static void
topicd_send(struct target *target, const struct parcel *p)
{
	struct topicd *t = (struct topicd *)target;

	add_head(t, "publish", p->run);
	add_number(t, ",\"sequence\":", p->last);
	add_number(t, ",\"after\":", p->after);
	add_number(t, ",\"count\":", p->count);
	add_text(t, "}\n");
	client_add(&t->client, buf_data(&p->text), p->text.len);
	t->owed++;
	watch(t);
}

static void
topicd_close(struct target *target)
{
	hang_up((struct topicd *)target);
}

static void
topicd_free(struct target *target)
{
	struct topicd *t = (struct topicd *)target;

	hang_up(t);
	ev_io_stop(t->loop, &t->back);
	if (t->inotify != -1)
		close(t->inotify);
	free(t->topic);
	free(t);
}

/* ---- it comes back ---- */

static void
on_back(struct ev_loop *loop, ev_io *io, int events)
{
	struct topicd *t = io->data;
	char mem[4096] __attribute__((aligned(8)));
	const struct inotify_event *e;
	bool here = false;
	ssize_t n;

	(void)loop;
	(void)events;
	while ((n = read(t->inotify, mem, sizeof(mem))) > 0)
		for (char *p = mem; p < mem + n; p += sizeof(*e) + e->len) {
			e = (const struct inotify_event *)(void *)p;
			here |= e->mask & IN_Q_OVERFLOW || (e->len > 0 &&
			    strcmp(e->name, NAME ".sock") == 0);
		}
	t->again |= here;
	if (here && t->state == CLOSED)
		t->target.hooks->hint(t->target.arg);
}

/* Without it the schedule is all there is. */
static void
watch_run(struct topicd *t)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/run", t->spool->fd);
	t->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (t->inotify == -1 || inotify_add_watch(t->inotify, path,
	    IN_ATTRIB) == -1) { /* the last step of spool_listen */
		log_warn("run: not watched: %s", strerror(errno));
		return;
	}
	ev_io_init(&t->back, on_back, t->inotify, EV_READ);
	t->back.data = t;
	ev_io_start(t->loop, &t->back);
}

const char *
topicd_topic(jv namespace, const char *resource_id)
{
	static const char topics[] = "/topics/";
	const char *own = jq_str(namespace, "id");
	size_t len = own == NULL ? 0 : strlen(own);

	if (len == 0 || strncasecmp(resource_id, own, len) != 0 ||
	    strncasecmp(resource_id + len, topics, sizeof(topics) - 1) != 0)
		return NULL;
	return resource_id + len + sizeof(topics) - 1;
}

struct target *
topicd_new(struct ev_loop *loop, const struct spool *spool, const char *topic,
    const struct target_hooks *hooks, void *arg, struct fault *f)
{
	static const struct target_calls calls = { topicd_open, topicd_ask,
		topicd_send, topicd_close, topicd_free };
	struct topicd *t = calloc(1, sizeof(*t));

	if (t == NULL || (t->topic = strdup(topic)) == NULL) {
		free(t);
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	t->target = (struct target){ .calls = &calls, .hooks = hooks,
		.arg = arg, .window = TARGET_WINDOW };
	t->loop = loop;
	t->spool = spool;
	t->client.fd = -1;
	t->inotify = -1;
	ev_init(&t->io, on_io);
	ev_init(&t->back, on_back);
	ev_init(&t->failed, on_failed);
	t->io.data = t->failed.data = t;
	watch_run(t);
	return &t->target;
}
