#ifndef SCHEMA_RULES_H
#define SCHEMA_RULES_H

#include "schema_check.h"

/* Of schema.h: what properties of a resource have to do with each other. */

/* What the rules look at. */
struct making {
	struct registry *registry;
	const char *path;
	jv namespace; /* while it is being made, what was asked for */
	const char *namespace_id; /* points into it */
	jv old;       /* invalid: creation */
	struct check check;
};

/* What was asked for (consumed), in the shape that the table has. */
jv rules_prepare(const struct making *, const struct schema_noun *, jv given);

/* What has passed the table (consumed), with what follows from it; invalid and
 * the check's fault. */
jv rules_apply(struct making *, const struct schema_noun *, jv properties);

/* schema_subscription.c: the same of a subscription. */
jv subscription_prepare(const struct making *, jv given);
int64_t subscription_ttl(jv properties); /* microseconds; 0: it says none */
jv subscription_rules(struct making *, jv properties);

#endif
