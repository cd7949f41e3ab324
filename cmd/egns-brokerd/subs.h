#ifndef SUBS_H
#define SUBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session.h"

/*
 * Subscriptions of all sessions, and who gets a message. Overlapping ones of a
 * session give one delivery with the highest QoS and all identifiers. A shared
 * subscription gives it to one member: a connected one whose window has room,
 * in turn; else a connected one; else one whose session waits offline.
 */
#define SUBS_SHARES 100        /* shared subscriptions of the broker */
#define SUBS_SHARE_MEMBERS 100 /* of each */
#define SUBS_MAX 1000000

struct subscription_options {
	uint8_t qos;
	bool no_local, retain_as_published;
	uint32_t id; /* subscription identifier; 0: none */
};

struct subscription {
	struct session *session;
	struct subscription_options options;
	struct share *share;        /* NULL: an ordinary one */
	struct subscription *next, **link; /* at the same filter */
	uint16_t filter_len;
	char filter[]; /* as it came, "$share/..." included; NUL behind */
};

struct subs;
struct subs *subs_new(void);
void subs_free(struct subs *);
size_t subs_count(const struct subs *);

/*
 * Add one, or change the one with the same filter (then *existed). 0; or
 * MQTT_QUOTA when a limit is reached (session, share, namespace), or
 * MQTT_UNSPECIFIED without memory. The filter is well-formed.
 */
enum mqtt_reason subs_add(struct subs *, struct session *, const char *filter,
    size_t, const struct subscription_options *, bool *existed);

/* False: there was none. */
bool subs_remove(struct subs *, struct session *, const char *filter, size_t);
void subs_remove_all(struct subs *, struct session *);
struct subscription *subs_find(const struct session *, const char *filter,
    size_t);

/* Does it get what is published to this name? */
bool subscription_matches(const struct subscription *, const char *name,
    size_t);

/* A delivery that a message makes. */
struct target {
	struct session *session;
	struct share *share;
	uint8_t qos;  /* granted: compare with the publish's */
	bool retain_as_published;
	uint32_t ids, nids; /* in match.ids */
};

/* Zeros to begin with; used again for message after message. */
struct match {
	struct target *targets;
	uint32_t n, cap;
	uint32_t *ids;
	uint32_t nids, ids_cap;
	bool bad; /* without memory: targets are missing */
};
void match_free(struct match *);

/* `from` is the number of the publishing session, for No Local. */
void subs_match(struct subs *, const char *topic, size_t, uint64_t from,
    uint8_t qos, struct match *);

/* A share, by name, for as long as somebody holds it. */
struct share *share_ref(struct share *);
void share_unref(struct subs *, struct share *);
const char *share_filter(const struct share *); /* "$share/g/f" */
struct share *share_find(struct subs *, const char *filter, size_t);
/* Another member for a message whose first one is gone; NULL: nobody. */
struct session *share_choose(struct share *, const struct session *not_this);

#endif
