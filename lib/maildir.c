#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "crc32c.h"
#include "file.h"
#include "maildir.h"
#include "spool.h"

/*
 * What a name has room for: 12 digits of seconds (year 9999), ".M" and 6,
 * "P" and 10, "Q" and 10, ".", the host, ",S=" and 20, ",N=" and 20, ",C=" and
 * 8: 100 without the host, 149 with it, 187 with ":", 16, "." and 20.
 */
#define HOST_MAX 49
#define YEAR_9999 INT64_C(253402300799) /* its last second */
#define ADOPT_MAX (64 * 1024 * 1024) /* bytes of a file that is adopted */
#define TRIES 100 /* names that exist already, before we give up */

static bool
host_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	    (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

static void
host_name(char host[HOST_MAX + 1])
{
	char *p;

	if (gethostname(host, HOST_MAX + 1) == -1)
		host[0] = '\0'; /* too long: unspecified what is there */
	host[HOST_MAX] = '\0';
	if (host[0] == '\0')
		strcpy(host, "localhost");
	for (p = host; *p != '\0'; p++) {
		if (!host_char(*p))
			*p = '_';
	}
}

/* The time of the last name made here, or found waiting. */
static _Atomic int64_t last_time;

/* Names rise, also while the clock stands still or goes back. */
static int64_t
next_time(void)
{
	int64_t now = clock_now(), last = last_time, next;

	do {
		next = now > last ? now : last + 1;
		/* there is no name before 1970 or beyond 9999 */
		if (next < 0)
			next = 0;
		if (next / CLOCK_SECOND > YEAR_9999)
			next = YEAR_9999 * CLOCK_SECOND;
	} while (!atomic_compare_exchange_weak(&last_time, &last, next));
	return next;
}

static void
make_name(char name[MAILDIR_NAME], const char *data, size_t bytes)
{
	static _Atomic uint32_t seq;
	char host[HOST_MAX + 1];
	int64_t now = next_time();

	host_name(host);
	snprintf(name, MAILDIR_NAME,
	    "%" PRId64 ".M%06" PRId64 "P%ldQ%" PRIu32 ".%s,S=%zu,N=%" PRIu64
	    ",C=%08" PRIx32,
	    now / CLOCK_SECOND, now % CLOCK_SECOND, (long)getpid(),
	    (uint32_t)atomic_fetch_add(&seq, 1), host, bytes,
	    maildir_lines(data, bytes), crc32c(0, data, bytes));
}

static bool
whole_lines(const char *p, size_t n)
{
	return n > 0 && p[n - 1] == '\n';
}

static int
below(char out[PATH_MAX], const char *path, const char *stage)
{
	if (snprintf(out, PATH_MAX, "%s/%s", path, stage) < PATH_MAX)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

int
maildir_make(int dir, const char *path)
{
	static const char *const stages[] = { "tmp", "new", "cur", "corrupt" };
	char sub[PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
		if (below(sub, path, stages[i]) == -1 ||
		    spool_mkdir(dir, sub, 0700) == -1)
			return -1;
	return 0;
}

/* Names that will be made are behind this one. */
static void
follow(const char *text)
{
	struct maildir_name name;
	int64_t last = last_time;

	if (!maildir_parse(text, &name))
		return;
	while (name.time > last &&
	    !atomic_compare_exchange_weak(&last_time, &last, name.time))
		continue;
}

static int
each(int dir, const char *path, const char *stage, bool remove)
{
	char sub[PATH_MAX];
	struct dirent *e;
	DIR *d;

	if (below(sub, path, stage) == -1 ||
	    (d = file_opendir(dir, sub, 0)) == NULL)
		return -1;
	while ((e = readdir(d)) != NULL)
		if (remove && e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
		else
			follow(e->d_name);
	closedir(d);
	return 0;
}

int
maildir_begin(int dir, const char *path)
{
	if (maildir_make(dir, path) == -1)
		return -1;
	return each(dir, path, "tmp", true) == -1 ||
	    each(dir, path, "new", false) == -1 ||
	    each(dir, path, "cur", false) == -1 ? -1 : 0;
}

static int
write_synced(int dir, const char *path, const void *data, size_t n)
{
	int error = 0, fd;

	fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	if (file_pwrite(fd, data, n, 0) == -1 || fsync(fd) == -1)
		error = errno;
	if (close(fd) == -1 && error == 0)
		error = errno;
	if (error != 0)
		unlinkat(dir, path, 0);
	errno = error;
	return error == 0 ? 0 : -1;
}

/* EEXIST: the name was used before; nothing else happened. */
static int
deliver(int dir, const char *path, const char *name, const void *data,
    size_t n)
{
	char tmp[PATH_MAX], new[PATH_MAX], box[PATH_MAX];
	int error = 0;

	if (snprintf(box, sizeof(box), "%s/new", path) >= (int)sizeof(box) ||
	    snprintf(tmp, sizeof(tmp), "%s/tmp/%s", path, name) >=
	    (int)sizeof(tmp) ||
	    snprintf(new, sizeof(new), "%s/new/%s", path, name) >=
	    (int)sizeof(new)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (write_synced(dir, tmp, data, n) == -1)
		return -1;
	if (linkat(dir, tmp, dir, new, 0) == -1) {
		error = errno;
	} else if (spool_sync_dir(dir, box) == -1) {
		error = errno;
		unlinkat(dir, new, 0);
	}
	unlinkat(dir, tmp, 0);
	errno = error;
	return error == 0 ? 0 : -1;
}

int
maildir_write(int dir, const char *path, const void *data, size_t bytes)
{
	char name[MAILDIR_NAME];
	int tries;

	if (!whole_lines(data, bytes)) {
		errno = EINVAL;
		return -1;
	}
	/* a clock set back may lead to a name that an earlier process used */
	for (tries = 0; tries < TRIES; tries++) {
		make_name(name, data, bytes);
		if (deliver(dir, path, name, data, bytes) == 0)
			return 0;
		if (errno != EEXIST)
			return -1;
	}
	return -1;
}

/* Of a file at `from`: the name that fits it. */
static int
name_file(int dir, const char *from, char name[MAILDIR_NAME])
{
	size_t len;
	char *text = spool_read(dir, from, ADOPT_MAX, &len);
	int rc = 0;

	if (text == NULL)
		return -1;
	if (whole_lines(text, len)) {
		make_name(name, text, len);
	} else {
		errno = EINVAL;
		rc = -1;
	}
	free(text);
	return rc;
}

int
maildir_adopt(int dir, const char *path, const char *from)
{
	char name[MAILDIR_NAME], new[PATH_MAX], box[PATH_MAX];
	const char *slash = strrchr(from, '/');

	if (name_file(dir, from, name) == -1)
		return -1;
	snprintf(box, sizeof(box), "%s/new", path);
	if (snprintf(new, sizeof(new), "%s/new/%s", path, name) >=
	    (int)sizeof(new)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (renameat2(dir, from, dir, new, RENAME_NOREPLACE) == -1 ||
	    spool_sync_dir(dir, box) == -1)
		return -1;
	snprintf(box, sizeof(box), "%.*s", slash == NULL ? 1 :
	    (int)(slash - from), slash == NULL ? "." : from);
	return spool_sync_dir(dir, box);
}

/* Take s off the front. */
static bool
literal(const char **p, const char *s)
{
	size_t n = strlen(s);

	if (strncmp(*p, s, n) != 0)
		return false;
	*p += n;
	return true;
}

/* A decimal number without leading zeros, at most max. */
static bool
number(const char **p, uint64_t max, uint64_t *value)
{
	const char *from = *p;
	uint64_t v = 0;

	for (; **p >= '0' && **p <= '9'; ++*p) {
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(**p - '0'), &v) ||
		    v > max)
			return false;
	}
	*value = v;
	return *p > from && (*from != '0' || *p == from + 1);
}

/* n digits of the base, lower case. */
static bool
fixed(const char **p, int n, uint32_t base, uint32_t *value)
{
	static const char digits[] = "0123456789abcdef";
	const char *d;

	for (*value = 0; n > 0; n--, ++*p) {
		d = **p == '\0' ? NULL : memchr(digits, **p, base);
		if (d == NULL)
			return false;
		*value = *value * base + (uint32_t)(d - digits);
	}
	return true;
}

static bool
host(const char **p)
{
	const char *from = *p;

	while (host_char(**p))
		++*p;
	return *p > from && *p - from <= HOST_MAX;
}

/* What the reader adds: RUN.NUMBER, neither of them 0. */
static bool
mark(const char **p, struct maildir_name *m)
{
	uint32_t high, low;

	if (!fixed(p, 8, 16, &high) || !fixed(p, 8, 16, &low) ||
	    !literal(p, ".") || !number(p, UINT64_MAX, &m->first))
		return false;
	m->run = (uint64_t)high << 32 | low;
	return m->run != 0 && m->first != 0;
}

bool
maildir_parse(const char *p, struct maildir_name *m)
{
	uint64_t seconds, pid, seq;
	uint32_t micros;

	if (!number(&p, (uint64_t)YEAR_9999, &seconds) || !literal(&p, ".M") ||
	    !fixed(&p, 6, 10, &micros) || !literal(&p, "P") ||
	    !number(&p, UINT32_MAX, &pid) || !literal(&p, "Q") ||
	    !number(&p, UINT32_MAX, &seq) || !literal(&p, ".") || !host(&p) ||
	    !literal(&p, ",S=") || !number(&p, UINT64_MAX, &m->bytes) ||
	    !literal(&p, ",N=") || !number(&p, UINT64_MAX, &m->lines) ||
	    !literal(&p, ",C=") || !fixed(&p, 8, 16, &m->crc))
		return false;
	m->time = (int64_t)seconds * CLOCK_SECOND + micros;
	m->pid = (uint32_t)pid;
	m->seq = (uint32_t)seq;
	m->run = m->first = 0;
	return *p == '\0' || (literal(&p, ":") && mark(&p, m) && *p == '\0');
}

int
maildir_order(const struct maildir_name *a, const struct maildir_name *b)
{
	if (a->time != b->time)
		return a->time < b->time ? -1 : 1;
	if (a->seq != b->seq)
		return a->seq < b->seq ? -1 : 1;
	return (a->pid > b->pid) - (a->pid < b->pid);
}

uint64_t
maildir_lines(const char *p, size_t n)
{
	const char *end = p + n;
	uint64_t lines = 0;

	while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		lines++;
		p++;
	}
	return lines;
}

bool
maildir_whole(const struct maildir_name *m, const void *data, size_t n)
{
	return n == m->bytes && whole_lines(data, n) &&
	    maildir_lines(data, n) == m->lines && crc32c(0, data, n) == m->crc;
}
