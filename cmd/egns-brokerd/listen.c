/* the addresses that clients come to */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker.h"
#include "client.h"
#include "log.h"

#define BACKLOG 4096

static void
on_accept(struct ev_loop *loop, ev_io *w, int events)
{
	struct listener *l = w->data;

	(void)loop;
	(void)events;
	client_accept(l->broker, l);
}

/* "HOST:PORT", "[::1]:PORT". */
static int
resolve(const char *address, struct addrinfo **list, struct fault *f)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	const char *colon = strrchr(address, ':');
	size_t len = (size_t)(colon - address);
	char host[256];
	int rc;

	if (len >= 2 && address[0] == '[' && colon[-1] == ']')
		snprintf(host, sizeof(host), "%.*s", (int)len - 2, address + 1);
	else
		snprintf(host, sizeof(host), "%.*s", (int)len, address);
	rc = getaddrinfo(host[0] == '\0' ? NULL : host, colon + 1, &hints,
	    list);
	if (rc != 0)
		return fault_set(f, FAULT_BAD_REQUEST, "listen on '%s': %s",
		    address, gai_strerror(rc));
	return 0;
}

/* The address with the port that it has got. */
static void
name_address(struct listener *l)
{
	struct sockaddr_storage a = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(a);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getsockname(l->fd, (struct sockaddr *)&a, &len) == -1 ||
	    getnameinfo((struct sockaddr *)&a, len, host, sizeof(host), port,
	    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return;
	snprintf(l->address, sizeof(l->address), a.ss_family == AF_INET6 ?
	    "[%.45s]:%.5s" : "%.45s:%.5s", host, port);
}

/* A socket that listens, or -1 and a fault; errno is 0 for a name that is
 * none. */
static int
open_socket(const char *address, struct fault *f)
{
	struct addrinfo *list;
	int fd, yes = 1;

	errno = 0;
	if (resolve(address, &list, f) == -1)
		return -1;
	fd = socket(list->ai_family, list->ai_socktype | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, list->ai_protocol);
	if (fd != -1)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (fd == -1 || bind(fd, list->ai_addr, list->ai_addrlen) == -1 ||
	    listen(fd, BACKLOG) == -1) {
		fault_errno(f, FAULT_UNAVAILABLE, "listen on '%s'", address);
		if (fd != -1)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	return fd;
}

static void
start(struct broker *b, struct listener *l, int fd)
{
	l->broker = b;
	l->fd = fd;
	name_address(l);
	ev_io_init(&l->watcher, on_accept, fd, EV_READ);
	l->watcher.data = l;
	ev_io_start(b->loop, &l->watcher);
}

static int
open_one(struct broker *b, struct listener *l, const char *address,
    bool websocket, struct fault *f)
{
	int fd = open_socket(address, f);

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
	fd = open_socket(address, f);
	if (fd == -1 && errno != EADDRINUSE)
		return -1;
	close_one(b, l);
	if (fd == -1 && (fd = open_socket(address, f)) == -1) {
		if ((old = open_socket(l->address, NULL)) != -1)
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
