/*
 * Faults at a chosen system call: an LD_PRELOAD library for crash tests. It
 * counts, from 1, the calls that change files:
 *
 *	write pwrite writev pwritev fsync fdatasync msync rename link unlink
 *	open (with O_CREAT) mkdir rmdir ftruncate fallocate
 *
 * (each with its *at, 64 and numbered relatives) and, when SHIM_CALLS has their
 * names, those that tell somebody else, and one that only reads:
 *
 *	connect send recv
 *	readdir
 *
 * and does one thing:
 *
 *	SHIM_KILL=N           SIGKILL in place of call N
 *	SHIM_AFTER=1          ... when call N is done
 *	SHIM_TORN=1           ... when half of it is written, if it writes
 *	SHIM_ENOSPC=N[,COUNT] calls N to N+COUNT-1 fail for want of space (those
 *	                      that take some; others are done)
 *	SHIM_EIO=N[,COUNT]    ... fail with EIO
 *	SHIM_TORN=1           ... the first of them writes half, if it writes
 *	SHIM_FULL=FILE        all calls fail for want of space while FILE is there
 *	SHIM_HANG=FILE        all calls wait while FILE is there
 *
 * Only calls that SHIM_CALLS (comma-separated names of the lists above) and
 * SHIM_PATH (part of the file's path; of a socket "unix:" and the peer's path, or
 * "port:" and its number) select are counted. SHIM_TRACE=FILE gets
 * a line "N CALL PATH" per counted call.
 *
 * SHIM_PATIENCE=MS is the longest that a request of libcurl may take.
 *
 * What stdio writes does not come by here: it calls write within the C library.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum verdict {
	GO,     /* do it */
	AFTER,  /* do it, then die */
	TORN,   /* write half of it; die if `kill_at` says so */
	REFUSE, /* errno is set */
};

static long kill_at, enospc_at, enospc_n, eio_at, eio_n;
static bool after, torn;
static const char *calls, *path_part, *full, *hang;
static int trace = -1;
static atomic_long count;

/* The next definition of a function, past this library. */
#define REAL(name) (__extension__(__typeof__(&name))real(#name))

static void *
real(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (f == NULL)
		abort();
	return f;
}

static void
range(const char *name, long *at, long *n)
{
	const char *s = getenv(name);
	char *end;

	if (s == NULL)
		return;
	*at = strtol(s, &end, 10);
	*n = *end == ',' ? strtol(end + 1, NULL, 10) : 1;
}

__attribute__((constructor)) static void
setup(void)
{
	const char *file = getenv("SHIM_TRACE");
	long n;

	range("SHIM_KILL", &kill_at, &n);
	range("SHIM_ENOSPC", &enospc_at, &enospc_n);
	range("SHIM_EIO", &eio_at, &eio_n);
	after = getenv("SHIM_AFTER") != NULL;
	torn = getenv("SHIM_TORN") != NULL;
	calls = getenv("SHIM_CALLS");
	path_part = getenv("SHIM_PATH");
	full = getenv("SHIM_FULL");
	hang = getenv("SHIM_HANG");
	if (file != NULL)
		trace = (int)syscall(SYS_openat, AT_FDCWD, file,
		    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

static void
die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

static bool
listed(const char *name)
{
	size_t len = strlen(name);
	const char *s = calls;

	if (s == NULL)
		return true;
	for (; (s = strstr(s, name)) != NULL; s += len)
		if ((s == calls || s[-1] == ',') &&
		    (s[len] == ',' || s[len] == '\0'))
			return true;
	return false;
}

/* The path that fd, or name below it (unless NULL), stands for. */
static void
locate(char path[PATH_MAX], int fd, const char *name)
{
	char link[64];
	ssize_t n = 0;

	path[0] = '\0';
	if (name == NULL || (name[0] != '/' && fd != AT_FDCWD)) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, path, PATH_MAX - 1);
		path[n > 0 ? n : 0] = '\0';
	}
	if (name != NULL && n >= 0 && n < PATH_MAX)
		snprintf(path + n, (size_t)(PATH_MAX - n), "%s%s",
		    n > 0 ? "/" : "", name);
}

/* The path that stands for the peer of a socket. */
static void
name_peer(char path[PATH_MAX], const struct sockaddr_storage *peer)
{
	const struct sockaddr_un *un = (const void *)peer;
	const struct sockaddr_in *in = (const void *)peer;

	if (peer->ss_family == AF_UNIX)
		snprintf(path, PATH_MAX, "unix:%.*s",
		    (int)sizeof(un->sun_path), un->sun_path);
	else if (peer->ss_family == AF_INET)
		snprintf(path, PATH_MAX, "port:%d", ntohs(in->sin_port));
	else
		path[0] = '\0';
}

static bool
within(long n, long at, long many)
{
	return at > 0 && n >= at && n - at < many;
}

/* Count a call on path. */
static enum verdict
judge_path(const char *call, const char *path, bool writes, bool grows)
{
	char line[PATH_MAX + 64];
	long n, at = 0;
	int len;

	if (path_part != NULL && strstr(path, path_part) == NULL)
		return GO;
	n = atomic_fetch_add(&count, 1) + 1;
	if (trace != -1) {
		len = snprintf(line, sizeof(line), "%ld %s %s\n", n, call,
		    path);
		syscall(SYS_write, trace, line, (size_t)len);
	}
	if (kill_at != 0) {
		if (n != kill_at)
			return GO;
		if (torn && writes)
			return TORN;
		if (!after)
			die();
		return AFTER;
	}
	while (hang != NULL && access(hang, F_OK) == 0)
		usleep(10000);
	if (grows && full != NULL && access(full, F_OK) == 0) {
		errno = ENOSPC;
		return REFUSE;
	}
	if (grows && within(n, enospc_at, enospc_n)) {
		at = enospc_at;
		errno = ENOSPC;
	} else if (within(n, eio_at, eio_n)) {
		at = eio_at;
		errno = EIO;
	} else {
		return GO;
	}
	return torn && writes && n == at ? TORN : REFUSE;
}

/* Count a call on fd, or on name below it. `writes`: it may be half done;
 * `grows`: it may lack space. */
static enum verdict
judge(const char *call, int fd, const char *name, bool writes, bool grows)
{
	char path[PATH_MAX];
	int saved = errno;

	if (!listed(call))
		return GO;
	locate(path, fd, name);
	errno = saved;
	return judge_path(call, path, writes, grows);
}

/* Count a call on a socket, with the peer that it is to have, or has. */
static enum verdict
judge_socket(const char *call, int fd, const struct sockaddr *to, socklen_t n)
{
	struct sockaddr_storage peer = { 0 };
	char path[PATH_MAX];
	int saved = errno;

	if (calls == NULL || !listed(call))
		return GO;
	if (to != NULL && n <= sizeof(peer))
		memcpy(&peer, to, n);
	else if (to == NULL) {
		n = sizeof(peer);
		getpeername(fd, (struct sockaddr *)&peer, &n);
	}
	errno = saved;
	name_peer(path, &peer);
	return judge_path(call, path, to == NULL, false);
}

/* libcurl's, which the header would make a macro of. */
#define TIMEOUT_MS 155
int curl_easy_setopt(void *, int, ...);

int
curl_easy_setopt(void *easy, int option, ...)
{
	static int (*next)(void *, int, ...);
	const char *patience = getenv("SHIM_PATIENCE");
	long value;
	va_list ap;

	va_start(ap, option);
	value = va_arg(ap, long); /* or a pointer, which is passed alike */
	va_end(ap);
	if (next == NULL)
		next = REAL(curl_easy_setopt);
	if (option == TIMEOUT_MS && patience != NULL &&
	    value > strtol(patience, NULL, 10))
		value = strtol(patience, NULL, 10);
	return next(easy, option, value);
}

/* What a call returns; `half` is done instead when it is to be torn. */
#define DO(v, all, half, fail) \
	do { \
		__typeof__(all) r_; \
		int e_; \
		switch (v) { \
		case GO: return all; \
		case REFUSE: return fail; \
		case AFTER: r_ = all; die(); return r_; \
		case TORN: \
			r_ = half; \
			e_ = errno; \
			if (kill_at != 0) \
				die(); \
			errno = e_; \
			return r_; \
		} \
		abort(); \
	} while (0)
#define WHOLE(v, all) DO(v, all, all, -1)

ssize_t
write(int fd, const void *p, size_t n)
{
	DO(judge("write", fd, NULL, true, true), REAL(write)(fd, p, n),
	    REAL(write)(fd, p, n / 2), -1);
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	DO(judge("pwrite", fd, NULL, true, true),
	    REAL(pwrite)(fd, p, n, at), REAL(pwrite)(fd, p, n / 2, at), -1);
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	DO(judge("pwrite", fd, NULL, true, true),
	    REAL(pwrite64)(fd, p, n, at), REAL(pwrite64)(fd, p, n / 2, at),
	    -1);
}

/* Half of a vector: the first half of its first part that has any. */
static struct iovec
half(const struct iovec *v, int n)
{
	while (n > 1 && v->iov_len == 0)
		v++, n--;
	return (struct iovec){ v->iov_base, n > 0 ? v->iov_len / 2 : 0 };
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	struct iovec h = half(v, n);

	DO(judge("writev", fd, NULL, true, true), REAL(writev)(fd, v, n),
	    REAL(writev)(fd, &h, 1), -1);
}

ssize_t
pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	struct iovec h = half(v, n);

	DO(judge("pwritev", fd, NULL, true, true),
	    REAL(pwritev)(fd, v, n, at), REAL(pwritev)(fd, &h, 1, at), -1);
}

ssize_t
pwritev64(int fd, const struct iovec *v, int n, off64_t at)
{
	struct iovec h = half(v, n);

	DO(judge("pwritev", fd, NULL, true, true),
	    REAL(pwritev64)(fd, v, n, at), REAL(pwritev64)(fd, &h, 1, at), -1);
}

int
fsync(int fd)
{
	WHOLE(judge("fsync", fd, NULL, false, false), REAL(fsync)(fd));
}

int
fdatasync(int fd)
{
	WHOLE(judge("fdatasync", fd, NULL, false, false), REAL(fdatasync)(fd));
}

int
msync(void *p, size_t n, int flags)
{
	WHOLE(judge("msync", -1, NULL, false, false), REAL(msync)(p, n, flags));
}

int
ftruncate(int fd, off_t n)
{
	WHOLE(judge("ftruncate", fd, NULL, false, true),
	    REAL(ftruncate)(fd, n));
}

int
ftruncate64(int fd, off64_t n)
{
	WHOLE(judge("ftruncate", fd, NULL, false, true),
	    REAL(ftruncate64)(fd, n));
}

int
fallocate(int fd, int mode, off_t at, off_t n)
{
	WHOLE(judge("fallocate", fd, NULL, false, true),
	    REAL(fallocate)(fd, mode, at, n));
}

int
fallocate64(int fd, int mode, off64_t at, off64_t n)
{
	WHOLE(judge("fallocate", fd, NULL, false, true),
	    REAL(fallocate64)(fd, mode, at, n));
}

int
rename(const char *from, const char *to)
{
	WHOLE(judge("rename", AT_FDCWD, to, false, true),
	    REAL(rename)(from, to));
}

int
renameat(int fromfd, const char *from, int tofd, const char *to)
{
	WHOLE(judge("rename", tofd, to, false, true),
	    REAL(renameat)(fromfd, from, tofd, to));
}

int
renameat2(int fromfd, const char *from, int tofd, const char *to,
    unsigned flags)
{
	WHOLE(judge("rename", tofd, to, false, true),
	    REAL(renameat2)(fromfd, from, tofd, to, flags));
}

int
link(const char *from, const char *to)
{
	WHOLE(judge("link", AT_FDCWD, to, false, true), REAL(link)(from, to));
}

int
linkat(int fromfd, const char *from, int tofd, const char *to, int flags)
{
	WHOLE(judge("link", tofd, to, false, true),
	    REAL(linkat)(fromfd, from, tofd, to, flags));
}

int
unlink(const char *path)
{
	WHOLE(judge("unlink", AT_FDCWD, path, false, false),
	    REAL(unlink)(path));
}

int
unlinkat(int fd, const char *path, int flags)
{
	WHOLE(judge("unlink", fd, path, false, false),
	    REAL(unlinkat)(fd, path, flags));
}

int
mkdir(const char *path, mode_t mode)
{
	WHOLE(judge("mkdir", AT_FDCWD, path, false, true),
	    REAL(mkdir)(path, mode));
}

int
mkdirat(int fd, const char *path, mode_t mode)
{
	WHOLE(judge("mkdir", fd, path, false, true),
	    REAL(mkdirat)(fd, path, mode));
}

int
rmdir(const char *path)
{
	WHOLE(judge("rmdir", AT_FDCWD, path, false, false), REAL(rmdir)(path));
}

/* Only an open that may make a file counts. */
static enum verdict
judge_open(int fd, const char *path, int flags)
{
	if ((flags & O_CREAT) == 0)
		return GO;
	return judge("open", fd, path, false, true);
}

/* The mode is there when a file may be made. */
#define MODE(flags) \
	mode_t mode = 0; \
	if ((flags) & (O_CREAT | __O_TMPFILE)) { \
		va_list ap; \
		va_start(ap, flags); \
		mode = va_arg(ap, mode_t); \
		va_end(ap); \
	}

int
open(const char *path, int flags, ...)
{
	MODE(flags)
	WHOLE(judge_open(AT_FDCWD, path, flags), REAL(open)(path, flags, mode));
}

int
open64(const char *path, int flags, ...)
{
	MODE(flags)
	WHOLE(judge_open(AT_FDCWD, path, flags),
	    REAL(open64)(path, flags, mode));
}

int
openat(int fd, const char *path, int flags, ...)
{
	MODE(flags)
	WHOLE(judge_open(fd, path, flags), REAL(openat)(fd, path, flags, mode));
}

int
openat64(int fd, const char *path, int flags, ...)
{
	MODE(flags)
	WHOLE(judge_open(fd, path, flags),
	    REAL(openat64)(fd, path, flags, mode));
}

int
creat(const char *path, mode_t mode)
{
	WHOLE(judge_open(AT_FDCWD, path, O_CREAT), REAL(creat)(path, mode));
}

struct dirent *
readdir(DIR *dir)
{
	DO(calls == NULL ? GO : judge("readdir", dirfd(dir), NULL, false, false),
	    REAL(readdir)(dir), REAL(readdir)(dir), NULL);
}

ssize_t
send(int fd, const void *p, size_t n, int flags)
{
	DO(judge_socket("send", fd, NULL, 0), REAL(send)(fd, p, n, flags),
	    REAL(send)(fd, p, n / 2, flags), -1);
}

ssize_t
recv(int fd, void *p, size_t n, int flags)
{
	WHOLE(judge_socket("recv", fd, NULL, 0), REAL(recv)(fd, p, n, flags));
}

int
connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t n)
{
	WHOLE(judge_socket("connect", fd, to.__sockaddr__, n),
	    REAL(connect)(fd, to, n));
}
