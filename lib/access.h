#ifndef ACCESS_H
#define ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"
#include "json.h"
#include "registry.h"

/*
 * Who may publish and subscribe to what: client groups, topic spaces and the
 * permission bindings between them. Nothing is allowed but what a binding
 * allows. It decides for the broker, and explains for people.
 */
struct access; /* of a namespace, as it was when it was read; never changes */

struct access *access_load(struct registry *, struct fault *);
void access_free(struct access *);

/* Add a binding that is not in the registry, for what-if questions: resources as
 * the registry would hold them, consumed. 0, or -1 and a fault. */
int access_add(struct access *, const char *path, jv resource, struct fault *);

/* A client: authentication name in its registered spelling, and attributes as
 * the token of an object (0: none). */
struct access_client {
	const char *name;
	size_t name_len;
	const struct json *json;
	uint32_t attributes;
};

enum access_right {
	ACCESS_PUBLISH,
	ACCESS_SUBSCRIBE,
};

/* All that a client may do: filters with its own values in them. Equal sets are
 * one in memory. NULL without memory. It outlives the access. */
struct grants;
struct grants *access_grants(struct access *, const struct access_client *);
void grants_free(struct grants *);

/* Is there any grant at all? */
bool grants_some(const struct grants *);
bool grants_publish(const struct grants *, const char *topic, size_t);
/* The filter is one without $share/GROUP/. */
bool grants_subscribe(const struct grants *, const char *filter, size_t);
/* Do both allow the same? */
bool grants_equal(const struct grants *, const struct grants *);

/*
 * Why: allowed, with the names that allow it, or denied, with words that say
 * what is missing: in no group that has a binding of this permission (and which
 * attribute keeps it out), no binding of the group with this permission, or the
 * nearest template and where it stops matching. A topic of "" asks for any grant.
 */
struct access_reason {
	bool allowed;
	char group[64], binding[64], space[64]; /* names; when allowed */
	char template_[257];
	struct buf words; /* one line for people, either way */
};
void access_explain(struct access *, const struct access_client *,
    enum access_right, const char *topic, size_t, struct access_reason *);
void access_reason_free(struct access_reason *);

#endif
