/* the addresses that clients come to */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "broker.h"
#include "client.h"

#define BACKLOG 4096

static void
on_accept(struct ev_loop *loop, ev_io *w, int events)
{
	struct listener *l = w->data;

	(void)loop;
	(void)events;
	client_accept(l->broker, l);
}

static void
start(struct broker *b, struct listener *l, int fd)
{
	l->broker = b;
	l->fd = fd;
	address_of(fd, l->address);
	ev_io_init(&l->watcher, on_accept, fd, EV_READ);
	l->watcher.data = l;
	ev_io_start(b->loop, &l->watcher);
}

static int
open_one(struct broker *b, struct listener *l, const char *address,
    bool websocket, struct fault *f)
{
	int fd = address_listen(address, BACKLOG, f);

	if (fd == -1)
		return -1;
	l->websocket = websocket;
	start(b, l, fd);
	return 0;
}

static void
close_one(struct broker *b, struct listener *l)
{
	if (l->broker == NULL)
		return;
	ev_io_stop(b->loop, &l->watcher);
	close(l->fd);
	l->broker = NULL;
}

int
listen_open(struct broker *b, struct fault *f)
{
	if (open_one(b, &b->mqtts, b->settings.mqtts, false, f) == -1)
		return -1;
	if (open_one(b, &b->wss, b->settings.wss, true, f) == -1) {
		close_one(b, &b->mqtts);
		return -1;
	}
	return 0;
}

void
listen_pause(struct broker *b)
{
	ev_io_stop(b->loop, &b->mqtts.watcher);
	ev_io_stop(b->loop, &b->wss.watcher);
}

void
listen_resume(struct broker *b)
{
	if (b->mqtts.broker != NULL)
		ev_io_start(b->loop, &b->mqtts.watcher);
	if (b->wss.broker != NULL)
		ev_io_start(b->loop, &b->wss.watcher);
}

void
listen_close(struct broker *b)
{
	close_one(b, &b->mqtts);
	close_one(b, &b->wss);
}

/*
 * The new address may be the old one in other words ("0.0.0.0" for one host,
 * with the same port), so the old one has to go first when it is in the way.
 */
static int
change_one(struct broker *b, struct listener *l, const char *was,
    const char *address, struct fault *f)
{
	int fd, old;

	if (l->broker == NULL || strcmp(was, address) == 0)
		return 0;
	fd = address_listen(address, BACKLOG, f);
	if (fd == -1 && errno != EADDRINUSE)
		return -1;
	close_one(b, l);
	if (fd == -1 && (fd = address_listen(address, BACKLOG, f)) == -1) {
		if ((old = address_listen(l->address, BACKLOG, NULL)) != -1)
			start(b, l, old);
		return -1;
	}
	start(b, l, fd);
	return 0;
}

int
listen_change(struct broker *b, const struct settings *new, struct fault *f)
{
	const struct settings *old = &b->settings;

	if (change_one(b, &b->mqtts, old->mqtts, new->mqtts, f) == -1)
		return -1;
	if (change_one(b, &b->wss, old->wss, new->wss, f) == 0)
		return 0;
	change_one(b, &b->mqtts, new->mqtts, old->mqtts, NULL);
	return -1;
}
