#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "line.h"

#define CHUNK (64 * 1024) /* bytes asked for at a time */

void
line_free(struct line_reader *r)
{
	buf_free(&r->in);
}

int
line_fill(struct line_reader *r)
{
	char *room = buf_room(&r->in, CHUNK);
	ssize_t n;

	if (room == NULL) {
		errno = ENOMEM;
		return -1;
	}
	do
		n = read(r->fd, room, CHUNK);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return -1;
	buf_grew(&r->in, (size_t)n);
	r->eof = n == 0;
	return n > 0;
}

int
line_next(struct line_reader *r, const char **line, size_t *len)
{
	char *end = NULL;
	size_t seen = 0;

	buf_take(&r->in, r->taken);
	r->taken = 0;
	for (;;) {
		if (r->in.len > seen)
			end = memchr(buf_data(&r->in) + seen, '\n',
			    r->in.len - seen);
		if (end != NULL || r->eof)
			break;
		seen = r->in.len;
		if (seen <= r->max && line_fill(r) == -1)
			return -1;
		if (seen > r->max)
			break;
	}
	if (end == NULL && r->in.len == 0)
		return 0;
	*line = buf_data(&r->in);
	*len = end != NULL ? (size_t)(end - *line) : r->in.len;
	r->number++;
	if (*len > r->max) {
		errno = EMSGSIZE;
		return -1;
	}
	r->taken = *len + (end != NULL);
	return 1;
}

int
line_skip(struct line_reader *r)
{
	char *end;

	for (;;) {
		end = r->in.len > 0 ?
		    memchr(buf_data(&r->in), '\n', r->in.len) : NULL;
		if (end != NULL) {
			buf_take(&r->in, (size_t)(end - buf_data(&r->in)) + 1);
			return 1;
		}
		buf_take(&r->in, r->in.len);
		if (r->eof)
			return 0;
		if (line_fill(r) == -1)
			return -1;
	}
}

bool
line_waits(const struct line_reader *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN };

	return !r->eof && poll(&p, 1, 0) == 0;
}

bool
line_pauses(const struct line_reader *r)
{
	size_t rest = r->in.len - r->taken;

	if (rest > 0 &&
	    memchr(buf_data(&r->in) + r->taken, '\n', rest) != NULL)
		return false;
	return line_waits(r);
}
