#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "file.h"
#include "quote.h"
#include "spool.h"

#define MARK "namespace/changes.ndjson"
#define NAME_LIMIT 64 /* bytes of "run/NAME.lock" and the like */

const char *const spool_parts[] = {
	"namespace", "topics", "route", "lifecycle", "deadletter", "dropped",
	"sessions", SPOOL_CONTAINERS, "replay", "metrics", "push", "run", NULL
};

static const char *
locate(const char *flag)
{
	const char *env = getenv("EGNS_SPOOL");

	if (flag != NULL)
		return flag;
	if (env != NULL && *env != '\0')
		return env;
	return access("spool/" MARK, F_OK) == 0 ? "./spool" : "/var/spool/egns";
}

/* Why the directory is not a spool that we can use. */
static int
no_spool(const char *path, struct fault *f)
{
	char q[QUOTE_MAX];

	quote(q, path, strlen(path));
	if (errno == ENOENT || errno == ENOTDIR)
		return fault_set(f, FAULT_NOT_FOUND,
		    "spool '%s': not found; "
		    "'egns-ctl namespace create -C DIR' makes one",
		    q);
	if (errno == EACCES)
		return fault_errno(f, FAULT_FORBIDDEN, "spool '%s'", q);
	return fault_errno(f, FAULT_INTERNAL, "spool '%s'", q);
}

int
spool_open(struct spool *sp, const char *flag, struct fault *f)
{
	const char *path = locate(flag);

	*sp = (struct spool){ .fd = -1 };
	/* a file that a limit lets grow no more is as a disk that is full */
	signal(SIGXFSZ, SIG_IGN);
	sp->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* who may not look into namespace/ can still talk to the daemons */
	if (sp->fd == -1 ||
	    (faccessat(sp->fd, MARK, F_OK, 0) == -1 && errno != EACCES)) {
		no_spool(path, f);
		spool_close(sp);
		return -1;
	}
	if ((sp->path = strdup(path)) == NULL) {
		fault_errno(f, FAULT_INTERNAL, "spool");
		spool_close(sp);
		return -1;
	}
	return 0;
}

void
spool_close(struct spool *sp)
{
	if (sp->fd != -1)
		close(sp->fd);
	free(sp->path);
	*sp = (struct spool){ .fd = -1 };
}

static int
run_name(char out[NAME_LIMIT], const char *name, const char *kind)
{
	int n = snprintf(out, NAME_LIMIT, "run/%s.%s", name, kind);

	if (n >= NAME_LIMIT) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

/* A fault about something in run/, by errno. */
static int
run_fault(const char *name, const char *kind, struct fault *f)
{
	enum fault_code code = FAULT_INTERNAL;

	if (errno == EACCES || errno == EPERM)
		code = FAULT_FORBIDDEN;
	else if (file_no_room(errno))
		code = FAULT_TOO_MANY;
	return fault_errno(f, code, "run/%s.%s", name, kind);
}

static int
locked_by_other(const struct spool *sp, const char *name, struct fault *f)
{
	pid_t pid = spool_holder(sp, name);

	if (pid > 0)
		return fault_set(f, FAULT_CONFLICT,
		    "%s: runs already on this spool, pid %ld", name,
		    (long)pid);
	return fault_set(f, FAULT_CONFLICT, "%s: runs already on this spool",
	    name);
}

/*
 * F_SETLK and not OFD locks, because F_GETLK then tells the pid. The price: any
 * close of the file by this process gives the lock up.
 */
int
spool_lock(const struct spool *sp, const char *name, struct fault *f)
{
	struct flock lk = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[NAME_LIMIT];
	int fd;

	if (run_name(path, name, "lock") == -1 ||
	    spool_mkdir(sp->fd, "run", 0755) == -1)
		return run_fault(name, "lock", f);
	/* a lock to read, by somebody else, would keep us out */
	fd = openat(sp->fd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1)
		return run_fault(name, "lock", f);
	if (fcntl(fd, F_SETLK, &lk) == -1) {
		if (errno == EACCES || errno == EAGAIN)
			locked_by_other(sp, name, f);
		else
			run_fault(name, "lock", f);
		close(fd);
		return -1;
	}
	if (ftruncate(fd, 0) == -1 ||
	    dprintf(fd, "%ld\n", (long)getpid()) < 0) {
		run_fault(name, "lock", f);
		close(fd);
		return -1;
	}
	return fd;
}

pid_t
spool_holder(const struct spool *sp, const char *name)
{
	/* a read lock is all that a read-only descriptor may ask about */
	struct flock lk = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	char path[NAME_LIMIT];
	int fd, rc;

	if (run_name(path, name, "lock") == -1)
		return 0;
	if ((fd = openat(sp->fd, path, O_RDONLY | O_CLOEXEC)) == -1)
		return 0;
	rc = fcntl(fd, F_GETLK, &lk);
	close(fd);
	return rc == 0 && lk.l_type != F_UNLCK ? lk.l_pid : 0;
}

/*
 * The socket's address. sun_path has 108 bytes, which a spool's path may well
 * exceed; through the descriptor it is short, wherever the spool is.
 */
static int
address(const struct spool *sp, const char *name, struct sockaddr_un *sun)
{
	char path[NAME_LIMIT];

	if (run_name(path, name, "sock") == -1)
		return -1;
	*sun = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(sun->sun_path, sizeof(sun->sun_path), "/proc/self/fd/%d/%s",
	    sp->fd, path);
	return 0;
}

int
spool_listen(const struct spool *sp, const char *name, struct fault *f)
{
	char path[NAME_LIMIT];
	struct sockaddr_un sun;
	int fd = -1;

	if (run_name(path, name, "sock") == -1 ||
	    address(sp, name, &sun) == -1 ||
	    (unlinkat(sp->fd, path, 0) == -1 && errno != ENOENT) ||
	    (fd = socket(AF_UNIX,
	         SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) == -1 ||
	    bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(fd, SOMAXCONN) == -1 ||
	    /* last: who watches the directory may connect now */
	    fchmodat(sp->fd, path, 0666, 0) == -1) {
		run_fault(name, "sock", f);
		if (fd != -1)
			close(fd);
		return -1;
	}
	return fd;
}

int
spool_connect(const struct spool *sp, const char *name, struct fault *f)
{
	struct sockaddr_un sun;
	int fd = -1;

	if (address(sp, name, &sun) == -1 ||
	    (fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return run_fault(name, "sock", f);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	if (errno == ENOENT || errno == ECONNREFUSED)
		fault_set(f, FAULT_UNAVAILABLE, "%s: not running", name);
	else
		run_fault(name, "sock", f);
	close(fd);
	return -1;
}

/* The directory that path is in, below dir. */
static int
sync_parent(int dir, const char *path)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return spool_sync_dir(dir, ".");
	if (slash == path)
		return spool_sync_dir(dir, "/");
	snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
	return spool_sync_dir(dir, parent);
}

static int
make_one(int dir, const char *path, mode_t mode, bool last)
{
	struct stat st;

	if (mkdirat(dir, path, mode) == 0)
		return sync_parent(dir, path);
	if (errno != EEXIST || fstatat(dir, path, &st, 0) == -1)
		return -1;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	/* who made it may have died before the sync, or it is not ours */
	if (last && sync_parent(dir, path) == -1 && errno != EACCES)
		return -1;
	return 0;
}

int
spool_mkdir(int dir, const char *path, mode_t mode)
{
	char part[PATH_MAX];
	size_t n, len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len >= sizeof(part)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (n = 1; n <= len; n++) {
		if (n < len && (path[n] != '/' || path[n - 1] == '/'))
			continue;
		memcpy(part, path, n);
		part[n] = '\0';
		if (make_one(dir, part, mode, n == len) == -1)
			return -1;
	}
	return 0;
}

int
spool_sync_dir(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1)
		return -1;
	return file_close(fd, fsync(fd));
}

static int
write_file(int dir, const char *path, const void *data, size_t n, bool sync)
{
	int fd, rc;

	fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
	    sync ? 0600 : 0644);
	if (fd == -1)
		return -1;
	rc = file_pwrite(fd, data, n, 0);
	if (rc == 0 && sync)
		rc = fsync(fd);
	return file_close(fd, rc);
}

int
spool_replace(int dir, const char *path, const void *data, size_t n, bool sync)
{
	char tmp[PATH_MAX];
	int error;

	if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (write_file(dir, tmp, data, n, sync) == -1 ||
	    renameat(dir, tmp, dir, path) == -1) {
		error = errno;
		unlinkat(dir, tmp, 0);
		errno = error;
		return -1;
	}
	return sync ? sync_parent(dir, path) : 0;
}

/* All of fd, which has about `size` bytes. */
static char *
read_all(int fd, size_t size, size_t max, size_t *len)
{
	char *mem = NULL, *more;
	size_t cap = size + 2, used = 0;
	ssize_t n = 1;

	while (n != 0) {
		if (mem == NULL || used + 1 == cap) {
			cap = mem == NULL ? cap : cap * 2;
			if ((more = realloc(mem, cap)) == NULL)
				break;
			mem = more;
		}
		n = read(fd, mem + used, cap - 1 - used);
		if (n == -1 && errno != EINTR)
			break;
		used += n > 0 ? (size_t)n : 0;
		if (used > max) {
			errno = EFBIG;
			break;
		}
	}
	if (n != 0) {
		free(mem);
		return NULL;
	}
	mem[used] = '\0';
	*len = used;
	return mem;
}

char *
spool_read(int dir, const char *path, size_t max, size_t *len)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	char *mem = NULL;
	struct stat st;

	if (fd == -1)
		return NULL;
	if (fstat(fd, &st) == 0) {
		if ((uintmax_t)st.st_size > max)
			errno = EFBIG;
		else
			mem = read_all(fd, (size_t)st.st_size, max, len);
	}
	file_close(fd, -1);
	return mem;
}

char *
spool_read_regular(int dir, const char *path, size_t max, size_t *len)
{
	struct stat st;

	if (fstatat(dir, path, &st, 0) == -1)
		return NULL;
	if (S_ISREG(st.st_mode))
		return spool_read(dir, path, max, len);
	errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
	return NULL;
}

static int
remove_children(int dir, const char *path)
{
	DIR *d = file_opendir(dir, path, O_NOFOLLOW);
	struct dirent *e;
	int error, rc = 0;

	if (d == NULL)
		return -1;
	while (rc == 0 && (errno = 0, e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = spool_remove(dirfd(d), e->d_name);
	}
	if (rc == 0 && errno != 0)
		rc = -1;
	error = errno;
	closedir(d);
	errno = error;
	return rc;
}

int
spool_remove(int dir, const char *path)
{
	if (unlinkat(dir, path, 0) == 0 || errno == ENOENT)
		return 0;
	/* unlink of a directory is EISDIR here and EPERM in POSIX */
	if (errno != EISDIR && errno != EPERM)
		return -1;
	if (remove_children(dir, path) == -1 && errno != ENOENT)
		return -1;
	if (unlinkat(dir, path, AT_REMOVEDIR) == -1 && errno != ENOENT)
		return -1;
	return 0;
}
