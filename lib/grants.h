#ifndef GRANTS_H
#define GRANTS_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/*
 * All that a client may do: the topic filters that it may publish under, and
 * those under which it may subscribe. Equal grants of a pool are one in memory,
 * and outlive what made them. For one thread.
 */
struct grants;

void grants_free(struct grants *);

/* Is there any grant at all? */
bool grants_some(const struct grants *);
/* These allocate nothing and parse nothing. */
bool grants_publish(const struct grants *, const char *topic, size_t);
/* The filter is one without $share/GROUP/. */
bool grants_subscribe(const struct grants *, const char *filter, size_t);
/* Do both allow the same? */
bool grants_equal(const struct grants *, const struct grants *);

/*
 * Where equal ones meet. NULL without memory. It is gone when it was freed and
 * the last of its grants was.
 */
struct grants_pool;
struct grants_pool *grants_pool_new(void);
void grants_pool_free(struct grants_pool *);

/* Add a filter (at most TOPIC_MAX bytes) to a list. */
void grants_list_add(struct buf *list, const char *, size_t);

/*
 * The grants of two such lists, whose filters are in order (memcmp, the shorter
 * first), each there once. NULL without memory.
 */
struct grants *grants_intern(struct grants_pool *, const struct buf *publish,
    const struct buf *subscribe);

#endif
