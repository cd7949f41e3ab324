#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt.h"

/* A session that came to hold a message after its line was written; store.c. */
struct holder {
	struct holder *next;
	uint64_t session, sequence;
	char line[]; /* what stands for it in "to"; NUL behind */
};

/*
 * An application message, shared by all who wait for it. Its body may be let go
 * while it waits for sessions that are offline: the store has it.
 */
struct message {
	uint32_t refs;
	uint32_t holders; /* who must be served after a restart; store.h */
	uint64_t number;  /* in the store; 0: it is not there */
	uint32_t segment, length; /* where its line is, in the store */
	uint64_t offset;
	struct message *next, *prev; /* of its segment; store.c */
	struct holder *also; /* those that came later; store.c */
	uint32_t promised;   /* of these, in windows that are not done */
	bool moving;         /* its line is being written anew; store.c */
	int64_t expires;  /* clock_now(); 0: never */
	uint64_t from;    /* number of the publishing session; 0: nobody's */
	uint8_t qos;
	bool retain; /* as it was published */
	bool retained; /* the retained ones hold it; store.h */
	uint16_t topic_len;
	uint32_t forward_len, payload_len;
	char *body; /* topic, forwarded properties, payload */
};

/* Copies; one reference. NULL without memory. */
struct message *message_new(struct mqtt_str topic, struct mqtt_str forward,
    struct mqtt_str payload);
struct message *message_ref(struct message *);
void message_unref(struct message *);

/* Bytes that its body takes. */
static inline size_t
message_bytes(const struct message *m)
{
	return (size_t)m->topic_len + m->forward_len + m->payload_len;
}

/* Bytes of all bodies in memory. */
size_t message_total(void);
/* Let the body go, or give it back (copied). */
void message_forget(struct message *);
int message_remember(struct message *, struct mqtt_str topic,
    struct mqtt_str forward, struct mqtt_str payload);

static inline struct mqtt_str
message_topic(const struct message *m)
{
	return (struct mqtt_str){ m->body, m->topic_len };
}

static inline struct mqtt_str
message_forward(const struct message *m)
{
	return (struct mqtt_str){ m->body + m->topic_len, m->forward_len };
}

static inline struct mqtt_str
message_payload(const struct message *m)
{
	return (struct mqtt_str){ m->body + m->topic_len + m->forward_len,
		m->payload_len };
}

static inline bool
message_expired(const struct message *m, int64_t now)
{
	return m->expires != 0 && m->expires <= now;
}

/* Seconds left, at least 1; for one that expires and has not. */
uint32_t message_seconds(const struct message *, int64_t now);

#endif
