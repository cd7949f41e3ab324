/* a daemon's words on their way to run/NAME.log */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "logpipe.h"

static int
file_open(struct logpipe *l)
{
	struct stat st;

	l->file = openat(l->dir, l->path,
	    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (l->file == -1)
		return -1;
	l->size = fstat(l->file, &st) == -1 ? 0 : st.st_size;
	return 0;
}

static void
file_rotate(struct logpipe *l)
{
	if (renameat(l->dir, l->path, l->dir, l->old) == -1)
		return;
	close(l->file);
	if (file_open(l) == -1)
		l->size = 0; /* lines are lost, the daemon runs on */
}

/* A full disk costs the line: nobody is left to tell. */
static void
file_write(struct logpipe *l, const struct buf *text)
{
	ssize_t n;

	if (l->size >= LOGPIPE_FILE_MAX)
		file_rotate(l);
	n = write(l->file, buf_data(text), text->len);
	if (n > 0)
		l->size += n;
}

static void
last_add(struct buf *last, const char *line, size_t len)
{
	const char *end;

	buf_add(last, line, len);
	buf_add(last, "\n", 1);
	while (last->len > LOGPIPE_LAST) {
		end = memchr(buf_data(last), '\n', last->len);
		buf_take(last, (size_t)(end - buf_data(last)) + 1);
	}
}

static void
add_line(struct logpipe *l, struct buf *out, const char *line, size_t len)
{
	char now[CLOCK_TEXT + 1];

	clock_format(now, clock_now());
	buf_add(out, now, CLOCK_TEXT);
	buf_add(out, " ", 1);
	buf_add(out, line, len);
	buf_add(out, "\n", 1);
	last_add(&l->last, line, len > 1024 ? 1024 : len);
}

/* Whole lines out of what was read; `all`: the rest is one, too. */
static void
take_lines(struct logpipe *l, bool all)
{
	struct buf out = { 0 };
	const char *end;
	size_t len;

	while (l->part.len > 0) {
		end = memchr(buf_data(&l->part), '\n', l->part.len);
		if (end != NULL)
			len = (size_t)(end - buf_data(&l->part));
		else if (all || l->part.len >= LOGPIPE_LINE_MAX)
			len = l->part.len;
		else
			break;
		add_line(l, &out, buf_data(&l->part), len);
		buf_take(&l->part, end != NULL ? len + 1 : len);
	}
	if (out.len > 0 && !out.bad)
		file_write(l, &out);
	buf_free(&out);
}

/* One helping; false when there was nothing. */
static bool
pipe_read(struct logpipe *l)
{
	char *room = buf_room(&l->part, LOGPIPE_LINE_MAX);
	ssize_t n;

	if (room == NULL) {
		buf_reset(&l->part, 0);
		return false;
	}
	n = read(l->in, room, LOGPIPE_LINE_MAX);
	if (n <= 0)
		return false;
	buf_grew(&l->part, (size_t)n);
	return true;
}

static void
on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	struct logpipe *l = io->data;

	(void)loop, (void)events;
	if (pipe_read(l))
		take_lines(l, false);
}

int
logpipe_open(struct logpipe *l, struct ev_loop *loop, int spool,
    const char *name)
{
	int fd[2], error;

	memset(l, 0, sizeof(*l));
	l->loop = loop;
	l->dir = spool;
	snprintf(l->path, sizeof(l->path), "run/%s.log", name);
	snprintf(l->old, sizeof(l->old), "run/%s.log.old", name);
	if (file_open(l) == -1)
		return -1;
	if (pipe2(fd, O_CLOEXEC) == -1 ||
	    fcntl(fd[0], F_SETFL, O_NONBLOCK) == -1) {
		error = errno;
		close(l->file);
		errno = error;
		return -1;
	}
	l->in = fd[0];
	l->out = fd[1];
	ev_io_init(&l->io, on_readable, l->in, EV_READ);
	l->io.data = l;
	ev_io_start(loop, &l->io);
	return 0;
}

void
logpipe_drain(struct logpipe *l)
{
	while (pipe_read(l))
		take_lines(l, false);
	take_lines(l, true);
}

void
logpipe_anew(struct logpipe *l)
{
	buf_reset(&l->last, LOGPIPE_LAST);
}

void
logpipe_close(struct logpipe *l)
{
	logpipe_drain(l);
	ev_io_stop(l->loop, &l->io);
	close(l->in);
	close(l->out);
	close(l->file);
	buf_free(&l->part);
	buf_free(&l->last);
}
