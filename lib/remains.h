#ifndef REMAINS_H
#define REMAINS_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "fault.h"
#include "letter.h"

/*
 * What stays of a blob when letters are taken out of it: all the rest, to the
 * byte, also what is no letter at all. A line goes with its newline, an element
 * of an array with its comma.
 *
 * `goes` is asked about each letter. What is left is added to `left`, nothing
 * when nothing but brackets and white space would be: the blob can go then. 0
 * and how many were taken out, or -1 and a fault (no memory).
 */
int remains_of(struct buf *left, const char *text, size_t len,
    bool (*goes)(const struct letter *, void *arg), void *arg, size_t *taken,
    struct fault *);

#endif
