#ifndef PUBLISH_H
#define PUBLISH_H

#include <stdbool.h>

#include "client.h"
#include "mqtt.h"
#include "store.h"

/* Messages on their way through the broker. */

/* A PUBLISH, decoded; refused or taken. */
void publish_take(struct client *, struct mqtt_publish *);

/* The will of a session goes out; what it has is taken. */
void publish_will(struct session *, struct will *);

/* A message that the store may have already goes to one more session. False
 * without memory. */
bool publish_again(struct message *, struct store_target *);

/* What will be retained, or not any more, as soon as it is on disk: a
 * subscription that comes meanwhile was not there when it was matched. In their
 * order. */
void publish_each_retaining(struct broker *, const char *filter, size_t,
    void (*found)(struct message *, void *), void *arg);

/* The members of a message's record, from memory: record.h. */
void publish_record(struct broker *, const struct message *, struct buf *);

/* "Client" member of records of what this client publishes; NULL without
 * memory. */
char *publish_client(const struct client *);

/* Properties that a PUBLISH and a will may have: MQTT_SUCCESS, or the limit
 * that is passed in *words. */
enum mqtt_reason publish_limits(const struct mqtt_properties *,
    const char **words);

/* Topic name of a publish or a will: MQTT_SUCCESS, MQTT_BAD_TOPIC or
 * MQTT_NOT_AUTHORIZED, and words. */
enum mqtt_reason publish_topic(struct mqtt_str, const char **words);

#endif
