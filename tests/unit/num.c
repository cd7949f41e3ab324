#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "num.h"

static void
whole_numbers(void)
{
	int64_t v = 0;

	CHECK(num_parse("-n", "0", 0, 9, &v, NULL) == 0 && v == 0);
	CHECK(num_parse("-n", "007", 0, 9, &v, NULL) == 0 && v == 7);
	CHECK(num_parse("-n", "-3", -5, 9, &v, NULL) == 0 && v == -3);
	CHECK(num_parse("-n", "9223372036854775807", INT64_MIN, INT64_MAX, &v,
	    NULL) == 0 && v == INT64_MAX);
	CHECK(num_parse("-n", "-9223372036854775808", INT64_MIN, INT64_MAX, &v,
	    NULL) == 0 && v == INT64_MIN);
}

static void
anything_else_is_refused(void)
{
	static const char *const bad[] = { "", "-", "+1", " 1", "1 ", "1.0",
		"0x1", "1e3", "--1", "9223372036854775808",
		"-9223372036854775809", "99999999999999999999999" };
	int64_t v = 42;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(num_parse("-n", bad[i], INT64_MIN, INT64_MAX, &v,
		    NULL) == -1);
	CHECK(v == 42);
}

static void
the_fault_names_value_and_range(void)
{
	struct fault f;
	int64_t v;

	CHECK(num_parse("maxEvents", "10\n01", 1, 1000, &v, &f) == -1);
	CHECK(f.code == FAULT_BAD_REQUEST);
	CHECK(strcmp(f.text, "maxEvents: '10\\x0A01' is not a whole number "
	    "from 1 to 1000") == 0);
}

static void
a_bad_option_ends_with_64(void)
{
	int status;
	pid_t pid;

	CHECK(num_option("-n", "12", 1, 20) == 12);
	fflush(stdout);
	if ((pid = fork()) == 0) {
		close(STDERR_FILENO);
		num_option("-n", "21", 1, 20);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 64);
}

int
main(void)
{
	RUN(whole_numbers);
	RUN(anything_else_is_refused);
	RUN(the_fault_names_value_and_range);
	RUN(a_bad_option_ends_with_64);
	DONE();
}
