/* records of dead letters and of drops */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "deadletter.h"
#include "spool.h"

#define NOON (INT64_C(1769860800) * CLOCK_SECOND) /* 2026-01-31T12:00:00Z */
#define FILE_OF_NOON "dropped/2026-01-31.ndjson"

static int tmp; /* a directory of this test program */

static void
begin(void)
{
	char path[] = "/tmp/egns-deadletter.XXXXXX";

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

static void
fresh(void)
{
	if (spool_remove(tmp, "dropped") == -1)
		abort();
}

static int
file_is(const char *path, const char *want)
{
	size_t n;
	char *text = spool_read(tmp, path, 1 << 20, &n);
	int same = text != NULL && n == strlen(want) &&
	    memcmp(text, want, n) == 0;

	free(text);
	return same;
}

static int
append(const char *lines)
{
	return dropped_append(tmp, NOON, lines, strlen(lines));
}

static void
names_are_read_as_written(void)
{
	const char *s;
	int i;

	for (i = 0; i < DL_REASONS; i++) {
		s = dl_reason_name((enum dl_reason)i);
		CHECK(dl_reason_parse(s, strlen(s)) == i);
	}
	CHECK(dl_reason_parse("timetoliveexceeded", 18) == DL_TIME_TO_LIVE);
	CHECK(dl_reason_parse("Rejecte", 7) == -1);
	CHECK(dl_reason_parse("Rejected?", 9) == -1);
	CHECK(dl_reason_parse("", 0) == -1);
	CHECK(dl_result_parse("notAcknowledged", 15) == DL_NOT_ACKNOWLEDGED);
	CHECK(dl_result_parse("ResolutionError", 15) == DL_RESOLUTION_ERROR);
	CHECK(dl_result_parse("Delivered", 9) == -1);
}

static void
records_have_their_form(void)
{
	struct journal_line line = { .offset = 1234, .time = NOON,
		.event = "{\"id\": \"1\"}", .event_len = 11 };
	struct dl_record r = { .topic = "t", .subscription = "s\"",
		.destination = "{\"x\":1}", .line = &line,
		.reason = DL_MAX_DELIVERY_COUNT, .result = DL_NOT_ACKNOWLEDGED,
		.attempts = 10, .last_attempt = NOON + 1,
		.custom = "{\"x\":\"y\"}",
		.now = NOON + 60 * CLOCK_SECOND };
	struct buf b = { 0 };

	dl_format(&b, &r);
	buf_add(&b, "", 1);
	CHECK(strcmp(buf_data(&b), "{\"time\":\"2026-01-31T12:01:00.000000Z\","
	    "\"topic\":\"t\",\"subscription\":\"s\\\"\",\"offset\":1234,"
	    "\"destination\":{\"x\":1},\"deadletterProperties\":{"
	    "\"deadletterreason\":\"MaxDeliveryCountExceeded\","
	    "\"deliveryattempts\":10,\"deliveryresult\":\"NotAcknowledged\","
	    "\"lastDeliveryAttemptTime\":\"2026-01-31T12:00:00.000001Z\","
	    "\"publishTime\":\"2026-01-31T12:00:00.000000Z\"},"
	    "\"customDeliveryProperties\":{\"x\":\"y\"},"
	    "\"event\":{\"id\": \"1\"}}\n") == 0);
	buf_reset(&b, 0);
	r.destination = NULL;
	r.reason = DL_TIME_TO_LIVE;
	r.attempts = 0;
	r.last_attempt = 0;
	dl_format(&b, &r);
	buf_add(&b, "", 1);
	CHECK(strcmp(buf_data(&b), "{\"time\":\"2026-01-31T12:01:00.000000Z\","
	    "\"topic\":\"t\",\"subscription\":\"s\\\"\",\"offset\":1234,"
	    "\"reason\":\"TimeToLiveExceeded\",\"deadletterProperties\":{"
	    "\"deadletterreason\":\"TimeToLiveExceeded\","
	    "\"deliveryattempts\":0,\"deliveryresult\":\"NotAcknowledged\","
	    "\"publishTime\":\"2026-01-31T12:00:00.000000Z\"},"
	    "\"event\":{\"id\": \"1\"}}\n") == 0);

	buf_reset(&b, 0);
	r.reason = DL_CORRUPT;
	line = (struct journal_line){ .offset = 9, .event = "\"\xff\n",
		.event_len = 3 };
	dl_format(&b, &r);
	buf_add(&b, "", 1);
	CHECK(strcmp(buf_data(&b), "{\"time\":\"2026-01-31T12:01:00.000000Z\","
	    "\"topic\":\"t\",\"subscription\":\"s\\\"\",\"offset\":9,"
	    "\"reason\":\"Corrupt\",\"deadletterProperties\":{"
	    "\"deadletterreason\":\"Corrupt\",\"deliveryattempts\":0,"
	    "\"deliveryresult\":\"NotAcknowledged\"},"
	    "\"line_base64\":\"Iv8K\"}\n") == 0);
	buf_free(&b);
}

static void
drops_go_to_the_file_of_their_day(void)
{
	fresh();
	CHECK(append("one\n") == 0);
	CHECK(append("two\nthree\n") == 0);
	CHECK(dropped_append(tmp, NOON + 12 * 3600 * CLOCK_SECOND, "four\n",
	    5) == 0);
	CHECK(file_is(FILE_OF_NOON, "one\ntwo\nthree\n"));
	CHECK(file_is("dropped/2026-02-01.ndjson", "four\n"));
}

static void
a_torn_line_is_cut_off(void)
{
	char *big = malloc(10001);
	int fd;

	fresh();
	memset(big, 'x', 10000);
	big[10000] = '\0';
	CHECK(append("one\n") == 0);
	fd = openat(tmp, FILE_OF_NOON, O_WRONLY | O_APPEND);
	CHECK(write(fd, big, 10000) == 10000);
	CHECK(append("two\n") == 0);
	CHECK(file_is(FILE_OF_NOON, "one\ntwo\n"));
	CHECK(ftruncate(fd, 2) == 0);
	CHECK(append("three\n") == 0);
	CHECK(file_is(FILE_OF_NOON, "three\n"));
	close(fd);
	free(big);
}

static void
a_full_disk_leaves_whole_lines(void)
{
	struct rlimit r;

	fresh();
	CHECK(append("one\n") == 0);
	getrlimit(RLIMIT_FSIZE, &r);
	r.rlim_cur = 10;
	setrlimit(RLIMIT_FSIZE, &r);
	CHECK(append("two\nthree\n") == -1 && errno == EFBIG);
	CHECK(file_is(FILE_OF_NOON, "one\n"));
	r.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &r);
	CHECK(append("two\n") == 0);
	CHECK(file_is(FILE_OF_NOON, "one\ntwo\n"));
}

#define WRITERS 4
#define EACH 50

static void *
writer(void *arg)
{
	char line[64];
	int i, n;

	for (i = 0; i < EACH; i++) {
		n = snprintf(line, sizeof(line), "writer %d line %d\n",
		    *(int *)arg, i);
		if (dropped_append(tmp, NOON, line, (size_t)n) == -1)
			return arg;
	}
	return NULL;
}

static void
writers_exclude_each_other(void)
{
	pthread_t thread[WRITERS];
	int id[WRITERS], i, lines = 0;
	char *text, *p;
	void *failed;
	size_t n;

	fresh();
	for (i = 0; i < WRITERS; i++) {
		id[i] = i;
		if (pthread_create(&thread[i], NULL, writer, &id[i]) != 0)
			abort();
	}
	for (i = 0; i < WRITERS; i++)
		CHECK(pthread_join(thread[i], &failed) == 0 && failed == NULL);
	text = spool_read(tmp, FILE_OF_NOON, 1 << 20, &n);
	CHECK(text != NULL);
	for (p = text; p != NULL && *p != '\0'; lines++) {
		CHECK(strncmp(p, "writer ", 7) == 0);
		p = strchr(p, '\n');
		p = p == NULL ? NULL : p + 1;
	}
	CHECK(p != NULL && lines == WRITERS * EACH);
	free(text);
}

int
main(void)
{
	signal(SIGXFSZ, SIG_IGN);
	begin();
	RUN(names_are_read_as_written);
	RUN(records_have_their_form);
	RUN(drops_go_to_the_file_of_their_day);
	RUN(a_torn_line_is_cut_off);
	RUN(a_full_disk_leaves_whole_lines);
	RUN(writers_exclude_each_other);
	end();
	DONE();
}
