#include "watch.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static bool
is_meant(const struct watch *w, const struct inotify_event *e)
{
	return w->name == NULL || e->mask & IN_Q_OVERFLOW ||
	    (e->len > 0 && strcmp(e->name, w->name) == 0);
}

static void
on_events(struct ev_loop *loop, ev_io *io, int events)
{
	struct watch *w = io->data;
	char mem[16384] __attribute__((aligned(8)));
	const struct inotify_event *e;
	bool came = false;
	ssize_t n;

	(void)loop, (void)events;
	while ((n = read(io->fd, mem, sizeof(mem))) > 0)
		for (char *p = mem; p < mem + n; p += sizeof(*e) + e->len) {
			e = (const struct inotify_event *)(void *)p;
			came |= is_meant(w, e);
		}
	if (came)
		w->came(w->arg);
}

static int
start(struct watch *w, struct ev_loop *loop, const struct spool *spool,
    const char *dir, uint32_t mask)
{
	char path[128];
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), saved;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", spool->fd, dir);
	if (fd != -1 && inotify_add_watch(fd, path, mask) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		fd = -1;
	}
	w->loop = loop;
	ev_io_init(&w->io, on_events, fd, EV_READ);
	w->io.data = w;
	if (fd == -1)
		return -1;
	ev_io_start(loop, &w->io);
	return 0;
}

int
watch_files(struct watch *w, struct ev_loop *loop, const struct spool *spool,
    const char *dir, void (*came)(void *), void *arg)
{
	*w = (struct watch){ .came = came, .arg = arg };
	return start(w, loop, spool, dir, IN_CREATE | IN_MOVED_TO);
}

int
watch_socket(struct watch *w, struct ev_loop *loop, const struct spool *spool,
    const char *name, void (*came)(void *), void *arg)
{
	*w = (struct watch){ .name = name, .came = came, .arg = arg };
	/* the last step of spool_listen */
	return start(w, loop, spool, "run", IN_ATTRIB);
}

void
watch_stop(struct watch *w)
{
	if (!ev_is_active(&w->io))
		return;
	ev_io_stop(w->loop, &w->io);
	close(w->io.fd);
}
