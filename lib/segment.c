/* the files that a log is made of */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "segment.h"

#define BLOCK (256 * 1024) /* bytes of a read */
#define DIGITS 20
#define SUFFIX ".ndjson"
#define NAME_SIZE (DIGITS + sizeof(SUFFIX))

static void
print_name(char name[NAME_SIZE], uint64_t start)
{
	snprintf(name, NAME_SIZE, "%020" PRIu64 SUFFIX, start);
}

static bool
parse_name(const char *name, uint64_t *start)
{
	if (strspn(name, "0123456789") != DIGITS ||
	    strcmp(name + DIGITS, SUFFIX) != 0)
		return false;
	errno = 0;
	*start = strtoull(name, NULL, 10);
	return errno == 0;
}

static int
add(struct segment **list, size_t *n, size_t *cap, uint64_t start)
{
	struct segment *new;

	if (*n == *cap) {
		*cap = *cap == 0 ? 16 : *cap * 2;
		new = realloc(*list, *cap * sizeof(*new));
		if (new == NULL)
			return -1;
		*list = new;
	}
	(*list)[(*n)++] = (struct segment){ .start = start, .last = -1 };
	return 0;
}

static int
read_names(int dir, struct segment **list, size_t *n)
{
	DIR *d = file_opendir(dir, ".", 0);
	const struct dirent *e;
	size_t cap = 0;
	uint64_t start;
	int error;

	if (d == NULL)
		return -1;
	while ((errno = 0, e = readdir(d)) != NULL)
		if (parse_name(e->d_name, &start) &&
		    add(list, n, &cap, start) == -1)
			break;
	error = errno;
	closedir(d);
	errno = error;
	return error == 0 ? 0 : -1;
}

static int
by_start(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* How long is it? -1 and errno. */
static int
measure(int dir, struct segment *s)
{
	char name[NAME_SIZE];
	struct stat st;

	print_name(name, s->start);
	if (fstatat(dir, name, &st, 0) == -1)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EISDIR;
		return -1;
	}
	if (UINT64_MAX - s->start < (uint64_t)st.st_size) {
		errno = EOVERFLOW;
		return -1;
	}
	s->end = s->start + (uint64_t)st.st_size;
	return 0;
}

/* Every segment begins where the one before it ends. */
static int
check(const char *path, const struct segment *s, size_t n, struct fault *f)
{
	for (; n > 1; s++, n--) {
		if (s->end < s[1].start)
			return fault_set(f, FAULT_INTERNAL,
			    "%s: nothing from offset %" PRIu64 " to %" PRIu64,
			    path, s->end, s[1].start);
		if (s->end > s[1].start)
			return fault_set(f, FAULT_INTERNAL, "%s: segment %"
			    PRIu64 " ends at %" PRIu64 ", behind the beginning "
			    "of the next, %" PRIu64, path, s->start, s->end,
			    s[1].start);
	}
	return 0;
}

int
segment_list(int dir, const char *path, struct segment **list, size_t *n,
    struct fault *f)
{
	size_t i, kept = 0;

	*list = NULL;
	*n = 0;
	if (read_names(dir, list, n) == -1) {
		fault_errno(f, FAULT_INTERNAL, "%s", path);
		goto fail;
	}
	if (*n > 1)
		qsort(*list, *n, sizeof(**list), by_start);
	for (i = 0; i < *n; i++) {
		if (measure(dir, &(*list)[i]) == 0)
			(*list)[kept++] = (*list)[i];
		/* retention removes from the front while somebody walks */
		else if (errno != ENOENT || kept > 0) {
			fault_errno(f, FAULT_INTERNAL, "%s: segment %" PRIu64,
			    path, (*list)[i].start);
			goto fail;
		}
	}
	*n = kept;
	if (check(path, *list, *n, f) == 0)
		return 0;
fail:
	free(*list);
	*list = NULL;
	*n = 0;
	return -1;
}

int
segment_open(int dir, uint64_t start, int flags)
{
	char name[NAME_SIZE];

	print_name(name, start);
	return openat(dir, name, flags | O_CLOEXEC, 0600);
}

int
segment_unlink(int dir, uint64_t start)
{
	char name[NAME_SIZE];

	print_name(name, start);
	return unlinkat(dir, name, 0) == -1 && errno != ENOENT ? -1 : 0;
}

/* Read more behind what is there: 1, or 0 at the end, or -1 and errno. */
static int
fill(struct segment_reader *r)
{
	uint64_t at = r->at + r->in.len;
	size_t n = r->end - at < BLOCK ? (size_t)(r->end - at) : BLOCK;
	ssize_t got;
	char *to;

	if (n == 0)
		return 0;
	if ((to = buf_room(&r->in, n)) == NULL) {
		errno = ENOMEM;
		return -1;
	}
	got = file_pread(r->fd, to, n, (off_t)(at - r->start));
	if (got > 0)
		buf_grew(&r->in, (size_t)got);
	return got > 0 ? 1 : (int)got;
}

static void
take(struct segment_reader *r, size_t n)
{
	buf_take(&r->in, n);
	r->at += n;
}

int
segment_line(struct segment_reader *r, const char **line, size_t *len)
{
	size_t seen = 0, skipped = 0, n;
	const char *nl;
	int rc;

	take(r, r->taken);
	r->taken = 0;
	for (;;) {
		n = r->in.len - seen;
		nl = n == 0 ? NULL : memchr(buf_data(&r->in) + seen, '\n', n);
		if (nl != NULL)
			break;
		seen = r->in.len;
		if (seen >= r->max) {
			skipped += seen;
			take(r, seen);
			seen = 0;
		}
		if ((rc = fill(r)) != 1) {
			*len = skipped + r->in.len;
			return rc;
		}
	}
	r->taken = (size_t)(nl - buf_data(&r->in)) + 1;
	*len = skipped + r->taken;
	*line = *len > r->max ? NULL : buf_data(&r->in);
	return 1;
}

void
segment_reader_free(struct segment_reader *r)
{
	buf_free(&r->in);
}
