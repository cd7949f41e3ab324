#include <string.h>

#include "check.h"
#include "../../lib/crc32c.c" /* to reach both ways on any machine */

static void
the_examples_of_rfc_3720(void)
{
	unsigned char b[32];
	int i;

	CHECK(crc32c(0, "123456789", 9) == 0xe3069283);
	CHECK(crc32c(0, "", 0) == 0);
	memset(b, 0, sizeof(b));
	CHECK(crc32c(0, b, sizeof(b)) == 0x8a9136aa);
	memset(b, 0xff, sizeof(b));
	CHECK(crc32c(0, b, sizeof(b)) == 0x62a8ab43);
	for (i = 0; i < 32; i++)
		b[i] = (unsigned char)i;
	CHECK(crc32c(0, b, sizeof(b)) == 0x46dd794e);
	CHECK(~by_table(~0u, b, sizeof(b)) == 0x46dd794e);
}

static void
both_ways_agree(void)
{
	unsigned char b[100];
	size_t from, n;

	for (n = 0; n < sizeof(b); n++)
		b[n] = (unsigned char)(n * 73 + 5);
	for (from = 0; from < 9; from++) {
		for (n = 0; n <= sizeof(b) - from; n++)
			CHECK(crc32c(0, b + from, n) ==
			    ~by_table(~0u, b + from, n));
	}
}

static void
a_sum_can_go_on(void)
{
	static const char text[] = "a sum of all of it, or of its parts";
	size_t n, len = sizeof(text) - 1;

	for (n = 0; n <= len; n++)
		CHECK(crc32c(crc32c(0, text, n), text + n, len - n) ==
		    crc32c(0, text, len));
}

int
main(void)
{
	RUN(the_examples_of_rfc_3720);
	RUN(both_ways_agree);
	RUN(a_sum_can_go_on);
	DONE();
}
