/* a connection to egns-topicd on the loop */
#include "wire.h"

#include <string.h>

static void
watch(struct wire *w)
{
	int events = EV_READ | (w->client.out.len > 0 ? EV_WRITE : 0);

	if (w->client.fd == -1) {
		ev_io_stop(w->loop, &w->io);
		return;
	}
	if (ev_is_active(&w->io) &&
	    (w->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(w->loop, &w->io);
	ev_io_set(&w->io, w->client.fd, events);
	ev_io_start(w->loop, &w->io);
}

/* False: it is not up, or not yet. */
static bool
greet(struct wire *w)
{
	struct fault f;
	int rc = client_greeted(&w->client, &f);

	if (rc == 1) {
		w->state = WIRE_UP;
		w->hooks->up(w->arg);
	} else if (rc == -1)
		wire_lose(w, &f);
	/* who was told may have begun anew */
	return w->state == WIRE_UP;
}

static void
on_io(struct ev_loop *loop, ev_io *io, int events)
{
	struct wire *w = io->data;
	struct fault f;
	int gone;

	(void)loop, (void)events;
	if (w->state == WIRE_GREETING && !greet(w))
		return;
	gone = client_move(&w->client, &f);
	/* lines that came before the end count */
	while (w->state == WIRE_UP && client_ready(&w->client))
		w->hooks->line(w->arg);
	if (w->state == WIRE_UP && gone == -1)
		wire_lose(w, &f);
	else if (w->state == WIRE_UP)
		watch(w);
}

void
wire_init(struct wire *w, struct ev_loop *loop, const struct spool *spool,
    const struct wire_hooks *hooks, void *arg)
{
	*w = (struct wire){ .loop = loop, .spool = spool, .hooks = hooks,
		.arg = arg };
	w->client.fd = -1;
	ev_init(&w->io, on_io);
	w->io.data = w;
}

int
wire_open(struct wire *w, struct fault *f)
{
	wire_close(w);
	if (client_connect(&w->client, w->spool, "topicd", f) == -1)
		return -1;
	w->state = WIRE_GREETING;
	watch(w);
	return 0;
}

void
wire_close(struct wire *w)
{
	ev_io_stop(w->loop, &w->io);
	if (w->state != WIRE_CLOSED)
		client_close(&w->client);
	w->client.fd = -1;
	w->state = WIRE_CLOSED;
}

void
wire_lose(struct wire *w, const struct fault *f)
{
	wire_close(w);
	w->hooks->down(f, w->arg);
}

void
wire_send(struct wire *w, const void *text, size_t len)
{
	client_add(&w->client, text, len);
	watch(w);
}
