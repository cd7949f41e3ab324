/* a place between lines */
#include "cursor.h"

#include <string.h>

struct cursor
cursor_at(struct batch *b)
{
	return (struct cursor){ b, 0, b == NULL ? 0 : b->first };
}

bool
cursor_same(const struct cursor *a, const struct cursor *b)
{
	return a->batch == b->batch && a->offset == b->offset;
}

const char *
cursor_line(const struct cursor *c, size_t *len)
{
	const char *line = c->batch->text + c->offset;
	const char *end = memchr(line, '\n',
	    c->batch->proof.bytes - c->offset);

	*len = (size_t)(end - line);
	return line;
}

void
cursor_advance(struct cursor *c, size_t len)
{
	c->offset += len + 1;
	c->number++;
	if (c->offset == c->batch->proof.bytes)
		*c = cursor_at(c->batch->next);
}

void
cursor_skip(struct cursor *c, uint64_t run, uint64_t number)
{
	size_t len;

	while (c->batch != NULL && c->batch->run == run &&
	    c->number <= number) {
		if (c->batch->first + c->batch->proof.lines - 1 <= number) {
			*c = cursor_at(c->batch->next);
		} else {
			cursor_line(c, &len);
			cursor_advance(c, len);
		}
	}
}
