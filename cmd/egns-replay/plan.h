#ifndef PLAN_H
#define PLAN_H

#include <stdio.h>

#include "decide.h"
#include "line.h"

/*
 * A plan: a line for each dead letter, with what is done with it, for people to
 * read and to edit. Where it lies, its key and the action are for us, and so is
 * "to"; the rest is for them.
 */
#define PLAN_LINE (3 * 1024 * 1024) /* bytes: names of an event, and escapes */

/* Add a line. */
void plan_add(struct buf *, const struct decision *, const struct letter *,
    const struct letter_place *);

struct plan_reader {
	struct line_reader in;
	struct json json;
	/* of the line: */
	struct wish wish;
	uint8_t key[LETTER_KEY];
	uint64_t bytes; /* of all lines so far */
	struct buf container, blob; /* with their NUL */
};

/* All zeros but for in.fd. 1, 0 at the end, or -1 and a fault, which names the
 * line. */
int plan_next(struct plan_reader *, struct fault *);
void plan_free(struct plan_reader *);

#endif
