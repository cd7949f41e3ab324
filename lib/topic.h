#ifndef TOPIC_H
#define TOPIC_H

#include <stddef.h>

#include "fault.h"

/*
 * Topic templates: MQTT topic filters in which variables stand for what is
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

#endif
