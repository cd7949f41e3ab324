#ifndef LINE_H
#define LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/*
 * Lines of a descriptor that people and pipes write to, with a limit. Zeros but
 * for fd and max make a reader.
 */
struct line_reader {
	int fd;
	size_t max; /* bytes of a line */
	struct buf in;
	size_t taken;    /* bytes of `in` that the last line occupies */
	uint64_t number; /* of the last line, from 1 */
	bool eof;
};

void line_free(struct line_reader *);

/* Read more into `in`: 1, or 0 at the end, or -1 and errno. */
int line_fill(struct line_reader *);

/*
 * The next line without its newline (which the last one may lack), valid until
 * the next call: 1, or 0 at the end, or -1 and errno: EMSGSIZE for a line
 * longer than max, which is there again unless it is skipped.
 */
int line_next(struct line_reader *, const char **line, size_t *len);

/* Go behind the end of a line that is too long: 1, or 0 at the end, or -1 and
 * errno. */
int line_skip(struct line_reader *);

/* Would line_fill, would line_next have to wait for somebody to write? */
bool line_waits(const struct line_reader *);
bool line_pauses(const struct line_reader *);

#endif
