/* the offsets of the events that matched a subscription */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "queue.h"

#define ENTRY sizeof(uint64_t)
#define READ_AHEAD 512    /* entries: one page */
#define ADD_KEEP (1 << 16) /* entries of memory kept between windows */

/* Read up to n entries from i on: how many, or -1 and errno. */
static ssize_t
read_entries(const struct queue *q, uint64_t i, uint64_t *to, size_t n)
{
	ssize_t got, k;

	if (n > q->count - i)
		n = (size_t)(q->count - i);
	got = file_pread(q->fd, to, n * ENTRY, (off_t)(i * ENTRY));
	if (got == -1)
		return -1;
	got /= (ssize_t)ENTRY;
	for (k = 0; k < got; k++)
		to[k] = le64toh(to[k]);
	return got;
}

/* Is entry i, which is not the first, no hole? -1 and errno. */
static int
filled(const struct queue *q, uint64_t i)
{
	uint64_t entry;
	ssize_t n = read_entries(q, i, &entry, 1);

	return n == 1 ? entry != 0 : (int)n;
}

/*
 * Holes are a prefix. Of the first entry 0 is also a value, the first offset of
 * the log; it is a hole when the second is.
 */
static uint64_t
find_first(const struct queue *q)
{
	uint64_t low = 1, high = q->count, mid;

	if (q->count < 2 || filled(q, 1) != 0)
		return 0;
	/* low is a hole; high is none, or the end */
	while (high - low > 1) {
		mid = low + (high - low) / 2;
		if (filled(q, mid) != 0)
			high = mid;
		else
			low = mid;
	}
	return high;
}

int
queue_open(struct queue *q, int dir, const char *path)
{
	struct stat st;

	*q = (struct queue){ .fd = -1 };
	q->fd = openat(dir, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (q->fd == -1)
		return -1;
	q->read = malloc(READ_AHEAD * ENTRY);
	if (q->read == NULL || fstat(q->fd, &st) == -1)
		goto fail;
	q->count = (uint64_t)st.st_size / ENTRY;
	if ((uint64_t)st.st_size % ENTRY != 0 &&
	    ftruncate(q->fd, (off_t)(q->count * ENTRY)) == -1)
		goto fail;
	q->punched = find_first(q);
	return 0;
fail:
	queue_close(q);
	return -1;
}

void
queue_close(struct queue *q)
{
	int error = errno;

	if (q->fd != -1)
		close(q->fd);
	free(q->add);
	free(q->read);
	*q = (struct queue){ .fd = -1 };
	errno = error;
}

int
queue_truncate(struct queue *q, uint64_t n)
{
	if (n > INT64_MAX / ENTRY) {
		errno = EFBIG;
		return -1;
	}
	if (ftruncate(q->fd, (off_t)(n * ENTRY)) == -1)
		return -1;
	q->count = n;
	q->read_n = 0;
	q->punched = find_first(q);
	return 0;
}

int
queue_add(struct queue *q, uint64_t offset)
{
	size_t cap = q->cap == 0 ? READ_AHEAD : q->cap * 2;
	uint64_t *add;

	if (q->pending == q->cap) {
		if ((add = realloc(q->add, cap * ENTRY)) == NULL)
			return -1;
		q->add = add;
		q->cap = cap;
	}
	q->add[q->pending++] = htole64(offset);
	return 0;
}

int
queue_write(struct queue *q)
{
	off_t at = (off_t)(q->count * ENTRY);
	int error;

	if (q->pending == 0)
		return 0;
	if (file_pwrite(q->fd, q->add, q->pending * ENTRY, at) == -1) {
		error = errno;
		/* what stays when this fails too is overwritten later, or cut
		 * off by whoever opens the queue and knows its length */
		(void)!ftruncate(q->fd, at);
		queue_rollback(q);
		errno = error;
		return -1;
	}
	q->count += q->pending;
	queue_rollback(q);
	return 0;
}

void
queue_rollback(struct queue *q)
{
	q->pending = 0;
	if (q->cap > ADD_KEEP) {
		free(q->add);
		q->add = NULL;
		q->cap = 0;
	}
}

int
queue_sync(int fd)
{
	return fdatasync(fd);
}

int
queue_get(struct queue *q, uint64_t i, uint64_t *offset)
{
	ssize_t n;

	if (i < q->punched || i >= q->count) {
		errno = ENOENT;
		return -1;
	}
	if (i < q->read_at || i - q->read_at >= q->read_n) {
		q->read_n = 0;
		if ((n = read_entries(q, i, q->read, READ_AHEAD)) == -1)
			return -1;
		q->read_at = i;
		q->read_n = (size_t)n;
	}
	if (q->read_n == 0 || (i > 0 && q->read[i - q->read_at] == 0)) {
		errno = ENOENT;
		return -1;
	}
	*offset = q->read[i - q->read_at];
	return 0;
}

uint64_t
queue_first(struct queue *q)
{
	return q->punched;
}

void
queue_punch(struct queue *q, uint64_t n)
{
	uint64_t step = QUEUE_PUNCH / ENTRY;

	if (n > q->count)
		n = q->count;
	n -= n % step;
	if (n <= q->punched)
		return;
	/* a file system without holes keeps the blocks: no harm but space */
	(void)!fallocate(q->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	    (off_t)(q->punched * ENTRY),
	    (off_t)((n - q->punched) * ENTRY));
	q->punched = n;
}
