#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>

#include "ctl.h"
#include "schema.h"

/* The flags of a verb on resources, read into one place. */

#define REQUEST_CHANGES 256 /* flags that change something, on one line */

/* A change that flags ask for, in the order of the line. */
struct request_change {
	enum request_how {
		REQUEST_PROPERTY, /* --PROPERTY value */
		REQUEST_SET,      /* --set path=value */
		REQUEST_ADD,      /* --add path value */
		REQUEST_REMOVE,   /* --remove path */
	} how;
	const struct schema *property;
	const char *path, *value;
};

struct request {
	struct ctl *ctl;
	const struct verb *verb;
	const struct schema_noun *noun;
	const char *name, *topic, *namespace;
	const char *filter, *key_name, *custom, *reason;
	char **ids; /* NULL, or what --ids lists */
	int nids;
	int64_t top, interval, timeout;
	bool yes, no_dead_letter, force_string;
	bool created, updated, deleted, exists;
	struct request_change changes[REQUEST_CHANGES];
	int nchanges;
};

/* Read the flags. 0, or an exit status and the words have been said. */
int request_parse(struct request *, struct ctl *, const struct verb *, int argc,
    char *argv[]);

/*
 * Make the changes to a hoisted resource (consumed). Invalid, and a status:
 * faults have been printed, and so has help that "??" asked for (status 0).
 */
jv request_apply(const struct request *, jv, int *status);

/* The flags that a verb on resources takes, for people. */
struct buf;
void request_help(struct buf *, const struct verb *);

#endif
