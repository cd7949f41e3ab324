#ifndef CONNECT_H
#define CONNECT_H

#include <stddef.h>

#include "client.h"
#include "mqtt.h"

/* How a connection becomes a client with a session. */

/* A CONNECT: it is asked who it is, its session is opened and written, and the
 * CONNACK follows; or it is refused. */
void connect_take(struct client *, const struct mqtt_header *,
    const unsigned char *body);

/* An AUTH of one that is connected: a new login (MQTT 5 section 4.12.1). */
void connect_again(struct client *, const unsigned char *body, size_t);

/* The connection is over: whatever of this is under way has nobody to tell. */
void connect_forget(struct client *);

#endif
