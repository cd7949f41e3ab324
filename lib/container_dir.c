#include "container_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file.h"
#include "quote.h"

#define SUFFIX ".tmp~"
#define DIRECTORY (O_RDONLY | O_DIRECTORY)
/* Against somebody who removes what we make; each time it is another one. */
#define TRIES 100

/* Where a blob is. */
struct spot {
	int container, dir;       /* descriptors; -1: not open */
	char path[BLOB_NAME + 1]; /* of its directory; ".": the container */
	const char *file;         /* its name there, in the blob's name */
	char tmp[BLOB_NAME + sizeof(SUFFIX)];
};

/* ---- what opens, and what does not ---- */

/* openat2(2) below dir; there is no wrapper in glibc. */
static int
beneath(int dir, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | resolve,
	};
	long fd;
	int tries = 0;

	/* EAGAIN: something was renamed, and a ".." may have led out */
	do
		fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
	while (fd == -1 && (errno == EINTR || errno == EAGAIN) &&
	    ++tries < TRIES);
	return (int)fd;
}

/* The first part of a path that is a symbolic link; the whole path: none is. */
static const char *
first_link(int dir, const char *path, char link[PATH_MAX])
{
	struct stat st;

	snprintf(link, PATH_MAX, "%s", path);
	for (char *p = link; *p != '\0'; ) {
		char *slash = p + 1 + strcspn(p + 1, "/"), was = *slash;

		*slash = '\0';
		if (fstatat(dir, link, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISLNK(st.st_mode))
			return link;
		*slash = was;
		p = slash;
	}
	return link;
}

static int
no_container(const struct container_dir *d, struct fault *f)
{
	char q[QUOTE_MAX], at[QUOTE_MAX], link[PATH_MAX];
	int error = errno;

	quote(q, d->shown, strlen(d->shown));
	if (error == ENOENT)
		return fault_set(f, FAULT_UNAVAILABLE, "'%s' is not there; to "
		    "make it%s: mkdir %s", q, d->root == AT_FDCWD ?
		    ", if its disk is mounted" : "", q);
	if (error == EXDEV || error == ELOOP) {
		first_link(d->root, d->path, link);
		return fault_set(f, FAULT_UNAVAILABLE, "'%s': '%s' is a "
		    "symbolic link that leads out of the spool, or nowhere", q,
		    quote(at, link, strlen(link)));
	}
	if (error == ENOSYS)
		return fault_set(f, FAULT_UNAVAILABLE, "'%s': this system has "
		    "no openat2(2); Linux 5.6 or later has", q);
	return fault_errno(f, FAULT_UNAVAILABLE, "'%s'", q);
}

int
container_dir_open(const struct container_dir *d, struct fault *f)
{
	int fd;

	if (d->root == AT_FDCWD)
		fd = open(d->path, DIRECTORY | O_CLOEXEC);
	else
		fd = beneath(d->root, d->path, DIRECTORY, 0);
	if (fd == -1)
		no_container(d, f);
	return fd;
}

/* Which part of the name is it that nothing is reached by? */
static void
name_link(const struct container_dir *d, const char *name, char q[QUOTE_MAX])
{
	char link[PATH_MAX];
	int fd = container_dir_open(d, NULL);

	first_link(fd, name, link);
	if (fd != -1)
		close(fd);
	quote(q, link, strlen(link));
}

enum blob_result
container_dir_failed(const struct container_dir *d, const char *name,
    struct fault *f)
{
	char path[PATH_MAX], q[QUOTE_MAX], link[QUOTE_MAX];
	int error = errno;

	snprintf(path, sizeof(path), "%s/%s", d->shown, name);
	quote(q, path, strlen(path));
	switch (error) {
	case EEXIST:
		fault_set(f, FAULT_CONFLICT, "'%s' is there already", q);
		return BLOB_EXISTS;
	case ECANCELED:
		fault_set(f, FAULT_CONFLICT, "'%s' is not as it was", q);
		return BLOB_CHANGED;
	case ENOENT:
		fault_set(f, FAULT_NOT_FOUND, "'%s': not found", q);
		return BLOB_MISSING;
	case ENAMETOOLONG:
		fault_errno(f, FAULT_BAD_REQUEST, "'%s'", q);
		return BLOB_REFUSED;
	case EWOULDBLOCK:
		fault_set(f, FAULT_UNAVAILABLE, "'%s': somebody else is "
		    "writing it", q);
		return BLOB_LATER;
	case ELOOP:
		name_link(d, name, link);
		fault_set(f, FAULT_UNAVAILABLE, "'%s': '%s' is a symbolic "
		    "link, and nothing is reached by one", q, link);
		return BLOB_LATER;
	default:
		errno = error;
		fault_errno(f, FAULT_UNAVAILABLE, "'%s'", q);
		return BLOB_LATER;
	}
}

/* ---- names ---- */

bool
container_dir_part(const char *part, size_t len)
{
	return len > 0 && part[0] != '.' && part[len - 1] != '~';
}

static bool
is_name(const char *name)
{
	size_t len;

	if (strlen(name) > BLOB_NAME)
		return false;
	for (;; name += len + 1) {
		len = strcspn(name, "/");
		if (!container_dir_part(name, len))
			return false;
		if (name[len] == '\0')
			return true;
	}
}

static enum blob_result
no_name(const char *name, struct fault *f)
{
	char q[QUOTE_MAX];

	fault_set(f, FAULT_BAD_REQUEST, "'%s' cannot be the name of a blob in "
	    "a directory", quote(q, name, strlen(name)));
	return BLOB_REFUSED;
}

static void
spot_init(struct spot *s, const char *name)
{
	const char *slash = strrchr(name, '/');

	*s = (struct spot){ .container = -1, .dir = -1 };
	s->file = slash == NULL ? name : slash + 1;
	if (slash == NULL)
		strcpy(s->path, ".");
	else
		memcpy(s->path, name, (size_t)(slash - name));
	snprintf(s->tmp, sizeof(s->tmp), "%s" SUFFIX, s->file);
}

/* Keeps errno. */
static void
spot_close(struct spot *s)
{
	if (s->dir != -1)
		file_close(s->dir, -1);
	if (s->container != -1)
		file_close(s->container, -1);
	s->container = s->dir = -1;
}

/* ---- files ---- */

void
container_dir_etag(char etag[BLOB_ETAG], const struct stat *st)
{
	snprintf(etag, BLOB_ETAG, "%jx-%jx-%jx.%lx", (uintmax_t)st->st_ino,
	    (uintmax_t)st->st_size, (uintmax_t)st->st_mtim.tv_sec,
	    (unsigned long)st->st_mtim.tv_nsec);
}

/* Why a file of this mode is no blob: errno, and -1. */
static int
no_blob(mode_t mode)
{
	errno = S_ISDIR(mode) ? EISDIR : S_ISLNK(mode) ? ELOOP : EOPNOTSUPP;
	return -1;
}

/* Is it still this file that has the name? */
static bool
is_named(int dir, const char *file, int fd, struct stat *st)
{
	struct stat there;

	return fstat(fd, st) == 0 &&
	    fstatat(dir, file, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st->st_dev == there.st_dev && st->st_ino == there.st_ino;
}

/*
 * The temporary file, empty and locked. Only who has it locked writes it, links
 * it or takes its name away, so that nothing but a crash leaves one. One of two
 * names was left behind the link: it is the blob.
 */
static int
claim(int dir, const char *tmp)
{
	struct stat st;
	int fd;

	for (int i = 0; i < TRIES; i++) {
		fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_NOFOLLOW |
		    O_NONBLOCK | O_CLOEXEC, 0600);
		if (fd == -1)
			return -1;
		if (file_lock(fd, LOCK_EX | LOCK_NB) == -1)
			return file_close(fd, -1);
		if (is_named(dir, tmp, fd, &st)) {
			if (st.st_nlink == 1)
				return ftruncate(fd, 0) == 0 ? fd :
				    file_close(fd, -1);
			unlinkat(dir, tmp, 0);
		}
		close(fd);
	}
	errno = EWOULDBLOCK;
	return -1;
}

/* What a crash has left, if it is that. */
static void
sweep(int dir, const char *tmp)
{
	struct stat st;
	int fd = openat(dir, tmp, O_WRONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);

	if (fd == -1)
		return;
	if (file_lock(fd, LOCK_EX | LOCK_NB) == 0 &&
	    is_named(dir, tmp, fd, &st))
		unlinkat(dir, tmp, 0);
	close(fd);
}

/* The blob, locked, if it has that ETag (NULL: any). */
static int
hold(int dir, const char *file, const char *etag)
{
	char now[BLOB_ETAG];
	struct stat st;
	int fd;

	for (int i = 0; i < TRIES; i++) {
		fd = openat(dir, file, O_RDWR | O_NOFOLLOW | O_NONBLOCK |
		    O_CLOEXEC);
		if (fd == -1)
			return -1;
		if (fstat(fd, &st) == -1 ||
		    (!S_ISREG(st.st_mode) && no_blob(st.st_mode) == -1) ||
		    file_lock(fd, LOCK_EX) == -1)
			return file_close(fd, -1);
		if (is_named(dir, file, fd, &st)) {
			container_dir_etag(now, &st);
			if (etag == NULL || strcmp(etag, now) == 0)
				return fd;
			errno = ECANCELED;
			return file_close(fd, -1);
		}
		close(fd);
	}
	errno = EWOULDBLOCK;
	return -1;
}

static int
write_whole(int fd, const void *text, size_t len)
{
	return file_pwrite(fd, text, len, 0) == -1 ? -1 : fsync(fd);
}

/* ---- put ---- */

/*
 * A directory of the container, made if need be. Who made it may have died
 * before the sync that makes it last: it is done here, before there is anything
 * in it. Those above this one have something in them, so theirs was done.
 */
static int
make_dir(int container, char *path)
{
	int fd = beneath(container, path, DIRECTORY, RESOLVE_NO_SYMLINKS), up;
	char *slash = strrchr(path, '/');
	const char *last = slash == NULL ? path : slash + 1;

	if (strcmp(path, ".") == 0 || (fd == -1 && errno != ENOENT))
		return fd;
	if (slash != NULL)
		*slash = '\0';
	if (slash == NULL)
		up = beneath(container, ".", DIRECTORY, RESOLVE_NO_SYMLINKS);
	else if (fd == -1)
		up = make_dir(container, path);
	else
		up = beneath(container, path, DIRECTORY, RESOLVE_NO_SYMLINKS);
	if (slash != NULL)
		*slash = '/';
	if (up != -1 && fd == -1 &&
	    (mkdirat(up, last, 0700) == 0 || errno == EEXIST))
		fd = beneath(up, last, DIRECTORY, RESOLVE_NO_SYMLINKS);
	if (fd != -1 && (up == -1 || fsync(up) == -1))
		fd = file_close(fd, -1);
	if (up != -1)
		file_close(up, -1);
	return fd;
}

/* Link the temporary file, which is ours, to the blob. */
static int
link_new(const struct spot *s, int tmp, const void *text, size_t len,
    char etag[BLOB_ETAG])
{
	struct stat st;

	if (fstatat(s->dir, s->file, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISREG(st.st_mode))
			return no_blob(st.st_mode);
		errno = EEXIST;
		return -1;
	}
	if (errno != ENOENT || write_whole(tmp, text, len) == -1 ||
	    fstat(tmp, &st) == -1)
		return -1;
	container_dir_etag(etag, &st);
	return linkat(s->dir, s->tmp, s->dir, s->file, 0);
}

static int
put(struct spot *s, const void *text, size_t len, char etag[BLOB_ETAG])
{
	int tmp = -1, rc, error;

	if ((s->dir = make_dir(s->container, s->path)) == -1 ||
	    (tmp = claim(s->dir, s->tmp)) == -1)
		return -1;
	rc = link_new(s, tmp, text, len, etag);
	error = errno;
	unlinkat(s->dir, s->tmp, 0);
	if ((rc == 0 || error == EEXIST) && fsync(s->dir) == -1) {
		/* a second sync would succeed, and prove nothing */
		error = errno;
		if (rc == 0)
			unlinkat(s->dir, s->file, 0);
		rc = -1;
	}
	close(tmp);
	errno = error;
	return rc;
}

enum blob_result
container_dir_put(const struct container_dir *d, const char *name,
    const void *text, size_t len, char etag[BLOB_ETAG], struct fault *f)
{
	enum blob_result result;
	struct spot s;
	int rc, tries = 0;

	if (!is_name(name))
		return no_name(name, f);
	spot_init(&s, name);
	do {
		if ((s.container = container_dir_open(d, f)) == -1)
			return BLOB_LATER;
		rc = put(&s, text, len, etag);
		spot_close(&s);
		/* who deletes a blob takes the empty directories along */
	} while (rc == -1 && errno == ENOENT && ++tries < TRIES);
	if (rc == 0)
		return BLOB_DONE;
	if ((result = container_dir_failed(d, name, f)) == BLOB_MISSING) {
		if (f != NULL)
			f->code = FAULT_UNAVAILABLE;
		return BLOB_LATER;
	}
	return result;
}

/* ---- get ---- */

static int
get(int fd, size_t max, char **text, size_t *len, char etag[BLOB_ETAG])
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) == -1)
		return -1;
	if (!S_ISREG(st.st_mode))
		return no_blob(st.st_mode);
	if ((uintmax_t)st.st_size > max) {
		errno = EFBIG;
		return -1;
	}
	if ((*text = malloc((size_t)st.st_size + 1)) == NULL)
		return -1;
	if ((n = file_pread(fd, *text, (size_t)st.st_size, 0)) == -1) {
		free(*text);
		return -1;
	}
	(*text)[n] = '\0';
	*len = (size_t)n;
	container_dir_etag(etag, &st);
	return 0;
}

enum blob_result
container_dir_get(const struct container_dir *d, const char *name, size_t max,
    char **text, size_t *len, char etag[BLOB_ETAG], struct fault *f)
{
	enum blob_result result;
	int container, fd, rc = -1;
	bool large;

	if (!is_name(name))
		return no_name(name, f);
	if ((container = container_dir_open(d, f)) == -1)
		return BLOB_LATER;
	fd = beneath(container, name, O_RDONLY | O_NONBLOCK,
	    RESOLVE_NO_SYMLINKS);
	if (fd != -1)
		rc = file_close(fd, get(fd, max, text, len, etag));
	file_close(container, -1);
	if (rc == 0)
		return BLOB_DONE;
	large = errno == EFBIG;
	result = container_dir_failed(d, name, f);
	if (large && f != NULL)
		f->code = FAULT_TOO_LARGE;
	return large ? BLOB_REFUSED : result;
}

/* ---- replace, delete ---- */

/* Its container and directory, which must be there. */
static enum blob_result
spot_open(struct spot *s, const struct container_dir *d, const char *name,
    struct fault *f)
{
	enum blob_result result;

	if (!is_name(name))
		return no_name(name, f);
	spot_init(s, name);
	if ((s->container = container_dir_open(d, f)) == -1)
		return BLOB_LATER;
	s->dir = beneath(s->container, s->path, DIRECTORY,
	    RESOLVE_NO_SYMLINKS);
	if (s->dir != -1)
		return BLOB_DONE;
	result = container_dir_failed(d, name, f);
	spot_close(s);
	return result;
}

static int
replace(const struct spot *s, const char *etag, const void *text, size_t len)
{
	int blob, tmp, rc, error;

	if ((blob = hold(s->dir, s->file, etag)) == -1)
		return -1;
	if ((tmp = claim(s->dir, s->tmp)) == -1)
		return file_close(blob, -1);
	rc = write_whole(tmp, text, len);
	if (rc == 0)
		rc = renameat(s->dir, s->tmp, s->dir, s->file);
	error = errno;
	if (rc == -1)
		unlinkat(s->dir, s->tmp, 0);
	else if ((rc = fsync(s->dir)) == -1)
		error = errno;
	close(tmp);
	close(blob);
	errno = error;
	return rc;
}

enum blob_result
container_dir_replace(const struct container_dir *d, const char *name,
    const char *etag, const void *text, size_t len, struct fault *f)
{
	enum blob_result result;
	struct spot s;

	if ((result = spot_open(&s, d, name, f)) != BLOB_DONE)
		return result;
	if (replace(&s, etag, text, len) == -1)
		result = container_dir_failed(d, name, f);
	spot_close(&s);
	return result;
}

/* Not synced: who deletes knows that it may come back with the power. */
static int
delete(const struct spot *s, const char *etag)
{
	int blob = hold(s->dir, s->file, etag), rc;

	if (blob == -1)
		return -1;
	rc = unlinkat(s->dir, s->file, 0);
	if (rc == 0)
		sweep(s->dir, s->tmp);
	file_close(blob, -1);
	return rc;
}

/* Directories that are empty go, up to the container. They come back after a
 * crash, and are in nobody's way. */
static void
prune(int container, char *path)
{
	char *slash;
	int up, rc = strcmp(path, ".") == 0 ? -1 : 0;

	while (rc == 0) {
		if ((slash = strrchr(path, '/')) != NULL)
			*slash = '\0';
		up = beneath(container, slash == NULL ? "." : path, DIRECTORY,
		    RESOLVE_NO_SYMLINKS);
		if (up == -1)
			return;
		rc = unlinkat(up, slash == NULL ? path : slash + 1,
		    AT_REMOVEDIR);
		close(up);
		if (slash == NULL)
			return;
	}
}

enum blob_result
container_dir_delete(const struct container_dir *d, const char *name,
    const char *etag, struct fault *f)
{
	enum blob_result result;
	struct spot s;

	if ((result = spot_open(&s, d, name, f)) != BLOB_DONE)
		return result;
	if (delete(&s, etag) == -1)
		result = container_dir_failed(d, name, f);
	else
		prune(s.container, s.path);
	spot_close(&s);
	return result;
}
