#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "line.h"

static struct line_reader r;
static int writer;

static void
begin(size_t max)
{
	int p[2];

	if (pipe(p) == -1)
		abort();
	r = (struct line_reader){ .fd = p[0], .max = max };
	writer = p[1];
}

static void
say(const char *text)
{
	if (write(writer, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
}

static void
end(void)
{
	close(r.fd);
	line_free(&r);
}

/* The next line is this one; NULL: there is none. */
static int
next_is(const char *expected)
{
	const char *line;
	size_t len;
	int n = line_next(&r, &line, &len);

	if (expected == NULL)
		return n == 0;
	return n == 1 && len == strlen(expected) &&
	    memcmp(line, expected, len) == 0;
}

static void
lines_come_one_by_one(void)
{
	begin(10);
	say("one\n\nthree");
	close(writer);
	CHECK(next_is("one") && r.number == 1);
	CHECK(next_is("") && r.number == 2);
	CHECK(next_is("three") && r.number == 3);
	CHECK(next_is(NULL) && next_is(NULL) && r.number == 3);
	end();
}

static void
a_line_may_be_as_long_as_the_limit(void)
{
	const char *line;
	size_t len;

	begin(4);
	say("four\nfours\nx\n");
	close(writer);
	CHECK(next_is("four"));
	CHECK(line_next(&r, &line, &len) == -1 && errno == EMSGSIZE);
	CHECK(r.number == 2);
	end();
	begin(4);
	say("four");
	close(writer);
	CHECK(next_is("four") && next_is(NULL));
	end();
	begin(4);
	say("fours");
	close(writer);
	CHECK(line_next(&r, &line, &len) == -1 && errno == EMSGSIZE);
	end();
}

static void
a_line_that_is_too_long_can_be_skipped(void)
{
	const char *line;
	size_t len;

	begin(4);
	say("fours and more\nfive5\nx\nsevens");
	close(writer);
	CHECK(line_next(&r, &line, &len) == -1 && errno == EMSGSIZE);
	CHECK(line_skip(&r) == 1);
	CHECK(line_next(&r, &line, &len) == -1 && line_skip(&r) == 1);
	CHECK(next_is("x") && r.number == 3);
	CHECK(line_next(&r, &line, &len) == -1 && r.number == 4);
	CHECK(line_skip(&r) == 0 && next_is(NULL));
	end();
}

static void
a_pause_is_seen(void)
{
	begin(10);
	CHECK(line_pauses(&r) && line_waits(&r));
	say("one\ntw");
	CHECK(!line_pauses(&r) && !line_waits(&r));
	CHECK(next_is("one") && line_pauses(&r));
	say("o\nthree\n");
	CHECK(!line_pauses(&r));
	CHECK(next_is("two") && !line_pauses(&r) && line_waits(&r));
	CHECK(next_is("three") && line_pauses(&r));
	close(writer);
	CHECK(!line_pauses(&r) && next_is(NULL) && !line_pauses(&r));
	end();
}

static void
a_read_that_fails_says_why(void)
{
	const char *line;
	size_t len;

	r = (struct line_reader){ .fd = -1, .max = 10 };
	CHECK(line_next(&r, &line, &len) == -1 && errno == EBADF);
	line_free(&r);
}

int
main(void)
{
	RUN(lines_come_one_by_one);
	RUN(a_line_may_be_as_long_as_the_limit);
	RUN(a_line_that_is_too_long_can_be_skipped);
	RUN(a_pause_is_seen);
	RUN(a_read_that_fails_says_why);
	DONE();
}
