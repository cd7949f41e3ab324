#ifndef QUARANTINE_H
#define QUARANTINE_H

#include "container.h"

/*
 * Letters that leave their blob and are kept: a blob of the same name below a
 * prefix, CONTAINER_QUARANTINE or CONTAINER_REPLAYED. One that is there with the
 * same text, which somebody left who was killed, is fine; beside one with
 * another text it gets a name that this text will have again. 0, or -1 and a
 * fault.
 */
int quarantine_put(struct container *, const char *prefix, const char *blob,
    const struct buf *text, struct fault *);

#endif
