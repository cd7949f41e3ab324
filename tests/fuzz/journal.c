/*
 * Recovery of a log from arbitrary bytes. The first byte chooses what is looked
 * at: `trusted`, and whether checksums are made right, so that a fuzzer gets
 * behind them. What must hold: nothing crashes; what is cut off is not more than
 * a torn batch; of what is left journal_walk tells every line once, in order,
 * good or corrupt, and journal_read agrees; a good line is byte for byte what
 * journal_format writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "crc32c.h"
#include "file.h"
#include "journal.h"
#include "spool.h"

#define CRC_AT 55
#define CRC_END 63
#define NAME "log/00000000000000000000.ndjson"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int tmp = -1;
static char tmp_path[] = "/dev/shm/egns-fuzz.XXXXXX";

#define require(x) \
	do { \
		if (!(x)) { \
			fprintf(stderr, "%d: %s\n", __LINE__, #x); \
			abort(); \
		} \
	} while (0)

static void
clean(void)
{
	spool_remove(AT_FDCWD, tmp_path);
}

static void
set_up(void)
{
	if (tmp != -1)
		return;
	require(mkdtemp(tmp_path) != NULL);
	atexit(clean);
	tmp = open(tmp_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	require(tmp != -1);
}

/* Every line that is long enough gets the checksum that it should have. */
static void
make_right(char *p, size_t n)
{
	char *nl;
	uint32_t crc;
	size_t len;
	int i;

	for (; (nl = memchr(p, '\n', n)) != NULL; n -= len, p = nl + 1) {
		len = (size_t)(nl - p) + 1;
		if (len < CRC_END + 1)
			continue;
		crc = crc32c(0, p, CRC_AT);
		crc = crc32c(crc, p + CRC_END, len - 1 - CRC_END);
		for (i = CRC_END - 1; i >= CRC_AT; i--, crc >>= 4)
			p[i] = "0123456789abcdef"[crc & 15];
	}
}

static void
check_same(const char *text, size_t len, const struct journal_line *line)
{
	struct journal_line copy = *line;
	struct buf b = { 0 };

	journal_format(&b, &copy);
	require(!b.bad && b.len == len && memcmp(buf_data(&b), text, len) == 0);
	buf_free(&b);
}

/* What must not be cut: up to the last good line that ends its batch or comes
 * before the beginning of another, or to a corrupt line that is the last. */
static size_t
may_cut(const char *text, size_t size, size_t from)
{
	struct journal_line line;
	size_t at = from, len, keep = from;
	bool corrupt = false;
	const char *nl;

	while (at < size &&
	    (nl = memchr(text + at, '\n', size - at)) != NULL) {
		len = (size_t)(nl - text) + 1 - at;
		corrupt = journal_parse(text + at, len, &line) == -1;
		if (!corrupt) {
			check_same(text + at, len, &line);
			if (line.part == 1)
				keep = at;
			if (line.part == line.of)
				keep = at + len;
		}
		at += len;
	}
	return corrupt ? at : keep;
}

struct seen {
	const char *text;
	uint64_t at, lines;
};

static int
see(const struct journal_line *line, void *arg)
{
	struct seen *s = arg;
	struct journal_line again;
	const char *text = s->text + line->offset;
	int rc;

	require(line->offset == s->at && line->len > 0);
	require(memchr(text, '\n', line->len) == text + line->len - 1);
	rc = journal_parse(text, line->len, &again);
	require((rc == 0) == (line->event != NULL));
	require(rc == -1 || (again.number == line->number &&
	    again.time == line->time && again.event_len == line->event_len));
	s->at += line->len;
	s->lines++;
	return 0;
}

static void
read_all(struct journal *j, const char *text, uint64_t lines)
{
	struct journal_line line;
	uint64_t at = 0, n = 0;

	for (; at < journal_end(j); at += line.len, n++) {
		if (journal_read(j, at, &line) == -1)
			require(errno == EBADMSG &&
			    line.event_len == line.len &&
			    memcmp(line.event, text + at, line.len) == 0);
		require(line.offset == at && line.len > 0);
	}
	require(n == lines && at == journal_end(j));
}

static void
recover(const char *text, size_t size, uint64_t trusted)
{
	struct seen w = { text, 0, 0 };
	struct journal_line line = { .event = "{}", .event_len = 2 };
	struct fault f;
	struct journal *j;
	uint64_t end, from;
	bool believed;

	j = journal_open(tmp, "log", trusted, &f);
	require(j != NULL);
	end = journal_end(j);
	believed = trusted <= size &&
	    (trusted == 0 || text[trusted - 1] == '\n');
	from = believed ? trusted : 0;
	require(end <= size && end >= may_cut(text, size, from));
	require(journal_walk(tmp, "log", UINT64_MAX, see, &w, &f) == 0);
	require(w.at == end);
	read_all(j, text, w.lines);
	require(journal_number(j) >= (w.lines > 0));
	if (journal_number(j) < INT64_MAX) {
		require(journal_append(j, &line) == 0 && journal_write(j) == 0);
		require(journal_read(j, line.offset, &line) == 0);
		require(line.number == journal_number(j));
	}
	journal_close(j);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t trusted;
	char *text;
	int fd;

	set_up();
	if (size < 2)
		return 0;
	text = malloc(size);
	require(text != NULL);
	/* anywhere in the file, or behind it; or where a line begins */
	trusted = data[1] == 0 ? 0 : size * data[1] / 200;
	if (data[1] > 0 && data[0] > 127)
		while (trusted > 0 && trusted <= size - 2 &&
		    data[2 + trusted - 1] != '\n')
			trusted--;
	memcpy(text, data + 2, size - 2);
	if (data[0] % 2 == 1)
		make_right(text, size - 2);
	require(spool_remove(tmp, "log") == 0);
	require(mkdirat(tmp, "log", 0700) == 0);
	fd = openat(tmp, NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	require(fd != -1 && file_pwrite(fd, text, size - 2, 0) == 0);
	close(fd);
	recover(text, size - 2, trusted);
	free(text);
	return 0;
}
