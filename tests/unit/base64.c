#include <string.h>

#include "base64.h"
#include "check.h"

static void
the_examples_of_rfc_4648(void)
{
	static const char *const pairs[][2] = { { "", "" }, { "f", "Zg==" },
		{ "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
	char text[16], bytes[16];
	size_t i, plain, coded;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		plain = strlen(pairs[i][0]);
		coded = strlen(pairs[i][1]);
		CHECK(BASE64_LEN(plain) == coded);
		base64_encode(text, pairs[i][0], plain);
		CHECK(memcmp(text, pairs[i][1], coded) == 0);
		CHECK(base64_decode(NULL, text, coded) == (long)plain);
		CHECK(base64_decode(bytes, text, coded) == (long)plain);
		CHECK(memcmp(bytes, pairs[i][0], plain) == 0);
	}
}

static void
all_bytes_there_and_back(void)
{
	unsigned char in[256], out[256];
	char text[BASE64_LEN(sizeof(in))];
	size_t i, n;

	for (i = 0; i < sizeof(in); i++)
		in[i] = (unsigned char)(i * 167 + 13);
	for (n = 0; n <= sizeof(in); n++) {
		base64_encode(text, in, n);
		CHECK(base64_decode(out, text, BASE64_LEN(n)) == (long)n);
		CHECK(memcmp(in, out, n) == 0);
	}
}

static void
what_is_not_strict_is_refused(void)
{
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zg===", "====",
		"=g==", "Z===", "Zm=v", "Zg==Zg==", "Zm9v\nZm9", "Zm9v Zm9",
		"Zh==", "Zm9=", "Zm-_", "Zm\xc3\xa9", "Zm9vZg=v" };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(base64_decode(NULL, bad[i], strlen(bad[i])) == -1);
	CHECK(base64_decode(NULL, "Zm\0v", 4) == -1);
}

int
main(void)
{
	RUN(the_examples_of_rfc_4648);
	RUN(all_bytes_there_and_back);
	RUN(what_is_not_strict_is_refused);
	DONE();
}
