/* what the life-cycle topic is told of sessions */
#include "notice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker.h"
#include "file.h"
#include "lifecycle.h"
#include "log.h"
#include "window.h"

/* Bytes of NOTICE_LOST: some 200,000 sessions. A reader takes twice that. */
#define LOST_MAX (32 * 1024 * 1024)

/* Is there room? Said once when there is none, and once when there is again. */
static bool
has_room(struct broker *b)
{
	bool room = window_lifecycle_room(b);

	if (room == b->unnoticed)
		log_warn(room ? "lifecycle/: there is room again" :
		    "lifecycle/: no room: life-cycle events are counted, and "
		    "not kept");
	b->unnoticed = !room;
	return room;
}

static void
add(const struct session *s, const char *reason)
{
	struct broker *b = s->broker;

	if (!b->settings.lifecycle)
		return;
	if (has_room(b))
		lifecycle_record(window_lines(b, WINDOW_LIFECYCLE),
		    b->now, s->name, s->id, s->connections, reason);
	else
		b->stats.lost_notices++;
}

void
notice_connected(const struct session *s)
{
	add(s, NULL);
}

void
notice_disconnected(const struct session *s, enum client_end why)
{
	add(s, stats_ends[why]);
}

/* ---- after a crash ---- */

/* What tells two lines apart is behind their time. */
#define TIME_BYTES (sizeof("{\"tst\":\"2026-01-31T12:00:00.123456Z\"") - 1)

/* The lines that are there, without their times. */
static TCMAP *
known_lines(const struct buf *lines)
{
	const char *p = buf_data(lines), *end = p + lines->len, *nl;
	TCMAP *known = tcmapnew();

	for (; p < end && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL;
	     p = nl + 1)
		if ((size_t)(nl - p) > TIME_BYTES)
			tcmapput(known, p + TIME_BYTES,
			    (int)(nl - p - (ptrdiff_t)TIME_BYTES), "", 0);
	return known;
}

static bool
is_known(TCMAP *known, const struct buf *line)
{
	int size;

	return tcmapget(known, buf_data(line) + TIME_BYTES,
	    (int)(line->len - 1 - TIME_BYTES), &size) != NULL;
}

/* The sessions that were cut off; the number of lines that were added. */
static uint64_t
add_lost(struct broker *b, struct buf *lines)
{
	TCMAP *known = known_lines(lines);
	struct buf line = { 0 };
	uint64_t n = 0;

	for (struct session *s = b->sessions; s != NULL; s = s->next) {
		if (s->offline_since != 0)
			continue;
		buf_reset(&line, SIZE_MAX);
		lifecycle_record(&line, b->now, s->name, s->id, s->connections,
		    stats_ends[END_SERVER_ERROR]);
		if (line.bad || lines->len + line.len > LOST_MAX)
			b->stats.lost_notices++;
		else if (!is_known(known, &line)) {
			buf_add(lines, buf_data(&line), line.len);
			n++;
		}
	}
	buf_free(&line);
	tcmapdel(known);
	return n;
}

/* What an earlier broker came not to pass on; whole lines of it. */
static int
read_lost(struct broker *b, struct buf *lines, struct fault *f)
{
	size_t len;
	char *text = spool_read(b->spool->fd, NOTICE_LOST, 2 * LOST_MAX, &len);
	const char *nl = text == NULL ? NULL : memrchr(text, '\n', len);

	if (text == NULL && errno != ENOENT)
		return fault_errno(f, FAULT_INTERNAL, NOTICE_LOST);
	if (nl != NULL)
		buf_add(lines, text, (size_t)(nl - text) + 1);
	free(text);
	return 0;
}

static int
save_lost(struct broker *b, const struct buf *lines, uint64_t n,
    struct fault *f)
{
	if (lines->len == 0 && unlinkat(b->spool->fd, NOTICE_LOST, 0) == -1 &&
	    errno != ENOENT)
		return fault_errno(f, FAULT_INTERNAL, NOTICE_LOST);
	if (lines->len == 0)
		return 0;
	if (spool_replace(b->spool->fd, NOTICE_LOST, buf_data(lines),
	    lines->len, true) == 0) {
		b->stats.notices += n;
		window_adopt(b);
		return 0;
	}
	if (!file_no_room(errno))
		return fault_errno(f, FAULT_INTERNAL, NOTICE_LOST);
	log_warn(NOTICE_LOST ": %s: the ends of %ju sessions are not told",
	    strerror(errno), (uintmax_t)n);
	b->stats.lost_notices += n;
	return 0;
}

int
notices_recover(struct broker *b, struct fault *f)
{
	struct buf lines = { 0 };
	uint64_t n = 0;
	int rc = 0;

	if (b->settings.lifecycle && (rc = read_lost(b, &lines, f)) == 0)
		n = add_lost(b, &lines);
	if (lines.bad)
		rc = fault_set(f, FAULT_INTERNAL, "out of memory");
	if (rc == 0)
		rc = save_lost(b, &lines, n, f);
	buf_free(&lines);
	return rc;
}
