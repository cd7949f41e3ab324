#ifndef CURSOR_H
#define CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "intake.h"

/* A place between the lines of a list of batches, which have one at least. */
struct cursor {
	struct batch *batch; /* of the next line; NULL: behind the last batch */
	size_t offset;       /* of that line */
	uint64_t number;
};

/* Before the first line of a batch. */
struct cursor cursor_at(struct batch *);

bool cursor_same(const struct cursor *, const struct cursor *);

/* The next line; its length is without the newline. */
const char *cursor_line(const struct cursor *, size_t *len);

/* Behind the next line, which is so long. */
void cursor_advance(struct cursor *, size_t len);

/* Behind all lines of that run that are next, up to one with this number. */
void cursor_skip(struct cursor *, uint64_t run, uint64_t number);

#endif
