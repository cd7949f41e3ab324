#ifndef ACCESS_H
#define ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"
#include "grants.h"
#include "json.h"
#include "registry.h"

/*
 * Who may publish and subscribe to what: client groups, topic spaces and the
 * permission bindings between them. Nothing is allowed but what a binding
 * allows. It decides for the broker, and explains for people.
 */
struct access; /* of a namespace, as it was when it was read */

struct access *access_load(struct registry *, struct fault *);
void access_free(struct access *);

/*
 * For what-if questions: add a group, a topic space or a binding that is not in
 * the registry, consumed, as that would hold it; take a binding away. 0, or -1
 * and a fault.
 */
int access_add(struct access *, const char *path, jv resource, struct fault *);
int access_remove(struct access *, const char *binding, struct fault *);

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

/* What a client may do, from the groups that it is in and the templates bound
 * to them, with its own values in these. NULL without memory. */
struct grants *access_grants(struct access *, const struct access_client *);

/*
 * Why: allowed, with the names that allow it, or denied, with words that say
 * what is missing: in no group that has a binding of this permission (and which
 * attribute keeps it out), no binding of the group with this permission, or the
 * nearest template and where it stops matching. A topic of "" asks for any
 * grant; a filter is one without $share/GROUP/.
 */
struct access_reason {
	bool allowed;
	char group[64], binding[64], space[64]; /* names; when allowed */
	char template_[257];
	struct buf words; /* one line for people; a NUL behind, not counted */
};
void access_explain(struct access *, const struct access_client *,
    enum access_right, const char *topic, size_t, struct access_reason *);
void access_reason_free(struct access_reason *);

#endif
