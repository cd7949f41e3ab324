#ifndef QUERY_H
#define QUERY_H

#include "buf.h"
#include "fault.h"

/*
 * JMESPath, the language of --query, as a jq program: paths, indexes, slices,
 * wildcards, flattening, filters, multiselects, pipes, || && !, comparisons,
 * literals, and the functions contains, ends_with, join, keys, length, max,
 * min, not_null, reverse, sort, sort_by, starts_with, sum, to_number,
 * to_string, type, values. What it does not know it refuses by name.
 */
#define QUERY_DEPTH 100

/* Add the program's text to a buffer. 0, or -1 and a fault (BadRequest). */
int query_translate(struct buf *, const char *query, struct fault *);

#endif
