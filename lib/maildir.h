#ifndef MAILDIR_H
#define MAILDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Stages between programs: tmp, new, cur, corrupt. A file is a batch of lines
 * whose name carries proof of wholeness, egns-spool(5):
 *	SECONDS.MMICROSPPIDQSEQ.HOST,S=bytes,N=lines,C=crc32c
 * MICROS has six digits, crc32c is eight lower-case hexadecimal ones, other
 * numbers are decimal without leading zeros; HOST is of A-Z a-z 0-9 . _ -. The
 * reader may add :RUN.NUMBER, see intake.h. Names rise: those that a process
 * makes, and those of one that begins while others wait.
 */
#define MAILDIR_NAME 200 /* bytes of the longest name, with its NUL */

struct maildir_name {
	int64_t time; /* microseconds since 1970 */
	uint32_t pid, seq;
	uint64_t bytes, lines;
	uint32_t crc;
	uint64_t run, first; /* 0: it was not taken yet */
};

/* Make the four directories below dir/path. 0, or -1 and errno. */
int maildir_make(int dir, const char *path);

/*
 * The same for the one writer, when it begins: what a crash has left in tmp
 * goes, as nobody was promised anything, and names begin behind those that
 * wait.
 */
int maildir_begin(int dir, const char *path);

/*
 * Write whole lines as one file and make it safe: tmp, fsync, link to new,
 * fsync of new, and only then unlink from tmp, so that it has a name on disk
 * at every moment. The file counts from the moment this returns 0. -1 and
 * errno (EINVAL: not whole lines); nothing is left behind then, but for a
 * crash: a file in tmp, which may be one of new as well and means nothing.
 */
int maildir_write(int dir, const char *path, const void *, size_t bytes);

/*
 * The same with a file that is there already, safe, at `from` below dir (both
 * are on one file system): it moves, so that whoever finds it at `from` after a
 * crash knows that nobody has taken it yet. 0, or -1 and errno.
 */
int maildir_adopt(int dir, const char *path, const char *from);

/* Take a name apart: alphabet, order and length are checked. */
bool maildir_parse(const char *, struct maildir_name *);

/* Which of two was written first: below, above or 0. */
int maildir_order(const struct maildir_name *, const struct maildir_name *);

/* How many lines end in these bytes? */
uint64_t maildir_lines(const char *, size_t);

/* Do these bytes match the proof in the name? */
bool maildir_whole(const struct maildir_name *, const void *, size_t);

#endif
