#include "putter.h"

#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static char top[] = "/tmp/egns-putter.XXXXXX";
static char clock_file[sizeof(top) + 6];
static struct ev_loop *loop;

/* ---- a disk that is silent ---- */

static atomic_bool silent;
static atomic_int inside; /* syncs that wait for it */
static sem_t entered, over;

int fsync(int);

int
fsync(int fd)
{
	if (atomic_load(&silent)) {
		atomic_fetch_add(&inside, 1);
		sem_post(&entered);
		while (sem_wait(&over) == -1)
			;
		atomic_fetch_sub(&inside, 1);
	}
	return (int)syscall(SYS_fsync, fd);
}

static void
be_silent(void)
{
	atomic_store(&silent, true);
}

/* It is found out. */
static void
wait_inside(void)
{
	while (sem_wait(&entered) == -1)
		;
}

static void
answer_again(void)
{
	atomic_store(&silent, false);
	sem_post(&over);
}

/* The clock is seen to move within 100 ms. */
static void
set_clock(const char *seconds)
{
	FILE *f = fopen(clock_file, "w");

	CHECK(f != NULL && fputs(seconds, f) >= 0 && fclose(f) == 0);
	usleep(100000);
}

/* ---- helpers ---- */

struct got {
	int n;
	struct blob_answer answer;
	struct putter *again; /* put there once more */
};

static void
on_put(const struct blob_answer *a, void *arg)
{
	struct got *g = arg;

	g->answer = *a;
	g->n++;
	if (g->again != NULL)
		CHECK(putter_put(g->again, "again", "x", 1, on_put, g) == 0);
	g->again = NULL;
}

static void
run_until(const int *n, int many)
{
	while (*n < many)
		ev_run(loop, EVRUN_ONCE);
}

static struct putter *
open_putter(const char *name)
{
	char path[64];
	struct container_dir dir = { AT_FDCWD, path, path };
	struct putter *p;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	p = putter_new(loop, &dir);
	CHECK(p != NULL);
	memset(path, '?', sizeof(path) - 1);
	return p;
}

static bool
there(const char *name, const char *text)
{
	char path[128], got[64] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return false;
	CHECK(read(fd, got, sizeof(got) - 1) != -1);
	close(fd);
	return strcmp(got, text) == 0;
}

/* Nothing of any putter is left in the loop. */
static void
run_out(void)
{
	ev_run(loop, 0);
	CHECK(atomic_load(&inside) == 0);
}

/* ---- tests ---- */

static void
a_put_is_answered_later(void)
{
	struct putter *p = open_putter("one");
	char name[] = "a/b", text[] = "text";
	struct got g = { 0 };

	CHECK(putter_put(p, name, text, 4, on_put, &g) == 0);
	memset(name, '?', 3);
	memset(text, '?', 4);
	CHECK(g.n == 0);
	run_until(&g.n, 1);
	CHECK(g.answer.result == BLOB_DONE && g.answer.etag[0] != '\0');
	CHECK(there("one/a/b", "text"));
	CHECK(putter_put(p, "a/b", "", 0, on_put, &g) == 0);
	run_until(&g.n, 2);
	CHECK(g.answer.result == BLOB_EXISTS &&
	    g.answer.fault.code == FAULT_CONFLICT);
	CHECK(putter_put(p, "~", "", 0, on_put, &g) == 0);
	run_until(&g.n, 3);
	CHECK(g.answer.result == BLOB_REFUSED);
	run_out();
	putter_free(p);
	putter_free(NULL);
	run_out();
}

static int nth;

static void
on_nth(const struct blob_answer *a, void *arg)
{
	char name[32];

	CHECK(a->result == BLOB_DONE && *(int *)arg == nth);
	snprintf(name, sizeof(name), "one/n/%d", nth++);
	CHECK(there(name, "x"));
}

static void
they_are_done_in_order(void)
{
	struct putter *p = open_putter("one");
	char name[16];
	int number[100];

	for (int i = 0; i < 100; i++) {
		number[i] = i;
		snprintf(name, sizeof(name), "n/%d", i);
		CHECK(putter_put(p, name, "x", 1, on_nth, &number[i]) == 0);
	}
	run_until(&nth, 100);
	run_out();
	CHECK(nth == 100);
	putter_free(p);
}

static void
one_that_is_silent_holds_up_no_other(void)
{
	struct putter *p = open_putter("one"), *other = open_putter("two");
	struct got g = { 0 }, o = { 0 };

	be_silent();
	CHECK(putter_put(p, "s/1", "x", 1, on_put, &g) == 0);
	CHECK(putter_put(p, "s/2", "x", 1, on_put, &g) == 0);
	wait_inside();
	atomic_store(&silent, false);
	CHECK(putter_put(other, "s/1", "x", 1, on_put, &o) == 0);
	run_until(&o.n, 1);
	CHECK(o.answer.result == BLOB_DONE && g.n == 0);
	answer_again();
	run_until(&g.n, 2);
	CHECK(g.answer.result == BLOB_DONE && there("one/s/1", "x") &&
	    there("one/s/2", "x"));
	putter_free(p);
	putter_free(other);
	run_out();
}

static void
silence_is_an_answer_in_the_end(void)
{
	struct putter *p = open_putter("one");
	struct got g = { 0 }, second = { .again = p };

	be_silent();
	CHECK(putter_put(p, "t/1", "x", 1, on_put, &g) == 0);
	CHECK(putter_put(p, "t/2", "x", 1, on_put, &second) == 0);
	wait_inside();
	set_clock("59");
	ev_run(loop, EVRUN_ONCE);
	ev_run(loop, EVRUN_ONCE);
	CHECK(g.n == 0 && second.n == 0);
	set_clock("60");
	run_until(&g.n, 1);
	CHECK(g.answer.result == BLOB_LATER && g.answer.silent &&
	    g.answer.unsure && g.answer.fault.code == FAULT_UNAVAILABLE);
	CHECK(strstr(g.answer.fault.text, "/one' has not answered for 60 "
	    "seconds") != NULL);
	CHECK(second.n == 1 && second.answer.silent && !second.answer.unsure);
	/* nor is what comes begun, but it is answered soon */
	run_until(&second.n, 2);
	CHECK(second.answer.result == BLOB_LATER);
	/* it was done all the same; the others were not */
	answer_again();
	CHECK(putter_put(p, "t/3", "x", 1, on_put, &g) == 0);
	run_until(&g.n, 2);
	CHECK(g.answer.result == BLOB_DONE || g.answer.silent);
	run_out();
	CHECK(there("one/t/1", "x") && !there("one/t/2", "x") &&
	    !there("one/again", "x"));
	CHECK(putter_put(p, "t/1", "y", 1, on_put, &g) == 0);
	run_until(&g.n, 3);
	CHECK(g.answer.result == BLOB_EXISTS);
	putter_free(p);
	run_out();
	CHECK(g.n == 3 && second.n == 2);
}

static void
nobody_waits_for_silence(void)
{
	struct putter *p = open_putter("one"), *next;
	struct got g = { 0 }, h = { 0 };

	be_silent();
	CHECK(putter_put(p, "f/1", "x", 1, on_put, &g) == 0);
	CHECK(putter_put(p, "f/2", "x", 1, on_put, &g) == 0);
	wait_inside();
	/* opened anew, it is the same that hangs */
	for (int i = 0; i < 10; i++) {
		putter_free(p);
		p = open_putter("one");
		CHECK(putter_put(p, "f/3", "x", 1, on_put, &g) == 0);
		ev_run(loop, EVRUN_NOWAIT);
	}
	CHECK(atomic_load(&inside) == 1);
	/* but for another directory */
	next = open_putter("two");
	atomic_store(&silent, false);
	CHECK(putter_put(next, "f/1", "x", 1, on_put, &h) == 0);
	run_until(&h.n, 1);
	CHECK(h.answer.result == BLOB_DONE && g.n == 0);
	putter_free(next);
	putter_free(p);
	answer_again();
	run_out();
	CHECK(g.n == 0 && there("one/f/1", "x") && !there("one/f/2", "x") &&
	    !there("one/f/3", "x"));
	p = open_putter("one");
	CHECK(putter_put(p, "f/1", "x", 1, on_put, &g) == 0);
	run_until(&g.n, 1);
	CHECK(g.answer.result == BLOB_EXISTS);
	putter_free(p);
}

static void
one_that_is_taken_back_goes_on(void)
{
	struct putter *p = open_putter("one");
	struct got g = { 0 }, h = { 0 };

	be_silent();
	CHECK(putter_put(p, "b/1", "x", 1, on_put, &g) == 0);
	wait_inside();
	putter_free(p);
	p = open_putter("one");
	CHECK(putter_put(p, "b/2", "x", 1, on_put, &h) == 0);
	answer_again();
	run_until(&h.n, 1);
	CHECK(h.answer.result == BLOB_DONE && g.n == 0);
	run_out();
	CHECK(there("one/b/1", "x") && there("one/b/2", "x"));
	putter_free(p);
	run_out();
}

int
main(void)
{
	char command[128];

	if (mkdtemp(top) == NULL)
		return 1;
	snprintf(command, sizeof(command), "cd %s && mkdir one two", top);
	CHECK(system(command) == 0);
	snprintf(clock_file, sizeof(clock_file), "%s/clock", top);
	setenv("EGNS_CLOCK", clock_file, 1);
	sem_init(&entered, 0, 0);
	sem_init(&over, 0, 0);
	loop = ev_default_loop(0);
	RUN(a_put_is_answered_later);
	RUN(they_are_done_in_order);
	RUN(one_that_is_silent_holds_up_no_other);
	RUN(silence_is_an_answer_in_the_end);
	RUN(nobody_waits_for_silence);
	RUN(one_that_is_taken_back_goes_on);
	snprintf(command, sizeof(command), "rm -rf %s", top);
	CHECK(system(command) == 0);
	DONE();
}
