#ifndef SCHEMA_H
#define SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jv.h>

#include "buf.h"
#include "fault.h"
#include "registry.h"

/*
 * What resources are made of: one table of every noun's properties, with type,
 * values, default, range, and whether they may change. Everything that a
 * resource may hold is in it; what is not in it is refused by name.
 */
enum schema_type {
	SCHEMA_STRING,   /* min..max characters when max is not 0 */
	SCHEMA_INT,      /* min..max */
	SCHEMA_BOOL,
	SCHEMA_ENUM,     /* one of `values`, matched without case */
	SCHEMA_TIME,     /* RFC 3339 */
	SCHEMA_DURATION, /* ISO 8601 */
	SCHEMA_ADDRESS,  /* HOST:PORT */
	SCHEMA_ANY,      /* any JSON */
	SCHEMA_OBJECT,   /* members `of`, up to one without a name */
	SCHEMA_VARIANT,  /* the same; which one applies says the sibling
	                  * "endpointType", whose value is its name */
	SCHEMA_ARRAY,    /* elements `of`; min..max of them when max is not 0 */
	SCHEMA_MAP,      /* names are free, values `of` */
};

enum schema_flag {
	SCHEMA_REQUIRED = 1,
	SCHEMA_FIXED = 2,     /* not changed after creation */
	SCHEMA_READONLY = 4,  /* ignored when given */
	SCHEMA_SECRET = 8,    /* not shown */
	SCHEMA_TOP = 16,      /* beside "properties", not in it */
	SCHEMA_TOLERATED = 32 /* another spelling, rewritten before the check */
};

struct schema {
	const char *name; /* camelCase; NULL in elements and at the end */
	enum schema_type type;
	unsigned flags;
	int64_t min, max;
	const char *dflt;   /* JSON text; NULL: none */
	const char *values; /* "None|SystemAssigned"; "A=B": A is written B */
	const struct schema *of;
	const char *help;
	/* a string's own language: 0, or -1 and a fault without its name */
	int (*check)(const char *, struct fault *);
	/* the same of any JSON, and of an object or a map whose members are
	 * good, which it does not consume */
	int (*check_any)(jv, struct fault *);
};

enum schema_kind {
	SCHEMA_NAMESPACE,
	SCHEMA_TOPIC,
	SCHEMA_SUBSCRIPTION,
	SCHEMA_CLIENT,
	SCHEMA_CLIENT_GROUP,
	SCHEMA_TOPIC_SPACE,
	SCHEMA_PERMISSION_BINDING,
	SCHEMA_CA_CERTIFICATE,
	SCHEMA_ROLE_ASSIGNMENT,
	SCHEMA_KINDS,
};

struct schema_noun {
	enum schema_kind kind;
	const char *words;      /* "namespace topic" */
	const char *collection; /* "topics": last but one part of its path */
	const char *type;       /* "Microsoft.EventGrid/namespaces/topics" */
	const char *help;
	struct schema self;     /* SCHEMA_OBJECT: members, hoisted */
};
extern const struct schema_noun schema_nouns[SCHEMA_KINDS];

/* The noun of a registry path, however deep; NULL: no such collection. */
const struct schema_noun *schema_noun(const char *path);

/*
 * The registry path of a name (below `topic`, for a subscription), after a look
 * at length and alphabet. 0, or -1 and a fault.
 */
#define SCHEMA_PATH 256
int schema_path(char path[SCHEMA_PATH], const struct schema_noun *,
    const char *topic, const char *name, struct fault *);

/* The noun of a path with well-formed names; or NULL and a fault. */
const struct schema_noun *schema_check_path(const char *path, struct fault *);

/*
 * The registry path that a resource id of this namespace stands for ("topics/t"
 * for /subscriptions/.../namespaces/ns/topics/t); a path stands for itself. 0,
 * or -1 and a fault: NotFound for an id of another namespace.
 */
#define SCHEMA_PROVIDER "/providers/Microsoft.EventGrid/namespaces/"
int schema_id_path(struct registry *, const char *id, char path[SCHEMA_PATH],
    struct fault *);

/* A member by name in camelCase, kebab-case or snake_case; NULL: none. */
const struct schema *schema_member(const struct schema *, const char *name,
    size_t);

/*
 * Hoisted, the members of "properties" stand beside "id" and "name", as
 * commands print them. Consumes its argument, as schema_public does.
 */
jv schema_hoist(jv resource);

/* Without what nobody should see. */
jv schema_public(const struct schema_noun *, jv resource);

/* The destination of a push subscription (not consumed, as the registry has
 * it), {"endpointType","properties"}; jv null: it has none. */
jv schema_destination(jv subscription);

/*
 * The whole resource at `path` from what was asked for (hoisted, consumed):
 * checked, filled in, with id, uid, systemData and keys; what is there already
 * keeps its uid, its keys and what is read-only. *changed says whether it
 * differs from what is there. A namespace that is being created (registry NULL)
 * brings its "id" and "name" along. Invalid (without message) and a fault that
 * names the field.
 */
jv schema_make(struct registry *, const char *path, jv given, const char *who,
    bool *changed, struct fault *);

/* Where the namespace names topics that its own messages and events go to. */
#define SCHEMA_ROUTE "properties.topicSpacesConfiguration.routeTopicResourceId"
#define SCHEMA_LIFECYCLE "properties.lifecycleTopicResourceId"

/*
 * Do all names between resources still mean something, and are there no more
 * resources than there may be? To be asked before a commit.
 */
int schema_links(struct registry *, struct fault *);

/* What can be written at this level, for people. */
void schema_help(struct buf *, const struct schema *);

/* Type, range, default and purpose of one property, and a newline. */
void schema_describe(struct buf *, const struct schema *);

/* Two new access keys, {"key1","key2"}; of an old pair only `name` is new. */
jv schema_keys(jv old, const char *name);

#endif
