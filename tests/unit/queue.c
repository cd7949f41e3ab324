/* the offsets of the events that matched a subscription */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "queue.h"
#include "spool.h"

#define STEP (QUEUE_PUNCH / sizeof(uint64_t))

static int tmp; /* a directory of this test program */

static void
begin(void)
{
	char path[] = "/tmp/egns-queue.XXXXXX";

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
reopen(struct queue *q)
{
	queue_close(q);
	if (queue_open(q, tmp, "queue") == -1)
		abort();
}

/* entry i is 10 i, n of them */
static void
fresh(struct queue *q, uint64_t n)
{
	uint64_t i;

	if (spool_remove(tmp, "queue") == -1 ||
	    queue_open(q, tmp, "queue") == -1)
		abort();
	for (i = 0; i < n; i++)
		if (queue_add(q, 10 * i) == -1)
			abort();
	if (queue_write(q) == -1)
		abort();
}

static bool
holds(struct queue *q, uint64_t i)
{
	uint64_t offset;

	return queue_get(q, i, &offset) == 0 && offset == 10 * i;
}

static bool
lacks(struct queue *q, uint64_t i)
{
	uint64_t offset;

	return queue_get(q, i, &offset) == -1 && errno == ENOENT;
}

static void
entries_stay_where_they_are(void)
{
	struct queue q;
	uint64_t i;

	fresh(&q, 3000);
	CHECK(q.count == 3000 && q.pending == 0 && queue_first(&q) == 0);
	for (i = 0; i < 3000; i++)
		CHECK(holds(&q, i));
	CHECK(lacks(&q, 3000));
	CHECK(queue_add(&q, 30000) == 0 && q.pending == 1);
	CHECK(lacks(&q, 3000));
	queue_rollback(&q);
	CHECK(q.pending == 0 && queue_write(&q) == 0 && q.count == 3000);
	CHECK(queue_add(&q, 30000) == 0 && queue_write(&q) == 0);
	CHECK(holds(&q, 3000) && holds(&q, 0) && queue_sync(q.fd) == 0);
	reopen(&q);
	CHECK(q.count == 3001 && holds(&q, 3000) && holds(&q, 1));
	queue_close(&q);
}

static void
numbers_are_little_endian(void)
{
	unsigned char want[8] = { 8, 7, 6, 5, 4, 3, 2, 1 }, *got;
	struct queue q;
	size_t n = 0, i;

	fresh(&q, 0);
	CHECK(queue_add(&q, UINT64_C(0x0102030405060708)) == 0);
	CHECK(queue_write(&q) == 0);
	got = (unsigned char *)spool_read(tmp, "queue", 100, &n);
	CHECK(n == 8);
	for (i = 0; i < n; i++)
		CHECK(got[i] == want[i]);
	free(got);
	queue_close(&q);
}

static void
a_torn_entry_is_cut_off(void)
{
	struct stat st;
	struct queue q;

	fresh(&q, 5);
	CHECK(ftruncate(q.fd, 4 * 8 + 3) == 0);
	reopen(&q);
	CHECK(q.count == 4 && holds(&q, 3) && lacks(&q, 4));
	CHECK(fstat(q.fd, &st) == 0 && st.st_size == 32);
	queue_close(&q);
}

static void
the_front_becomes_a_hole(void)
{
	struct stat before, after;
	struct queue q;

	fresh(&q, 10 * STEP);
	CHECK(queue_sync(q.fd) == 0 && fstat(q.fd, &before) == 0);
	CHECK(holds(&q, 0));
	queue_punch(&q, STEP - 1);
	CHECK(queue_first(&q) == 0 && holds(&q, 0));
	queue_punch(&q, 5 * STEP + 7);
	CHECK(queue_first(&q) == 5 * STEP);
	CHECK(lacks(&q, 0) && lacks(&q, 5 * STEP - 1) && holds(&q, 5 * STEP));
	CHECK(fstat(q.fd, &after) == 0 && after.st_size == before.st_size);
	CHECK(after.st_blocks < before.st_blocks);
	reopen(&q);
	CHECK(q.count == 10 * STEP && queue_first(&q) == 5 * STEP);
	CHECK(lacks(&q, 1) && holds(&q, 5 * STEP));
	queue_punch(&q, 5 * STEP);
	queue_punch(&q, UINT64_MAX);
	CHECK(queue_first(&q) == 10 * STEP && lacks(&q, 10 * STEP - 1));
	CHECK(queue_add(&q, 100 * STEP) == 0 && queue_write(&q) == 0);
	CHECK(holds(&q, 10 * STEP));
	reopen(&q);
	CHECK(queue_first(&q) == 10 * STEP && holds(&q, 10 * STEP));
	queue_close(&q);
}

static void
truncating_cuts_or_makes_a_hole(void)
{
	struct queue q;

	fresh(&q, 100);
	CHECK(holds(&q, 60));
	CHECK(queue_truncate(&q, 50) == 0);
	CHECK(q.count == 50 && holds(&q, 49) && lacks(&q, 60));
	CHECK(queue_truncate(&q, 60) == 0);
	CHECK(holds(&q, 0) && holds(&q, 49) && lacks(&q, 50));
	CHECK(queue_truncate(&q, 0) == 0 && q.count == 0);
	CHECK(queue_first(&q) == 0 && lacks(&q, 0));
	CHECK(queue_truncate(&q, 70) == 0);
	CHECK(q.count == 70 && queue_first(&q) == 70 && lacks(&q, 69));
	CHECK(queue_add(&q, 700) == 0 && queue_write(&q) == 0);
	CHECK(holds(&q, 70));
	reopen(&q);
	CHECK(q.count == 71 && queue_first(&q) == 70 && holds(&q, 70));
	CHECK(queue_truncate(&q, UINT64_MAX) == -1 && errno == EFBIG);
	CHECK(q.count == 71);
	queue_close(&q);
}

static void
a_full_disk_changes_nothing(void)
{
	struct rlimit r;
	struct queue q;
	struct stat st;
	uint64_t i;

	fresh(&q, 100);
	getrlimit(RLIMIT_FSIZE, &r);
	r.rlim_cur = 1004;
	setrlimit(RLIMIT_FSIZE, &r);
	for (i = 100; i < 200; i++)
		CHECK(queue_add(&q, 10 * i) == 0);
	CHECK(queue_write(&q) == -1 && errno == EFBIG);
	CHECK(q.pending == 0 && q.count == 100 && lacks(&q, 100));
	CHECK(fstat(q.fd, &st) == 0 && st.st_size == 800);
	r.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &r);
	CHECK(queue_add(&q, 1000) == 0 && queue_write(&q) == 0);
	CHECK(holds(&q, 100) && holds(&q, 99));
	queue_close(&q);
}

int
main(void)
{
	signal(SIGXFSZ, SIG_IGN);
	begin();
	RUN(entries_stay_where_they_are);
	RUN(numbers_are_little_endian);
	RUN(a_torn_entry_is_cut_off);
	RUN(the_front_becomes_a_hole);
	RUN(truncating_cuts_or_makes_a_hole);
	RUN(a_full_disk_changes_nothing);
	end();
	DONE();
}
