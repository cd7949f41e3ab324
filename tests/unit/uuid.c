#include <ctype.h>
#include <string.h>

#include "check.h"
#include "uuid.h"

static void
has_form(const char *uuid, char version)
{
	size_t i;

	CHECK(strlen(uuid) == UUID_SIZE - 1);
	for (i = 0; i < UUID_SIZE - 1; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23)
			CHECK(uuid[i] == '-');
		else
			CHECK(isxdigit((unsigned char)uuid[i]) &&
			    !isupper((unsigned char)uuid[i]));
	}
	CHECK(uuid[14] == version && strchr("89ab", uuid[19]) != NULL);
}

static void
a_new_one_is_no_other(void)
{
	char a[UUID_SIZE], b[UUID_SIZE];

	uuid_new(a);
	uuid_new(b);
	has_form(a, '4');
	has_form(b, '4');
	CHECK(strcmp(a, b) != 0);
}

static void
many_are_all_different(void)
{
	char a[UUID_SIZE], b[UUID_SIZE];

	uuid_next(a);
	for (int i = 0; i < 1000; i++) {
		uuid_next(b);
		has_form(b, '4');
		CHECK(strcmp(a, b) < 0);
		memcpy(a, b, sizeof(a));
	}
}

static void
the_same_words_have_the_same(void)
{
	char a[UUID_SIZE], b[UUID_SIZE];

	uuid_of(a, "tenant");
	uuid_of(b, "tenant");
	has_form(a, '3');
	CHECK(strcmp(a, b) == 0);
	uuid_of(b, "subscription");
	CHECK(strcmp(a, b) != 0);
}

int
main(void)
{
	RUN(a_new_one_is_no_other);
	RUN(many_are_all_different);
	RUN(the_same_words_have_the_same);
	DONE();
}
