#ifndef CTL_PUSH_H
#define CTL_PUSH_H

#include <stdbool.h>

#include <jv.h>

#include "spool.h"

/*
 * How egns-push comes on with a subscription: what its stats say, egns-push(8),
 * as members of the row that `event-subscription status` has of it. Functions
 * consume the row and return it, but for those that answer a question.
 */

/* Is it of mode Push: a resource of the registry, such a row? */
bool push_is(jv resource);
bool push_is_row(jv row);

/* Make it one: members that are not known yet, and what is on disk. */
jv push_row(jv row, const struct spool *, jv resource);

/* What egns-push has told (consumed, too). */
jv push_add(jv row, jv line);

/* Nothing more comes: one that egns-push did not tell of, and that is not on
 * hold, has this state; say why. */
jv push_end(jv row, const char *state, const char *why);

/* Two members in place of all: a table has room for what people read. */
jv push_cells(jv row);

/* "REASON; by user:ann; since ...; next attempt ..." of a row, or of a line (not
 * consumed). */
jv push_words(jv line);

#endif
