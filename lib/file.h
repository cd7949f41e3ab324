#ifndef FILE_H
#define FILE_H

#include <stddef.h>
#include <sys/types.h>

/* Calls that do all of what they are asked, however often it takes. */

/* Write n bytes at an offset. 0; or -1 and errno, and some may be there. */
int file_pwrite(int fd, const void *, size_t n, off_t at);

/* Read n bytes, or up to the end of the file: how many, or -1 and errno. */
ssize_t file_pread(int fd, void *, size_t n, off_t at);

#endif
