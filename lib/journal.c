/* the log of a topic */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "crc32c.h"
#include "file.h"
#include "journal.h"
#include "segment.h"
#include "spool.h"

#define OPENING "{\"publishTime\":\""
#define CRC "\",\"crc32c\":\""
#define NUMBER "\",\"number\":"
#define BATCH ",\"batch\":["
#define PRODUCER ",\"producer\":\""
#define SEQUENCE "\",\"sequence\":"
#define SUBSCRIPTION ",\"subscription\":\""
#define EVENT ",\"event\":"
#define CLOSING "}\n"

#define LENGTH(literal) (sizeof(literal) - 1)
#define TIME_AT LENGTH(OPENING)
#define CRC_AT (TIME_AT + CLOCK_TEXT + LENGTH(CRC))
#define CRC_END (CRC_AT + CRC32C_TEXT)

#define NUMBER_MAX INT64_MAX /* far from where counting would begin anew */
#define READ_AHEAD (256 * 1024)
#define READ_ONE (16 * 1024)  /* of a read that does not follow the last one */
#define TAIL (64 * 1024)      /* where the last line is looked for first */
#define PENDING_KEEP (4 << 20) /* bytes of memory kept between windows */
#define OPEN_SEGMENTS 8 /* segments open for reading, besides the last */

struct open_segment {
	int fd;
	uint64_t start;
	uint64_t used; /* when: the least is closed first */
};

/* Bytes of the log from `at` on. What is written never changes, so they stay
 * right for as long as they are here. */
struct window {
	char *mem;
	size_t cap, len;
	uint64_t at;
};

struct journal {
	int dir;
	struct segment *seg; /* the last one is written; none in a new log */
	size_t nseg;
	int fd;         /* of the last segment, or -1 */
	bool dirty;     /* written since journal_dirty */
	bool dir_dirty; /* a name is new since then */
	bool unusable;

	uint64_t number; /* of the last event written */
	int64_t time;

	struct buf pending;
	uint64_t npending;
	int64_t first_pending, last_pending; /* times */

	struct open_segment open[OPEN_SEGMENTS];
	uint64_t uses;
	struct window ahead;
	uint64_t next; /* offset behind the last line read */
};

bool
journal_name(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == '"' || s[i] == '\\' ||
		    s[i] == 0x7f)
			return false;
	return n > 0 && n <= JOURNAL_NAME_MAX;
}

static uint32_t
line_crc(const char *line, size_t len)
{
	uint32_t crc = crc32c(0, line, CRC_AT);

	return crc32c(crc, line + CRC_END, len - 1 - CRC_END);
}

#define ADD(b, literal) buf_add(b, literal, LENGTH(literal))

static void
format_origin(struct buf *b, const struct journal_line *line)
{
	if (line->of > 1) {
		ADD(b, BATCH);
		buf_u64(b, line->part);
		ADD(b, ",");
		buf_u64(b, line->of);
		ADD(b, "]");
	}
	if (line->producer != NULL) {
		ADD(b, PRODUCER);
		buf_add(b, line->producer, line->producer_len);
		ADD(b, SEQUENCE);
		buf_u64(b, line->sequence);
	}
	if (line->subscription != NULL) {
		ADD(b, SUBSCRIPTION);
		buf_add(b, line->subscription, line->subscription_len);
		ADD(b, "\"");
	}
}

void
journal_format(struct buf *b, struct journal_line *line)
{
	size_t before = b->len;
	char time[CLOCK_TEXT + 1], *text;

	/* all or nothing: with this room nothing below can fail */
	if (buf_room(b, JOURNAL_LINE_MAX - EVENT_MAX + line->event_len) == NULL)
		return;
	clock_format(time, line->time);
	ADD(b, OPENING);
	buf_add(b, time, CLOCK_TEXT);
	ADD(b, CRC "........" NUMBER);
	buf_u64(b, line->number);
	format_origin(b, line);
	ADD(b, EVENT);
	buf_add(b, line->event, line->event_len);
	ADD(b, CLOSING);

	line->offset = before;
	line->len = b->len - before;
	text = buf_data(b) + before;
	crc32c_format(text + CRC_AT, line_crc(text, line->len));
}

/* What is left of a line. */
struct cursor {
	const char *p, *end;
};

static bool
literal(struct cursor *c, const char *s, size_t n)
{
	if (n > (size_t)(c->end - c->p) || memcmp(c->p, s, n) != 0)
		return false;
	c->p += n;
	return true;
}

#define TAKE(c, text) literal(c, text, LENGTH(text))

/* As buf_u64 writes it: no zeros in front. */
static bool
take_u64(struct cursor *c, uint64_t max, uint64_t *value)
{
	const char *from = c->p;
	unsigned digit;

	*value = 0;
	for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++) {
		digit = (unsigned)(*c->p - '0');
		if (*value > (max - digit) / 10)
			return false;
		*value = *value * 10 + digit;
	}
	return c->p > from && (*from != '0' || c->p == from + 1);
}

static bool
take_name(struct cursor *c, const char **name, size_t *len)
{
	size_t n = (size_t)(c->end - c->p);
	const char *quote;

	if (n > JOURNAL_NAME_MAX + 1)
		n = JOURNAL_NAME_MAX + 1;
	if ((quote = memchr(c->p, '"', n)) == NULL)
		return false;
	*name = c->p;
	*len = (size_t)(quote - c->p);
	c->p = quote;
	return journal_name(*name, *len);
}

static bool
take_time(struct cursor *c, int64_t *time)
{
	char text[CLOCK_TEXT + 1];

	if (c->end - c->p < CLOCK_TEXT ||
	    clock_parse(c->p, CLOCK_TEXT, time) == -1)
		return false;
	clock_format(text, *time);
	return literal(c, text, CLOCK_TEXT);
}

/* Eight digits; their value is looked at when the rest is found to be right. */
static bool
take_crc(struct cursor *c)
{
	if (c->end - c->p < CRC32C_TEXT)
		return false;
	c->p += CRC32C_TEXT;
	return true;
}

static bool
take_batch(struct cursor *c, struct journal_line *line)
{
	uint64_t part, of;

	line->part = line->of = 1;
	if (!TAKE(c, BATCH))
		return true;
	if (!take_u64(c, UINT32_MAX, &part) || !TAKE(c, ",") ||
	    !take_u64(c, UINT32_MAX, &of) || !TAKE(c, "]") || part < 1 ||
	    of < 2 || part > of)
		return false;
	line->part = (uint32_t)part;
	line->of = (uint32_t)of;
	return true;
}

static bool
take_producer(struct cursor *c, struct journal_line *line)
{
	if (!TAKE(c, PRODUCER))
		return true;
	return take_name(c, &line->producer, &line->producer_len) &&
	    TAKE(c, SEQUENCE) && take_u64(c, UINT64_MAX, &line->sequence);
}

static bool
take_subscription(struct cursor *c, struct journal_line *line)
{
	if (!TAKE(c, SUBSCRIPTION))
		return true;
	return take_name(c, &line->subscription, &line->subscription_len) &&
	    TAKE(c, "\"");
}

int
journal_parse(const char *text, size_t len, struct journal_line *line)
{
	struct cursor c = { text, text + len - LENGTH(CLOSING) };
	char crc[CRC32C_TEXT];

	*line = (struct journal_line){ .len = len };
	if (len < LENGTH(CLOSING) || len > JOURNAL_LINE_MAX ||
	    memcmp(c.end, CLOSING, LENGTH(CLOSING)) != 0)
		return -1;
	if (!TAKE(&c, OPENING) || !take_time(&c, &line->time) ||
	    !TAKE(&c, CRC) || !take_crc(&c) || !TAKE(&c, NUMBER) ||
	    !take_u64(&c, NUMBER_MAX, &line->number) || line->number == 0 ||
	    !take_batch(&c, line) || !take_producer(&c, line) ||
	    !take_subscription(&c, line) || !TAKE(&c, EVENT) || c.p == c.end)
		return -1;
	crc32c_format(crc, line_crc(text, len));
	if (memcmp(crc, text + CRC_AT, sizeof(crc)) != 0)
		return -1;
	line->event = c.p;
	line->event_len = (size_t)(c.end - c.p);
	return 0;
}

/*
 * Call fn for each line from offset `from` to `end`: 0, or 1 when fn returned
 * non-zero, which stops it, or -1 and errno. Bytes without a newline at the end
 * are no line in the segment that is still written, elsewhere a corrupt one.
 */
static int
each_line(int fd, const struct segment *s, uint64_t from, uint64_t end,
    bool written, int (*fn)(const struct journal_line *, void *), void *arg)
{
	struct segment_reader r = { .fd = fd, .start = s->start, .at = from,
		.end = end, .max = JOURNAL_LINE_MAX };
	struct journal_line line;
	const char *text;
	uint64_t at = from;
	size_t len = 0;
	int rc;

	while ((rc = segment_line(&r, &text, &len)) == 1) {
		if (text == NULL || journal_parse(text, len, &line) == -1)
			line = (struct journal_line){ .len = len };
		line.offset = at;
		at += len;
		if (fn(&line, arg) != 0)
			break;
	}
	if (rc == 0 && len > 0 && !written) {
		line = (struct journal_line){ .offset = at, .len = len };
		rc = fn(&line, arg) != 0;
	}
	segment_reader_free(&r);
	return rc;
}

/* The place of `keep` as each line is seen: behind it all would be torn. */
struct tail {
	uint64_t keep;
	uint64_t batch; /* where the batch of the last good line began */
	uint32_t part, of;
};

static int
see_tail(const struct journal_line *line, void *arg)
{
	struct tail *t = arg;

	if (line->event == NULL) {
		/* it may be the last of its batch, and acknowledged */
		t->keep = line->offset + line->len;
		return 0;
	}
	if (line->of != t->of || line->part <= t->part)
		t->batch = line->offset;
	t->part = line->part;
	t->of = line->of;
	t->keep = line->part < line->of ? t->batch : line->offset + line->len;
	return 0;
}

/* Cut off what was not written whole in the last segment, from `from` on. */
static int
cut_tail(struct journal *j, uint64_t from)
{
	struct segment *s = &j->seg[j->nseg - 1];
	struct tail t;

	if (from < s->start)
		from = s->start;
	t = (struct tail){ .keep = from };
	if (each_line(j->fd, s, from, s->end, true, see_tail, &t) == -1)
		return -1;
	if (t.keep == s->end)
		return 0;
	if (ftruncate(j->fd, (off_t)(t.keep - s->start)) == -1)
		return -1;
	s->end = t.keep;
	return 0;
}

/* The descriptor of a segment that is not the last, or -1 and errno. */
static int
open_old(struct journal *j, uint64_t start)
{
	struct open_segment *o = j->open, *oldest = o;
	int fd;

	for (; o < j->open + OPEN_SEGMENTS; o++) {
		if (o->fd != -1 && o->start == start) {
			o->used = ++j->uses;
			return o->fd;
		}
		if (o->used < oldest->used)
			oldest = o;
	}
	if ((fd = segment_open(j->dir, start, O_RDONLY)) == -1)
		return -1;
	if (oldest->fd != -1)
		close(oldest->fd);
	*oldest = (struct open_segment){ fd, start, ++j->uses };
	return fd;
}

static int
segment_fd(struct journal *j, const struct segment *s)
{
	return s == &j->seg[j->nseg - 1] ? j->fd : open_old(j, s->start);
}

static void
close_old(struct journal *j, uint64_t start)
{
	struct open_segment *o;

	for (o = j->open; o < j->open + OPEN_SEGMENTS; o++) {
		if (o->fd == -1 || o->start != start)
			continue;
		close(o->fd);
		*o = (struct open_segment){ .fd = -1 };
	}
}

/* The last good line seen, and how many corrupt ones stand behind it. */
struct last {
	bool partial; /* the next is the end of a line only */
	uint64_t number, corrupt;
	int64_t time;
};

static int
see_last(const struct journal_line *line, void *arg)
{
	struct last *l = arg;

	if (l->partial)
		l->partial = false;
	else if (line->event == NULL)
		l->corrupt++;
	else
		*l = (struct last){ .number = line->number,
			.time = line->time };
	return 0;
}

/* number is 0 when the segment has no good line. */
static int
last_line(struct journal *j, const struct segment *s, struct last *l)
{
	uint64_t size = s->end - s->start, back = TAIL;
	int fd = segment_fd(j, s);

	if (fd == -1)
		return -1;
	for (;; back *= 16) {
		if (back > size)
			back = size;
		*l = (struct last){ .partial = back < size };
		if (each_line(fd, s, s->end - back, s->end, fd == j->fd,
		    see_last, l) == -1)
			return -1;
		if (l->number != 0 || back == size)
			return 0;
	}
}

/* Number and time of the log's last event. */
static int
find_last(struct journal *j)
{
	uint64_t corrupt = 0;
	struct last l;
	size_t i;

	for (i = j->nseg; i-- > 0;) {
		if (last_line(j, &j->seg[i], &l) == -1)
			return -1;
		corrupt += l.corrupt;
		if (l.number == 0)
			continue;
		j->number = l.number;
		j->time = l.time;
		break;
	}
	j->number += corrupt;
	j->last_pending = j->time;
	return 0;
}

static int
see_first(const struct journal_line *line, void *arg)
{
	*(int64_t *)arg = line->time;
	return 1;
}

/* The segment that an offset lies in, or NULL. */
static struct segment *
find_segment(struct journal *j, uint64_t offset)
{
	size_t low = 0, high = j->nseg, mid;

	if (offset < journal_start(j) || offset >= journal_end(j))
		return NULL;
	while (high - low > 1) {
		mid = low + (high - low) / 2;
		if (j->seg[mid].start <= offset)
			low = mid;
		else
			high = mid;
	}
	return &j->seg[low];
}

int
journal_begins(struct journal *j, uint64_t offset)
{
	const struct segment *s;
	char before;
	ssize_t n;
	int fd;

	if (offset == journal_start(j) || offset == 0)
		return 1;
	if ((s = find_segment(j, offset - 1)) == NULL)
		return 0;
	if (s->end == offset && s != &j->seg[j->nseg - 1])
		return 1;
	if ((fd = segment_fd(j, s)) == -1)
		return -1;
	n = file_pread(fd, &before, 1, (off_t)(offset - 1 - s->start));
	if (n == 0)
		errno = EIO;
	return n == 1 ? before == '\n' : -1;
}

static int
recover(struct journal *j, uint64_t trusted)
{
	struct segment *last = &j->seg[j->nseg - 1];
	int rc;

	j->fd = segment_open(j->dir, last->start, O_RDWR);
	if (j->fd == -1 || (rc = journal_begins(j, trusted)) == -1)
		return -1;
	if (rc == 0 || trusted < journal_start(j))
		trusted = journal_start(j);
	/*
	 * A killed process leaves bytes that only the page cache has. They are
	 * about to be acted on, so they have to stay.
	 */
	if (cut_tail(j, trusted) == -1 || fsync(j->fd) == -1 ||
	    fsync(j->dir) == -1)
		return -1;
	if (each_line(j->fd, last, last->start, last->end, true, see_first,
	    &last->first) == -1)
		return -1;
	return find_last(j);
}

static struct journal *
new_journal(void)
{
	struct journal *j = calloc(1, sizeof(*j));
	size_t i;

	if (j == NULL)
		return NULL;
	j->dir = j->fd = -1;
	for (i = 0; i < OPEN_SEGMENTS; i++)
		j->open[i].fd = -1;
	return j;
}

struct journal *
journal_open(int dir, const char *path, uint64_t trusted, struct fault *f)
{
	struct journal *j = new_journal();

	if (j == NULL || spool_mkdir(dir, path, 0700) == -1) {
		fault_errno(f, FAULT_INTERNAL, "%s", path);
		goto fail;
	}
	j->dir = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->dir == -1) {
		fault_errno(f, FAULT_INTERNAL, "%s", path);
		goto fail;
	}
	if (segment_list(j->dir, path, &j->seg, &j->nseg, f) == -1)
		goto fail;
	if (j->nseg > 0 && recover(j, trusted) == -1) {
		fault_errno(f, FAULT_INTERNAL, "%s", path);
		goto fail;
	}
	return j;
fail:
	journal_close(j);
	return NULL;
}

void
journal_close(struct journal *j)
{
	size_t i;

	if (j == NULL)
		return;
	for (i = 0; i < OPEN_SEGMENTS; i++)
		if (j->open[i].fd != -1)
			close(j->open[i].fd);
	if (j->fd != -1)
		close(j->fd);
	if (j->dir != -1)
		close(j->dir);
	buf_free(&j->pending);
	free(j->ahead.mem);
	free(j->seg);
	free(j);
}

uint64_t
journal_start(const struct journal *j)
{
	return j->nseg == 0 ? 0 : j->seg[0].start;
}

uint64_t
journal_end(const struct journal *j)
{
	return j->nseg == 0 ? 0 : j->seg[j->nseg - 1].end;
}

uint64_t
journal_number(const struct journal *j)
{
	return j->number;
}

int64_t
journal_time(const struct journal *j)
{
	return j->time;
}

static bool
fit(const struct journal_line *line)
{
	return line->event_len > 0 && line->event_len <= EVENT_MAX &&
	    memchr(line->event, '\n', line->event_len) == NULL &&
	    line->part <= line->of && (line->part > 0 || line->of == 0) &&
	    (line->producer == NULL ||
	    journal_name(line->producer, line->producer_len)) &&
	    (line->subscription == NULL ||
	    journal_name(line->subscription, line->subscription_len));
}

int
journal_append(struct journal *j, struct journal_line *line)
{
	if (!fit(line)) {
		errno = EINVAL;
		return -1;
	}
	if (line->time == 0)
		line->time = clock_now();
	if (line->time < j->last_pending)
		line->time = j->last_pending;
	line->number = j->number + j->npending + 1;
	journal_format(&j->pending, line);
	if (j->pending.bad) {
		j->pending.bad = false;
		errno = ENOMEM;
		return -1;
	}
	line->offset += journal_end(j);
	if (j->npending++ == 0)
		j->first_pending = line->time;
	j->last_pending = line->time;
	return 0;
}

size_t
journal_pending(const struct journal *j)
{
	return j->pending.len;
}

/* An empty segment is never full: the next one would have its name. */
static bool
segment_full(const struct journal *j)
{
	const struct segment *s = &j->seg[j->nseg - 1];

	return s->end > s->start && (s->end - s->start >= JOURNAL_SEGMENT ||
	    j->first_pending - s->first >= JOURNAL_PERIOD * CLOCK_SECOND);
}

static int
begin_segment(struct journal *j)
{
	uint64_t start = journal_end(j);
	struct segment *seg;
	int fd;

	seg = realloc(j->seg, (j->nseg + 1) * sizeof(*seg));
	if (seg == NULL)
		return -1;
	j->seg = seg;
	fd = segment_open(j->dir, start, O_RDWR | O_CREAT | O_EXCL);
	if (fd == -1)
		return -1;
	if (j->fd != -1) {
		close(j->fd);
		seg[j->nseg - 1].last = j->time;
	}
	seg[j->nseg++] = (struct segment){ .start = start, .end = start,
		.last = -1 };
	j->fd = fd;
	j->dir_dirty = true;
	return 0;
}

/* The pending bytes into the last segment; all or nothing. */
static int
write_pending(struct journal *j)
{
	struct segment *s = &j->seg[j->nseg - 1];
	off_t at = (off_t)(s->end - s->start);
	int error;

	if (file_pwrite(j->fd, buf_data(&j->pending), j->pending.len, at) == 0)
		return 0;
	error = errno;
	if (ftruncate(j->fd, at) == -1 || error == EIO)
		j->unusable = true;
	errno = error;
	return -1;
}

int
journal_write(struct journal *j)
{
	struct segment *s;

	if (j->npending == 0)
		return 0;
	if (j->unusable)
		errno = EIO;
	if (j->unusable ||
	    ((j->nseg == 0 || segment_full(j)) && begin_segment(j) == -1) ||
	    write_pending(j) == -1) {
		journal_rollback(j);
		return -1;
	}
	s = &j->seg[j->nseg - 1];
	if (s->end == s->start)
		s->first = j->first_pending;
	s->end += j->pending.len;
	j->number += j->npending;
	j->time = j->last_pending;
	j->dirty = true;
	journal_rollback(j);
	return 0;
}

void
journal_dirty(struct journal *j, struct journal_sync *s)
{
	*s = (struct journal_sync){ -1, -1 };
	if (!j->dirty)
		return;
	s->fd = j->fd;
	if (j->dir_dirty)
		s->dir = j->dir;
	j->dirty = j->dir_dirty = false;
}

int
journal_sync(const struct journal_sync *s)
{
	if (s->fd != -1 && fdatasync(s->fd) == -1)
		return -1;
	return s->dir == -1 ? 0 : fsync(s->dir);
}

void
journal_rollback(struct journal *j)
{
	int error = errno;

	buf_reset(&j->pending, PENDING_KEEP);
	j->npending = 0;
	j->last_pending = j->time;
	errno = error;
}

/* Room behind the bytes that are there, of which those below offset may go. */
static int
make_room(struct window *w, uint64_t offset)
{
	size_t drop = (size_t)(offset - w->at);
	size_t cap = w->cap == 0 ? READ_AHEAD : w->cap * 2;
	char *mem;

	if (w->len < w->cap)
		return 0;
	if (drop > 0) {
		memmove(w->mem, w->mem + drop, w->len - drop);
		w->at = offset;
		w->len -= drop;
		return 0;
	}
	if ((mem = realloc(w->mem, cap)) == NULL)
		return -1;
	w->mem = mem;
	w->cap = cap;
	return 0;
}

/* Get more bytes behind those from offset on, which lies in segment s. */
static int
load(struct journal *j, const struct segment *s, uint64_t offset)
{
	struct window *w = &j->ahead;
	size_t most = SIZE_MAX, n;
	int fd = segment_fd(j, s);
	uint64_t from;
	ssize_t got;

	if (fd == -1)
		return -1;
	if (offset < w->at || offset > w->at + w->len) {
		w->at = offset;
		w->len = 0;
		if (offset != j->next)
			most = READ_ONE;
	}
	if (make_room(w, offset) == -1)
		return -1;
	from = w->at + w->len;
	n = w->cap - w->len;
	if (n > most)
		n = most;
	if (n > s->end - from)
		n = (size_t)(s->end - from);
	got = file_pread(fd, w->mem + w->len, n, (off_t)(from - s->start));
	if (got == -1)
		return -1;
	w->len += (size_t)got;
	if ((size_t)got == n)
		return 0;
	errno = EIO; /* somebody made the file shorter */
	return -1;
}

/* How many bytes from offset on, all of segment s, are in the window? */
static size_t
loaded(const struct window *w, const struct segment *s, uint64_t offset)
{
	uint64_t end = w->at + w->len < s->end ? w->at + w->len : s->end;

	return offset < w->at || offset >= end ? 0 : (size_t)(end - offset);
}

/* The length of a line that is longer than any that we write. */
static int
measure_line(struct journal *j, const struct segment *s, uint64_t offset,
    size_t *len)
{
	struct segment_reader r = { .fd = segment_fd(j, s), .start = s->start,
		.at = offset, .end = s->end, .max = JOURNAL_LINE_MAX };
	const char *text;
	int rc = segment_line(&r, &text, len);

	segment_reader_free(&r);
	return rc == -1 ? -1 : 0;
}

/* A line that cannot be read: raw text of which n bytes are in the window. */
static int
corrupt(const char *text, size_t n, struct journal_line *line)
{
	line->event = text;
	line->event_len = n > JOURNAL_LINE_MAX ? JOURNAL_LINE_MAX : n;
	errno = EBADMSG;
	return -1;
}

int
journal_read(struct journal *j, uint64_t offset, struct journal_line *line)
{
	const struct segment *s = find_segment(j, offset);
	const char *text = NULL, *nl = NULL;
	size_t n, seen = 0;

	*line = (struct journal_line){ .offset = offset };
	if (s == NULL) {
		errno = ENOENT;
		return -1;
	}
	for (;; seen = n) {
		if ((n = loaded(&j->ahead, s, offset)) > seen) {
			text = j->ahead.mem + (offset - j->ahead.at);
			nl = memchr(text + seen, '\n', n - seen);
		}
		if (nl != NULL || n > JOURNAL_LINE_MAX || n == s->end - offset)
			break;
		if (load(j, s, offset) == -1)
			return -1;
	}
	line->len = nl != NULL ? (size_t)(nl - text) + 1 : n;
	if (nl == NULL && measure_line(j, s, offset, &line->len) == -1)
		return -1;
	j->next = offset + line->len;
	if (nl == NULL || journal_parse(text, line->len, line) == -1) {
		*line = (struct journal_line){ .len = j->next - offset };
		line->offset = offset;
		return corrupt(text, nl == NULL ? n : line->len, line);
	}
	line->offset = offset;
	return 0;
}

/* The time of a segment without a good line. */
static int64_t
changed(int fd)
{
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		return -1;
	return st.st_mtim.tv_sec * CLOCK_SECOND + st.st_mtim.tv_nsec / 1000;
}

bool
journal_oldest(struct journal *j, uint64_t *end, int64_t *last)
{
	struct segment *s = j->seg;
	struct last l;

	/* an empty last segment needs the one before: it knows the number */
	if (j->nseg < 2 || (j->nseg == 2 && s[1].end == s[1].start))
		return false;
	if (s->last == -1) {
		if (last_line(j, s, &l) == -1)
			return false;
		s->last = l.number != 0 ? l.time : changed(segment_fd(j, s));
		if (s->last == -1)
			return false;
	}
	*end = s->end;
	*last = s->last;
	return true;
}

int
journal_remove_oldest(struct journal *j)
{
	if (j->nseg < 2) {
		errno = EBUSY;
		return -1;
	}
	/*
	 * Not synced: file systems keep the order of changes to a directory, so
	 * what a crash brings back joins what is there.
	 */
	if (segment_unlink(j->dir, j->seg[0].start) == -1)
		return -1;
	close_old(j, j->seg[0].start);
	j->nseg--;
	memmove(j->seg, j->seg + 1, j->nseg * sizeof(*j->seg));
	return 0;
}

struct walk {
	int (*line)(const struct journal_line *, void *);
	void *arg;
	int rc;
};

static int
walk_line(const struct journal_line *line, void *arg)
{
	struct walk *w = arg;

	return w->rc = w->line(line, w->arg);
}

/* 0 to go on, 1 when line() stopped it, -1 and errno. */
static int
walk_segment(int dir, const struct segment *s, uint64_t end, bool written,
    struct walk *w)
{
	int fd = segment_open(dir, s->start, O_RDONLY);

	if (fd == -1) /* retention may have come by */
		return errno == ENOENT ? 0 : -1;
	return file_close(fd, each_line(fd, s, s->start,
	    end < s->end ? end : s->end, written, walk_line, w));
}

int
journal_walk(int dir, const char *path, uint64_t end,
    int (*line)(const struct journal_line *, void *), void *arg,
    struct fault *f)
{
	struct walk w = { line, arg, 0 };
	struct segment *seg = NULL;
	size_t n = 0, i;
	int fd, rc = 0;

	fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return fault_errno(f, errno == ENOENT ? FAULT_NOT_FOUND :
		    FAULT_INTERNAL, "%s", path);
	if (segment_list(fd, path, &seg, &n, f) == -1) {
		close(fd);
		return -1;
	}
	for (i = 0; i < n && seg[i].start < end && rc == 0; i++)
		rc = walk_segment(fd, &seg[i], end, i == n - 1, &w);
	if (rc == -1)
		fault_errno(f, FAULT_INTERNAL, "%s", path);
	free(seg);
	close(fd);
	return rc == 1 ? w.rc : rc;
}
