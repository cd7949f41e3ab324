#include "daybook.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "spool.h"

#define BLOCK 4096 /* bytes of a look backwards for a newline */
#define PATH_SIZE 128

/* Where the last whole line of a file ends; -1 and errno. */
static off_t
end_of_lines(int fd, off_t size)
{
	char block[BLOCK];
	const char *nl;
	off_t from;
	ssize_t n;

	for (; size > 0; size = from) {
		from = size > BLOCK ? size - BLOCK : 0;
		n = file_pread(fd, block, (size_t)(size - from), from);
		if (n == -1)
			return -1;
		if ((nl = memrchr(block, '\n', (size_t)n)) != NULL)
			return from + (nl - block) + 1;
	}
	return 0;
}

/* Lines behind the last whole one, on disk; the caller has the lock. */
static int
append_lines(int spool, const char *dir, int fd, const void *lines,
    size_t len)
{
	struct stat st;
	off_t end;
	int error;

	if (fstat(fd, &st) == -1 || (end = end_of_lines(fd, st.st_size)) == -1)
		return -1;
	if (end < st.st_size && ftruncate(fd, end) == -1)
		return -1;
	/* before the first byte, so that a file with bytes has a safe name; who
	 * made the directory may have died before its own was */
	if (end == 0 && (spool_mkdir(spool, dir, 0700) == -1 ||
	    spool_sync_dir(spool, dir) == -1))
		return -1;
	if (file_pwrite(fd, lines, len, end) == -1) {
		error = errno;
		/* the next writer cuts what stays when this fails too */
		(void)!ftruncate(fd, end);
		errno = error;
		return -1;
	}
	return fdatasync(fd);
}

int
daybook_append(int spool, const char *dir, int64_t now, const void *lines,
    size_t len)
{
	char day[CLOCK_TEXT + 1], path[PATH_SIZE];
	int fd, rc;

	clock_format(day, now);
	snprintf(path, sizeof(path), "%s/%.10s.ndjson", dir, day);
	fd = openat(spool, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1 && errno == ENOENT &&
	    spool_mkdir(spool, dir, 0700) == 0)
		fd = openat(spool, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	if ((rc = file_lock(fd, LOCK_EX)) == 0)
		rc = append_lines(spool, dir, fd, lines, len);
	return file_close(fd, rc);
}

bool
daybook_is_name(const char *name)
{
	static const char form[] = "0000-00-00.ndjson";
	size_t i;

	for (i = 0; form[i] != '\0' && name[i] != '\0'; i++)
		if (form[i] == '0' ? name[i] < '0' || name[i] > '9' :
		    name[i] != form[i])
			return false;
	return form[i] == name[i];
}
