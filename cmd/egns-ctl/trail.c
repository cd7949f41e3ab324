/* a topic's log and the queues of its subscriptions, side by side */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "journal.h"
#include "segment.h"

#define READ_AHEAD 1024 /* entries: 8 KiB, of perhaps 500 subscriptions */

struct tracker { /* of a queue */
	struct account *account;
	int fd; /* -1: no file */
	uint64_t i;     /* index of the entry */
	uint64_t entry; /* a log offset */
	bool has;       /* there is one */
	bool any;       /* there was one before */
	size_t held;    /* of the account's held ones, the next to be met */
	uint64_t block[READ_AHEAD];
	uint64_t block_at;
	size_t block_n;
};

struct trail {
	struct ledger *ledger;
	struct tracker *tracker;
	uint64_t at;      /* behind the last line */
	uint64_t number;  /* of the last whole line */
	uint64_t corrupt; /* lines since then */
};

/* ---- a queue ---- */

/* Entry t->i, however it is read; false: there is none. */
static bool
tracker_read(struct tracker *t)
{
	ssize_t n;

	if (t->fd == -1 || t->i >= t->account->matched)
		return false;
	if (t->i < t->block_at || t->i >= t->block_at + t->block_n) {
		n = pread(t->fd, t->block, sizeof(t->block),
		    (off_t)(t->i * sizeof(*t->block)));
		t->block_at = t->i;
		t->block_n = n > 0 ? (size_t)n / sizeof(*t->block) : 0;
		if (t->block_n == 0)
			return false;
	}
	t->entry = le64toh(t->block[t->i - t->block_at]);
	return true;
}

/* What is held must have been handed out: it stands before the cursor. */
static void
tracker_held(struct tracker *t, struct ledger *l)
{
	struct account *a = t->account;

	while (t->held < a->held.n && a->held.at[t->held] < t->entry) {
		differ(l, a, "offset %" PRIu64 " is unsettled, but not in the "
		    "queue", a->held.at[t->held]);
		t->held++;
	}
	if (t->held == a->held.n || a->held.at[t->held] != t->entry)
		return;
	if (t->i >= a->cursor)
		differ(l, a, "offset %" PRIu64 " is unsettled, but queue entry "
		    "%" PRIu64 " is not behind the cursor %" PRIu64, t->entry,
		    t->i, a->cursor);
	t->held++;
}

/* Take up entry t->i, or the first behind it that is in order. */
static void
tracker_take(struct tracker *t, struct ledger *l)
{
	uint64_t last = t->entry;

	while ((t->has = tracker_read(t)) && t->any && t->entry <= last) {
		differ(l, t->account, "queue entry %" PRIu64 ": offset %" PRIu64
		    " is not behind %" PRIu64, t->i, t->entry, last);
		t->i++;
	}
	t->any = t->has;
	if (t->has)
		tracker_held(t, l);
}

static void
tracker_next(struct tracker *t, struct ledger *l)
{
	t->i++;
	tracker_take(t, l);
}

/* The front of a queue is a hole; within a block it reads as zeros. */
static void
tracker_begin(struct tracker *t, struct ledger *l)
{
	off_t data = lseek(t->fd, 0, SEEK_DATA);

	t->i = data == -1 ? t->account->matched
			  : (uint64_t)data / sizeof(*t->block);
	/* 0 is a value, too, of the first entry when the second is none */
	if (t->i == 0) {
		t->i = 1;
		if (!tracker_read(t) || t->entry != 0)
			t->i = 0;
	}
	while (t->i > 0 && tracker_read(t) && t->entry == 0)
		t->i++;
	tracker_take(t, l);
}

static void
tracker_open(struct tracker *t, struct ledger *l, struct account *a)
{
	char path[256];
	uint64_t entries;

	t->account = a;
	t->fd = -1;
	if (l->dir == -1)
		return;
	snprintf(path, sizeof(path), "subscriptions/%s/queue", a->name);
	t->fd = openat(l->dir, path, O_RDONLY | O_CLOEXEC);
	if (t->fd == -1) {
		if (errno != ENOENT || a->matched + a->cursor + a->vouched > 0)
			differ(l, a, "topics/%s/%s: %s", l->topic, path,
			    strerror(errno));
		return;
	}
	entries = (uint64_t)lseek(t->fd, 0, SEEK_END) / sizeof(t->entry);
	if (entries < a->matched)
		differ(l, a, "the queue has %" PRIu64 " entries, but %" PRIu64
		    " events matched", entries, a->matched);
	tracker_begin(t, l);
}

/* The log begins behind an entry: retention took the event, when settled. */
static void
tracker_expire(struct tracker *t, struct ledger *l, uint64_t start)
{
	while (t->has && t->entry < start) {
		if (t->i >= t->account->cursor)
			differ(l, t->account, "queue entry %" PRIu64 ": offset "
			    "%" PRIu64 " waits, but the log begins at %" PRIu64,
			    t->i, t->entry, start);
		tracker_next(t, l);
	}
}

static void
tracker_line(struct tracker *t, struct ledger *l,
    const struct journal_line *line)
{
	uint64_t end = line->offset + line->len;

	while (t->has && t->entry < end) {
		if (t->entry != line->offset)
			differ(l, t->account, "queue entry %" PRIu64 ": no line "
			    "of the log begins at offset %" PRIu64, t->i,
			    t->entry);
		tracker_next(t, l);
	}
}

/*
 * Entries that point behind the log. Without topicd these are events that were
 * not acknowledged before a crash, and it will cut them off when it starts.
 */
static void
tracker_end(struct tracker *t, struct ledger *l, bool known)
{
	struct account *a = t->account;
	uint64_t left = t->has ? a->matched - t->i : 0;

	if (left > 0 && (known || t->i < a->cursor))
		differ(l, a, "queue entry %" PRIu64 ": offset %" PRIu64 " is "
		    "behind the end of the log", t->i, t->entry);
	else if (left > 0) {
		a->matched -= left;
		a->pending -= left;
	}
	for (; t->held < a->held.n; t->held++)
		differ(l, a, "offset %" PRIu64 " is unsettled, but not in the "
		    "queue", a->held.at[t->held]);
	if (a->matched < a->vouched)
		differ(l, a, "%" PRIu64 " events matched, but the checkpoint "
		    "counts %" PRIu64, a->matched, a->vouched);
	if (t->fd != -1)
		close(t->fd);
}

/* ---- the log ---- */

/* A corrupt line may have been more than one, when a newline was hit. */
static void
check_number(struct trail *t, const struct journal_line *line)
{
	bool next = line->number == t->number + 1;

	if (line->event == NULL) {
		t->corrupt++;
		differ(t->ledger, NULL, "log offset %" PRIu64 ": the line does "
		    "not match its checksum", line->offset);
		return;
	}
	if (t->corrupt > 0)
		next = line->number > t->number + t->corrupt;
	if (t->ledger->events > 0 && !next)
		differ(t->ledger, NULL, "log offset %" PRIu64 ": event number "
		    "%" PRIu64 " follows %" PRIu64, line->offset, line->number,
		    t->number);
	t->number = line->number;
	t->corrupt = 0;
}

static int
see(const struct journal_line *line, void *arg)
{
	struct trail *t = arg;
	struct ledger *l = t->ledger;
	size_t i;

	if (l->events == 0) {
		for (i = 0; i < l->n; i++)
			tracker_expire(&t->tracker[i], l, line->offset);
	}
	check_number(t, line);
	l->events++;
	for (i = 0; i < l->n; i++)
		tracker_line(&t->tracker[i], l, line);
	t->at = line->offset + line->len;
	return 0;
}

static void
check_end(struct trail *t, bool known)
{
	struct ledger *l = t->ledger;

	l->bytes = t->at - l->start;
	if (known && t->at < l->end)
		differ(l, NULL, "the log ends at %" PRIu64 ", but topicd wrote "
		    "up to %" PRIu64, t->at, l->end);
	if (known && t->at == l->end && t->corrupt == 0 && l->events > 0 &&
	    t->number < l->number)
		differ(l, NULL, "the last event has number %" PRIu64 ", but "
		    "topicd counted %" PRIu64, t->number, l->number);
	if (t->at < l->vouched)
		differ(l, NULL, "the log ends at %" PRIu64 ", but the "
		    "checkpoint knows it up to %" PRIu64, t->at, l->vouched);
	if (!known) {
		l->end = t->at;
		l->number = t->number;
	}
}

/* Where the log begins, be there a line or not. */
static int
find_start(const struct ledger *l, uint64_t *start, struct fault *f)
{
	int dir = openat(l->dir, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct segment *seg = NULL;
	size_t n = 0;
	int rc;

	if (dir == -1 && errno == ENOENT)
		return 0; /* no event was ever published: the counts say so */
	if (dir == -1)
		return fault_errno(f, FAULT_INTERNAL, "topics/%s/log",
		    l->topic);
	rc = segment_list(dir, "log", &seg, &n, f);
	if (rc == 0 && n > 0)
		*start = seg[0].start;
	free(seg);
	close(dir);
	return rc == 0 && n > 0 ? 1 : rc;
}

static int
follow(struct trail *t, struct fault *f)
{
	struct ledger *l = t->ledger;
	bool known = l->end != UINT64_MAX;
	size_t n = l->n, i;
	int rc = 0;

	for (i = 0; i < n; i++)
		tracker_open(&t->tracker[i], l, &l->account[i]);
	if (l->dir != -1)
		rc = find_start(l, &t->at, f);
	if (rc == 1) {
		l->start = t->at;
		rc = journal_walk(l->dir, "log", l->end, see, t, f);
	}
	if (rc == 0)
		check_end(t, known);
	for (i = 0; i < n; i++)
		tracker_end(&t->tracker[i], l, known);
	return rc;
}

int
trail_follow(struct ledger *l, struct fault *f)
{
	struct trail t = { .ledger = l };
	int rc;

	if ((t.tracker = calloc(l->n + 1, sizeof(*t.tracker))) == NULL)
		return fault_errno(f, FAULT_INTERNAL, "topic '%s'", l->topic);
	rc = follow(&t, f);
	free(t.tracker);
	return rc;
}
