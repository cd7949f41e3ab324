#include <stdint.h>
#include <string.h>

#include "buf.h"
#include "check.h"

/* The sanitizer would rather abort than let malloc say no. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static bool
holds(const struct buf *b, const char *text)
{
	return !b->bad && b->len == strlen(text) &&
	    memcmp(buf_data(b), text, b->len) == 0;
}

static void
bytes_go_in_and_out_in_order(void)
{
	struct buf b = { 0 };
	unsigned int in = 0, out = 0, i;
	unsigned char c;

	/* more goes in than out, so it moves and grows many times */
	while (in < 100000) {
		for (i = 0; i < 7; i++) {
			c = (unsigned char)(in++ % 251);
			buf_add(&b, &c, 1);
		}
		for (i = 0; i < 6; i++) {
			CHECK((unsigned char)*buf_data(&b) == out % 251);
			buf_take(&b, 1);
			out++;
		}
	}
	CHECK(b.len == in - out);
	while (out < in) {
		CHECK((unsigned char)*buf_data(&b) == out % 251);
		buf_take(&b, 1);
		out++;
	}
	CHECK(b.len == 0 && b.start == 0 && !b.bad);
	buf_free(&b);
}

static void
a_steady_stream_needs_no_more_memory(void)
{
	struct buf b = { 0 };
	size_t cap;
	int i;

	buf_printf(&b, "%300s", "");
	for (i = 0; i < 1000; i++) {
		buf_printf(&b, "%50s", "");
		buf_take(&b, 50);
	}
	cap = b.cap;
	for (i = 0; i < 10000; i++) {
		buf_printf(&b, "%50s", "");
		buf_take(&b, 50);
	}
	/* twice what is in it, so that it rarely moves */
	CHECK(b.cap == cap && cap > 2 * 300 && cap <= 2048);
	buf_free(&b);
}

static void
words_and_numbers(void)
{
	struct buf b = { 0 };
	char big[600];

	buf_str(&b, "a=");
	buf_u64(&b, 0);
	buf_str(&b, ",");
	buf_u64(&b, UINT64_MAX);
	buf_printf(&b, ",%d", -5);
	CHECK(holds(&b, "a=0,18446744073709551615,-5"));
	buf_reset(&b, SIZE_MAX);
	CHECK(b.len == 0 && b.cap > 0);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	buf_printf(&b, "%s", big);
	CHECK(holds(&b, big));
	buf_reset(&b, 100);
	CHECK(b.mem == NULL && b.cap == 0);
	buf_free(&b);
}

static void
strings_become_json(void)
{
	static const char raw[] = "a\"b\\c\n\x01\0\x7f\xc3\xa9\xff\xed\xa0\x80"
	    "\xf0\x9f\x98\x80\xc3";
	struct buf b = { 0 };

	buf_json(&b, raw, sizeof(raw) - 1);
	CHECK(holds(&b, "\"a\\\"b\\\\c\\n\\u0001\\u0000\x7f\xc3\xa9"
	    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
	    "\xf0\x9f\x98\x80\xef\xbf\xbd\""));
	buf_reset(&b, SIZE_MAX);
	buf_json(&b, NULL, 0);
	CHECK(holds(&b, "\"\""));
	buf_free(&b);
}

static void
a_failed_allocation_sticks(void)
{
	struct buf b = { 0 };

	CHECK(buf_room(&b, SIZE_MAX / 2) == NULL);
	CHECK(b.bad);
	buf_str(&b, "not added");
	buf_printf(&b, "nor %s", "this");
	CHECK(b.len == 0 && buf_room(&b, 1) == NULL);
	buf_reset(&b, SIZE_MAX);
	buf_str(&b, "good again");
	CHECK(holds(&b, "good again"));
	CHECK(buf_room(&b, SIZE_MAX) == NULL && b.bad);
	CHECK(b.len == 10 && memcmp(buf_data(&b), "good again", 10) == 0);
	buf_free(&b);
	CHECK(!b.bad);
}

int
main(void)
{
	RUN(bytes_go_in_and_out_in_order);
	RUN(a_steady_stream_needs_no_more_memory);
	RUN(words_and_numbers);
	RUN(strings_become_json);
	RUN(a_failed_allocation_sticks);
	DONE();
}
