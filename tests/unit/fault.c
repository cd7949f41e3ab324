#include <errno.h>
#include <string.h>

#include "check.h"
#include "fault.h"

static void
names_go_there_and_back(void)
{
	enum fault_code code;
	const char *name;

	for (code = FAULT_BAD_REQUEST; code <= FAULT_INTERNAL; code++) {
		name = fault_name(code);
		CHECK(fault_code(name, strlen(name)) == code);
		CHECK(fault_exit(code) >= 64 && fault_exit(code) <= 78);
	}
	CHECK(fault_code("Bad", 3) == FAULT_INTERNAL);
	CHECK(fault_code("None", 4) == FAULT_INTERNAL);
	CHECK(strcmp(fault_name((enum fault_code)99),
	    "InternalServerError") == 0);
	CHECK(fault_exit(FAULT_NONE) == 0);
}

static void
errno_is_said_and_kept(void)
{
	struct fault f;

	errno = ENOSPC;
	CHECK(fault_errno(&f, FAULT_TOO_MANY, "log '%s'", "t") == -1);
	CHECK(errno == ENOSPC);
	CHECK(f.code == FAULT_TOO_MANY);
	CHECK(strcmp(f.text, "log 't': No space left on device") == 0);
}

static void
long_words_are_cut(void)
{
	struct fault f;
	char words[1000];

	memset(words, 'x', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	CHECK(fault_set(&f, FAULT_CONFLICT, "%s", words) == -1);
	CHECK(strlen(f.text) == sizeof(f.text) - 1);
	CHECK(fault_errno(&f, FAULT_CONFLICT, "%s", words) == -1);
	CHECK(strlen(f.text) == sizeof(f.text) - 1);
	CHECK(fault_set(NULL, FAULT_CONFLICT, "nobody asks") == -1);
	CHECK(fault_errno(NULL, FAULT_CONFLICT, "nobody asks") == -1);
}

int
main(void)
{
	RUN(names_go_there_and_back);
	RUN(errno_is_said_and_kept);
	RUN(long_words_are_cut);
	DONE();
}
