#ifndef RETAIN_H
#define RETAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"

/*
 * Retained messages: the last one of each topic. The limits are per throughput
 * unit of the namespace.
 */
#define RETAIN_MESSAGE_MAX 65536
#define RETAIN_COUNT 10000
#define RETAIN_BYTES (INT64_C(640) * 1000 * 1000)
#define RETAIN_SECONDS 31536000 /* 365 days: the longest that one is kept */

struct retain;
struct retain *retain_new(void);
void retain_free(struct retain *);
void retain_limit(struct retain *, unsigned units);

/* Would one of so many bytes fit in place of what the topic has? */
bool retain_room(const struct retain *, const char *topic, size_t,
    size_t bytes);

/* Put a message (a reference is taken) in place of the topic's last; *old gets
 * that one and its reference, or NULL. 0, or -1 without memory. */
int retain_set(struct retain *, struct message *, struct message **old);
/* A topic's, or NULL; no reference is taken. */
struct message *retain_get(struct retain *, const char *topic, size_t);
/* Forget a topic's: the message with its reference, or NULL. */
struct message *retain_clear(struct retain *, const char *topic, size_t);

/* Those that a filter matches and that have not expired, in no order. */
void retain_each(struct retain *, const char *filter, size_t, int64_t now,
    void (*found)(struct message *, void *arg), void *arg);

/* Expired ones, a few at a time: each is taken out and given with its
 * reference. */
void retain_sweep(struct retain *, int64_t now,
    void (*expired)(struct message *, void *arg), void *arg);

size_t retain_count(const struct retain *);
size_t retain_bytes(const struct retain *);

#endif
