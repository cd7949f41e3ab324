#ifndef SUBSCRIBE_H
#define SUBSCRIBE_H

#include <stdbool.h>
#include <stddef.h>

#include "client.h"

/* A SUBSCRIBE or UNSUBSCRIBE. Filters are judged one by one, and in force when
 * they are on disk; the acknowledgement follows. */
void subscribe_take(struct client *, bool unsubscribe,
    const unsigned char *body, size_t);

#endif
