#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "maildir.h"
#include "spool.h"

static char base[] = "/tmp/egns-maildir-XXXXXX";
static int dir;

/* The number of files in a stage, and the first of them by name. */
static int
files(const char *stage, char first[MAILDIR_NAME])
{
	char path[64];
	struct dirent **list;
	int i, n;

	snprintf(path, sizeof(path), "%s/box/%s", base, stage);
	n = scandir(path, &list, NULL, alphasort);
	first[0] = '\0';
	for (i = 2; i < n; i++) {
		if (i == 2)
			snprintf(first, MAILDIR_NAME, "%.*s", MAILDIR_NAME - 1,
			    list[i]->d_name);
	}
	for (i = 0; i < n; i++)
		free(list[i]);
	if (n >= 0)
		free(list);
	return n - 2;
}

static void
what_is_written_proves_itself(void)
{
	static const char text[] = "{\"a\":1}\n{\"b\":2}\n";
	char name[MAILDIR_NAME], path[MAILDIR_NAME + 16], *got;
	struct maildir_name m;
	int64_t before = clock_now();
	size_t len = 0;

	CHECK(maildir_make(dir, "box") == 0);
	CHECK(maildir_make(dir, "box") == 0);
	CHECK(maildir_write(dir, "box", text, sizeof(text) - 1) == 0);
	CHECK(files("tmp", name) == 0);
	CHECK(files("cur", name) == 0);
	CHECK(files("corrupt", name) == 0);
	CHECK(files("new", name) == 1);
	CHECK(maildir_parse(name, &m));
	CHECK(m.time >= before && m.time <= clock_now());
	CHECK(m.pid == (uint32_t)getpid());
	CHECK(m.bytes == sizeof(text) - 1 && m.lines == 2);
	snprintf(path, sizeof(path), "box/new/%s", name);
	got = spool_read(dir, path, 100, &len);
	CHECK(got != NULL && strcmp(got, text) == 0);
	CHECK(maildir_whole(&m, got, len));
	CHECK(!maildir_whole(&m, got, len - 1));
	CHECK(!maildir_whole(&m, got, 0));
	got[3] ^= 1;
	CHECK(!maildir_whole(&m, got, len));
	got[3] ^= 1;
	m.lines = 1;
	CHECK(!maildir_whole(&m, got, len));
	free(got);
}

static void
a_file_that_is_there_is_adopted(void)
{
	static const char text[] = "{\"a\":1}\n{\"b\":2}\n";
	char name[MAILDIR_NAME], path[MAILDIR_NAME + 16], *got;
	struct maildir_name m;
	size_t len = 0;

	CHECK(spool_remove(dir, "box") == 0);
	CHECK(maildir_make(dir, "box") == 0);
	CHECK(spool_replace(dir, "file", text, sizeof(text) - 2, true) == 0);
	errno = 0;
	CHECK(maildir_adopt(dir, "box", "file") == -1 && errno == EINVAL);
	CHECK(spool_replace(dir, "file", text, sizeof(text) - 1, true) == 0);
	CHECK(maildir_adopt(dir, "box", "file") == 0);
	CHECK(files("tmp", name) == 0);
	CHECK(files("new", name) == 1 && maildir_parse(name, &m));
	snprintf(path, sizeof(path), "box/new/%s", name);
	got = spool_read(dir, path, 100, &len);
	CHECK(got != NULL && maildir_whole(&m, got, len));
	free(got);
	CHECK(maildir_adopt(dir, "box", "file") == -1 && errno == ENOENT);
	CHECK(spool_remove(dir, "box") == 0);
}

static void
names_sort_by_time(void)
{
	char name[MAILDIR_NAME], first[MAILDIR_NAME];
	int i;

	files("new", first);
	for (i = 0; i < 20; i++)
		CHECK(maildir_write(dir, "box", "x\n", 2) == 0);
	CHECK(files("new", name) == 21);
	CHECK(strcmp(name, first) == 0);
}

/* As if some other writer, or this one before a crash, had left it. */
static void
leave(const char *stage, int64_t second, const char *behind)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/box/%s/%" PRId64 ".M000007P1Q1.h,S=2,"
	    "N=1,C=00000000%s", base, stage, second, behind);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	CHECK(fd != -1);
	close(fd);
}

/* When was the last one of new/ written, by its name? */
static int64_t
last_second(void)
{
	char path[PATH_MAX];
	struct maildir_name name, last = { 0 };
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/box/new", base);
	d = opendir(path);
	while (d != NULL && (e = readdir(d)) != NULL)
		if (maildir_parse(e->d_name, &name) &&
		    maildir_order(&last, &name) < 0)
			last = name;
	closedir(d);
	return last.time / CLOCK_SECOND;
}

static void
names_begin_behind_what_waits(void)
{
	int64_t later = clock_now() / CLOCK_SECOND + 1000;
	char name[MAILDIR_NAME];

	leave("tmp", later + 9000, "");
	leave("tmp", later, "");
	CHECK(mkdirat(dir, "box/tmp/sub", 0700) == 0);
	leave("new", later, "");
	CHECK(maildir_begin(dir, "box") == 0);
	CHECK(files("tmp", name) == 1 && strcmp(name, "sub") == 0);
	CHECK(unlinkat(dir, "box/tmp/sub", AT_REMOVEDIR) == 0);
	CHECK(maildir_write(dir, "box", "x\n", 2) == 0);
	CHECK(last_second() == later);
	leave("cur", later + 1000, ":00000000000000ab.77");
	CHECK(maildir_begin(dir, "box") == 0);
	CHECK(maildir_write(dir, "box", "x\n", 2) == 0);
	CHECK(last_second() == later + 1000);
	/* what nobody has written counts for nothing */
	leave("cur", later + 5000, ":none");
	leave("corrupt", later + 5000, "");
	CHECK(maildir_begin(dir, "box") == 0);
	CHECK(maildir_write(dir, "box", "x\n", 2) == 0);
	CHECK(last_second() == later + 1000);
	/* the end of time: names do not rise any more, but stay different */
	leave("cur", INT64_C(253402300799), "");
	CHECK(maildir_begin(dir, "box") == 0);
	for (int i = 0; i < 3; i++)
		CHECK(maildir_write(dir, "box", "x\n", 2) == 0);
	CHECK(last_second() == INT64_C(253402300799));
	CHECK(maildir_begin(dir, "none") == 0);
	CHECK(unlinkat(dir, "none/new", AT_REMOVEDIR) == 0);
	CHECK(mknodat(dir, "none/new", S_IFREG | 0600, 0) == 0);
	CHECK(maildir_begin(dir, "none") == -1);
	CHECK(spool_remove(dir, "none") == 0);
}

static void
what_a_reader_adds_is_taken_apart(void)
{
#define NAME "1.M000000P1Q1.h,S=1,N=1,C=00000000"
	static const char *const bad[] = { NAME ":", NAME ":0123456789abcdef",
		NAME ":0123456789abcdef.", NAME ":0123456789abcdef.0",
		NAME ":0123456789abcdef.01", NAME ":0000000000000000.1",
		NAME ":0123456789abcde.1", NAME ":0123456789abcdef0.1",
		NAME ":0123456789ABCDEF.1", NAME ":0123456789abcdef.1 ",
		NAME ":0123456789abcdef.18446744073709551616",
		NAME ":0123456789abcdef.1:0123456789abcdef.1",
		NAME ";0123456789abcdef.1", NAME ":0123456789abcdef.-1" };
	struct maildir_name m;

	CHECK(maildir_parse(NAME ":0123456789abcdef.42", &m));
	CHECK(m.run == UINT64_C(0x0123456789abcdef) && m.first == 42);
	CHECK(maildir_parse(NAME ":ffffffffffffffff.18446744073709551615", &m));
	CHECK(m.run == UINT64_MAX && m.first == UINT64_MAX);
	CHECK(maildir_parse(NAME, &m) && m.run == 0 && m.first == 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (maildir_parse(bad[i], &m))
			printf("# %s\n", bad[i]);
		CHECK(!maildir_parse(bad[i], &m));
	}
#undef NAME
}

static void
order_is_by_time_then_by_number(void)
{
	/* each is before the next */
	static const char *const names[] = { "1.M999999P9Q9.h,S=1,N=1,C=00000000",
		"2.M000000P9Q1.h,S=1,N=1,C=00000000",
		"2.M000000P8Q2.h,S=1,N=1,C=00000000",
		"2.M000000P9Q2.h,S=1,N=1,C=00000000",
		"2.M000000P7Q10.h,S=1,N=1,C=00000000",
		"2.M000001P1Q1.h,S=1,N=1,C=00000000",
		"10.M000000P1Q1.h,S=1,N=1,C=00000000:0123456789abcdef.1" };
	struct maildir_name a, b;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
			CHECK(maildir_parse(names[i], &a));
			CHECK(maildir_parse(names[j], &b));
			CHECK((maildir_order(&a, &b) < 0) == (i < j));
			CHECK((maildir_order(&a, &b) > 0) == (i > j));
		}
}

static void
a_failure_leaves_nothing(void)
{
	char name[MAILDIR_NAME];
	int had = files("new", name);

	CHECK(maildir_write(dir, "box", "", 0) == -1 && errno == EINVAL);
	CHECK(maildir_write(dir, "box", "x", 1) == -1 && errno == EINVAL);
	CHECK(maildir_write(dir, "box", "x\nx", 3) == -1 && errno == EINVAL);
	CHECK(maildir_write(dir, "none", "x\n", 2) == -1 && errno == ENOENT);
	CHECK(renameat(dir, "box/new", dir, "box/away") == 0);
	CHECK(maildir_write(dir, "box", "x\n", 2) == -1 && errno == ENOENT);
	CHECK(renameat(dir, "box/away", dir, "box/new") == 0);
	CHECK(files("new", name) == had);
	CHECK(files("tmp", name) == 0);
}

static void
good_names(void)
{
	struct maildir_name m;

	CHECK(maildir_parse("1769860800.M000042P1Q0.a-b.example_1,S=10,N=1,"
	    "C=00ab00ff", &m));
	CHECK(m.time == INT64_C(1769860800000042) && m.pid == 1 && m.seq == 0);
	CHECK(m.bytes == 10 && m.lines == 1 && m.crc == 0x00ab00ff);
	CHECK(maildir_parse("253402300799.M999999P4294967295Q4294967295."
	    "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh,"
	    "S=18446744073709551615,N=18446744073709551615,C=ffffffff", &m));
	CHECK(m.bytes == UINT64_MAX && m.crc == UINT32_MAX);
}

static void
names_we_did_not_invent(void)
{
	static const char *const bad[] = { "", ".", "..", "README",
		".1.M000000P1Q1.h,S=1,N=1,C=00000000",
		"1.M00000P1Q1.h,S=1,N=1,C=00000000",
		"1.M0000000P1Q1.h,S=1,N=1,C=00000000",
		"1.M00000aP1Q1.h,S=1,N=1,C=00000000",
		"01.M000000P1Q1.h,S=1,N=1,C=00000000",
		"-1.M000000P1Q1.h,S=1,N=1,C=00000000",
		"1.M000000P01Q1.h,S=1,N=1,C=00000000",
		"1.M000000PQ1.h,S=1,N=1,C=00000000",
		"1.M000000P1Q1,S=1,N=1,C=00000000",
		"1.M000000P1Q1.,S=1,N=1,C=00000000",
		"1.M000000P1Q1.h:2,S=1,N=1,C=00000000",
		"1.M000000P1Q1.h h,S=1,N=1,C=00000000",
		"1.M000000P1Q1.h\xc3\xa9,S=1,N=1,C=00000000",
		"1.M000000P1Q1.h,N=1,S=1,C=00000000",
		"1.M000000P1Q1.h,S=,N=1,C=00000000",
		"1.M000000P1Q1.h,S=1,N=1,C=0000000",
		"1.M000000P1Q1.h,S=1,N=1,C=000000000",
		"1.M000000P1Q1.h,S=1,N=1,C=0000000A",
		"1.M000000P1Q1.h,S=1,N=1,C=00000000:2,S",
		"1.M000000P1Q1.h,S=1,N=1",
		"1.M000000P4294967296Q1.h,S=1,N=1,C=00000000",
		"253402300800.M000000P1Q1.h,S=1,N=1,C=00000000",
		"1.M000000P1Q1.h,S=18446744073709551616,N=1,C=00000000",
		"1.M000000P1Q1."
		"hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh"
		",S=1,N=1,C=00000000" };
	struct maildir_name m;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (maildir_parse(bad[i], &m))
			printf("# %s\n", bad[i]);
		CHECK(!maildir_parse(bad[i], &m));
	}
	CHECK(maildir_parse("1.M000000P1Q1.h,S=1,N=1,C=00000000", &m));
}

int
main(void)
{
	if (mkdtemp(base) == NULL)
		return 1;
	dir = open(base, O_PATH | O_DIRECTORY);
	RUN(what_is_written_proves_itself);
	RUN(names_sort_by_time);
	RUN(a_failure_leaves_nothing);
	RUN(good_names);
	RUN(names_we_did_not_invent);
	RUN(what_a_reader_adds_is_taken_apart);
	RUN(order_is_by_time_then_by_number);
	RUN(names_begin_behind_what_waits);
	RUN(a_file_that_is_there_is_adopted);
	close(dir);
	spool_remove(AT_FDCWD, base);
	DONE();
}
