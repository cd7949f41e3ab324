/* egns-brokerd: the MQTT broker of a namespace */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "broker.h"
#include "client.h"
#include "clock.h"
#include "control.h"
#include "daemon.h"
#include "log.h"
#include "metrics.h"
#include "refusal.h"
#include "store.h"
#include "window.h"

#define TICK 0.1 /* seconds; sweeps are every second, or every tick */
#define SWEEP_PERIOD CLOCK_SECOND
#define METRICS_PERIOD (5 * CLOCK_SECOND)
#define STOP_TIME (10 * CLOCK_SECOND) /* for clients to be told */

static void
write_metrics(struct broker *b)
{
	struct buf text = { 0 };

	stats_metrics(b, &text);
	metrics_write(b->spool, "brokerd", &text);
}

static void
expired(struct message *m, void *arg)
{
	store_unretained(arg, m);
	message_unref(m);
}

static void
on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct broker *b = timer->data;
	int64_t now = clock_mono();

	(void)loop;
	(void)events;
	if (!b->stopping)
		listen_resume(b);
	/* what the rates have put off */
	for (struct client *c = b->rate == NULL ? NULL : b->clients; c != NULL;
	     c = c->next)
		if (c->state == CLIENT_CONNECTED)
			session_push(c->session);
	if (!clock_movable() && now - b->swept < SWEEP_PERIOD)
		return;
	if (now / METRICS_PERIOD != b->swept / METRICS_PERIOD)
		write_metrics(b);
	b->swept = now;
	clients_sweep(b);
	refusals_sweep(b);
	if (!b->stopping)
		sessions_sweep(b, b->now);
	retain_sweep(b->retain, b->now, expired, b);
}

/* Before all that has come is looked at. */
static void
on_woken(struct ev_loop *loop, ev_check *w, int events)
{
	struct broker *b = w->data;

	(void)loop;
	(void)events;
	b->now = clock_now();
}

static void
on_turn(struct ev_loop *loop, ev_prepare *w, int events)
{
	struct broker *b = w->data;

	(void)events;
	b->handshakes = CLIENT_HANDSHAKES;
	/* what is sent may make room, and what is done may have to be sent */
	for (int i = 0; i < 4; i++) {
		window_turn(b);
		clients_flush(b);
	}
	if (b->stopping && window_idle(b) && (b->clients == NULL ||
	    clock_mono() - b->stop_since > STOP_TIME))
		ev_break(loop, EVBREAK_ALL);
}

/* Everybody is told; what is owed is written; then the loop ends. */
static void
stop(void *arg)
{
	struct broker *b = arg;
	struct client *c, *next;

	b->stopping = true;
	b->stop_since = clock_mono();
	listen_close(b);
	for (c = b->clients; c != NULL; c = next) {
		next = c->next;
		if (c->state == CLIENT_CONNECTED)
			client_end(c, END_SERVER, MQTT_SHUTTING_DOWN,
			    "the broker is stopped");
		else if (c->state != CLIENT_CLOSING || c->wire.len == 0)
			client_lost(c, END_SERVER, "the broker is stopped");
	}
	store_last_connection(b);
}

static void
reload(void *arg)
{
	struct fault f;

	broker_reload(arg, &f); /* logs */
}

static int
serve(const char *op, const struct json *request, struct buf *answer,
    void *arg, struct fault *f)
{
	struct broker *b = arg;

	(void)request;
	if (strcmp(op, "stats") == 0) {
		buf_str(answer, "{\"ok\":true,\"count\":1}\n");
		stats_line(b, answer);
		return 0;
	}
	if (strcmp(op, "reload") != 0)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "op: reload or stats expected");
	if (broker_reload(b, f) == -1)
		return -1;
	buf_str(answer, "{\"ok\":true}\n");
	return 0;
}

static int
broker_open(struct broker *b, struct fault *f)
{
	b->by_id = tcmapnew();
	b->by_name = tcmapnew();
	b->subs = subs_new();
	b->retain = retain_new();
	b->now = clock_now();
	if (b->subs == NULL || b->retain == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	if ((b->auth = auth_new(b->loop, b->spool, f)) == NULL ||
	    settings_read(b, f) == -1)
		return -1;
	retain_limit(b->retain, b->settings.units);
	rate_change(b);
	if (refusals_open(b, f) == -1 || window_open(b, f) == -1 ||
	    store_open(b, f) == -1 || clients_open(b, f) == -1 ||
	    listen_open(b, f) == -1)
		return -1;
	b->control = control_open(b->loop, b->spool, "brokerd", serve, b, f);
	return b->control == NULL ? -1 : 0;
}

static void
broker_run(struct broker *b)
{
	ev_timer_init(&b->tick, on_tick, 0,
	    clock_movable() ? TICK / 2 : TICK);
	b->tick.data = b;
	ev_timer_again(b->loop, &b->tick);
	ev_prepare_init(&b->turn, on_turn);
	b->turn.data = b;
	ev_prepare_start(b->loop, &b->turn);
	ev_check_init(&b->woken, on_woken);
	ev_set_priority(&b->woken, EV_MAXPRI);
	b->woken.data = b;
	ev_check_start(b->loop, &b->woken);
	ev_run(b->loop, 0);
	ev_check_stop(b->loop, &b->woken);
	ev_prepare_stop(b->loop, &b->turn);
	ev_timer_stop(b->loop, &b->tick);
}

static void
broker_close(struct broker *b)
{
	write_metrics(b);
	control_close(b->control);
	clients_close(b);
	window_close(b);
	sessions_close(b);
	store_close(b);
	retain_free(b->retain);
	refusals_close(b);
	subs_free(b->subs);
	rate_close(b);
	auth_free(b->auth);
	settings_free(&b->settings);
	match_free(&b->match);
	json_free(&b->json);
	buf_free(&b->text);
	tcmapdel(b->by_id);
	tcmapdel(b->by_name);
}

static int
brokerd(const struct daemon_options *opt)
{
	struct broker broker = { 0 };
	struct daemon daemon;
	struct fault fault;

	daemon_init(&daemon, opt->spool, stop, reload, &broker);
	broker.loop = daemon.loop;
	broker.spool = &daemon.spool;
	if (spool_lock(&daemon.spool, "brokerd", &fault) == -1 ||
	    broker_open(&broker, &fault) == -1)
		log_fatal(fault_exit(fault.code), "%s", fault.text);
	daemon_ready(opt->ready);
	broker_run(&broker);
	broker_close(&broker);
	spool_close(&daemon.spool);
	return EX_OK;
}

int
main(int argc, char *argv[])
{
	struct daemon_options opt;

	daemon_options(&opt, "egns-brokerd", argc, argv);
	return brokerd(&opt);
}
