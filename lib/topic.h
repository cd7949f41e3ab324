#ifndef TOPIC_H
#define TOPIC_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "fault.h"
#include "json.h"

/*
 * MQTT topic names and filters (MQTT 5 section 4.7), and topic templates: MQTT topic filters in which variables stand for what is
 * known about a client,
 *	devices/${client.authenticationName}/+
 *	halls/${client.attributes.hall|-east}/#
 * A variable is a level or a part of one, never more. What follows '|' is glued
 * to its value. ${dollar} is a literal '$'.
 */
#define TOPIC_MAX 256   /* bytes of a topic, a filter or a template */
#define TOPIC_LEVELS 15

/*
 * A text begins each level; behind it, the nine bytes of ${dollar} are two
 * pieces, itself and a text, and nothing is more pieces in fewer bytes.
 */
#define TOPIC_PIECES (TOPIC_LEVELS + 2 * (TOPIC_MAX / 9))

enum topic_piece_type {
	TOPIC_TEXT,      /* as it stands */
	TOPIC_NAME,      /* the client's authentication name */
	TOPIC_ATTRIBUTE, /* the client's attribute of this name */
};

struct topic_piece {
	enum topic_piece_type type;
	const char *text; /* points into the template */
	size_t len;
};

enum topic_level_type {
	TOPIC_PIECED, /* its pieces, one behind the other */
	TOPIC_ONE,    /* "+" */
	TOPIC_REST,   /* "#" */
};

struct topic_level {
	enum topic_level_type type;
	size_t piece, npieces; /* of the template's pieces */
};

struct topic_template {
	struct topic_level levels[TOPIC_LEVELS];
	size_t nlevels;
	struct topic_piece pieces[TOPIC_PIECES];
	size_t npieces;
};

/*
 * The levels of a template, which is UTF-8 and outlives them. 0, or -1 and a
 * fault that says where.
 */
int topic_template_parse(struct topic_template *, const char *,
    struct fault *);

/*
 * The filter that a template is for one client, added to a buffer. Values are
 * literal text within one level: a variable without a value, with an empty one,
 * with one that has / + # or NUL, or with an array makes the template one that
 * does not apply. 0, or -1 and the piece that is to blame. `attributes` is the
 * token of the attributes' object in json.
 */
int topic_template_expand(const struct topic_template *, const char *name,
    size_t name_len, const struct json *, uint32_t attributes, struct buf *,
    const struct topic_piece **blame);

/*
 * What is wrong with a topic name, with a filter (without $share): words for
 * people, or NULL when it is well. Both are UTF-8 already.
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

/* Does a topic name match a filter? A wildcard in first place does not match a
 * name that begins with '$' (MQTT-4.7.2-1). */
bool topic_matches(const char *filter, size_t, const char *name, size_t);

/* Is everything that filter f matches also matched by filter t? */
bool topic_covers(const char *t, size_t, const char *f, size_t);

/* How many bytes of text fit the filter, up to the level where they part: for
 * people who ask why something does not match. */
size_t topic_agrees(const char *filter, size_t, const char *text, size_t);

#endif
