#ifndef JOURNAL_H
#define JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "event.h"
#include "fault.h"

/*
 * The log of a topic: segments OFFSET.ndjson (20 digits, the offset of the
 * first byte), append-only, a line per event:
 *
 *	{"publishTime":"...Z","crc32c":"8 hex digits","number":N,...,"event":{}}
 *
 * between number and event there may be, in this order, "batch":[k,of],
 * "producer":"p","sequence":q and "subscription":"s". The checksum is CRC-32C
 * over the line without its newline and without the eight digits. `number`
 * counts the events of the topic from 1, without gaps (a corrupt line at the
 * end of the log is taken for one event).
 *
 * Not thread-safe, except journal_sync().
 */
#define JOURNAL_SEGMENT (64 * 1024 * 1024) /* bytes; then a new one begins */
#define JOURNAL_PERIOD 3600                /* seconds; likewise */
#define JOURNAL_LINE_MAX (EVENT_MAX + 512) /* an event and what we add */
#define JOURNAL_NAME_MAX 128               /* bytes of a producer's name */

struct journal_line {
	uint64_t offset; /* of the line */
	size_t len;      /* with its newline */
	int64_t time;    /* publishTime, microseconds */
	uint64_t number;
	uint32_t part, of; /* this is event `part` (from 1) of a batch of `of`;
			    * 1 of 1, or zeros to append, when it is alone */
	const char *producer; /* NULL when there is none; not NUL-terminated */
	size_t producer_len;
	uint64_t sequence;
	const char *subscription; /* NULL: all that match */
	size_t subscription_len;
	const char *event; /* as it was published */
	size_t event_len;
};

/*
 * May a producer or subscription be called so? JOURNAL_NAME_MAX bytes, without
 * control characters, quotes and backslashes.
 */
bool journal_name(const char *, size_t);

/* Put a line behind what is in the buffer; len is set, and offset to where in
 * the buffer it begins. */
void journal_format(struct buf *, struct journal_line *);

/*
 * Take a whole line (newline included) apart; pointers are into it. 0, or -1
 * when it is not what journal_format writes: then nothing of it is believed.
 */
int journal_parse(const char *text, size_t len, struct journal_line *);

struct journal;

/*
 * Open the log in directory `dir`/`path` (made when missing), and cut off a torn
 * tail: a last line without its newline, or a last batch whose last lines are
 * missing; neither was ever acknowledged. A whole line with a wrong checksum
 * is corrupt, not torn, and stays. Only bytes from `trusted` on (an offset at
 * the beginning of a line, 0 for all) are looked at; a `trusted` that cannot be
 * (behind the end, or within a line) is not believed. What is left is on disk
 * when this returns. `path` is for messages too. NULL and a fault.
 */
struct journal *journal_open(int dir, const char *path, uint64_t trusted,
    struct fault *);
void journal_close(struct journal *);

uint64_t journal_start(const struct journal *); /* offset of the first byte */
uint64_t journal_end(const struct journal *);   /* behind all that is written */
uint64_t journal_number(const struct journal *); /* of the last event; or 0 */
int64_t journal_time(const struct journal *);   /* of the last event; or 0 */

/*
 * Add an event to the pending ones: fills in offset, len and number, and makes
 * `time` (the caller's now; 0: the clock's) no earlier than the one before.
 * Memory only. 0; or -1 and errno, and nothing was added: ENOMEM, or EINVAL for
 * what could not be read again (an event with a newline in it, empty or above
 * EVENT_MAX; a name that journal_name refuses; a part outside of its batch).
 */
int journal_append(struct journal *, struct journal_line *);

/* Bytes pending. */
size_t journal_pending(const struct journal *);

/*
 * Write what is pending to the page cache, in a new segment when it is time for
 * one. 0; or -1 and errno, and then nothing of it is in the file any more and
 * nothing is pending: numbers and offsets are as before (ENOSPC is survivable).
 * EIO and a failing truncate leave the journal unusable: stop the daemon.
 * Call it when what was written before is synced: a new segment must not reach
 * the disk before the end of the one before it.
 */
int journal_write(struct journal *);

/* What journal_write wrote needs these synced before it counts. */
struct journal_sync {
	int fd;  /* of the segment; -1: nothing to do */
	int dir; /* of the log directory when a name is new in it; else -1 */
};
void journal_dirty(struct journal *, struct journal_sync *);
/* In any thread: 0, or -1 and errno, which is final. */
int journal_sync(const struct journal_sync *);

/*
 * Forget pending events after a failed step elsewhere.
 */
void journal_rollback(struct journal *);

/* Can a line begin there? 1 or 0; -1 and errno when that cannot be seen. */
int journal_begins(struct journal *, uint64_t offset);

/*
 * Read the line that begins at offset. Pointers are valid until the next read.
 * 0; -1 and errno: EBADMSG when it is corrupt (offset, and len up to its
 * newline, are set, and event/event_len give the raw line), ENOENT before
 * journal_start and from journal_end on, EIO and others from the system.
 * Sequential reads are cheap. Of a corrupt line longer than JOURNAL_LINE_MAX
 * event_len is less than len.
 */
int journal_read(struct journal *, uint64_t offset, struct journal_line *);

/*
 * The oldest segment, when it is not the one being written: its end, and the
 * time of its last event (read once, then remembered; when no line of it can be
 * read, that of the file's last change). False when there is none.
 */
bool journal_oldest(struct journal *, uint64_t *end, int64_t *last);

/* Remove the oldest segment. 0, or -1 and errno. */
int journal_remove_oldest(struct journal *);

/*
 * Walk a log directory without opening it for writing, for audit and scrub:
 * calls line() for every line from the first segment to offset `end`
 * (UINT64_MAX: to the end), with NULL fields but offset and len for a corrupt
 * one. Returns 0, line()'s non-zero, or -1 with a fault.
 */
int journal_walk(int dir, const char *path, uint64_t end,
    int (*line)(const struct journal_line *, void *), void *arg,
    struct fault *);

#endif
