#ifndef TEMPLATE_H
#define TEMPLATE_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"
#include "json.h"
#include "topic.h"

/*
 * Topic templates: MQTT topic filters in which variables stand for what is
 * known about a client,
 *	devices/${client.authenticationName}/+
 *	halls/${client.attributes.hall|-east}/#
 * A variable is a level or a part of one, never more. What follows '|' is glued
 * to its value. ${dollar} is a literal '$'.
 */

/*
 * A text begins each level; behind it, the nine bytes of ${dollar} are two
 * pieces, itself and a text, and nothing is more pieces in fewer bytes.
 */
#define TEMPLATE_PIECES (TOPIC_LEVELS + 2 * (TOPIC_MAX / 9))

enum template_piece_type {
	TEMPLATE_TEXT,      /* as it stands */
	TEMPLATE_NAME,      /* the client's authentication name */
	TEMPLATE_ATTRIBUTE, /* the client's attribute of this name */
};

struct template_piece {
	enum template_piece_type type;
	const char *text; /* points into the template */
	size_t len;
};

enum template_level_type {
	TEMPLATE_PIECED, /* its pieces, one behind the other */
	TEMPLATE_ONE,    /* "+" */
	TEMPLATE_REST,   /* "#" */
};

struct template_level {
	enum template_level_type type;
	size_t piece, npieces; /* of the template's pieces */
};

struct template {
	struct template_level levels[TOPIC_LEVELS];
	size_t nlevels;
	struct template_piece pieces[TEMPLATE_PIECES];
	size_t npieces;
};

/*
 * The levels of a template, which is UTF-8 and outlives them. 0, or -1 and a
 * fault that says where.
 */
int template_parse(struct template *, const char *,
    struct fault *);

/*
 * The filter that a template is for one client, added to a buffer. Values are
 * literal text within one level: a variable without a value, with an empty one,
 * with one that has / + # or NUL, or with anything but a string or a whole
 * number makes the template one that does not apply; so does a '$' in front or
 * more than TOPIC_MAX bytes in all. 0, or -1 and the piece that is to blame.
 * `attributes` is the token of the attributes' object in json, 0 for none.
 */
int template_expand(const struct template *, const char *name, size_t name_len,
    const struct json *, uint32_t attributes, struct buf *,
    const struct template_piece **blame);

#endif
