#ifndef FILE_H
#define FILE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Calls that do all of what they are asked, however often it takes. */

/* Write n bytes at an offset. 0; or -1 and errno, and some may be there. */
int file_pwrite(int fd, const void *, size_t n, off_t at);

/* Read n bytes, or up to the end of the file: how many, or -1 and errno. */
ssize_t file_pread(int fd, void *, size_t n, off_t at);

/* Close, and keep the errno of what went wrong before (rc -1). rc, or -1 and
 * errno when the close is what fails. */
int file_close(int fd, int rc);

/* flock(2), however often it is interrupted. */
int file_lock(int fd, int how);

/* opendir(3) below dir, with more open(2) flags. NULL and errno. */
DIR *file_opendir(int dir, const char *path, int flags);

/* How many newlines there are in a file below dir; 0 when it cannot be read. */
uint64_t file_lines(int dir, const char *path);

/* Does this errno say that there is no room, and that the rest is well? */
bool file_no_room(int error);

#endif
