/* texts that have our secret in them */
#include <string.h>

#include "check.h"
#include "quote.h"
#include "secret.h"

static bool
told(const char *text, const char *secret)
{
	return secret_told(text, strlen(text), secret, strlen(secret));
}

static void
pieces(void)
{
	CHECK(told("key 0123456789abcdef", "0123456789abcdef"));
	CHECK(told("'456789abcdef'", "0123456789abcdef"));
	CHECK(told("0123456789ab...", "0123456789abcdef"));
	CHECK(!told("0123456789a", "0123456789abcdef"));
	CHECK(!told("0123456789ad 123456789abd", "0123456789abcdef"));
	CHECK(!told("", "0123456789abcdef"));
}

static void
short_ones_are_whole(void)
{
	CHECK(told("x abc", "abc"));
	CHECK(told("abc", "abc"));
	CHECK(!told("ab c", "abc"));
	CHECK(!told("ab", "abc"));
	CHECK(!told("anything", ""));
}

static void
as_much_as_is_quoted(void)
{
	char text[2 * QUOTE_MAX];

	memset(text, 'x', sizeof(text));
	memcpy(text + QUOTE_MAX - 3, "abc", 3);
	CHECK(secret_told(text, sizeof(text), "abc", 3));
	memcpy(text + QUOTE_MAX - 3, "xabc", 4);
	CHECK(!secret_told(text, sizeof(text), "abc", 3));
}

int
main(void)
{
	RUN(pieces);
	RUN(short_ones_are_whole);
	RUN(as_much_as_is_quoted);
	DONE();
}
