#ifndef GROUP_H
#define GROUP_H

#include "fault.h"

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

#endif
