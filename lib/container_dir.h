#ifndef CONTAINER_DIR_H
#define CONTAINER_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "blob.h"
#include "fault.h"

/*
 * container.h's directories. Each call finds the directory anew, so that it may
 * be made, moved and mounted at any time. Results are those of blob.h, and the
 * faults (unless BLOB_DONE) have the codes of container.h.
 */
struct container_dir {
	int root;    /* the spool, which `path` is below and does not lead out
	              * of; AT_FDCWD: path is absolute */
	char *path;
	char *shown; /* the same for people */
};

/*
 * Steps of a put, and what a crash behind each leaves:
 *	1  directories are made, each synced into the one above before there is
 *	   anything in it: empty directories
 *	2  NAME.tmp~ is made, locked (flock), written and synced: a file that the
 *	   next put, replace or delete of NAME makes empty, or removes
 *	3  it is linked to NAME, if that is not there
 *	4  NAME.tmp~ is unlinked
 *	5  the directory is synced: safe
 * A put that finds NAME syncs the directory as well, for it may have been left
 * by one that did not get there. Two at a time do not disturb each other: one
 * writes, the other one is told to come again.
 */
enum blob_result container_dir_put(const struct container_dir *,
    const char *name, const void *text, size_t len, char etag[BLOB_ETAG],
    struct fault *);

/* The text is the caller's, and has a NUL behind. */
enum blob_result container_dir_get(const struct container_dir *,
    const char *name, size_t max, char **text, size_t *len,
    char etag[BLOB_ETAG], struct fault *);

/* As a put, but NAME.tmp~ is renamed to NAME. Who else replaces or deletes the
 * blob meanwhile waits, and finds that it has changed. */
enum blob_result container_dir_replace(const struct container_dir *,
    const char *name, const char *etag, const void *text, size_t len,
    struct fault *);

/* etag may be NULL. */
enum blob_result container_dir_delete(const struct container_dir *,
    const char *name, const char *etag, struct fault *);

/* In container_list.c. */
int container_dir_list(const struct container_dir *, const char *prefix,
    int (*fn)(const struct blob_entry *, void *arg), void *arg,
    struct fault *);

/* ---- for both files ---- */

/* Can it be a part of a name? Not when it is hidden, or one of ours. */
bool container_dir_part(const char *part, size_t len);

/* The directory, open for reading; or -1 and a fault. */
int container_dir_open(const struct container_dir *, struct fault *);

/* By errno, what came of `name` in the directory, and a fault. */
enum blob_result container_dir_failed(const struct container_dir *,
    const char *name, struct fault *);

/* inode, size and time of the last change of its bytes. */
void container_dir_etag(char etag[BLOB_ETAG], const struct stat *);

#endif
