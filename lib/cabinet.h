#ifndef CABINET_H
#define CABINET_H

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <tchdb.h>
#include <unistd.h>

#include "file.h"

/* Of Tokyo Cabinet's header: flags that a dead writer leaves, and the size. */
#define CABINET_FLAGS_AT 33
#define CABINET_SIZE_AT 56
#define CABINET_HEADER 64

/*
 * Tokyo Cabinet believes what it finds; so look first: a writer that died
 * leaves its flag, and a file cut short is shorter than it says. False also
 * when there is none.
 */
static inline bool
cabinet_sound(int dir, const char *name)
{
	unsigned char head[CABINET_HEADER];
	struct stat st;
	uint64_t size;
	bool ok;
	int fd;

	if ((fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC)) == -1)
		return false;
	ok = pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
	    fstat(fd, &st) == 0;
	close(fd);
	if (!ok || memcmp(head, "ToKyO CaBiNeT", 13) != 0 ||
	    (head[CABINET_FLAGS_AT] & (HDBFOPEN | HDBFFATAL)) != 0)
		return false;
	memcpy(&size, head + CABINET_SIZE_AT, sizeof(size));
	/* its byte order is that of the build; the other one gives nonsense */
	return le64toh(size) <= (uint64_t)st.st_size ||
	    be64toh(size) <= (uint64_t)st.st_size;
}

/*
 * Tokyo Cabinet 1.4.48 takes a pwrite(2) that failed for one that wrote all
 * (tchdbseekwrite compares its -1 as unsigned), and later reads what has never
 * been written. errno is all that is left of it: who changes a file sets it to 0
 * before, and asks here, if there are many changes behind each. True: what the
 * file holds is not to be believed, and errno says why.
 */
static inline bool
cabinet_lost(void)
{
	return errno == EIO || file_no_room(errno);
}

#endif
