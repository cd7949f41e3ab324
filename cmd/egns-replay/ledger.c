/* what was replayed, and what is being published */
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "crc32c.h"
#include "daybook.h"
#include "file.h"
#include "hex.h"
#include "index.h"

#define DIR_NAME "replay"
#define LOCK_NAME DIR_NAME "/lock"
#define PENDING_NAME DIR_NAME "/pending.ndjson"

/*
 * The first line of what is pending, always as long; the lines and the requests
 * follow. The checksum is of all behind it: a file that does not match was not
 * synced, so nothing of it was sent.
 */
#define HEAD "{\"crc32c\":\"%.8s\",\"lines\":%12zu,\"requests\":%12zu}\n"
#define HEAD_LEN 67
#define PENDING_MAX (256 * 1024 * 1024) /* more than any round */
#define LINE_CHUNK 4096

struct ledger {
	const struct spool *spool;
	bool write;
	int dir, lock; /* -1: there is none, and nothing was replayed */
	int pending;   /* -1: not open */
	bool left;     /* what is pending is another's */
	struct index index;
};

void
ledger_key_format(char text[LEDGER_KEY_TEXT + 1], const uint8_t key[LETTER_KEY])
{
	hex_text(text, key, LETTER_KEY);
}

bool
ledger_key_parse(const char *text, uint8_t key[LETTER_KEY])
{
	int byte;

	for (size_t i = 0; i < LETTER_KEY; i++) {
		if ((byte = hex_byte(text + 2 * i)) == -1)
			return false;
		key[i] = (uint8_t)byte;
	}
	return true;
}

static int
trouble(struct fault *f, const char *name)
{
	enum fault_code code = FAULT_INTERNAL;

	if (file_no_room(errno))
		code = FAULT_TOO_MANY;
	else if (errno == EACCES || errno == EPERM)
		code = FAULT_FORBIDDEN;
	return fault_errno(f, code, "%s", name);
}

/* ---- open and close ---- */

/* Its directory and lock; there are none for who only looks. */
static int
open_files(struct ledger *l, struct fault *f)
{
	int spool = l->spool->fd;

	if (l->write && spool_mkdir(spool, DIR_NAME, 0700) == -1)
		return trouble(f, DIR_NAME);
	l->dir = openat(spool, DIR_NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->dir == -1)
		return errno == ENOENT ? 0 : trouble(f, DIR_NAME);
	l->lock = openat(spool, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (l->lock == -1)
		return trouble(f, LOCK_NAME);
	l->index.dir = l->dir;
	l->index.lock = l->lock;
	l->index.write = l->write;
	return 0;
}

/* The lock, and all that others have done. */
static int
lock(struct ledger *l, struct fault *f)
{
	if (file_lock(l->lock, LOCK_EX) == -1)
		return trouble(f, LOCK_NAME);
	l->index.locked = true;
	if (index_update(&l->index, f) == 0)
		return 0;
	ledger_unlock(l);
	return -1;
}

/* Who looks does not wait for who publishes, unless it must. */
static int
look(struct ledger *l, struct fault *f)
{
	if (file_lock(l->lock, LOCK_EX | LOCK_NB) == -1 &&
	    index_look(&l->index))
		return 0;
	if (lock(l, f) == -1)
		return -1;
	ledger_unlock(l);
	return 0;
}

struct ledger *
ledger_open(const struct spool *spool, bool write, struct fault *f)
{
	struct ledger *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	l->spool = spool;
	l->write = write;
	l->dir = l->lock = l->pending = -1;
	if (open_files(l, f) == 0 && (l->dir == -1 || look(l, f) == 0))
		return l;
	ledger_close(l);
	return NULL;
}

void
ledger_close(struct ledger *l)
{
	if (l == NULL)
		return;
	/* who has it now does this later */
	if (l->lock != -1 && file_lock(l->lock, LOCK_EX | LOCK_NB) == 0)
		index_settle(&l->index);
	index_free(&l->index);
	if (l->pending != -1)
		close(l->pending);
	if (l->lock != -1)
		close(l->lock);
	if (l->dir != -1)
		close(l->dir);
	free(l);
}

/* ---- looking ---- */

/* Add the line that begins at a place. 0, or -1 and errno. */
static int
read_line(int fd, uint64_t at, struct buf *line)
{
	const char *nl;
	size_t from = line->len;
	char *room;
	ssize_t n;

	while ((room = buf_room(line, LINE_CHUNK)) != NULL) {
		n = file_pread(fd, room, LINE_CHUNK, (off_t)at);
		if (n == -1)
			return -1;
		at += (uint64_t)n;
		nl = memchr(room, '\n', (size_t)n);
		buf_grew(line, nl != NULL ? (size_t)(nl - room) : (size_t)n);
		if (nl != NULL || n == 0)
			return 0;
	}
	line->len = from;
	return -1;
}

static int
read_place(const struct ledger *l, const struct index_place *place,
    struct buf *line)
{
	char day[CLOCK_TEXT + 1], name[64];
	int fd;

	clock_format(day, place->day * CLOCK_DAY);
	snprintf(name, sizeof(name), "%.10s.ndjson", day);
	if ((fd = openat(l->dir, name, O_RDONLY | O_CLOEXEC)) == -1)
		return -1;
	return file_close(fd, read_line(fd, place->offset, line));
}

bool
ledger_has(const struct ledger *l, const uint8_t key[LETTER_KEY])
{
	static const char aside[] = ",\"result\":\"quarantined\"}";
	const size_t n = sizeof(aside) - 1;
	struct index_place place;
	struct buf line = { 0 };
	bool has;

	if (!index_find(&l->index, key, &place))
		return false;
	/* what cannot be read was something, and does not go twice */
	has = read_place(l, &place, &line) == -1 || line.len < n ||
	    memcmp(buf_data(&line) + line.len - n, aside, n) != 0;
	buf_free(&line);
	return has;
}

int
ledger_line(struct ledger *l, const uint8_t key[LETTER_KEY], struct buf *line,
    struct fault *f)
{
	struct index_place place;
	uint8_t its[LETTER_KEY];
	size_t from = line->len;

	if (!index_find(&l->index, key, &place))
		return 0;
	if (read_place(l, &place, line) == -1)
		return trouble(f, DIR_NAME);
	if (index_key(&l->index.json, buf_data(line) + from, line->len - from,
	    its) && memcmp(its, key, LETTER_KEY) == 0)
		return 1;
	line->len = from;
	return fault_set(f, FAULT_INTERNAL,
	    DIR_NAME ": a line is not where it was: somebody edits the file");
}

/* ---- what is pending ---- */

void
ledger_round_free(struct ledger_round *r)
{
	buf_free(&r->lines);
	buf_free(&r->requests);
}

static int
open_pending(struct ledger *l, struct fault *f)
{
	if (l->pending != -1)
		return 0;
	l->pending = openat(l->spool->fd, PENDING_NAME,
	    O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	/* its name has to be there when its bytes are */
	if (l->pending == -1 || fsync(l->dir) == -1)
		return trouble(f, PENDING_NAME);
	return 0;
}

static void
format_head(char head[HEAD_LEN + 1], const struct ledger_round *r)
{
	char crc[CRC32C_TEXT];

	crc32c_format(crc, crc32c(crc32c(0, buf_data(&r->lines), r->lines.len),
	    buf_data(&r->requests), r->requests.len));
	snprintf(head, HEAD_LEN + 1, HEAD, crc, r->lines.len, r->requests.len);
}

static int
read_part(int fd, struct buf *b, size_t n, size_t at)
{
	char *room = buf_room(b, n);

	if (room == NULL)
		return -1;
	if (file_pread(fd, room, n, (off_t)at) != (ssize_t)n)
		return -1;
	buf_grew(b, n);
	return 0;
}

/* Is there a whole round of that many bytes? It is in *r then. */
static bool
read_pending(int fd, size_t size, struct ledger_round *r)
{
	char head[HEAD_LEN + 1] = "", again[HEAD_LEN + 1];
	size_t lines, requests;

	if (size < HEAD_LEN || file_pread(fd, head, HEAD_LEN, 0) != HEAD_LEN ||
	    sscanf(head, "{\"crc32c\":\"%*8[0-9a-f]\",\"lines\":%zu"
		",\"requests\":%zu}", &lines, &requests) != 2)
		return false;
	size -= HEAD_LEN;
	if (lines > size || requests != size - lines ||
	    read_part(fd, &r->lines, lines, HEAD_LEN) == -1 ||
	    read_part(fd, &r->requests, requests, HEAD_LEN + lines) == -1)
		return false;
	format_head(again, r);
	return memcmp(head, again, HEAD_LEN) == 0;
}

static int
take_pending(struct ledger *l, struct ledger_round *r, struct fault *f)
{
	struct stat st;

	buf_reset(&r->lines, PENDING_MAX);
	buf_reset(&r->requests, PENDING_MAX);
	if (open_pending(l, f) == -1)
		return -1;
	if (fstat(l->pending, &st) == -1)
		return trouble(f, PENDING_NAME);
	l->left = st.st_size <= PENDING_MAX &&
	    read_pending(l->pending, (size_t)st.st_size, r);
	if (l->left)
		return 0;
	if (r->lines.bad || r->requests.bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	buf_reset(&r->lines, PENDING_MAX);
	buf_reset(&r->requests, PENDING_MAX);
	return 0;
}

int
ledger_lock(struct ledger *l, struct ledger_round *left, struct fault *f)
{
	if (lock(l, f) == -1)
		return -1;
	if (take_pending(l, left, f) == 0)
		return 0;
	ledger_unlock(l);
	return -1;
}

void
ledger_unlock(struct ledger *l)
{
	l->index.locked = false;
	file_lock(l->lock, LOCK_UN);
}

int
ledger_begin(struct ledger *l, const struct ledger_round *r, struct fault *f)
{
	char head[HEAD_LEN + 1];
	size_t at = HEAD_LEN;
	int fd = l->pending;

	/* what was replayed may not have been found */
	if (index_failed(&l->index))
		return fault_set(f, FAULT_UNAVAILABLE, "replay/index.tch is "
		    "broken, and will be built anew");
	format_head(head, r);
	if (file_pwrite(fd, head, HEAD_LEN, 0) == -1 ||
	    file_pwrite(fd, buf_data(&r->lines), r->lines.len,
		(off_t)at) == -1)
		return trouble(f, PENDING_NAME);
	at += r->lines.len;
	if (file_pwrite(fd, buf_data(&r->requests), r->requests.len,
		(off_t)at) == -1)
		return trouble(f, PENDING_NAME);
	at += r->requests.len;
	if (ftruncate(fd, (off_t)at) == -1 || fdatasync(fd) == -1)
		return trouble(f, PENDING_NAME);
	return 0;
}

/* Those that the ledger does not have; of their letters there may be others. */
static int
only_new(struct ledger *l, const struct buf *lines, struct buf *more,
    struct fault *f)
{
	const char *p = buf_data(lines), *end = p + lines->len, *nl;
	struct buf there = { 0 };
	uint8_t key[LETTER_KEY];
	int n = 0;

	for (; n != -1 && p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		n = 0;
		buf_reset(&there, LINE_CHUNK);
		if (index_key(&l->index.json, p, (size_t)(nl - p), key))
			n = ledger_line(l, key, &there, f);
		if (n == 0 || there.len != (size_t)(nl - p) ||
		    memcmp(buf_data(&there), p, there.len) != 0)
			buf_add(more, p, (size_t)(nl - p) + 1);
	}
	buf_free(&there);
	return n == -1 ? -1 : 0;
}

/* Lines into the day's file and keys into the index. */
static int
append(struct ledger *l, const struct buf *lines, struct fault *f)
{
	if (lines->bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	if (lines->len == 0)
		return 0;
	if (daybook_append(l->spool->fd, DIR_NAME, clock_now(),
	    buf_data(lines), lines->len) == -1)
		return trouble(f, DIR_NAME);
	return index_update(&l->index, f);
}

int
ledger_end(struct ledger *l, const struct buf *lines, struct fault *f)
{
	struct buf more = { 0 };
	int rc;

	if (l->left) {
		rc = only_new(l, lines, &more, f);
		if (rc == 0)
			rc = append(l, &more, f);
		buf_free(&more);
	} else {
		rc = append(l, lines, f);
	}
	if (rc == -1)
		return -1;
	/* not synced: what comes back is published again, as a duplicate, and
	 * its lines are found */
	if (ftruncate(l->pending, 0) == -1)
		return trouble(f, PENDING_NAME);
	l->left = false;
	return 0;
}

int
ledger_note(struct ledger *l, const struct buf *line, bool again,
    struct fault *f)
{
	struct index_place place;
	uint8_t key[LETTER_KEY];
	int rc = 0;

	if (lock(l, f) == -1)
		return -1;
	if (again || !index_key(&l->index.json, buf_data(line), line->len,
	    key) || !index_find(&l->index, key, &place))
		rc = append(l, line, f);
	ledger_unlock(l);
	return rc;
}
