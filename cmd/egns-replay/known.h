#ifndef KNOWN_H
#define KNOWN_H

#include <stddef.h>

#include "fault.h"
#include "registry.h"

/*
 * The topics and subscriptions that there are, as of one look: where letters can
 * go back to. The service has its own mind about the case of names in those of
 * blobs, so they are also found in another one.
 */
struct known {
	char **paths; /* "topics/T", "topics/T/eventSubscriptions/S", sorted */
	size_t n;
};

/* 0, or -1 and a fault. */
int known_read(struct known *, struct registry *, struct fault *);
void known_free(struct known *);

/* The name as the registry has it; NULL when there is none. */
const char *known_topic(const struct known *, const char *topic);
const char *known_subscription(const struct known *, const char *topic,
    const char *subscription);

#endif
