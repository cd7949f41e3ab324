#include <string.h>

#include "check.h"
#include "hex.h"

static void
test_digit(void)
{
	static const char lower[] = "0123456789abcdef";
	static const char upper[] = "0123456789ABCDEF";
	int digits = 0;

	for (int c = -1; c < 256; c++)
		digits += hex_digit(c) != -1;
	CHECK(digits == 22);
	for (int i = 0; i < 16; i++)
		CHECK(hex_digit(lower[i]) == i && hex_digit(upper[i]) == i);
}

static void
test_byte(void)
{
	CHECK(hex_byte("00") == 0);
	CHECK(hex_byte("aF") == 0xaf);
	CHECK(hex_byte("7f7") == 0x7f);
	CHECK(hex_byte("") == -1);
	CHECK(hex_byte("1") == -1);
	CHECK(hex_byte("g1") == -1);
	CHECK(hex_byte("1 ") == -1);
}

static void
test_text(void)
{
	const uint8_t bytes[] = { 0x00, 0x1f, 0xff };
	char text[8] = "xxxxxxx";

	hex_text(text, bytes, sizeof(bytes));
	CHECK(strcmp(text, "001fff") == 0);
	hex_text(text, bytes, 0);
	CHECK(*text == '\0');
}

int
main(void)
{
	RUN(test_digit);
	RUN(test_byte);
	RUN(test_text);
	DONE();
}
