#ifndef VALUES_H
#define VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "line.h"

/*
 * JSON values of a file, one after the other: the lines of NDJSON, or the
 * elements of one array when the first character is a '['. They are only told
 * apart here, not checked. Set `in` (fd, max), `name` and what is wanted of the
 * others; the rest is zeros.
 */
struct values {
	struct line_reader in;
	const char *name; /* of the file, for messages */
	bool lines;       /* never take a line for the beginning of an array */
	int (*idle)(void *, struct fault *); /* before a wait; NULL: nothing */
	void *arg;

	bool begun, array, ended;
	uint64_t newlines; /* of the array, so far */
	uint64_t line;     /* of the last value, from 1 */
	uint64_t element;  /* of the array, from 1; 0 for a line */
};

/*
 * The next value, without white space around it or a newline in it, valid until
 * the next call. 1, or 0 at the end, or -1 and a fault that names the place, or
 * is what idle said.
 */
int values_next(struct values *, const char **, size_t *, struct fault *);
void values_free(struct values *);

/* "FILE: line 17: " before the words of a fault; -1. */
int values_fault(const struct values *, struct fault *);

#endif
