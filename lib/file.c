#include <errno.h>
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
