/* names of parcels, and what becomes of many that wait together */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../cmd/egns-dlq/merge.h"
#include "check.h"
#include "clock.h"
#include "spool.h"

#define HOUR (3600 * CLOCK_SECOND)
#define NOON (INT64_C(1769860800) * CLOCK_SECOND) /* 2026-01-31T12:00:00Z */
#define GUID "c5401423-2bf8-4d50-83b5-4a3d1bbca60"

static int tmp; /* a directory of this test program */

static void
begin(void)
{
	char path[] = "/tmp/egns-parcel.XXXXXX";

	if (mkdtemp(path) == NULL || chdir(path) == -1 ||
	    (tmp = open(".", O_RDONLY | O_DIRECTORY)) == -1 ||
	    spool_mkdir(tmp, PARCEL_SORTED, 0700) == -1 ||
	    spool_mkdir(tmp, PARCEL_SENDING, 0700) == -1)
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

/* A parcel of so many bytes, on disk and in its list. */
static struct parcel *
add(struct parcels *list, int64_t hour, int64_t number, size_t bytes)
{
	struct parcel *p = calloc(1, sizeof(*p));
	struct buf b = { 0 };

	strcpy(p->topic, "orders");
	strcpy(p->subscription, "worker");
	p->hour = hour;
	p->first = p->last = number;
	strcpy(p->guid, GUID "0");
	p->guid[sizeof(GUID) - 1] = (char)('0' + number % 10);
	for (size_t i = 1; i < bytes; i++)
		buf_add(&b, "x", 1);
	buf_add(&b, "\n", 1);
	if (parcel_write(tmp, PARCEL_SORTED, p, &b) == -1)
		abort();
	p->letters = 1;
	p->bytes = b.len;
	buf_free(&b);
	merge_insert(list, p);
	return p;
}

static size_t
files(const char *dir)
{
	char command[128];
	FILE *f;
	unsigned n = 0;

	snprintf(command, sizeof(command), "ls %s | wc -l", dir);
	if ((f = popen(command, "r")) == NULL || fscanf(f, "%u", &n) != 1)
		abort();
	pclose(f);
	return n;
}

static void
empty(struct parcels *list)
{
	struct parcel *p;

	while ((p = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, p, entry);
		parcel_remove(tmp, p);
		free(p);
	}
}

static void
names_say_what_they_are(void)
{
	static const char good[] =
	    "orders.worker.2026013112.5-9." GUID "d";
	static const char *const bad[] = {
		"", "orders", "orders.worker.2026013112.5-9.", ".tmp",
		"orders.worker.2026013112.5-9." GUID,
		"orders.worker.2026013112.5-9." GUID "d.tmp",
		"orders.worker.2026013112.05-9." GUID "d",
		"orders.worker.2026013112.9-5." GUID "d",
		"orders.worker.2026013112.-5-9." GUID "d",
		"orders.worker.2026013112.5-9223372036854775807." GUID "d",
		"orders.worker.2026013125.5-9." GUID "d",
		"orders.worker.20260131.5-9." GUID "d",
		"orders.worker.2026013112.5-9." GUID "D",
		"or/ers.worker.2026013112.5-9." GUID "d",
		"orders..2026013112.5-9." GUID "d",
	};
	char name[PARCEL_NAME], path[PARCEL_NAME];
	struct parcel p;

	CHECK(parcel_parse(&p, good));
	CHECK(strcmp(p.topic, "orders") == 0);
	CHECK(strcmp(p.subscription, "worker") == 0);
	CHECK(p.hour == NOON && p.first == 5 && p.last == 9);
	parcel_name(&p, name);
	CHECK(strcmp(name, good) == 0);
	p.sending = true;
	parcel_path(&p, path);
	CHECK(strstr(path, PARCEL_SENDING "/orders.") == path);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!parcel_parse(&p, bad[i]));
	CHECK(parcel_is_word("a-Z09", 5));
	CHECK(!parcel_is_word("", 0) && !parcel_is_word("a.b", 3) &&
	    !parcel_is_word("..", 2) && !parcel_is_word("a/b", 3));
}

static void
those_of_an_hour_become_one(void)
{
	struct parcels sorted = TAILQ_HEAD_INITIALIZER(sorted);
	struct parcel *p;
	size_t len;
	char *text;

	add(&sorted, NOON, 3, 30);
	add(&sorted, NOON, 1, 10);
	add(&sorted, NOON, 2, 20);
	add(&sorted, NOON + HOUR, 4, 40);
	p = merge_next(tmp, &sorted);
	CHECK(p != NULL && p->first == 1 && p->last == 3 && p->sending);
	CHECK(p->letters == 3 && p->bytes == 60);
	CHECK(merge_sync(tmp) == 0);
	CHECK(files(PARCEL_SENDING) == 1 && files(PARCEL_SORTED) == 1);
	/* in their order */
	text = parcel_read(tmp, p, &len);
	CHECK(text != NULL && len == 60 && text[9] == '\n' &&
	    text[29] == '\n');
	free(text);
	parcel_remove(tmp, p);
	free(p);
	/* the last one is alone, and only moves */
	p = merge_next(tmp, &sorted);
	CHECK(p != NULL && p->first == 4 && p->last == 4);
	CHECK(files(PARCEL_SENDING) == 1 && files(PARCEL_SORTED) == 0);
	parcel_remove(tmp, p);
	free(p);
}

static void
no_more_than_a_blob_should_have(void)
{
	struct parcels sorted = TAILQ_HEAD_INITIALIZER(sorted);
	struct parcel *p;

	add(&sorted, NOON, 1, PARCEL_BYTES / 2);
	add(&sorted, NOON, 2, PARCEL_BYTES / 2);
	add(&sorted, NOON, 3, PARCEL_BYTES / 2);
	p = merge_next(tmp, &sorted);
	CHECK(p != NULL && p->first == 1 && p->last == 2);
	CHECK(TAILQ_FIRST(&sorted)->first == 3);
	parcel_remove(tmp, p);
	free(p);
	empty(&sorted);
}

static void
many_become_few_where_they_are(void)
{
	struct parcels sorted = TAILQ_HEAD_INITIALIZER(sorted);
	struct parcel *p;

	for (int64_t i = 1; i <= 9; i++)
		add(&sorted, i == 5 ? NOON + HOUR : NOON, i, 10);
	CHECK(merge_all(tmp, &sorted) == 0);
	CHECK(files(PARCEL_SORTED) == 3 && files(PARCEL_SENDING) == 0);
	p = TAILQ_FIRST(&sorted);
	CHECK(p->first == 1 && p->last == 4 && p->letters == 4);
	p = TAILQ_NEXT(p, entry);
	CHECK(p->first == 5 && p->last == 5);
	p = TAILQ_NEXT(p, entry);
	CHECK(p->first == 6 && p->last == 9);
	empty(&sorted);
}

static void
parts_that_a_crash_left_go(void)
{
	struct parcels sorted = TAILQ_HEAD_INITIALIZER(sorted);
	struct parcels sending = TAILQ_HEAD_INITIALIZER(sending);
	struct parcel *whole, other;

	whole = add(&sorted, NOON, 1, 60);
	TAILQ_REMOVE(&sorted, whole, entry);
	whole->last = 3;
	TAILQ_INSERT_TAIL(&sending, whole, entry);
	add(&sorted, NOON, 1, 10);
	add(&sorted, NOON, 3, 10);
	add(&sorted, NOON, 4, 10);
	add(&sorted, NOON + HOUR, 2, 10);
	CHECK(merge_sweep(tmp, &sorted, &sending) == 0);
	CHECK(TAILQ_FIRST(&sorted)->first == 2);
	CHECK(TAILQ_LAST(&sorted, parcels)->first == 4);
	CHECK(TAILQ_NEXT(TAILQ_FIRST(&sorted), entry) ==
	    TAILQ_LAST(&sorted, parcels));
	other = *TAILQ_LAST(&sorted, parcels);
	other.first = other.last = 2;
	CHECK(parcel_is_part(&other, whole));
	strcpy(other.subscription, "another");
	CHECK(!parcel_is_part(&other, whole));
	CHECK(!parcel_is_part(whole, whole));
	empty(&sorted);
	empty(&sending);
}

static void
a_parcel_in_two_places_is_one(void)
{
	struct parcels sorted = TAILQ_HEAD_INITIALIZER(sorted);
	struct parcels sending = TAILQ_HEAD_INITIALIZER(sending);
	struct parcel *moved = add(&sorted, NOON, 1, 10);

	TAILQ_REMOVE(&sorted, moved, entry);
	TAILQ_INSERT_TAIL(&sending, moved, entry);
	add(&sorted, NOON, 1, 10);
	CHECK(merge_sweep(tmp, &sorted, &sending) == 0);
	CHECK(TAILQ_EMPTY(&sorted) && files(PARCEL_SORTED) == 0);
	empty(&sending);
}

static int
count(struct parcel *p, void *arg)
{
	++*(int *)arg;
	CHECK(p->letters == 1 && p->bytes == 10);
	free(p);
	return 0;
}

static void
what_is_not_finished_goes(void)
{
	struct parcels sorted = TAILQ_HEAD_INITIALIZER(sorted);
	struct parcel *p = add(&sorted, NOON, 1, 10);
	char name[PARCEL_NAME], path[2 * PARCEL_NAME];
	int n = 0;

	parcel_name(p, name);
	snprintf(path, sizeof(path), PARCEL_SORTED "/%s.tmp", name);
	CHECK(close(openat(tmp, path, O_CREAT | O_WRONLY, 0600)) == 0);
	CHECK(close(openat(tmp, PARCEL_SORTED "/README",
	    O_CREAT | O_WRONLY, 0600)) == 0);
	CHECK(parcel_load(tmp, false, count, &n) == 0);
	CHECK(n == 1);
	CHECK(files(PARCEL_SORTED) == 2);
	unlinkat(tmp, PARCEL_SORTED "/README", 0);
	empty(&sorted);
}

int
main(void)
{
	begin();
	RUN(names_say_what_they_are);
	RUN(those_of_an_hour_become_one);
	RUN(no_more_than_a_blob_should_have);
	RUN(many_become_few_where_they_are);
	RUN(parts_that_a_crash_left_go);
	RUN(a_parcel_in_two_places_is_one);
	RUN(what_is_not_finished_goes);
	end();
	DONE();
}
