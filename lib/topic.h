#ifndef TOPIC_H
#define TOPIC_H

#include <stdbool.h>
#include <stddef.h>

/* MQTT topic names and filters (MQTT 5 section 4.7). */
#define TOPIC_MAX 256 /* bytes of a topic, a filter or a template */
#define TOPIC_LEVELS 15

/*
 * What is wrong with a topic name, with a filter (without $share): words for
 * people that go behind "the topic" or "the filter", or NULL when it is well.
 * Both are UTF-8 already. A '$' in front is well: nothing is granted there.
 */
const char *topic_bad_name(const char *, size_t);
const char *topic_bad_filter(const char *, size_t);

/*
 * "$share/GROUP/FILTER" taken apart (MQTT 5 section 4.8.2): 1 and its parts; 0
 * when it is an ordinary filter, which is `filter` then; -1 when the group is
 * missing or has a wildcard, or there is no filter.
 */
struct topic_share {
	const char *group;
	size_t group_len;
	const char *filter;
	size_t len;
};
int topic_share(const char *, size_t, struct topic_share *);

/*
 * Does a topic name match a filter? A wildcard in first place does not match a
 * name that begins with '$' (MQTT-4.7.2-1).
 */
bool topic_matches(const char *filter, size_t, const char *name, size_t);

/*
 * Is everything that filter f matches also matched by filter t? Level by level:
 * '#' covers all, '+' covers a literal or '+', a literal covers itself.
 */
bool topic_covers(const char *t, size_t, const char *f, size_t);

/*
 * How many bytes of a name or filter a filter covers, up to the level where
 * they part: for people who ask why something does not match.
 */
size_t topic_agrees(const char *filter, size_t, const char *text, size_t);

#endif
