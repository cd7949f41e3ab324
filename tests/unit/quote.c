#include <string.h>

#include "check.h"
#include "quote.h"

static void
harmless_text_stays(void)
{
	char q[QUOTE_MAX];

	CHECK(strcmp(quote(q, "", 0), "") == 0);
	CHECK(strcmp(quote(q, "a b'\"", 5), "a b'\"") == 0);
	CHECK(strcmp(quote(q, "\xc3\xa9\xe2\x82\xac", 5),
	    "\xc3\xa9\xe2\x82\xac") == 0);
}

static void
the_rest_is_shown(void)
{
	char q[QUOTE_MAX];

	CHECK(strcmp(quote(q, "\x1b[2J\n\\\0\x7f", 8),
	    "\\x1B[2J\\x0A\\x5C\\x00\\x7F") == 0);
	CHECK(strcmp(quote(q, "\xff\xc3", 2), "\\xFF\\xC3") == 0);
	/* U+009B is a terminal's CSI; U+DFFF and overlong are no UTF-8 */
	CHECK(strcmp(quote(q, "\xc2\x9b", 2), "\\xC2\\x9B") == 0);
	CHECK(strcmp(quote(q, "\xed\xbf\xbf", 3), "\\xED\\xBF\\xBF") == 0);
	CHECK(strcmp(quote(q, "\xc0\x80", 2), "\\xC0\\x80") == 0);
}

static void
long_text_is_cut_between_characters(void)
{
	char q[QUOTE_MAX], in[600];
	size_t n, len;

	memset(in, 'x', sizeof(in));
	CHECK(strlen(quote(q, in, QUOTE_MAX - 1)) == QUOTE_MAX - 1);
	CHECK(q[QUOTE_MAX - 2] == 'x');
	quote(q, in, QUOTE_MAX);
	CHECK(strlen(q) == QUOTE_MAX - 1);
	CHECK(strcmp(q + QUOTE_MAX - 5, "x...") == 0);
	for (n = 0; n < 8; n++) {
		memset(in, 'x', n);
		for (len = n; len + 1 < sizeof(in); len += 2)
			memcpy(in + len, "\xc3\xa9", 2);
		quote(q, in, len);
		CHECK(strlen(q) < QUOTE_MAX);
		CHECK(strcmp(q + strlen(q) - 4, "\xa9...") == 0);
		memset(in + n, '\n', sizeof(in) - n);
		quote(q, in, sizeof(in));
		CHECK(strcmp(q + strlen(q) - 7, "\\x0A...") == 0);
	}
}

int
main(void)
{
	RUN(harmless_text_stays);
	RUN(the_rest_is_shown);
	RUN(long_text_is_cut_between_characters);
	DONE();
}
