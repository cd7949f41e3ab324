#ifndef GROUP_H
#define GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"
#include "json.h"

/*
 * The query of a client group:
 *	attributes.hall IN ['1', '2'] and (attributes.floor > 3 or
 *	    authenticationName = "press-07")
 * An operand is attributes.KEY or authenticationName; a comparison = <> != < >
 * <= >= with a string in quotes of either kind or a whole number, or IN with a
 * list of them; "and" binds tighter than "or". Order is for numbers only, and
 * an authentication name is a string.
 */
#define GROUP_DEPTH 100 /* parentheses within parentheses */

struct group;

/* NULL and a fault that says where and what was expected. */
struct group *group_compile(const char *query, struct fault *);
void group_free(struct group *);

/*
 * Is the client with this authentication name and these attributes (token of an
 * object in json; 0: none) in the group? "=" and IN hold for an array when they
 * hold for one of its strings; a comparison with an attribute that is absent or
 * of another type does not hold, not even "!=". `why` (may be NULL) is given
 * words for people when the answer is no: the comparisons that failed, as
 * "attributes.hall is absent" or "attributes.hall is 'west'".
 */
bool group_holds(const struct group *, const char *name, size_t name_len,
    const struct json *, uint32_t attributes, struct buf *why);

#endif
