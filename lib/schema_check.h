#ifndef SCHEMA_CHECK_H
#define SCHEMA_CHECK_H

#include "schema.h"

/* Of schema.h: is a value what the table says? */

/* Where in the resource a check is, for its fault. */
struct check {
	struct buf path; /* its owner frees it */
	struct fault *fault;
};

/* The fault of what is there; returns jv invalid. */
jv check_bad(struct check *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Go one level down; returns what check_up wants back. */
size_t check_down(struct check *, const char *name);
void check_up(struct check *, size_t);

/*
 * The value with what it lacks, in our spelling; invalid, and a fault that
 * names the place. `old` is what there was, or invalid. Both are consumed.
 */
jv check_value(struct check *, const struct schema *, jv value, jv old);

/* The next of "A|B=C": what is written, and what it means; returns the rest, or
 * NULL. */
const char *check_next_value(const char *values, const char **from,
    size_t *from_len, const char **to, size_t *to_len);

extern const char *const check_type_words[]; /* by enum schema_type */

#endif
