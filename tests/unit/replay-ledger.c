#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <tchdb.h>
#include <unistd.h>

#include "../../cmd/egns-replay/ledger.h"
#include "check.h"
#include "clock.h"

#define INDEX "replay/index.tch"
#define PENDING "replay/pending.ndjson"

static char dir[] = "/tmp/egns-unit-XXXXXX";
static struct spool spool;
static struct fault f;

/* ---- a process that dies at a chosen call ---- */

static long kill_at; /* the call that is not done; 0: none */
static bool torn;    /* half of it is */

static bool
dies(void)
{
	return kill_at > 0 && --kill_at == 0;
}

static void
die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (dies()) {
		if (torn)
			syscall(SYS_pwrite64, fd, p, n / 2, at);
		die();
	}
	return syscall(SYS_pwrite64, fd, p, n, at);
}

ssize_t
write(int fd, const void *p, size_t n)
{
	if (dies())
		die();
	return syscall(SYS_write, fd, p, n);
}

int
ftruncate(int fd, off_t n)
{
	if (dies())
		die();
	return (int)syscall(SYS_ftruncate, fd, n);
}

int
fdatasync(int fd)
{
	if (dies())
		die();
	return (int)syscall(SYS_fdatasync, fd);
}

int
renameat(int from, const char *a, int to, const char *b)
{
	if (dies())
		die();
	return (int)syscall(SYS_renameat, from, a, to, b);
}

/* ---- what tests do ---- */

static void
key_of(uint8_t key[LETTER_KEY], unsigned i)
{
	for (size_t k = 0; k < LETTER_KEY; k++)
		key[k] = (uint8_t)((i + 1) * 2654435761u >> (k % 4 * 8)) ^
		    (uint8_t)(k * 17);
	memcpy(key, &i, sizeof(i));
}

static void
add_line(struct buf *b, unsigned i, const char *result)
{
	char text[LEDGER_KEY_TEXT + 1], time[CLOCK_TEXT + 1];
	uint8_t key[LETTER_KEY];

	key_of(key, i);
	ledger_key_format(text, key);
	clock_format(time, clock_now());
	buf_printf(b, "{\"time\":\"%s\",\"key\":\"%s\",\"id\":\"%u\","
	    "\"result\":\"%s\"}\n", time, text, i, result);
}

static void
round_of(struct ledger_round *r, unsigned from, unsigned n)
{
	buf_reset(&r->lines, 0);
	buf_reset(&r->requests, 0);
	for (unsigned i = from; i < from + n; i++) {
		add_line(&r->lines, i, "replayed");
		buf_printf(&r->requests, "{\"id\":\"%u\"}\n", i);
	}
}

static bool
has(const struct ledger *l, unsigned i)
{
	uint8_t key[LETTER_KEY];

	key_of(key, i);
	return ledger_has(l, key);
}

static bool
has_all(const struct ledger *l, unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++)
		if (!has(l, i))
			return false;
	return true;
}

/* A round from begin to end, after what is left. 0, or -1. */
static int
do_round(struct ledger *l, unsigned from, unsigned n)
{
	struct ledger_round r = { 0 };
	int rc = ledger_lock(l, &r, &f);

	if (rc == 0 && r.requests.len > 0)
		rc = ledger_end(l, &r.lines, &f);
	if (rc == 0 && !has_all(l, from, n)) {
		round_of(&r, from, n);
		rc = ledger_begin(l, &r, &f);
		if (rc == 0)
			rc = ledger_end(l, &r.lines, &f);
	}
	ledger_unlock(l);
	ledger_round_free(&r);
	return rc;
}

static struct ledger *
begin(bool write)
{
	struct ledger *l = ledger_open(&spool, write, &f);

	if (l == NULL)
		printf("# %s\n", f.text);
	CHECK(l != NULL);
	return l;
}

static void
fresh(void)
{
	CHECK(spool_remove(spool.fd, "replay") == 0);
}

/* Rounds of n letters that are known, and nothing else. */
static void
prepare(unsigned n)
{
	struct ledger *l;

	fresh();
	l = begin(true);
	CHECK(do_round(l, 0, n) == 0);
	ledger_close(l);
}

static void
file_of_today(char name[64])
{
	char day[CLOCK_TEXT + 1];

	clock_format(day, clock_now());
	snprintf(name, 64, "replay/%.10s.ndjson", day);
}

/* How often `text` stands in a file. */
static unsigned
count(const char *file, const char *text)
{
	size_t len;
	char *all = spool_read(spool.fd, file, 1 << 24, &len), *p = all;
	unsigned n = 0;

	for (; p != NULL && (p = strstr(p, text)) != NULL; p++)
		n++;
	free(all);
	return n;
}

static ino_t
inode(const char *file)
{
	struct stat st;

	return fstatat(spool.fd, file, &st, 0) == 0 ? st.st_ino : 0;
}

static void
put(const char *file, const char *text, size_t len, off_t at)
{
	int fd = openat(spool.fd, file, O_WRONLY | O_CREAT, 0600);

	CHECK(fd != -1 && pwrite(fd, text, len, at) == (ssize_t)len);
	close(fd);
}

static void
cut(const char *file, off_t size)
{
	int fd = openat(spool.fd, file, O_WRONLY);

	CHECK(fd != -1 && ftruncate(fd, size) == 0);
	close(fd);
}

/* ---- tests ---- */

static void
what_has_ended_is_known(void)
{
	struct ledger *l;
	struct buf line = { 0 };
	uint8_t key[LETTER_KEY];

	fresh();
	l = begin(true);
	CHECK(!has(l, 0));
	CHECK(do_round(l, 0, 100) == 0 && do_round(l, 100, 1) == 0);
	CHECK(has_all(l, 0, 101) && !has(l, 101));
	ledger_close(l);
	l = begin(false);
	CHECK(has_all(l, 0, 101) && !has(l, 101));
	key_of(key, 42);
	CHECK(ledger_line(l, key, &line, &f) == 1);
	buf_add(&line, "", 1);
	CHECK(strstr(buf_data(&line), "\"id\":\"42\",") != NULL);
	CHECK(strchr(buf_data(&line), '\n') == NULL);
	key_of(key, 101);
	CHECK(ledger_line(l, key, &line, &f) == 0);
	ledger_close(l);
	buf_free(&line);
}

static void
without_a_ledger_nothing_is_known(void)
{
	struct ledger *l;

	fresh();
	l = begin(false);
	CHECK(!has(l, 0) && inode("replay") == 0);
	ledger_close(l);
}

static void
a_second_line_is_the_one_that_counts(void)
{
	struct ledger *l;
	struct ledger_round r = { 0 };
	struct buf line = { 0 };
	uint8_t key[LETTER_KEY];

	prepare(3);
	l = begin(true);
	add_line(&line, 1, "quarantined");
	CHECK(ledger_note(l, &line, false, &f) == 0);
	CHECK(ledger_note(l, &line, true, &f) == 0);
	key_of(key, 1);
	buf_reset(&r.lines, 0);
	CHECK(ledger_line(l, key, &r.lines, &f) == 1);
	CHECK(r.lines.len + 1 == line.len &&
	    memcmp(buf_data(&r.lines), buf_data(&line), r.lines.len) == 0);
	CHECK(!has(l, 1)); /* it may go back from where it was put */
	ledger_close(l);
	CHECK(unlinkat(spool.fd, INDEX, 0) == 0);
	l = begin(true);
	buf_reset(&r.lines, 0);
	CHECK(ledger_line(l, key, &r.lines, &f) == 1);
	CHECK(r.lines.len + 1 == line.len &&
	    memcmp(buf_data(&r.lines), buf_data(&line), r.lines.len) == 0);
	ledger_close(l);
	ledger_round_free(&r);
	buf_free(&line);
}

static void
what_was_begun_is_left_for_the_next(void)
{
	struct ledger *l;
	struct ledger_round r = { 0 }, left = { 0 };
	struct buf note = { 0 };
	uint8_t key[LETTER_KEY];

	prepare(1);
	l = begin(true);
	CHECK(ledger_lock(l, &left, &f) == 0 && left.requests.len == 0);
	round_of(&r, 10, 5);
	CHECK(ledger_begin(l, &r, &f) == 0);
	ledger_close(l);

	l = begin(true);
	add_line(&note, 50, "quarantined");
	CHECK(ledger_note(l, &note, false, &f) == 0);
	CHECK(ledger_lock(l, &left, &f) == 0);
	CHECK(left.lines.len == r.lines.len && memcmp(buf_data(&left.lines),
	    buf_data(&r.lines), r.lines.len) == 0);
	CHECK(left.requests.len == r.requests.len &&
	    memcmp(buf_data(&left.requests), buf_data(&r.requests),
		r.requests.len) == 0);
	CHECK(!has(l, 10));
	CHECK(ledger_end(l, &left.lines, &f) == 0);
	CHECK(has_all(l, 10, 5));
	key_of(key, 50);
	CHECK(ledger_line(l, key, &r.lines, &f) == 1);
	ledger_unlock(l);
	CHECK(ledger_lock(l, &left, &f) == 0 && left.requests.len == 0 &&
	    left.lines.len == 0);
	ledger_close(l);
	ledger_round_free(&r);
	ledger_round_free(&left);
	buf_free(&note);
}

static void
what_is_not_whole_was_not_begun(void)
{
	struct ledger *l;
	struct ledger_round r = { 0 }, left = { 0 };
	struct stat st;

	prepare(1);
	l = begin(true);
	CHECK(ledger_lock(l, &left, &f) == 0);
	round_of(&r, 10, 3);
	for (off_t size = 0, at = 1; at > 0; size++) {
		CHECK(ledger_begin(l, &r, &f) == 0);
		CHECK(fstatat(spool.fd, PENDING, &st, 0) == 0);
		at = st.st_size - size;
		cut(PENDING, at < st.st_size ? at : at - 1);
		ledger_unlock(l);
		CHECK(ledger_lock(l, &left, &f) == 0 &&
		    left.requests.len == 0 && left.lines.len == 0);
	}
	for (off_t at = 0; at < st.st_size; at += 7) {
		CHECK(ledger_begin(l, &r, &f) == 0);
		put(PENDING, "\x01", 1, at);
		ledger_unlock(l);
		CHECK(ledger_lock(l, &left, &f) == 0 &&
		    left.requests.len == 0);
	}
	CHECK(ledger_begin(l, &r, &f) == 0);
	put(PENDING, "x", 1, st.st_size);
	ledger_unlock(l);
	CHECK(ledger_lock(l, &left, &f) == 0 && left.requests.len == 0);
	ledger_close(l);
	ledger_round_free(&r);
	ledger_round_free(&left);
}

/* Work on letters 5 to 8 and die at a call; true: it was done before. */
static bool
die_at(long at, bool half)
{
	struct ledger *l;
	int status, rc;
	pid_t pid = fork();

	if (pid == 0) {
		kill_at = at;
		torn = half;
		l = ledger_open(&spool, true, &f);
		rc = l == NULL ? -1 : do_round(l, 5, 4);
		ledger_close(l);
		kill_at = 0;
		_exit(rc == 0 ? 0 : 1);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFEXITED(status);
}

static void
killed_anywhere_each_has_one_line(void)
{
	char today[64], id[32];
	struct ledger *l;
	bool done = false;
	long at;

	for (at = 1; !done; at++) {
		for (int half = 0; half < 2; half++) {
			prepare(5);
			if (at % 3 == 0)
				CHECK(unlinkat(spool.fd, INDEX, 0) == 0);
			done = die_at(at, half);
			/* and who repairs it is killed, too */
			die_at(at * 7 % 23 + 1, half);
			l = begin(true);
			CHECK(has_all(l, 0, 5));
			CHECK(do_round(l, 5, 4) == 0 && has_all(l, 0, 9));
			ledger_close(l);
			file_of_today(today);
			for (unsigned i = 0; i < 9; i++) {
				snprintf(id, sizeof(id), "\"id\":\"%u\"", i);
				CHECK(count(today, id) == 1);
			}
			CHECK(count(today, "\n") == 9);
			if (check_bad) {
				printf("# killed at call %ld\n", at);
				return;
			}
		}
	}
	CHECK(at > 10);
}

/* The index is made anew, and nothing is forgotten. */
static void
check_rebuilt(void)
{
	struct ledger *l;
	ino_t before = inode(INDEX);

	/* no other file may get its inode */
	CHECK(spool_remove(spool.fd, INDEX ".old") == 0);
	if (before != 0)
		CHECK(linkat(spool.fd, INDEX, spool.fd, INDEX ".old", 0) == 0);
	l = begin(true);
	CHECK(has_all(l, 0, 300) && !has(l, 300));
	ledger_close(l);
	CHECK(inode(INDEX) != before);
}

static void
an_index_that_is_broken_is_made_anew(void)
{
	static const char *const headers[] = { "xyz", "ToKyO CaBiNeT\n1.0:1" };
	char garbage[4096];
	struct stat st;

	prepare(300);
	CHECK(unlinkat(spool.fd, INDEX, 0) == 0);
	check_rebuilt();
	CHECK(fstatat(spool.fd, INDEX, &st, 0) == 0);
	for (off_t size = 0; size < st.st_size; size = size * 3 + 100) {
		cut(INDEX, size);
		check_rebuilt();
	}
	memset(garbage, 0xee, sizeof(garbage));
	for (size_t i = 0; i < 2; i++) {
		put(INDEX, headers[i], strlen(headers[i]), 0);
		put(INDEX, garbage, 200, 32);
		check_rebuilt();
	}
	put(INDEX, "\x01", 1, 33); /* a writer died */
	check_rebuilt();
	put(INDEX, garbage, 8, 40); /* buckets */
	check_rebuilt();
	CHECK(spool_remove(spool.fd, INDEX) == 0);
	put(INDEX, "", 0, 0);
	check_rebuilt();
}

static void
an_index_of_another_version_or_life_is_made_anew(void)
{
	static const char other[] = "00000000-0000-0000-0000-000000000000";
	char path[128];
	ino_t before;
	TCHDB *db;

	prepare(300);
	snprintf(path, sizeof(path), "%s/" INDEX, dir);
	db = tchdbnew();
	CHECK(tchdbopen(db, path, HDBOWRITER) && tchdbput2(db, "days", "2\n"));
	tchdbdel(db);
	check_rebuilt();

	before = inode(INDEX);
	ledger_close(begin(true)); /* whoever looks changes nothing */
	CHECK(inode(INDEX) == before);
	put("replay/lock", other, sizeof(other) - 1, 0);
	check_rebuilt();
	CHECK(count("replay/lock", "-") == 0); /* it is synced */
}

static void
lines_that_people_change_count(void)
{
	char today[64], *text, *at;
	struct buf b = { 0 };
	struct ledger *l;
	size_t len;

	prepare(300);
	file_of_today(today);
	text = spool_read(spool.fd, today, 1 << 20, &len);
	at = strstr(text, "\"id\":\"150\"");
	while (at > text && at[-1] != '\n')
		at--;
	/* one line less, and then others behind */
	memmove(at, strchr(at, '\n') + 1, strlen(strchr(at, '\n') + 1) + 1);
	CHECK(spool_replace(spool.fd, today, text, strlen(text), true) == 0);
	l = begin(true);
	CHECK(has_all(l, 0, 150) && !has(l, 150) && has_all(l, 151, 149));
	CHECK(do_round(l, 1000, 10) == 0);
	ledger_close(l);
	free(text);

	/* the same, and the file is as long as it was, or longer */
	text = spool_read(spool.fd, today, 1 << 20, &len);
	buf_str(&b, strchr(text, '\n') + 1);
	add_line(&b, 2000, "replayed");
	add_line(&b, 2001, "replayed");
	CHECK(spool_replace(spool.fd, today, buf_data(&b), b.len, true) == 0);
	buf_free(&b);
	free(text);
	l = begin(true);
	CHECK(!has(l, 0) && has_all(l, 1, 149) && has_all(l, 2000, 2));
	ledger_close(l);

	/* of other make, and a line that is none */
	text = spool_read(spool.fd, today, 1 << 20, &len);
	put(today, "{ \"key\" : \"00112233445566778899aabbccddeeff\" }\n"
	    "nonsense\n", 55, (off_t)len);
	l = begin(true);
	CHECK(ledger_has(l, (const uint8_t *)"\x00\x11\x22\x33\x44\x55\x66\x77"
	    "\x88\x99\xaa\xbb\xcc\xdd\xee\xff"));
	CHECK(has_all(l, 1000, 10));
	ledger_close(l);
	free(text);
}

static void
a_line_that_is_torn_was_not_written(void)
{
	char today[64];
	struct buf b = { 0 };
	struct ledger *l;
	struct stat st;

	prepare(3);
	file_of_today(today);
	CHECK(fstatat(spool.fd, today, &st, 0) == 0);
	add_line(&b, 3, "replayed");
	put(today, buf_data(&b), b.len - 1, st.st_size);
	l = begin(true);
	CHECK(has_all(l, 0, 3) && !has(l, 3));
	CHECK(do_round(l, 4, 1) == 0);
	CHECK(has(l, 4) && !has(l, 3));
	CHECK(do_round(l, 3, 1) == 0 && has(l, 3));
	ledger_close(l);
	CHECK(count(today, "\n") == 5);
	cut(today, st.st_size);
	l = begin(true);
	CHECK(has_all(l, 0, 3) && !has(l, 3) && !has(l, 4));
	ledger_close(l);
	buf_free(&b);
}

static void
whoever_looks_does_not_wait(void)
{
	struct ledger *l;
	int lock, ready[2];
	char c;
	pid_t pid;

	prepare(3);
	CHECK(pipe(ready) == 0);
	if ((pid = fork()) == 0) {
		lock = openat(spool.fd, "replay/lock", O_RDWR);
		flock(lock, LOCK_EX);
		syscall(SYS_write, ready[1], "x", 1);
		for (;;)
			pause();
	}
	CHECK(read(ready[0], &c, 1) == 1);
	alarm(20);
	l = begin(false);
	CHECK(has_all(l, 0, 3));
	ledger_close(l);
	alarm(0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

/* Each letter is done by whoever comes first. */
static void
contend(unsigned n)
{
	struct ledger_round r = { 0 };
	struct ledger *l = ledger_open(&spool, true, &f);
	int rc = l == NULL ? -1 : 0;

	for (unsigned i = 0; rc == 0 && i < n; i++) {
		if ((rc = ledger_lock(l, &r, &f)) == -1)
			break;
		if (!has(l, i)) {
			round_of(&r, i, 1);
			if ((rc = ledger_begin(l, &r, &f)) == 0)
				rc = ledger_end(l, &r.lines, &f);
		}
		ledger_unlock(l);
	}
	ledger_round_free(&r);
	ledger_close(l);
	_exit(rc == 0 ? 0 : 1);
}

static void
two_at_once_do_each_letter_once(void)
{
	char today[64];
	int status;

	fresh();
	for (int i = 0; i < 2; i++)
		if (fork() == 0)
			contend(100);
	while (wait(&status) != -1)
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	file_of_today(today);
	CHECK(count(today, "\n") == 100);
}

static void
move_clock(int days)
{
	static int64_t moved;
	int64_t want = clock_now() - moved + days * CLOCK_DAY;
	char text[32];

	snprintf(text, sizeof(text), "%d", days * 86400);
	CHECK(spool_replace(spool.fd, "clock", text, strlen(text), false) == 0);
	while (clock_now() < want - CLOCK_DAY / 2)
		usleep(1000);
	moved = days * CLOCK_DAY;
}

static void
old_days_are_forgotten(void)
{
	char first[64], second[64];
	struct ledger *l;

	prepare(10);
	file_of_today(first);
	move_clock(LEDGER_DAYS);
	l = begin(true);
	CHECK(do_round(l, 10, 10) == 0);
	CHECK(has_all(l, 0, 20));
	ledger_close(l);
	file_of_today(second);
	move_clock(LEDGER_DAYS + 2);
	l = begin(false);
	CHECK(!has(l, 0) && has_all(l, 10, 10) && inode(first) != 0);
	ledger_close(l);
	l = begin(true);
	CHECK(!has(l, 0) && has_all(l, 10, 10) && inode(first) == 0);
	CHECK(do_round(l, 0, 1) == 0 && has(l, 0) && !has(l, 1));
	ledger_close(l);
	CHECK(unlinkat(spool.fd, INDEX, 0) == 0);
	l = begin(true);
	CHECK(has(l, 0) && !has(l, 1) && has_all(l, 10, 10));
	ledger_close(l);
	CHECK(inode(second) != 0);
}

int
main(void)
{
	char clock[64];

	CHECK(mkdtemp(dir) != NULL);
	spool = (struct spool){ .fd = open(dir, O_PATH), .path = dir };
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(clock, sizeof(clock), "%s/clock", dir);
	setenv("EGNS_CLOCK", clock, 1);
	RUN(what_has_ended_is_known);
	RUN(without_a_ledger_nothing_is_known);
	RUN(a_second_line_is_the_one_that_counts);
	RUN(what_was_begun_is_left_for_the_next);
	RUN(what_is_not_whole_was_not_begun);
	RUN(killed_anywhere_each_has_one_line);
	RUN(an_index_that_is_broken_is_made_anew);
	RUN(an_index_of_another_version_or_life_is_made_anew);
	RUN(lines_that_people_change_count);
	RUN(a_line_that_is_torn_was_not_written);
	RUN(whoever_looks_does_not_wait);
	RUN(two_at_once_do_each_letter_once);
	RUN(old_days_are_forgotten);
	CHECK(spool_remove(AT_FDCWD, dir) == 0);
	DONE();
}
