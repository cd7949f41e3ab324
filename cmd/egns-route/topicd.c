/* a topic of this namespace, by egns-topicd's socket, as a target */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "jq.h"
#include "log.h"
#include "target.h"
#include "watch.h"
#include "wire.h"

#define NAME "topicd"

struct topicd {
	struct target target; /* first */
	struct ev_loop *loop;
	const struct spool *spool;
	char *topic;
	struct wire wire;
	struct fault fault; /* of an open that has failed at once */
	ev_timer failed;
	unsigned owed; /* answers to parcels */
	bool asked;
	bool again;    /* it came back since this attempt began */
	struct watch back; /* without it the schedule is all there is */
};

/* ---- the connection ---- */

static void
hang_up(struct topicd *t)
{
	wire_close(&t->wire);
	ev_timer_stop(t->loop, &t->failed);
	t->owed = 0;
	t->asked = false;
}

static void
on_down(const struct fault *f, void *arg)
{
	struct topicd *t = arg;

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
static void
take_position(struct topicd *t)
{
	struct fault f = { .code = FAULT_NONE };
	uint64_t number = 0;

	if (client_answer(&t->wire.client, &f) == 0)
		number = client_number(&t->wire.client, "sequence");
	else if (f.code != FAULT_NOT_FOUND && f.code != FAULT_FORBIDDEN) {
		wire_lose(&t->wire, &f);
		return;
	}
	t->asked = false;
	t->target.hooks->position(number, t->target.arg);
}

static void
take_answer(struct topicd *t)
{
	struct fault f = { .code = FAULT_NONE };
	enum outcome outcome = OUTCOME_STORED;

	if (client_answer(&t->wire.client, &f) == -1) {
		if (t->wire.client.fd == -1) {
			wire_lose(&t->wire, &f);
			return;
		}
		outcome = outcome_of(f.code);
	}
	t->owed--;
	t->target.hooks->answered(outcome, 0, &f, t->target.arg);
}

/* It would be taken for the answer to what is sent next. */
static void
surplus(struct topicd *t)
{
	struct fault f;

	fault_set(&f, FAULT_INTERNAL, NAME ": it answers what was not asked");
	wire_lose(&t->wire, &f);
}

static void
on_up(void *arg)
{
	struct topicd *t = arg;

	t->target.hooks->opened(t->target.arg);
}

static void
on_line(void *arg)
{
	struct topicd *t = arg;

	if (t->asked)
		take_position(t);
	else if (t->owed > 0)
		take_answer(t);
	else
		surplus(t);
}

static const struct wire_hooks wire_hooks = { on_up, on_line, on_down };

/* ---- calls of the lane ---- */

static void
on_failed(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct topicd *t = timer->data;

	(void)loop;
	(void)events;
	on_down(&t->fault, t);
}

static void
topicd_open(struct target *target)
{
	struct topicd *t = (struct topicd *)target;

	t->again = false;
	if (wire_open(&t->wire, &t->fault) == -1) {
		ev_timer_set(&t->failed, 0, 0);
		ev_timer_start(t->loop, &t->failed);
	}
}

static void
add_text(struct topicd *t, const char *text)
{
	client_add(&t->wire.client, text, strlen(text));
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
	wire_send(&t->wire, "}\n", 2);
	t->asked = true;
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
	wire_send(&t->wire, buf_data(&p->text), p->text.len);
	t->owed++;
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
	watch_stop(&t->back);
	free(t->topic);
	free(t);
}

/* ---- it comes back ---- */

static void
on_back(void *arg)
{
	struct topicd *t = arg;

	t->again = true;
	if (t->wire.state == WIRE_CLOSED)
		t->target.hooks->hint(t->target.arg);
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
	wire_init(&t->wire, loop, spool, &wire_hooks, t);
	ev_init(&t->failed, on_failed);
	t->failed.data = t;
	if (watch_socket(&t->back, loop, spool, NAME ".sock", on_back, t) == -1)
		log_warn("run: not watched: %s", strerror(errno));
	return &t->target;
}
