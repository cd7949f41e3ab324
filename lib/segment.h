#ifndef SEGMENT_H
#define SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"

/*
 * The files that a log is made of: OFFSET.ndjson, 20 digits, the offset in the
 * log of the file's first byte. What a line holds is journal.h's business.
 */
struct segment {
	uint64_t start, end; /* offsets in the log */
	int64_t first; /* time of its first event; 0: not known */
	int64_t last;  /* time of its last event; -1: not known */
};

/*
 * The segments in directory `dir`, in order; *list is the caller's to free.
 * Names that are not ours are passed over. 0, or -1 and a fault: a segment is
 * missing between others, or overlaps the next one. `path` is for messages.
 */
int segment_list(int dir, const char *path, struct segment **list, size_t *n,
    struct fault *);

/* Open a segment below dir with open(2) flags. The descriptor, or -1. */
int segment_open(int dir, uint64_t start, int flags);

/* Remove a segment's file. 0 (also when it is not there), or -1. */
int segment_unlink(int dir, uint64_t start);

/*
 * Lines of a segment, from offset `at` to offset `end`. Zeros but for fd,
 * start, at, end and max make a reader.
 */
struct segment_reader {
	int fd;
	uint64_t start; /* of the segment */
	uint64_t at;    /* of the next line */
	uint64_t end;
	size_t max;     /* bytes of a line, its newline included */
	struct buf in;  /* bytes from `at` on */
	size_t taken;   /* bytes of `in` that the last line occupies */
};

/*
 * The next line, newline included: 1, and *line is valid until the next call
 * (NULL when it is longer than max). At the end 0, and *len tells how many
 * bytes without a newline are left there. -1 and errno.
 */
int segment_line(struct segment_reader *, const char **line, size_t *len);
void segment_reader_free(struct segment_reader *);

#endif
