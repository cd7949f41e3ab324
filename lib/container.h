#ifndef CONTAINER_H
#define CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>
#include <jv.h>

#include "blob.h"
#include "fault.h"
#include "registry.h"
#include "spool.h"

/*
 * Where dead letters end: blobs in a container, which is a directory or one of
 * Blob Storage. What a destination means:
 *	Directory    its `path`; a relative one is below the spool, and an
 *	             absolute one that leads there is taken as that
 *	StorageBlob  the namespace's endpoint of the account's resource id; else,
 *	             when the spool has containers/ACCOUNT (ACCOUNT is the last
 *	             part of the id), containers/ACCOUNT/CONTAINER
 * A container below the spool is not reached by symbolic links that lead out of
 * the spool, and nothing in a directory by any.
 *
 * In a directory a blob is a file that is readable by its owner alone, made as
 * NAME.tmp~, synced, linked to NAME and synced again; names of files that end in
 * ~, and hidden ones, are no blobs.
 */
struct container;

/* The destination of a subscription (not consumed), {"deadLetterDestination",
 * "identity"}; jv null when it has none. */
jv container_destination(jv subscription);

/* What a destination (not consumed) is called as long as it cannot be opened:
 * "ACCOUNT/NAME", or its path, as container_name() will say it unless that is a
 * URL; the caller's. NULL without memory. */
char *container_destination_name(jv destination);

struct container_use {
	struct ev_loop *loop;      /* the default one */
	const struct spool *spool;
	struct fetcher *fetcher;   /* with the namespace's trustedCertificates */
	jv namespace;              /* the resource; not consumed, outlives it */
	int64_t deadline;          /* clock_mono(): commands do not wait for Blob
	                            * Storage any longer; 0: as long as it takes */
};

/*
 * Of a destination (not consumed). With a registry it is looked at who writes:
 * the identity (the namespace's own when none is named) must have the role
 * 'Storage Blob Data Contributor' on a local account or the container, or on what
 * is above them; otherwise a Forbidden fault says what to grant, and how. A
 * directory of the Directory type needs no role. The container itself need not be
 * there yet. NULL and a fault.
 */
struct container *container_open(const struct container_use *, jv destination,
    struct registry *, struct fault *);

/* By its name, as container_name() says it: "local/deadletter", a path that
 * begins with / or ., or the URL of a container whose account is an endpoint of
 * the namespace. NULL and a fault. */
struct container *container_open_name(const struct container_use *,
    const char *name, struct fault *);
/* What is under way is dropped, and not waited for. */
void container_close(struct container *);

/* For people, and the same for the same container: "local/deadletter", the path
 * as it was given, or the URL without a query. */
const char *container_name(const struct container *);
bool container_is_remote(const struct container *);

/*
 * Put a blob if there is none of that name. `done`, which closes no container, is
 * called once, from the loop, and never before this returns; name and text are
 * copied. 0, or -1 without memory (or thread, or descriptor): it is not called.
 * Those of a directory are done one after the other, in a thread: the loop does
 * not wait for a disk. BLOB_LATER for a directory: not there (the fault says how
 * to make it), full, read-only, not permitted, or silent for BLOB_TIME.
 */
int container_put_start(struct container *, const char *name, const void *text,
    size_t len, blob_done *done, void *arg);

/*
 * The rest is for commands: they wait, running the loop if need be. 0, or -1 and
 * a fault: NotFound, Conflict (it exists, or is not as it was), Unavailable (it
 * may succeed later), others. One of Blob Storage that is silent for BLOB_TIME, and
 * once more, is not asked again: what follows fails at once. So it does behind
 * the deadline.
 */
int container_put(struct container *, const char *name, const void *text,
    size_t len, struct fault *);

/* All of a blob, with a NUL behind, which the caller frees; at most max bytes
 * (PayloadTooLarge). NULL and a fault. */
char *container_get(struct container *, const char *name, size_t max,
    size_t *len, char etag[BLOB_ETAG], struct fault *);

/* In place of the blob with that ETag, in one step. */
int container_replace(struct container *, const char *name, const char *etag,
    const void *text, size_t len, struct fault *);

/* The blob with that ETag (NULL: whatever it is) goes; in a directory,
 * directories go that are empty then, but for the container. That is not synced:
 * it may come back with the power, to who knows that it was dealt with. */
int container_delete(struct container *, const char *name, const char *etag,
    struct fault *);

/*
 * Call fn with each blob whose name begins with prefix (NULL: all), in the order
 * of names, until it returns non-zero, which is returned. fn may read, replace
 * and delete the blob that it is told of. 0, -1 and a fault, or what fn
 * returned; of a directory that cannot be read the rest is told of before that.
 * Of a directory the parts of names are in order: numbers by their value, else as
 * strings.
 */
int container_list(struct container *, const char *prefix,
    int (*fn)(const struct blob_entry *, void *arg), void *arg,
    struct fault *);

/*
 * The names of blobs of dead letters, "NS/TOPIC/SUBSCRIPTION/yyyy/MM/dd/HH/
 * GUID.json", and of those that were put aside, below QUARANTINE or REPLAYED.
 */
#define CONTAINER_QUARANTINE "_quarantine/"
#define CONTAINER_REPLAYED "_replayed/"
struct blob_path {
	char namespace[64], topic[64], subscription[64]; /* "" when not said */
	int64_t hour;  /* its first microsecond; 0 when not said */
	bool quarantine, replayed;
};
/* What a name says; padded or not, and as little as there is. */
void blob_path_read(struct blob_path *, const char *name);
/* The name of a blob, without what is put before it; 0, or -1: too long. */
int blob_path_write(char name[BLOB_NAME + 1], const char *namespace,
    const char *topic, const char *subscription, int64_t time,
    const char *guid);

#endif
