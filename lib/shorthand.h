#ifndef SHORTHAND_H
#define SHORTHAND_H

#include <stdbool.h>

#include <jv.h>

#include "fault.h"
#include "schema.h"

/*
 * Values of flags as people write them: shorthand ({state:Enabled,list:[a,b]}),
 * JSON, JSON with single quotes, @FILE, null, and partial values (a.b[-1]=x).
 * What a bare word becomes depends on the property that it is for; names in
 * camelCase, kebab-case and snake_case mean the same.
 */
#define SHORTHAND_DEPTH 64
#define SHORTHAND_FILE_MAX (16 * 1024 * 1024)

struct shorthand {
	bool force_string;         /* untyped bare words are strings */
	const struct schema *help; /* set when a value was "??" */
	struct fault *fault;       /* names the place by its path */
};

/* A whole value. Invalid (without message): a fault, or `help` is set. */
jv shorthand_value(struct shorthand *, const struct schema *, const char *);

/*
 * The value that a flag leads to, given the one so far (consumed; invalid for
 * none): a whole value replaces it, a partial one changes it, a plain word adds
 * to a list. Invalid as above.
 */
jv shorthand_argument(struct shorthand *, const struct schema *, jv so_far,
    const char *);

/*
 * Set, add to or remove what a path such as a.b[0].c names below an object
 * described by the schema (consumed). `--add` appends to a list, or to a map
 * with NAME=VALUE.
 */
jv shorthand_set(struct shorthand *, const struct schema *, jv,
    const char *path_value);
jv shorthand_add(struct shorthand *, const struct schema *, jv,
    const char *path, const char *value);
jv shorthand_remove(struct shorthand *, const struct schema *, jv,
    const char *path);

#endif
