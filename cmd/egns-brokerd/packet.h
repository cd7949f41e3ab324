#ifndef PACKET_H
#define PACKET_H

#include <stdbool.h>

#include "client.h"
#include "mqtt.h"

/* Packets of a client: which may come when, and what they mean. */

/* The header of one, before its body is here. False: refused, and the client is
 * ended. */
bool packet_allowed(struct client *, const struct mqtt_header *,
    unsigned first);

/* A whole one. */
void packet_take(struct client *, const struct mqtt_header *,
    const unsigned char *body);

#endif
