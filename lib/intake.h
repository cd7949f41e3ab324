#ifndef INTAKE_H
#define INTAKE_H

#include <stddef.h>
#include <stdint.h>

#include "maildir.h"

/*
 * The one reader of a maildir. What is in new/ is moved to cur/, in the order
 * of its names, and there each line gets a number that it keeps: the name in
 * cur/ is that in new/ with
 *	:RUN.NUMBER
 * behind it, the run of the reader that has taken it (16 hexadecimal digits,
 * random) and the number of its first line in that run, from 1. Who passes
 * lines on under (run, number) can tell after a crash which have arrived,
 * whatever clocks or people have done to the names meanwhile.
 *
 * All calls block, are for one thread at a time, and may be made in any.
 */
#define INTAKE_FILE_MAX (64 * 1024 * 1024) /* a larger one is corrupt */
#ifndef INTAKE_NAMES
#define INTAKE_NAMES 32768 /* of new/ that are remembered at a time */
#endif

struct intake_name;
struct intake_names {
	struct intake_name *name;
	size_t n, cap, at; /* at: the next one */
};

struct intake {
	int dir;          /* the spool's; the caller's */
	const char *path; /* of the maildir below it; the caller's */
	uint64_t run;
	uint64_t number;  /* of the next line to be taken */
	struct intake_names cur, new; /* to be taken: first those of cur/ */
	uint64_t left_run, left_end;  /* of the last: run, number behind it */
	int stuck;                 /* errno: not all could move to corrupt/ */
	void (*corrupt)(const char *name, const char *why, void *arg);
	void *arg;
};

/* A file of cur/, read and found whole. */
struct batch {
	struct batch *next;
	char name[MAILDIR_NAME]; /* as in new/ */
	struct maildir_name proof;
	uint64_t run, first;     /* of its lines */
	char *text;              /* whole lines; proof.bytes, proof.lines */
};
void batch_free(struct batch *);
/* Its name in cur/. */
void batch_name(const struct batch *, char name[MAILDIR_NAME]);
void batches_free(struct batch *list);

/*
 * Make the maildir if need be, begin a new run, and find what earlier ones have
 * left in cur/; a file there without a number goes back to new/. `corrupt` is
 * told, from within the calls, of each file that moves to corrupt/. 0, or -1
 * and errno.
 */
int intake_open(struct intake *, int dir, const char *path,
    void (*corrupt)(const char *name, const char *why, void *), void *arg);
void intake_close(struct intake *);

/*
 * The next files, up to about max bytes and max files (both above 0), and at
 * least one: first those that were left, then those of new/, which are moved to
 * cur/ and made safe there before this returns. What does not match its name,
 * or cannot be read, goes to corrupt/. A list holds files of one run, and is
 * the caller's. 0 and the list, empty when there is none now; -1 and errno, EIO
 * when the sync has failed: then nothing can be promised any more.
 */
int intake_take(struct intake *, size_t max_bytes, size_t max_files,
    struct batch **list);

/*
 * While nothing can be passed on: when new/ has many small files, make one
 * large file of cur/ of the first of them, to be taken in its turn. Their lines
 * get numbers as always; the large file is safe before the small ones are
 * removed, and intake_open removes what a crash has left of them. Those that
 * cannot become one, as they are too large or there is no room, are taken as
 * they are. How many it was, 0: it was not worth it; -1 and errno, as
 * intake_take.
 */
#define INTAKE_GATHER 256 /* files that are worth it */
int intake_gather(struct intake *, size_t max_bytes, size_t max_files);

/* Its lines have arrived: remove the file. 0, or -1 and errno. Not synced:
 * what comes back with the power has numbers that have arrived. */
int intake_done(struct intake *, const struct batch *);

#endif
