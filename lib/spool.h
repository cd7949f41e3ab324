#ifndef SPOOL_H
#define SPOOL_H

#include <stdbool.h>
#include <sys/types.h>

#include "fault.h"

/*
 * The directory tree that is one namespace, egns-spool(5). Everything in it is
 * reached from one descriptor, so the tree can be renamed under a daemon.
 */
struct spool {
	int fd;     /* of the directory; O_PATH: only for *at() calls */
	char *path; /* as it was given; for messages */
};

/*
 * Open what -C names, else $EGNS_SPOOL, else ./spool, else /var/spool/egns. A
 * spool is a directory that has namespace/changes.ndjson. 0, or -1 with a fault
 * (NotFound: says how to create one).
 */
int spool_open(struct spool *, const char *flag, struct fault *);
void spool_close(struct spool *);

/*
 * run/NAME.lock, held until the process ends; holds the pid as text. The
 * descriptor, or -1: Conflict when another instance runs (and says its pid).
 * The lock is the process's: it is lost at fork, and when the process closes
 * any other descriptor of the file, so do not ask spool_holder() about a name
 * that this process has locked itself.
 */
int spool_lock(const struct spool *, const char *name, struct fault *);

/* The pid of the process that holds run/NAME.lock; 0 when nobody does. */
pid_t spool_holder(const struct spool *, const char *name);

/*
 * Listen on, or connect to, run/NAME.sock, however long the spool's path is.
 * Who listens holds run/NAME.lock, so a socket that is there was left by a
 * dead process and is replaced. It is non-blocking and open to everybody: who
 * may do what is decided per request. A connection blocks. Needs /proc. The
 * descriptor, or -1 with a fault (Unavailable: nobody listens).
 */
int spool_listen(const struct spool *, const char *name, struct fault *);
int spool_connect(const struct spool *, const char *name, struct fault *);

/* What the tree has of its own, by name, with a NULL behind. */
#define SPOOL_CONTAINERS "containers"
extern const char *const spool_parts[];

/* mkdir -p below dir, each new name synced to disk. 0, or -1 and errno. */
int spool_mkdir(int dir, const char *path, mode_t);

/* fsync a directory below dir ("." for itself). 0, or -1 and errno. */
int spool_sync_dir(int dir, const char *path);

/*
 * Replace a file whole: PATH.tmp, sync, rename, sync the directory. With sync
 * false (metrics) only the rename, and everybody may read the file, not only
 * its owner. 0, or -1 and errno: the old file stays, unless it was the last sync
 * that failed, when either may be there.
 */
int spool_replace(int dir, const char *path, const void *, size_t, bool sync);

/* A whole file into memory that the caller frees, with a NUL behind; at most
 * max bytes (EFBIG). NULL and errno. */
char *spool_read(int dir, const char *path, size_t max, size_t *len);

/* The same where nobody may be kept waiting: a pipe is EINVAL. */
char *spool_read_regular(int dir, const char *path, size_t max, size_t *len);

/* rm -r below dir; what is not there is no error. 0, or -1 and errno. */
int spool_remove(int dir, const char *path);

#endif
