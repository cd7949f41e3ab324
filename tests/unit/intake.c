#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "crc32c.h"
#include "maildir.h"
#include "spool.h"

/* So few that a directory of more costs the test little. */
#define INTAKE_NAMES 500
#include "../../lib/intake.c"

static char base[] = "/tmp/egns-intake-XXXXXX";
static int dir;
static char told[8192]; /* "NAME: WHY\n" of each file that was corrupt */

static void
corrupt(const char *name, const char *why, void *arg)
{
	size_t n = strlen(told);

	(void)arg;
	snprintf(told + n, sizeof(told) - n, "%s: %s\n", name, why);
}

static void
in_box(char path[PATH_MAX], const char *stage, const char *name)
{
	snprintf(path, PATH_MAX, "%s/box/%s/%s", base, stage, name);
}

/* How many files does a stage have? */
static int
files(const char *stage)
{
	char path[PATH_MAX];
	struct dirent *e;
	int n = 0;
	DIR *d;

	in_box(path, stage, "");
	if ((d = opendir(path)) == NULL)
		return -1;
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static bool
there(const char *stage, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	in_box(path, stage, name);
	return lstat(path, &st) == 0;
}

/* A file as it is, whatever its name says. */
static void
put(const char *stage, const char *name, const char *text)
{
	char path[PATH_MAX];
	int fd;

	in_box(path, stage, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(fd != -1);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* A whole one of that second, with `mark` behind its name. */
static const char *
put_whole(const char *stage, int second, const char *text, const char *mark)
{
	static char name[4][MAILDIR_NAME];
	static int at;
	char *mine = name[at++ % 4];
	size_t lines = 0;

	for (const char *p = text; *p != '\0'; p++)
		lines += *p == '\n';
	snprintf(mine, MAILDIR_NAME, "%d.M000000P1Q1.h,S=%zu,N=%zu,C=%08x%s",
	    second, strlen(text), lines,
	    (unsigned)crc32c(0, text, strlen(text)), mark);
	put(stage, mine, text);
	return mine;
}

static void
fresh(void)
{
	spool_remove(dir, "box");
	CHECK(maildir_make(dir, "box") == 0);
	told[0] = '\0';
}

static void
begin(struct intake *in)
{
	CHECK(intake_open(in, dir, "box", corrupt, NULL) == 0);
	CHECK(in->run != 0);
}

/* The texts of what is taken next, each with the number of its first line. */
static const char *
texts(struct intake *in, size_t max_bytes, size_t max_files)
{
	static char out[4096];
	struct batch *list, *b;
	size_t n = 0;

	out[0] = '\0';
	if (intake_take(in, max_bytes, max_files, &list) == -1) {
		snprintf(out, sizeof(out), "error %s", strerror(errno));
		return out;
	}
	for (b = list; b != NULL; b = b->next)
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%" PRIu64
		    " %.*s", b->first, (int)b->proof.bytes, b->text);
	batches_free(list);
	return out;
}

static const char *
all(struct intake *in)
{
	return texts(in, 1 << 20, 1000);
}

#define SAME(a, b) \
	do { \
		const char *a_ = (a); \
		CHECK(strcmp(a_, b) == 0); \
		if (strcmp(a_, b) != 0) \
			printf("# it is: %s\n", a_); \
	} while (0)

static void
names_are_taken_in_order_and_lines_numbered(void)
{
	struct intake in;

	fresh();
	put_whole("new", 10, "d\n", "");
	put_whole("new", 9, "b\nc\n", "");
	put_whole("new", 1, "a\n", "");
	begin(&in);
	SAME(all(&in), "1 a\n2 b\nc\n4 d\n");
	CHECK(files("new") == 0 && files("cur") == 3);
	SAME(all(&in), "");
	put_whole("new", 2, "e\n", "");
	SAME(all(&in), "5 e\n");
	SAME(told, "");
	intake_close(&in);
}

static void
a_name_in_cur_tells_run_and_number(void)
{
	char name[MAILDIR_NAME + 32];
	struct batch *list;
	struct intake in;

	fresh();
	put_whole("new", 1, "a\nb\n", "");
	put_whole("new", 2, "c\n", "");
	begin(&in);
	CHECK(intake_take(&in, 1000, 10, &list) == 0);
	for (struct batch *b = list; b != NULL; b = b->next) {
		snprintf(name, sizeof(name), "%s:%016" PRIx64 ".%" PRIu64,
		    b->name, in.run, b->first);
		CHECK(there("cur", name) && b->run == in.run);
		CHECK(intake_done(&in, b) == 0);
		CHECK(!there("cur", name));
		CHECK(intake_done(&in, b) == 0);
	}
	CHECK(files("cur") == 0);
	batches_free(list);
	intake_close(&in);
}

static void
a_take_has_its_limits_and_at_least_one(void)
{
	struct intake in;

	fresh();
	for (int i = 1; i <= 6; i++)
		put_whole("new", i, "12345678\n", "");
	begin(&in);
	SAME(texts(&in, 1, 100), "1 12345678\n");
	SAME(texts(&in, 10, 100), "2 12345678\n3 12345678\n");
	SAME(texts(&in, 1000, 1), "4 12345678\n");
	CHECK(files("new") == 2);
	SAME(texts(&in, 1000, 2), "5 12345678\n6 12345678\n");
	intake_close(&in);
}

static void
what_was_left_comes_first_run_by_run(void)
{
	struct intake in;

	fresh();
	/* within a run numbers count, whatever the names have become */
	put_whole("cur", 5, "d\n", ":0000000000000001.1");
	put_whole("cur", 4, "e\n", ":0000000000000001.2");
	put_whole("cur", 3, "b\nc\n", ":ffffffffffffffff.12");
	put_whole("cur", 6, "a\n", ":ffffffffffffffff.7");
	put_whole("new", 1, "f\n", "");
	begin(&in);
	/* by the first file of each: 5 before 6 */
	SAME(all(&in), "1 d\n2 e\n");
	SAME(texts(&in, 1000, 1), "7 a\n");
	SAME(all(&in), "12 b\nc\n");
	SAME(all(&in), "1 f\n");
	CHECK(files("cur") == 5);
	intake_close(&in);
}

static void
each_run_goes_on_with_what_the_last_has_left(void)
{
	struct batch *list;
	struct intake in;
	uint64_t first;

	fresh();
	put_whole("new", 1, "a\n", "");
	put_whole("new", 2, "b\n", "");
	begin(&in);
	first = in.run;
	SAME(all(&in), "1 a\n2 b\n");
	intake_close(&in);
	put_whole("new", 3, "c\n", "");
	begin(&in);
	CHECK(in.run != first);
	CHECK(intake_take(&in, 1000, 10, &list) == 0);
	CHECK(list != NULL && list->run == first && list->first == 1);
	CHECK(list != NULL && intake_done(&in, list) == 0);
	batches_free(list);
	SAME(all(&in), "1 c\n");
	intake_close(&in);
	begin(&in);
	SAME(all(&in), "2 b\n");
	SAME(all(&in), "1 c\n");
	SAME(all(&in), "");
	intake_close(&in);
}

static void
a_file_of_cur_without_number_goes_back(void)
{
	const char *name;
	struct intake in;

	fresh();
	put_whole("cur", 1, "a\n", "");
	put_whole("new", 2, "b\n", "");
	begin(&in);
	CHECK(files("new") == 2 && files("cur") == 0);
	SAME(all(&in), "1 a\n2 b\n");
	intake_close(&in);
	/* but not over another */
	fresh();
	put_whole("new", 1, "a\n", "");
	name = put_whole("cur", 1, "a\n", "");
	begin(&in);
	CHECK(there("corrupt", name) && there("new", name));
	SAME(all(&in), "1 a\n");
	intake_close(&in);
}

static void
what_does_not_match_its_name_is_put_aside(void)
{
	char expect[1024];
	const char *name;
	struct intake in;

	fresh();
	put_whole("new", 1, "a\n", "");
	put("new", "2.M000000P1Q1.h,S=3,N=1,C=00000000", "x\n");
	put("new", "3.M000000P1Q1.h,S=1,N=1,C=00000000", "x\n");
	put("new", "4.M000000P1Q1.h,S=2,N=1,C=00000000", "x\n");
	put("new", "5.M000000P1Q1.h,S=0,N=0,C=00000000", "");
	snprintf(expect, sizeof(expect),
	    "6.M000000P1Q1.h,S=1,N=0,C=%08x", (unsigned)crc32c(0, "x", 1));
	put("new", expect, "x");
	snprintf(expect, sizeof(expect), "7.M000000P1Q1.h,S=4,N=1,C=%08x",
	    (unsigned)crc32c(0, "x\ny\n", 4));
	put("new", expect, "x\ny\n");
	put("new", "README", "x\n");
	put("new", ".hidden", "x\n");
	put_whole("new", 8, "b\n", ":0000000000000001.1");
	name = put_whole("new", 9, "z\n", "");
	begin(&in);
	SAME(all(&in), "1 a\n2 z\n");
	CHECK(files("corrupt") == 8 && files("new") == 0);
	CHECK(there("corrupt", "README") && there("new", ".hidden"));
	CHECK(strstr(told, "README: this is no name of the spool's\n"));
	CHECK(strstr(told, "2.M000000P1Q1.h,S=3,N=1,C=00000000: it has more or "
	    "fewer bytes than its name says\n"));
	CHECK(strstr(told, expect) && strstr(told, "its lines or its checksum"));
	CHECK(!strstr(told, name));
	intake_close(&in);
}

static void
what_is_no_file_is_put_aside(void)
{
	char path[PATH_MAX];
	struct intake in;

	fresh();
	in_box(path, "new", "1.M000000P1Q1.h,S=2,N=1,C=00000000");
	CHECK(mkdir(path, 0700) == 0);
	in_box(path, "new", "2.M000000P1Q1.h,S=2,N=1,C=00000000");
	CHECK(symlink("/etc/passwd", path) == 0);
	in_box(path, "new", "3.M000000P1Q1.h,S=2,N=1,C=00000000");
	CHECK(mkfifo(path, 0600) == 0);
	in_box(path, "new", "4.M000000P1Q1.h,S=68157440,N=1,C=00000000");
	CHECK(mknod(path, S_IFREG | 0600, 0) == 0);
	CHECK(truncate(path, 65L * 1024 * 1024) == 0);
	in_box(path, "cur", "sub");
	CHECK(mkdir(path, 0700) == 0);
	put_whole("new", 5, "a\n", "");
	begin(&in);
	SAME(all(&in), "1 a\n");
	CHECK(files("corrupt") == 5);
	CHECK(strstr(told, "00000000: it is not a file\n"));
	CHECK(strstr(told, "S=68157440,N=1,C=00000000: it has more than 64"));
	intake_close(&in);
}

static void
what_was_left_is_looked_at_too(void)
{
	struct intake in;

	fresh();
	put("cur", "1.M000000P1Q1.h,S=2,N=1,C=00000000:0000000000000001.1",
	    "x\n");
	put_whole("cur", 2, "b\n", ":0000000000000001.2");
	put("cur", "3.M000000P1Q1.h,S=2,N=1,C=00000000:0000000000000001.3",
	    "x\n");
	put_whole("new", 4, "c\n", "");
	begin(&in);
	SAME(all(&in), "2 b\n");
	SAME(all(&in), "1 c\n");
	CHECK(files("corrupt") == 2);
	intake_close(&in);
}

static void
numbers_that_others_have_are_not_taken(void)
{
	struct intake in;

	fresh();
	put_whole("cur", 1, "a\nb\n", ":0000000000000001.1");
	put_whole("cur", 2, "again\n", ":0000000000000001.2");
	put_whole("cur", 3, "c\n", ":0000000000000001.9");
	put_whole("cur", 4, "d\n", ":0000000000000002.1");
	/* more than a topic takes, and than a number can be */
	put_whole("cur", 5, "last\n", ":0000000000000002.9007199254740991");
	put_whole("cur", 6, "e\n", ":0000000000000003.9007199254740990");
	put_whole("cur", 7, "over\n", ":0000000000000004.18446744073709551615");
	begin(&in);
	SAME(all(&in), "1 a\nb\n9 c\n");
	SAME(all(&in), "1 d\n");
	SAME(all(&in), "9007199254740990 e\n");
	SAME(all(&in), "");
	CHECK(files("corrupt") == 3);
	CHECK(strstr(told, ".2: its lines cannot have these numbers") != NULL);
	intake_close(&in);
}

static void
nothing_in_corrupt_is_written_over(void)
{
	char path[PATH_MAX], text[8] = "";
	struct intake in;
	int fd;

	fresh();
	put("corrupt", "x", "old");
	in_box(path, "corrupt", "y");
	CHECK(mkdir(path, 0700) == 0);
	put("corrupt/y", "in", "old");
	put("corrupt", "y.2", "old");
	put("new", "x", "new");
	put("new", "y", "new");
	put_whole("new", 1, "a\n", "");
	begin(&in);
	SAME(all(&in), "1 a\n");
	CHECK(there("corrupt", "x.2") && there("corrupt", "y.3"));
	CHECK(strstr(told, "x.2: ") && strstr(told, "y.3: "));
	in_box(path, "corrupt", "x");
	fd = open(path, O_RDONLY);
	CHECK(read(fd, text, 3) == 3 && strcmp(text, "old") == 0);
	close(fd);
	intake_close(&in);
}

/* A corrupt/ that takes nothing stands for a disk that does not. */
static void
what_cannot_be_moved_blocks_nothing(void)
{
	char path[PATH_MAX];
	struct intake in;

	fresh();
	put("new", "README", "x\n");
	put("new", "1.M000000P1Q1.h,S=9,N=1,C=00000000", "x\n");
	put_whole("new", 2, "a\n", "");
	begin(&in);
	in_box(path, "corrupt", "");
	CHECK(rmdir(path) == 0);
	in_box(path, "corrupt", "");
	path[strlen(path) - 1] = '\0';
	CHECK(symlink("corrupt", path) == 0); /* ELOOP */
	SAME(all(&in), "1 a\n");
	put_whole("new", 3, "b\n", "");
	SAME(all(&in), "2 b\n");
	CHECK(strncmp(all(&in), "error ", 6) == 0);
	SAME(told, "");
	CHECK(unlink(path) == 0 && maildir_make(dir, "box") == 0);
	SAME(all(&in), "");
	CHECK(files("corrupt") == 2);
	intake_close(&in);
}

static void
a_file_that_is_gone_is_passed_by(void)
{
	char path[PATH_MAX];
	const char *name;
	struct intake in;

	fresh();
	put_whole("new", 1, "a\n", "");
	name = put_whole("new", 2, "b\n", "");
	put_whole("new", 3, "c\n", "");
	begin(&in);
	SAME(texts(&in, 1, 1), "1 a\n");
	in_box(path, "new", name);
	CHECK(unlink(path) == 0);
	SAME(all(&in), "2 c\n");
	intake_close(&in);
	begin(&in);
	SAME(texts(&in, 1, 1), "1 a\n");
	CHECK(spool_remove(dir, "box/cur") == 0);
	CHECK(maildir_make(dir, "box") == 0);
	put_whole("new", 4, "d\n", "");
	SAME(all(&in), "1 d\n");
	intake_close(&in);
}

static void
many_names_are_taken_in_order(void)
{
	enum { MANY = 3 * INTAKE_NAMES + 7 };
	char text[16];
	struct batch *list;
	struct intake in;
	uint64_t next = 1;

	fresh();
	for (int i = MANY; i > 0; i--) {
		snprintf(text, sizeof(text), "%d\n", i);
		put_whole("new", i, text, "");
	}
	begin(&in);
	while (intake_take(&in, SIZE_MAX, 200, &list) == 0 && list != NULL) {
		CHECK(in.new.cap <= (size_t)4 * INTAKE_NAMES);
		for (struct batch *b = list; b != NULL; b = b->next) {
			CHECK(strtoull(b->text, NULL, 10) == next);
			CHECK(b->first == next++);
			CHECK(intake_done(&in, b) == 0);
		}
		batches_free(list);
	}
	CHECK(next == MANY + 1);
	CHECK(files("new") == 0 && files("cur") == 0);
	intake_close(&in);
}

static void
a_box_that_is_none_is_an_error(void)
{
	struct batch *list;
	struct intake in;

	fresh();
	begin(&in);
	CHECK(renameat(dir, "box/new", dir, "box/away") == 0);
	CHECK(intake_take(&in, 1, 1, &list) == -1 && errno == ENOENT);
	CHECK(renameat(dir, "box/away", dir, "box/new") == 0);
	SAME(all(&in), "");
	intake_close(&in);
	spool_remove(dir, "box");
	CHECK(mknodat(dir, "box", S_IFREG | 0600, 0) == 0);
	CHECK(intake_open(&in, dir, "box", corrupt, NULL) == -1 &&
	    errno == ENOTDIR);
	CHECK(unlinkat(dir, "box", 0) == 0);
}

/* A right that root does not need. */
static void
a_file_that_may_not_be_read_is_put_aside(void)
{
	char path[PATH_MAX];
	struct intake in;
	bool root = geteuid() == 0;

	fresh();
	in_box(path, "new", put_whole("new", 1, "a\n", ""));
	CHECK(chmod(path, 0) == 0);
	put_whole("new", 2, "b\n", "");
	if (root) {
		static const char *const own[] = { "", "tmp", "new", "cur",
			"corrupt" };
		char each[PATH_MAX];

		for (size_t i = 0; i < 5; i++) {
			in_box(each, own[i], "");
			CHECK(chown(each, 65534, 65534) == 0);
		}
		CHECK(chmod(base, 0755) == 0);
		in_box(each, "new", "");
		CHECK(chown(path, 65534, 65534) == 0);
		snprintf(each, sizeof(each), "%s/box/new/%s", base,
		    put_whole("new", 2, "b\n", ""));
		CHECK(chown(each, 65534, 65534) == 0);
		CHECK(seteuid(65534) == 0);
	}
	begin(&in);
	SAME(all(&in), "1 b\n");
	CHECK(strstr(told, ": it may not be read\n"));
	intake_close(&in);
	CHECK(!root || seteuid(0) == 0);
}

/* Write n files of one line each, "1\n", "2\n"..., of seconds from `second`
 * on. */
static void
put_many(int second, int n)
{
	char text[16];

	for (int i = 1; i <= n; i++) {
		snprintf(text, sizeof(text), "%d\n", i);
		put_whole("new", second + i, text, "");
	}
}

static void
small_files_are_gathered_and_keep_their_numbers(void)
{
	struct intake in;
	struct batch *list;

	fresh();
	put_many(100, INTAKE_GATHER - 1);
	begin(&in);
	CHECK(intake_gather(&in, 1 << 20, 1000) == 0);
	CHECK(files("new") == INTAKE_GATHER - 1);
	put_whole("new", 1, "first\n", "");
	put_whole("new", 1000, "behind\n", "");
	CHECK(intake_gather(&in, 1 << 20, INTAKE_GATHER) == INTAKE_GATHER);
	CHECK(files("new") == 1 && files("cur") == 1);
	/* one file, of all lines, from number 1 */
	CHECK(intake_take(&in, 1 << 20, 1000, &list) == 0);
	CHECK(list != NULL && list->next == NULL && list->first == 1 &&
	    list->run == in.run && list->proof.lines == INTAKE_GATHER);
	CHECK(strncmp(list->text, "first\n1\n2\n", 10) == 0);
	CHECK(intake_done(&in, list) == 0 && files("cur") == 0);
	batches_free(list);
	SAME(all(&in), "257 behind\n");
	intake_close(&in);
	CHECK(told[0] == '\0');
}

/* Joined with nothing, or into what nobody would read, files stay what they
 * are. */
static void
large_files_are_taken_but_not_gathered(void)
{
	char *large = malloc(INTAKE_FILE_MAX + 1);
	struct intake in;
	struct batch *list;
	uint64_t next = 2;

	CHECK(large != NULL);
	fresh();
	put_many(100, INTAKE_GATHER);
	put_whole("new", 1, "first\n", "");
	begin(&in);
	CHECK(intake_gather(&in, 1, 1000) == 1);
	CHECK(intake_gather(&in, 1 << 20, 1) == 1);
	CHECK(files("cur") == 2);
	SAME(all(&in), "1 first\n2 1\n");
	intake_close(&in);
	fresh();
	put_many(100, INTAKE_GATHER);
	memset(large, 'x', INTAKE_FILE_MAX - 1);
	strcpy(large + INTAKE_FILE_MAX - 1, "\n");
	put_whole("new", 1, large, "");
	free(large);
	begin(&in);
	CHECK(intake_gather(&in, SIZE_MAX, 1000) == INTAKE_GATHER + 1);
	CHECK(intake_take(&in, 1, 1, &list) == 0);
	CHECK(list != NULL && list->first == 1 && list->proof.lines == 1);
	batches_free(list);
	CHECK(intake_take(&in, SIZE_MAX, 1000, &list) == 0);
	for (struct batch *b = list; b != NULL; b = b->next)
		CHECK(b->first == next++);
	CHECK(next == INTAKE_GATHER + 2);
	batches_free(list);
	intake_close(&in);
	CHECK(told[0] == '\0');
}

/* A run that was killed: what is in cur/ is what the next one finds. */
static void
what_was_gathered_is_found_again(void)
{
	struct intake in;
	struct batch *list;
	uint64_t run;

	fresh();
	put_many(100, INTAKE_GATHER);
	begin(&in);
	run = in.run;
	CHECK(intake_gather(&in, 1 << 20, 1000) == INTAKE_GATHER);
	intake_close(&in);
	put_whole("new", 1, "later\n", "");
	begin(&in);
	CHECK(intake_take(&in, 1 << 20, 1000, &list) == 0);
	CHECK(list != NULL && list->run == run && list->first == 1 &&
	    list->proof.lines == INTAKE_GATHER);
	batches_free(list);
	SAME(all(&in), "1 later\n");
	intake_close(&in);
}

/* A crash between the large file and the end of the small ones, and one while
 * the large one was written. */
static void
parts_of_what_was_gathered_are_dropped(void)
{
	struct intake in;

	fresh();
	put_whole("cur", 5, "a\nb\nc\nd\n", ":00000000000000aa.7");
	put_whole("cur", 5, "a\n", ":00000000000000aa.7");
	put_whole("cur", 6, "b\nc\n", ":00000000000000aa.8");
	put_whole("cur", 7, "d\n", ":00000000000000aa.10");
	put_whole("cur", 8, "e\n", ":00000000000000aa.11");
	put("cur", "5.M000000P1Q1.h,S=9,N=3,C=00000000:00000000000000bb.1.tmp",
	    "half");
	begin(&in);
	CHECK(files("cur") == 2 && files("corrupt") == 0);
	SAME(all(&in), "7 a\nb\nc\nd\n11 e\n");
	intake_close(&in);
	CHECK(told[0] == '\0');
	/* what somebody else has left there is not ours to remove */
	put("cur", "notes.tmp", "half");
	begin(&in);
	CHECK(there("corrupt", "notes.tmp"));
	intake_close(&in);
}

/* Lines that differ are nobody's part: they are put aside, not removed. */
static void
what_is_no_part_is_not_dropped(void)
{
	struct intake in;

	fresh();
	put_whole("cur", 5, "a\nb\nc\n", ":00000000000000aa.7");
	put_whole("cur", 6, "x\n", ":00000000000000aa.8");
	begin(&in);
	CHECK(files("cur") == 2);
	SAME(all(&in), "7 a\nb\nc\n");
	CHECK(files("corrupt") == 1 && strstr(told, "these numbers") != NULL);
	intake_close(&in);
	/* a large one that is broken leaves its parts alone */
	fresh();
	put("cur", "5.M000000P1Q1.h,S=6,N=3,C=00000000:00000000000000aa.7",
	    "a\nb\nc\n");
	put_whole("cur", 5, "a\n", ":00000000000000aa.7");
	put_whole("cur", 6, "b\n", ":00000000000000aa.8");
	begin(&in);
	SAME(all(&in), "7 a\n8 b\n");
	CHECK(files("corrupt") == 1);
	intake_close(&in);
}

int
main(void)
{
	if (mkdtemp(base) == NULL)
		return 1;
	dir = open(base, O_RDONLY | O_DIRECTORY);
	RUN(names_are_taken_in_order_and_lines_numbered);
	RUN(a_name_in_cur_tells_run_and_number);
	RUN(a_take_has_its_limits_and_at_least_one);
	RUN(what_was_left_comes_first_run_by_run);
	RUN(each_run_goes_on_with_what_the_last_has_left);
	RUN(a_file_of_cur_without_number_goes_back);
	RUN(what_does_not_match_its_name_is_put_aside);
	RUN(what_is_no_file_is_put_aside);
	RUN(what_was_left_is_looked_at_too);
	RUN(numbers_that_others_have_are_not_taken);
	RUN(nothing_in_corrupt_is_written_over);
	RUN(what_cannot_be_moved_blocks_nothing);
	RUN(a_file_that_is_gone_is_passed_by);
	RUN(many_names_are_taken_in_order);
	RUN(small_files_are_gathered_and_keep_their_numbers);
	RUN(large_files_are_taken_but_not_gathered);
	RUN(what_was_gathered_is_found_again);
	RUN(parts_of_what_was_gathered_are_dropped);
	RUN(what_is_no_part_is_not_dropped);
	RUN(a_box_that_is_none_is_an_error);
	RUN(a_file_that_may_not_be_read_is_put_aside);
	close(dir);
	spool_remove(AT_FDCWD, base);
	DONE();
}
