/* the log of a topic: lines, recovery, reading, a full disk */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "journal.h"
#include "spool.h"

#define FIRST "00000000000000000000.ndjson"
#define SECONDS(n) ((n) * CLOCK_SECOND)

static int tmp; /* a directory of this test program */

static void
begin(void)
{
	char path[] = "/tmp/egns-journal.XXXXXX";

	if (mkdtemp(path) == NULL || chdir(path) == -1 ||
	    (tmp = open(".", O_RDONLY | O_DIRECTORY)) == -1)
		abort();
}

static void
end(void)
{
	char path[4096];

	if (getcwd(path, sizeof(path)) == NULL || chdir("/") == -1 ||
	    spool_remove(AT_FDCWD, path) == -1)
		abort();
	close(tmp);
}

/* what is in a log */
struct seen {
	uint64_t lines, corrupt, first, next;
	uint64_t number; /* of the last good one */
	bool gap;
};

static void
see(const struct journal_line *line, void *arg)
{
	struct seen *s = arg;

	if (s->lines + s->corrupt == 0)
		s->first = line->offset;
	else if (line->offset != s->next)
		s->gap = true;
	s->next = line->offset + line->len;
	if (line->event == NULL) {
		s->corrupt++;
		return;
	}
	s->lines++;
	s->number = line->number;
}

/* Open it anew, and read all of it. */
static struct journal *
reopen(struct journal *j, uint64_t trusted, struct seen *s)
{
	struct journal_line line;
	struct fault f;
	uint64_t at;

	journal_close(j);
	*s = (struct seen){ 0 };
	j = journal_open(tmp, "log", trusted, &f);
	if (j == NULL) {
		printf("# %s\n", f.text);
		return NULL;
	}
	for (at = journal_start(j); at < journal_end(j); at += line.len) {
		if (journal_read(j, at, &line) == -1)
			line.event = NULL;
		see(&line, s);
	}
	return j;
}

static struct journal *
fresh(void)
{
	struct seen s;

	if (spool_remove(tmp, "log") == -1)
		abort();
	return reopen(NULL, 0, &s);
}

static int
add(struct journal *j, const char *event, int64_t time, uint32_t part,
    uint32_t of)
{
	struct journal_line line = { .event = event,
		.event_len = strlen(event), .time = time, .part = part,
		.of = of };

	return journal_append(j, &line);
}

/* n events of one publish */
static void
batch(struct journal *j, uint32_t n, int64_t time)
{
	uint32_t i;

	for (i = 1; i <= n; i++)
		if (add(j, "{\"id\":\"x\"}", time, i, n) == -1)
			abort();
}

static void
write_all(struct journal *j)
{
	if (journal_write(j) == -1)
		abort();
}

static bool
same(const char *p, size_t n, const char *s)
{
	return n == strlen(s) && memcmp(p, s, n) == 0;
}

static void
a_line_has_its_form(void)
{
	static const char want[] = "{\"publishTime\":"
	    "\"2026-01-31T12:00:00.123456Z\",\"crc32c\":\"........\","
	    "\"number\":7,\"batch\":[2,3],\"producer\":\"route\","
	    "\"sequence\":18446744073709551615,\"subscription\":\"s\","
	    "\"event\":{\"id\":\"1\"}}\n";
	struct journal_line line = { .time = INT64_C(1769860800123456),
		.number = 7, .part = 2, .of = 3, .producer = "route",
		.producer_len = 5, .sequence = UINT64_MAX, .subscription = "s",
		.subscription_len = 1, .event = "{\"id\":\"1\"}",
		.event_len = 10 };
	struct journal_line got;
	struct buf b = { 0 };
	const char *text;

	journal_format(&b, &line);
	text = buf_data(&b);
	CHECK(b.len == sizeof(want) - 1 && line.len == b.len);
	CHECK(memcmp(text, want, 55) == 0);
	CHECK(memcmp(text + 63, want + 63, b.len - 63) == 0);
	CHECK(journal_parse(text, b.len, &got) == 0);
	CHECK(got.time == line.time && got.number == 7 && got.part == 2 &&
	    got.of == 3 && got.sequence == UINT64_MAX);
	CHECK(same(got.producer, got.producer_len, "route"));
	CHECK(same(got.subscription, got.subscription_len, "s"));
	CHECK(same(got.event, got.event_len, "{\"id\":\"1\"}"));

	line.of = line.part = 1;
	line.producer = line.subscription = NULL;
	journal_format(&b, &line);
	CHECK(line.offset == sizeof(want) - 1);
	text = buf_data(&b) + line.offset;
	CHECK(journal_parse(text, line.len, &got) == 0);
	CHECK(got.producer == NULL && got.subscription == NULL &&
	    got.part == 1 && got.of == 1);
	buf_free(&b);
}

static void
a_line_with_any_bit_changed_is_refused(void)
{
	struct journal_line line = { .time = SECONDS(1769860800), .number = 12,
		.part = 1, .of = 2, .producer = "p", .producer_len = 1,
		.subscription = "s", .subscription_len = 1,
		.event = "{\"id\":\"1\"}", .event_len = 10 };
	struct journal_line got;
	struct buf b = { 0 };
	size_t i;

	journal_format(&b, &line);
	for (i = 0; i < b.len * 8; i++) {
		buf_data(&b)[i / 8] ^= (char)(1 << i % 8);
		CHECK(journal_parse(buf_data(&b), b.len, &got) == -1);
		buf_data(&b)[i / 8] ^= (char)(1 << i % 8);
	}
	for (i = 0; i < b.len; i++)
		CHECK(journal_parse(buf_data(&b), i, &got) == -1);
	CHECK(journal_parse(buf_data(&b), b.len, &got) == 0);
	buf_free(&b);
}

static void
what_could_not_be_read_again_is_not_added(void)
{
	struct journal *j = fresh();
	struct journal_line line = { .event = "{}", .event_len = 2,
		.producer = "a\"b", .producer_len = 3 };
	char *big = malloc(EVENT_MAX + 2);

	CHECK(journal_append(j, &line) == -1 && errno == EINVAL);
	line.producer = NULL;
	line.subscription = "";
	CHECK(journal_append(j, &line) == -1 && errno == EINVAL);
	CHECK(add(j, "{\n}", 0, 1, 1) == -1 && errno == EINVAL);
	CHECK(add(j, "{}", 0, 3, 2) == -1 && errno == EINVAL);
	CHECK(add(j, "{}", 0, 0, 2) == -1 && errno == EINVAL);
	memset(big, '1', EVENT_MAX + 1);
	big[EVENT_MAX + 1] = '\0';
	CHECK(add(j, big, 0, 1, 1) == -1 && errno == EINVAL);
	CHECK(journal_pending(j) == 0);
	CHECK(add(j, big + 1, 0, 1, 1) == 0);
	CHECK(journal_write(j) == 0 && journal_number(j) == 1);
	CHECK(journal_read(j, 0, &line) == 0 && line.event_len == EVENT_MAX);
	free(big);
	journal_close(j);
}

static void
numbers_offsets_and_times_go_up(void)
{
	struct journal *j = fresh();
	struct journal_line line = { .event = "{}", .event_len = 2,
		.time = SECONDS(100) };
	struct journal_sync sync;
	struct seen s;
	uint64_t end;

	CHECK(journal_start(j) == 0 && journal_end(j) == 0);
	CHECK(journal_number(j) == 0 && journal_time(j) == 0);
	CHECK(journal_write(j) == 0);
	journal_dirty(j, &sync);
	CHECK(sync.fd == -1);
	CHECK(journal_append(j, &line) == 0);
	CHECK(line.offset == 0 && line.number == 1);
	end = line.len;
	line.time = SECONDS(90);
	CHECK(journal_append(j, &line) == 0);
	CHECK(line.offset == end && line.number == 2);
	CHECK(line.time == SECONDS(100));
	CHECK(journal_number(j) == 0 && journal_end(j) == 0);
	CHECK(journal_read(j, 0, &line) == -1 && errno == ENOENT);
	write_all(j);
	journal_dirty(j, &sync);
	CHECK(sync.fd != -1 && sync.dir != -1 && journal_sync(&sync) == 0);
	journal_dirty(j, &sync);
	CHECK(sync.fd == -1 && sync.dir == -1);
	CHECK(journal_number(j) == 2 && journal_time(j) == SECONDS(100));
	end = journal_end(j);

	batch(j, 3, SECONDS(200));
	journal_rollback(j);
	CHECK(journal_pending(j) == 0 && journal_end(j) == end);
	line = (struct journal_line){ .event = "{}", .event_len = 2,
		.time = SECONDS(110) };
	CHECK(journal_append(j, &line) == 0);
	CHECK(line.number == 3 && line.offset == end);
	CHECK(line.time == SECONDS(110));
	write_all(j);
	journal_dirty(j, &sync);
	CHECK(sync.fd != -1 && sync.dir == -1);

	j = reopen(j, 0, &s);
	CHECK(s.lines == 3 && s.number == 3 && !s.gap && s.corrupt == 0);
	CHECK(journal_number(j) == 3 && journal_time(j) == SECONDS(110));
	journal_close(j);
}

/* A log whose last batch of four begins at the returned offset. */
static uint64_t
log_with_a_batch(void)
{
	struct journal *j = fresh();
	uint64_t at;

	batch(j, 2, SECONDS(1000));
	batch(j, 1, SECONDS(1000));
	write_all(j);
	at = journal_end(j);
	batch(j, 4, SECONDS(1001));
	write_all(j);
	journal_close(j);
	return at;
}

static void
a_batch_cut_at_any_byte_is_gone(void)
{
	uint64_t at = log_with_a_batch(), n;
	char *whole, *torn;
	struct journal *j;
	size_t size, back;
	struct seen s;

	whole = spool_read(tmp, "log/" FIRST, 1 << 20, &size);
	CHECK(whole != NULL && size > at);
	for (n = at; n <= size; n++) {
		CHECK(spool_replace(tmp, "log/" FIRST, whole, n, false) == 0);
		j = reopen(NULL, n % 2 == 0 ? 0 : at, &s);
		CHECK(j != NULL && s.corrupt == 0 && !s.gap);
		CHECK(journal_end(j) == (n == size ? size : at));
		CHECK(journal_number(j) == (n == size ? 7 : 3));
		CHECK(s.lines == (n == size ? 7 : 3));
		batch(j, 1, SECONDS(1002));
		write_all(j);
		journal_close(j);
		torn = spool_read(tmp, "log/" FIRST, 1 << 20, &back);
		CHECK(torn != NULL && back > at);
		CHECK(memcmp(torn, whole, n == size ? size : at) == 0);
		free(torn);
	}
	free(whole);
}

static void
a_bit_in_the_middle_costs_one_line(void)
{
	struct journal_line line;
	uint64_t at = log_with_a_batch(), len;
	struct journal *j;
	size_t size, bit;
	struct seen s;
	char *text;

	text = spool_read(tmp, "log/" FIRST, 1 << 20, &size);
	CHECK(text != NULL);
	len = (uint64_t)(strchr(text + at, '\n') - text) + 1 - at;
	for (bit = 0; bit < len * 8; bit++) {
		text[at + bit / 8] ^= (char)(1 << bit % 8);
		CHECK(spool_replace(tmp, "log/" FIRST, text, size, false) == 0);
		j = reopen(NULL, 0, &s);
		CHECK(j != NULL && !s.gap && s.next == size);
		CHECK(journal_end(j) == size && journal_number(j) == 7);
		/* a newline lost or made changes how many lines there are */
		CHECK(s.corrupt == 1 || s.corrupt == 2);
		CHECK(s.lines == (bit / 8 == len - 1 ? 5 : 6));
		CHECK(journal_read(j, at, &line) == -1 && errno == EBADMSG);
		CHECK(line.event == NULL ||
		    memcmp(line.event, text + at, line.event_len) == 0);
		CHECK(line.offset == at && line.len == line.event_len);
		journal_close(j);
		text[at + bit / 8] ^= (char)(1 << bit % 8);
	}
	free(text);
}

static void
a_corrupt_last_line_stays_and_has_a_number(void)
{
	uint64_t at = log_with_a_batch();
	struct journal *j;
	size_t size;
	struct seen s;
	char *text;

	text = spool_read(tmp, "log/" FIRST, 1 << 20, &size);
	text[size - 5] ^= 1;
	CHECK(spool_replace(tmp, "log/" FIRST, text, size, false) == 0);
	j = reopen(NULL, at, &s);
	CHECK(s.lines == 6 && s.corrupt == 1 && !s.gap);
	CHECK(journal_end(j) == size && journal_number(j) == 7);
	journal_close(j);
	free(text);
}

static void
a_trusted_that_cannot_be_is_not_believed(void)
{
	uint64_t at = log_with_a_batch();
	struct journal *j;
	struct seen s;
	uint64_t size;

	j = reopen(NULL, at, &s);
	size = journal_end(j);
	CHECK(s.lines == 7 && s.first == 0);
	j = reopen(j, size, &s);
	CHECK(s.lines == 7 && journal_number(j) == 7);
	CHECK(journal_time(j) == SECONDS(1001));
	j = reopen(j, size + 1, &s);
	CHECK(s.lines == 7 && journal_end(j) == size);
	j = reopen(j, at + 1, &s);
	CHECK(s.lines == 7 && journal_end(j) == size);
	j = reopen(j, UINT64_MAX, &s);
	CHECK(s.lines == 7 && journal_end(j) == size);
	journal_close(j);
}

/* n segments of two events, an hour and more apart */
static struct journal *
log_of_segments(int n)
{
	struct journal *j = fresh();
	int i;

	for (i = 0; i < n; i++) {
		batch(j, 2, SECONDS(10000) * (i + 1));
		write_all(j);
	}
	return j;
}

static void
segments_roll_by_time(void)
{
	struct journal *j = fresh();
	struct journal_sync sync;
	struct stat st;
	char name[64];

	batch(j, 1, SECONDS(1000));
	write_all(j);
	batch(j, 1, SECONDS(1000 + JOURNAL_PERIOD) - 1);
	write_all(j);
	snprintf(name, sizeof(name), "log/%020d.ndjson", (int)journal_end(j));
	journal_dirty(j, &sync);
	batch(j, 1, SECONDS(1000 + JOURNAL_PERIOD));
	write_all(j);
	CHECK(fstatat(tmp, name, &st, 0) == 0 && st.st_size > 0);
	journal_dirty(j, &sync);
	CHECK(sync.dir != -1);
	journal_close(j);
}

static void
segments_roll_by_size(void)
{
	struct journal *j = fresh();
	char *event = malloc(EVENT_MAX + 1);
	uint64_t before, after;
	struct stat st;
	char name[64];
	int i;

	memset(event, '1', EVENT_MAX);
	event[EVENT_MAX] = '\0';
	while ((before = journal_end(j)) < JOURNAL_SEGMENT) {
		for (i = 0; i < 4; i++)
			CHECK(add(j, event, SECONDS(1), 1, 1) == 0);
		write_all(j);
	}
	CHECK(add(j, "{}", SECONDS(1), 1, 1) == 0);
	write_all(j);
	snprintf(name, sizeof(name), "log/%020llu.ndjson",
	    (unsigned long long)before);
	CHECK(fstatat(tmp, "log/" FIRST, &st, 0) == 0 &&
	    (uint64_t)st.st_size == before);
	CHECK(fstatat(tmp, name, &st, 0) == 0);
	CHECK(journal_oldest(j, &after, &(int64_t){ 0 }) && after == before);
	free(event);
	journal_close(j);
	spool_remove(tmp, "log");
}

static void
segments_are_read_as_one_log(void)
{
	struct journal *j = log_of_segments(20);
	struct journal_line line;
	uint64_t at, where[40];
	struct seen s;
	int n, i;

	for (i = 0; i < 2; i++) {
		for (at = 0, n = 0; at < journal_end(j); at += line.len, n++) {
			CHECK(journal_read(j, at, &line) == 0);
			CHECK(line.number == (uint64_t)n + 1);
			CHECK(line.time == SECONDS(10000) * (n / 2 + 1));
			CHECK(line.offset == at && line.len > 0);
			where[n] = at;
		}
		CHECK(n == 40);
		while (n-- > 0) {
			CHECK(journal_read(j, where[n], &line) == 0);
			CHECK(line.number == (uint64_t)n + 1);
		}
		j = reopen(j, where[31], &s);
		CHECK(s.lines == 40 && s.first == 0 && !s.gap);
		CHECK(journal_number(j) == 40);
	}
	CHECK(journal_read(j, where[9] + 1, &line) == -1 && errno == EBADMSG);
	CHECK(line.len == where[10] - where[9] - 1);
	CHECK(journal_read(j, journal_end(j), &line) == -1 && errno == ENOENT);
	journal_close(j);
}

static void
a_long_log_is_read_from_two_places(void)
{
	struct journal *j = fresh();
	uint64_t first = 0, second = 0, n;
	struct journal_line line;
	char event[600];

	for (n = 1; n <= 10000; n++) {
		snprintf(event, sizeof(event), "{\"id\":\"%0*llu\"}",
		    (int)(n % 500) + 5, (unsigned long long)n);
		CHECK(add(j, event, SECONDS(1), 1, 1) == 0);
		if (n == 5000)
			second = journal_pending(j);
	}
	write_all(j);
	CHECK(journal_read(j, journal_end(j) / 2, &line) == -1);
	for (n = 1; n <= 5000; n++) {
		CHECK(journal_read(j, first, &line) == 0 && line.number == n);
		first += line.len;
		CHECK(journal_read(j, second, &line) == 0);
		CHECK(line.number == n + 5000);
		second += line.len;
	}
	CHECK(second == journal_end(j));
	for (; n <= 10000; n++) {
		CHECK(journal_read(j, first, &line) == 0 && line.number == n);
		first += line.len;
	}
	CHECK(first == second);
	journal_close(j);
}

static void
the_oldest_segments_can_go(void)
{
	struct journal *j = log_of_segments(3);
	struct journal_line line;
	uint64_t end = 0, end2 = 0;
	int64_t last = 0;
	struct seen s;

	CHECK(journal_oldest(j, &end, &last) && last == SECONDS(10000));
	CHECK(journal_remove_oldest(j) == 0);
	CHECK(journal_start(j) == end);
	CHECK(journal_read(j, 0, &line) == -1 && errno == ENOENT);
	CHECK(journal_read(j, end, &line) == 0 && line.number == 3);
	j = reopen(j, 0, &s);
	CHECK(s.lines == 4 && s.first == end);
	CHECK(journal_oldest(j, &end2, &last) && last == SECONDS(20000));
	CHECK(journal_remove_oldest(j) == 0);
	CHECK(!journal_oldest(j, &end, &last));
	CHECK(journal_remove_oldest(j) == -1);
	j = reopen(j, end2, &s);
	CHECK(s.lines == 2 && journal_number(j) == 6);
	CHECK(journal_start(j) == end2);
	journal_close(j);
}

static void
an_empty_last_segment_knows_the_number(void)
{
	struct journal *j = log_of_segments(2);
	uint64_t end = journal_end(j), oldest;
	int64_t last;
	struct seen s;
	char name[64];

	snprintf(name, sizeof(name), "log/%020d.ndjson", (int)end);
	close(openat(tmp, name, O_WRONLY | O_CREAT, 0600));
	j = reopen(j, end, &s);
	CHECK(s.lines == 4 && journal_number(j) == 4);
	CHECK(journal_end(j) == end && journal_time(j) == SECONDS(20000));
	CHECK(journal_oldest(j, &oldest, &last));
	CHECK(journal_remove_oldest(j) == 0);
	CHECK(!journal_oldest(j, &oldest, &last));
	batch(j, 1, SECONDS(90000));
	write_all(j);
	CHECK(journal_oldest(j, &oldest, &last) && oldest == end);
	CHECK(journal_remove_oldest(j) == 0);
	j = reopen(j, end, &s);
	CHECK(s.lines == 1 && journal_number(j) == 5);
	CHECK(journal_start(j) == end);
	journal_close(j);
}

static void
a_missing_or_overlapping_segment_is_a_fault(void)
{
	struct journal *j = log_of_segments(3);
	uint64_t end;
	struct fault f;
	char name[64];
	int fd;

	CHECK(journal_oldest(j, &end, &(int64_t){ 0 }));
	journal_close(j);
	snprintf(name, sizeof(name), "log/%020d.ndjson", (int)end);
	CHECK(renameat(tmp, name, tmp, "elsewhere") == 0);
	CHECK(journal_open(tmp, "log", 0, &f) == NULL);
	CHECK(f.code == FAULT_INTERNAL);
	CHECK(strstr(f.text, "log: nothing from offset") == f.text);
	CHECK(renameat(tmp, "elsewhere", tmp, name) == 0);
	fd = openat(tmp, name, O_WRONLY | O_APPEND);
	CHECK(write(fd, "x", 1) == 1);
	close(fd);
	CHECK(journal_open(tmp, "log", 0, &f) == NULL);
	CHECK(f.code == FAULT_INTERNAL);
	CHECK(strstr(f.text, "behind the beginning of the next") != NULL);
}

static void
long_lines_and_foreign_ones_are_read(void)
{
	struct journal *j = fresh();
	size_t n = JOURNAL_LINE_MAX * 3;
	char *big = malloc(EVENT_MAX + 1), *foreign = malloc(n);
	struct journal_line line;
	uint64_t at, end;
	struct seen s;
	int fd;

	memset(big, '2', EVENT_MAX);
	big[EVENT_MAX] = '\0';
	memset(foreign, 'z', n);
	foreign[n - 1] = '\n';
	CHECK(add(j, "{}", SECONDS(5), 1, 1) == 0);
	CHECK(add(j, big, SECONDS(5), 1, 1) == 0);
	write_all(j);
	end = journal_end(j);
	fd = openat(tmp, "log/" FIRST, O_WRONLY | O_APPEND);
	CHECK(write(fd, foreign, n) == (ssize_t)n);
	close(fd);
	j = reopen(j, 0, &s);
	CHECK(s.lines == 2 && s.corrupt == 1 && s.next == end + n);
	CHECK(journal_number(j) == 3);
	CHECK(add(j, "{}", SECONDS(6), 1, 1) == 0);
	write_all(j);
	CHECK(journal_read(j, 0, &line) == 0);
	at = line.len;
	CHECK(journal_read(j, at, &line) == 0 && line.event_len == EVENT_MAX);
	CHECK(memcmp(line.event, big, EVENT_MAX) == 0);
	CHECK(journal_read(j, end, &line) == -1 && errno == EBADMSG);
	CHECK(line.offset == end && line.len == n);
	CHECK(line.event_len == JOURNAL_LINE_MAX && line.event[0] == 'z');
	CHECK(journal_read(j, end + n, &line) == 0 && line.number == 4);
	free(big);
	free(foreign);
	journal_close(j);
}

static void
limit_files(rlim_t n)
{
	struct rlimit r;

	getrlimit(RLIMIT_FSIZE, &r);
	r.rlim_cur = n;
	if (setrlimit(RLIMIT_FSIZE, &r) == -1)
		abort();
}

static void
a_full_disk_changes_nothing(void)
{
	struct journal *j = fresh();
	struct journal_line line;
	struct seen s;
	struct stat st;
	uint64_t end;

	batch(j, 3, SECONDS(50));
	write_all(j);
	end = journal_end(j);
	limit_files(end + 100);
	batch(j, 100, SECONDS(60));
	CHECK(journal_write(j) == -1 && errno == EFBIG);
	CHECK(journal_pending(j) == 0 && journal_end(j) == end);
	CHECK(journal_number(j) == 3 && journal_time(j) == SECONDS(50));
	CHECK(fstatat(tmp, "log/" FIRST, &st, 0) == 0 &&
	    (uint64_t)st.st_size == end);

	/* the same in a segment that was made for it */
	limit_files(50);
	batch(j, 1, SECONDS(50 + JOURNAL_PERIOD));
	CHECK(journal_write(j) == -1 && errno == EFBIG);
	CHECK(journal_end(j) == end && journal_number(j) == 3);
	limit_files(RLIM_INFINITY);
	batch(j, 2, SECONDS(9 * JOURNAL_PERIOD));
	CHECK(journal_write(j) == 0);
	CHECK(journal_number(j) == 5);
	CHECK(journal_time(j) == SECONDS(9 * JOURNAL_PERIOD));
	CHECK(journal_read(j, end, &line) == 0 && line.number == 4);
	j = reopen(j, 0, &s);
	CHECK(s.lines == 5 && s.corrupt == 0 && journal_number(j) == 5);
	journal_close(j);
}

static int
walk(const struct journal_line *line, void *arg)
{
	struct seen *s = arg;

	see(line, arg);
	return s->lines == 5 ? 42 : 0;
}

static void
a_walk_looks_and_touches_nothing(void)
{
	struct journal *j = log_of_segments(3);
	struct seen s = { 0 };
	struct journal_line line;
	struct fault f;
	struct stat st;
	uint64_t end;
	char name[64];
	int fd;

	CHECK(journal_walk(tmp, "log", UINT64_MAX, walk, &s, &f) == 42);
	CHECK(s.lines == 5 && s.number == 5);
	CHECK(journal_read(j, 0, &line) == 0);
	s = (struct seen){ 0 };
	CHECK(journal_walk(tmp, "log", line.len, walk, &s, &f) == 0);
	CHECK(s.lines == 1 && s.next == line.len);
	CHECK(journal_walk(tmp, "none", 1, walk, &s, &f) == -1);
	CHECK(f.code == FAULT_NOT_FOUND);

	/* half a line, as a daemon that is writing leaves it */
	CHECK(journal_remove_oldest(j) == 0 && journal_remove_oldest(j) == 0);
	end = journal_end(j);
	snprintf(name, sizeof(name), "log/%020d.ndjson", (int)journal_start(j));
	fd = openat(tmp, name, O_WRONLY | O_APPEND);
	CHECK(write(fd, "{\"publ", 6) == 6);
	s = (struct seen){ 0 };
	CHECK(journal_walk(tmp, "log", UINT64_MAX, walk, &s, &f) == 0);
	CHECK(s.lines == 2 && s.corrupt == 0 && s.next == end);
	CHECK(fstat(fd, &st) == 0 &&
	    (uint64_t)st.st_size == end - journal_start(j) + 6);
	close(fd);
	journal_close(j);
}

int
main(void)
{
	signal(SIGXFSZ, SIG_IGN);
	begin();
	RUN(a_line_has_its_form);
	RUN(a_line_with_any_bit_changed_is_refused);
	RUN(what_could_not_be_read_again_is_not_added);
	RUN(numbers_offsets_and_times_go_up);
	RUN(a_batch_cut_at_any_byte_is_gone);
	RUN(a_bit_in_the_middle_costs_one_line);
	RUN(a_corrupt_last_line_stays_and_has_a_number);
	RUN(a_trusted_that_cannot_be_is_not_believed);
	RUN(segments_roll_by_time);
	RUN(segments_roll_by_size);
	RUN(segments_are_read_as_one_log);
	RUN(a_long_log_is_read_from_two_places);
	RUN(the_oldest_segments_can_go);
	RUN(an_empty_last_segment_knows_the_number);
	RUN(a_missing_or_overlapping_segment_is_a_fault);
	RUN(long_lines_and_foreign_ones_are_read);
	RUN(a_full_disk_changes_nothing);
	RUN(a_walk_looks_and_touches_nothing);
	end();
	DONE();
}
