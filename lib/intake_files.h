#ifndef INTAKE_FILES_H
#define INTAKE_FILES_H

#include <limits.h>

#include "intake.h"

/*
 * Of an intake: the files of its maildir. 0, or -1 and errno, if nothing else
 * is said.
 */

struct intake_name {
	struct maildir_name proof;
	char name[MAILDIR_NAME]; /* as it stands in its directory */
};

/* path/stage/name, or path/stage when the name is empty. */
int intake_path(char out[PATH_MAX], const struct intake *, const char *stage,
    const char *name);

/* Never over another file: EEXIST. ENOENT: it is gone. */
int intake_move(const struct intake *, const char *from, const char *name,
    const char *to, const char *new_name);

/* Remove a file of cur/, which may be gone. */
int intake_forget(const struct intake *, const char *name);

/* What has happened in cur/ is on disk; or EIO. */
int intake_sync(const struct intake *);

/*
 * Out of the way, under a name that is free in corrupt/. What cannot be moved
 * is passed by and met again, so it keeps nothing else waiting; intake_take
 * tells of it when there is nothing else.
 */
void intake_put_aside(struct intake *, const char *stage, const char *name,
    const char *why);

int intake_add(struct intake_names *, const char *name,
    const struct maildir_name *proof);
void intake_sort(struct intake_names *,
    int (*order)(const void *, const void *));

/* Read a file: NULL when it is gone or was put aside. The caller frees it. */
int intake_read(struct intake *, const char *stage, const struct intake_name *,
    struct batch **);

/* intake_left.c: what earlier runs have left in cur/, in the order in which it
 * is to be taken. */
int intake_find_left(struct intake *);

#endif
