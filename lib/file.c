#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "file.h"

int
file_pwrite(int fd, const void *data, size_t n, off_t at)
{
	const char *p = data;
	ssize_t w;

	while (n > 0) {
		w = pwrite(fd, p, n, at);
		if (w == -1 && errno == EINTR)
			continue;
		if (w <= 0) {
			if (w == 0)
				errno = EIO;
			return -1;
		}
		p += w;
		at += w;
		n -= (size_t)w;
	}
	return 0;
}

ssize_t
file_pread(int fd, void *data, size_t n, off_t at)
{
	size_t got = 0;
	ssize_t r;

	while (got < n) {
		r = pread(fd, (char *)data + got, n - got, at + (off_t)got);
		if (r == -1 && errno == EINTR)
			continue;
		if (r == -1)
			return -1;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

int
file_close(int fd, int rc)
{
	int error = errno;

	if (close(fd) == -1 && rc == 0)
		return -1;
	errno = error;
	return rc;
}

int
file_lock(int fd, int how)
{
	int rc;

	do
		rc = flock(fd, how);
	while (rc == -1 && errno == EINTR);
	return rc;
}

DIR *
file_opendir(int dir, const char *path, int flags)
{
	int fd = openat(dir, path, flags | O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);

	if (fd != -1 && d == NULL)
		file_close(fd, -1);
	return d;
}

uint64_t
file_lines(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	char block[64 * 1024], *p;
	uint64_t lines = 0;
	ssize_t n;

	if (fd == -1)
		return 0;
	while ((n = read(fd, block, sizeof(block))) > 0) {
		for (p = block; (p = memchr(p, '\n',
		    (size_t)(block + n - p))) != NULL; p++)
			lines++;
	}
	close(fd);
	return lines;
}

bool
file_no_room(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EFBIG;
}
