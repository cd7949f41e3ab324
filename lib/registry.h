#ifndef REGISTRY_H
#define REGISTRY_H

#include <stdbool.h>

#include <jv.h>

#include "fault.h"
#include "spool.h"

/*
 * The resources of the namespace. Truth is namespace/changes.ndjson, a line per
 * change; namespace/index.tcb (Tokyo Cabinet, path -> JSON) is rebuilt from it
 * when it is missing, broken or behind. Paths are
 *	namespace
 *	topics/T	topics/T/eventSubscriptions/S
 *	clients/C  clientGroups/G  topicSpaces/TS  permissionBindings/P
 *	caCertificates/CA  roleAssignments/R
 * and a resource is what `egns-ctl ... show` prints before hoisting: {"id",
 * "name","type","uid","systemData","properties"...}. `uid` is made anew each
 * time a resource is created: the same name created again is another thing.
 */
struct registry;

/*
 * Make an empty registry below dir (nothing in it: `namespace` is yet to be
 * put), or find that there is one. 0, or -1 and a fault.
 */
int registry_create(int dir, struct fault *);

/*
 * Open for one look (shared lock) or for changes (exclusive lock; other writers
 * wait, and readers see the state before until the commit). Keep it open for as
 * short as can be. A last transaction that is not whole is passed over, and cut
 * off when opened for changes. NULL and a fault.
 */
struct registry *registry_open(const struct spool *, bool write,
    struct fault *);
void registry_close(struct registry *);

/*
 * For who looks again and again: between looks a registry that was opened for
 * them may rest, and keeps nobody waiting. When it resumes it is as current as
 * one that is opened then, at a fraction of the price. 0, or -1 and a fault: it
 * has to be closed.
 */
void registry_rest(struct registry *);
int registry_resume(struct registry *, struct fault *);

/* A resource, or invalid (without message) when there is none. */
jv registry_get(struct registry *, const char *path);
bool registry_has(struct registry *, const char *path);

/* The same without the transaction: as it is on disk. */
jv registry_stored(struct registry *, const char *path);

/*
 * The text of the client with an authentication name, in any case of ASCII
 * letters; NULL when there is none. The caller frees it. It costs the same with
 * 400,000 clients as with ten.
 */
char *registry_client(struct registry *, const char *name, size_t,
    size_t *text_len);

/*
 * Has a client of the transaction the authentication name of another one? Their
 * paths, if so; the first is of the transaction.
 */
bool registry_twins(struct registry *, jv *one, jv *other);

/*
 * Call fn for each resource whose path begins with prefix, in path order, until
 * it returns non-zero, which is returned. fn consumes the resource and changes
 * nothing.
 */
int registry_each(struct registry *, const char *prefix,
    int (*fn)(const char *path, jv resource, void *arg), void *arg);

/* The same with the resource's text, for who wants little of many. */
int registry_each_text(struct registry *, const char *prefix,
    int (*fn)(const char *path, const char *text, size_t, void *arg),
    void *arg);

/*
 * A transaction: put and delete gather changes in memory, which get and each
 * see at once; commit makes them one durable step (append, fdatasync, index).
 * Close without commit forgets them. A delete takes what is below the path
 * along; NotFound when there is nothing. `who` is the principal, "user:root".
 * When a commit fails nothing has changed; unless it is the index that cannot be
 * written, which the fault says: then the log has the change, and whoever next
 * can write the index mends it. Close the registry after a failed commit.
 */
int registry_put(struct registry *, const char *path, jv resource,
    struct fault *);
int registry_delete(struct registry *, const char *path, struct fault *);
int registry_commit(struct registry *, const char *who, struct fault *);

#endif
