#include <math.h>
#include <string.h>

#include "check.h"
#include "json.h"

#define S(s) s, sizeof(s) - 1

/* What is no JSON, with the byte and the words of the answer. */
static const struct {
	const char *rule, *text;
	size_t n;
	const char *fault;
} refused[] = {
	{ "8259-2 nothing", S(""), "byte 1: a value was expected" },
	{ "8259-2 only space", S(" \n"), "byte 3: a value was expected" },
	{ "8259-2 two values", S("1 2"), "byte 3: something behind" },
	{ "8259-2 form feed is no space", S("\f1"), "byte 1: a value" },
	{ "8259-8.1 byte order mark", S("\xef\xbb\xbf""1"), "byte 1: a value" },
	{ "8259-3 upper case", S("True"), "byte 1: a value" },
	{ "8259-3 cut short", S("tru"), "byte 1: a value" },
	{ "8259-3 half a word", S("[nul]"), "byte 2: a value" },
	{ "8259-3 nan", S("nan"), "byte 1: a value" },
	{ "8259-4 no end", S("{"), "byte 2: a name in quotes" },
	{ "8259-4 wrong end", S("{]"), "byte 2: a name in quotes" },
	{ "8259-4 bare name", S("{a:1}"), "byte 2: a name in quotes" },
	{ "8259-4 number as name", S("{1:1}"), "byte 2: a name in quotes" },
	{ "8259-4 no colon", S("{\"a\" 1}"), "byte 6: \":\" was" },
	{ "8259-4 no value", S("{\"a\":}"), "byte 6: a value" },
	{ "8259-4 no comma", S("{\"a\":1 \"b\":2}"), "byte 8: \",\" or \"}\"" },
	{ "8259-4 last comma", S("{\"a\":1,}"), "byte 8: a name in quotes" },
	{ "8259-4 closed by bracket", S("{\"a\":1]"),
	    "byte 7: \",\" or \"}\"" },
	{ "8259-5 no end", S("[1"), "byte 3: \",\" or \"]\"" },
	{ "8259-5 last comma", S("[1,]"), "byte 4: a value" },
	{ "8259-5 first comma", S("[,1]"), "byte 2: a value" },
	{ "8259-5 closed by brace", S("[1}"), "byte 3: \",\" or \"]\"" },
	{ "8259-5 closed twice", S("[]]"), "byte 3: something behind" },
	{ "8259-5 comma outside", S("[],"), "byte 3: something behind" },
	{ "8259-6 plus", S("+1"), "byte 1: a value" },
	{ "8259-6 minus alone", S("-"), "byte 2: a digit" },
	{ "8259-6 leading zero", S("01"), "byte 2: something behind" },
	{ "8259-6 minus leading zero", S("[-01]"), "byte 4: \",\" or" },
	{ "8259-6 point first", S(".5"), "byte 1: a value" },
	{ "8259-6 point last", S("1."), "byte 3: a digit" },
	{ "8259-6 empty exponent", S("1e"), "byte 3: a digit" },
	{ "8259-6 signed empty exponent", S("1e+"), "byte 4: a digit" },
	{ "8259-6 hexadecimal", S("0x10"), "byte 2: something behind" },
	{ "8259-7 no end", S("\"abc"), "byte 1: a string without" },
	{ "8259-7 ends in a backslash", S("\"\\"), "byte 2: no such escape" },
	{ "8259-7 single quotes", S("'a'"), "byte 1: a value" },
	{ "8259-7 newline", S("\"a\nb\""), "byte 3: control character" },
	{ "8259-7 NUL", S("\"a\0b\""), "byte 3: control character" },
	{ "8259-7 NUL behind", S("1\0"), "byte 2: something behind" },
	{ "8259-7 control far in", S("\"0123456789012345678\x1f\""),
	    "byte 21: control character" },
	{ "8259-7 unknown escape", S("\"\\x41\""), "byte 2: no such escape" },
	{ "8259-7 three digits", S("\"\\u041\""), "byte 2: \\u needs four" },
	{ "8259-7 cut in digits", S("\"\\u04"), "byte 2: \\u needs four" },
	{ "8259-7 letter as digit", S("\"\\u004g\""),
	    "byte 2: \\u needs four" },
	{ "8259-7 sign as digit", S("\"\\u+041\""), "byte 2: \\u needs four" },
	{ "8259-8.2 high alone", S("\"\\ud800\""), "byte 2: unpaired" },
	{ "8259-8.2 high and letter", S("\"\\ud800abcdefg\""),
	    "byte 2: unpaired" },
	{ "8259-8.2 high and high", S("\"\\ud800\\ud800\""),
	    "byte 2: unpaired" },
	{ "8259-8.2 low first", S("\"a\\udc00\\ud800\""), "byte 3: unpaired" },
	{ "3629-3 continuation alone", S("\"\x80\""), "byte 2: invalid UTF-8" },
	{ "3629-3 overlong of two", S("\"\xc0\x80\""),
	    "byte 2: invalid UTF-8" },
	{ "3629-3 overlong of three", S("\"\xe0\x9f\xbf\""),
	    "byte 2: invalid" },
	{ "3629-3 overlong of four", S("\"\xf0\x8f\xbf\xbf\""),
	    "byte 2: inva" },
	{ "3629-3 surrogate", S("\"\xed\xa0\x80\""), "byte 2: invalid UTF-8" },
	{ "3629-3 over U+10FFFF", S("\"\xf4\x90\x80\x80\""),
	    "byte 2: invalid" },
	{ "3629-3 five bytes", S("\"\xf8\x88\x80\x80\x80\""),
	    "byte 2: invalid" },
	{ "3629-3 cut by the quote", S("\"\xe2\x82\""),
	    "byte 2: invalid UTF-8" },
	{ "3629-3 cut by the end", S("\"\xf0\x9f\x98"),
	    "byte 2: invalid UTF-8" },
	{ "3629-3 in a name", S("{\"\xff\":1}"), "byte 3: invalid UTF-8" },
	{ "3629-3 far in", S("\"01234567890123456789\xc3\""), "byte 22: inva" },
	{ "json.h NUL in a name", S("{\"a\\u0000\":1}"),
	    "byte 2: a name with" },
};

static void
refused_texts(void)
{
	struct json js = { 0 };
	struct fault f;

	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		/* exactly sized, so that a sanitizer sees a byte too far */
		char *copy = malloc(refused[i].n);

		memcpy(copy, refused[i].text, refused[i].n);
		f = (struct fault){ 0 };
		if (json_scan(&js, copy, refused[i].n, &f) != -1 ||
		    f.code != FAULT_BAD_REQUEST ||
		    strstr(f.text, refused[i].fault) == NULL) {
			printf("# %s: '%s'\n", refused[i].rule, f.text);
			check_bad = 1;
		}
		free(copy);
	}
	json_free(&js);
}

/* What is JSON; the tokens as letters, and their number behind each. */
static const struct {
	const char *rule, *text, *tokens;
} accepted[] = {
	{ "8259-3 null", "null", "z1" },
	{ "8259-3 words", "[true,false,null]", "a4 t2 f3 z4" },
	{ "8259-2 space", " \t\r\n[ 1 , 2 ]\n", "a3 n2 n3" },
	{ "8259-4 empty", "{}", "o1" },
	{ "8259-4 empty with space", "{ }", "o1" },
	{ "8259-4 members", "{\"a\":1,\"b\":\"c\"}", "o5 s2 n3 s4 s5" },
	{ "8259-4 nested", "{\"a\":{\"b\":[]},\"c\":{}}",
	    "o7 s2 o5 s4 a5 s6 o7" },
	{ "8259-4 empty name", "{\"\":0}", "o3 s2 n3" },
	{ "8259-5 empty", "[[],[]]", "a3 a2 a3" },
	{ "8259-5 deep", "[[[[1]]],2]", "a6 a5 a5 a5 n5 n6" },
	{ "8259-6 numbers", "[0,-0,1.5,-1e5,1E-2,10e+3,0.0]",
	    "a8 n2 n3 n4 n5 n6 n7 n8" },
	{ "8259-7 DEL is a character", "\"\x7f\"", "s1" },
	{ "8259-7 NUL in a value", "\"\\u0000\"", "e1" },
	{ "8259-7 escapes", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"", "e1" },
	{ "8259-8.2 pair", "\"\\ud83d\\uDE00\"", "e1" },
	{ "3629 all lengths", "\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf"
	    "\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"", "s1" },
};

static void
accepted_texts(void)
{
	struct json js = { 0 };
	struct fault f;

	for (size_t i = 0; i < sizeof(accepted) / sizeof(*accepted); i++) {
		char seen[256] = "";

		f = (struct fault){ 0 };
		json_scan(&js, accepted[i].text, strlen(accepted[i].text), &f);
		for (uint32_t t = 0; t < js.ntok; t++)
			snprintf(seen + strlen(seen), 8, "%s%c%u",
			    t > 0 ? " " : "", js.tok[t].escaped ? 'e' :
			    "zftnsao"[js.tok[t].type], js.tok[t].next);
		if (strcmp(seen, accepted[i].tokens) != 0) {
			printf("# %s: %s %s\n", accepted[i].rule, seen, f.text);
			check_bad = 1;
		}
	}
	json_free(&js);
}

static void
positions(void)
{
	struct json js = { 0 };
	const char *text = " { \"a\" : [ 10, \"b\" ] } ";

	CHECK(json_scan(&js, text, strlen(text), NULL) == 0);
	CHECK(js.ntok == 5);
	CHECK(js.tok[0].start == 1 && js.tok[0].end == strlen(text) - 1);
	CHECK(js.tok[1].start == 3 && js.tok[1].end == 6);
	CHECK(js.tok[2].start == 9 && js.tok[2].end == 20);
	CHECK(js.tok[3].start == 11 && js.tok[3].end == 13);
	CHECK(js.tok[4].start == 15 && js.tok[4].end == 18);
	json_free(&js);
}

static void
depth_is_bounded(void)
{
	struct json js = { 0 };
	struct fault f = { 0 };
	char text[20000];

	memset(text, '[', JSON_DEPTH);
	memset(text + JSON_DEPTH, ']', JSON_DEPTH);
	CHECK(json_scan(&js, text, 2 * JSON_DEPTH, &f) == 0);
	memset(text, '[', 10000);
	memset(text + 10000, ']', 10000);
	CHECK(json_scan(&js, text, sizeof(text), &f) == -1);
	CHECK(strcmp(f.text, "invalid JSON at byte 129: nested too deep") == 0);
	CHECK(js.ntok == 0);
	json_free(&js);
}

static void
the_first_of_many_values(void)
{
	static const char text[] = " {\"a\":1} [2]\n3x";
	struct json js = { 0 };
	size_t used;

	CHECK(json_scan_first(&js, text, sizeof(text) - 1, &used, NULL) == 0);
	CHECK(used == 8 && js.tok[0].start == 1 && js.ntok == 3);
	CHECK(json_scan_first(&js, text + 8, 4, &used, NULL) == 0);
	CHECK(used == 4 && js.ntok == 2);
	CHECK(json_scan_first(&js, text + 12, 3, &used, NULL) == 0);
	CHECK(used == 2 && js.tok[0].type == JSON_NUMBER);
	CHECK(json_scan_first(&js, text, 7, &used, NULL) == -1);
	CHECK(used == 7 && js.ntok == 0);
	json_free(&js);
}

static void
huge_text_is_given_back(void)
{
	struct json js = { 0 };
	const size_t n = 1024 * 1024 + 1;
	char *text = malloc(n);

	memset(text, '1', n);
	for (size_t i = 2; i < n; i += 2)
		text[i] = ',';
	text[0] = '[';
	text[n - 1] = ']';
	CHECK(json_scan(&js, text, n, NULL) == 0);
	CHECK(js.ntok == n / 2 + 1);
	json_trim(&js);
	CHECK(js.cap == 0);
	CHECK(json_scan(&js, "[1]", 3, NULL) == 0);
	json_trim(&js);
	CHECK(js.cap > 0);
	json_free(&js);
	free(text);
}

static void
members(void)
{
	struct json js = { 0 };
	const char *text = "{\"a\":1,\"b\":{\"c\":2},\"c\":3,\"\\u0061\":4,"
	    "\"\\u00e4\\ud83d\\ude00\\n\":5}";
	int64_t v = 0;
	uint32_t b;

	CHECK(json_scan(&js, text, strlen(text), NULL) == 0);
	CHECK(json_int64(&js, json_member(&js, 0, S("a")), &v) && v == 4);
	CHECK(json_int64(&js, json_member(&js, 0, S("c")), &v) && v == 3);
	b = json_member(&js, 0, S("b"));
	CHECK(json_int64(&js, json_member(&js, b, S("c")), &v) && v == 2);
	CHECK(json_member(&js, 0, S("\xc3\xa4\xf0\x9f\x98\x80\n")) != 0);
	CHECK(json_member(&js, 0, S("\xc3\xa4")) == 0);
	CHECK(json_member(&js, 0, S("A")) == 0);
	CHECK(json_member(&js, 0, S("")) == 0);
	CHECK(json_member(&js, b + 2, S("c")) == 0);
	json_free(&js);
}

static void
strings(void)
{
	static const struct {
		const char *text, *bytes;
		size_t n;
	} row[] = {
		{ "\"\"", S("") },
		{ "\"abc\"", S("abc") },
		{ "\"a\\u0000b\"", S("a\0b") },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", S("\"\\/\b\f\n\r\t") },
		{ "\"\\u00E4\\u20ac\\ud83d\\ude00\"",
		    S("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80") },
		{ "\"\xc3\xa4\\t\xe2\x82\xac\xf0\x9f\x98\x80\"",
		    S("\xc3\xa4\t\xe2\x82\xac\xf0\x9f\x98\x80") },
	};
	struct json js = { 0 };
	struct buf b = { 0 };

	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		buf_reset(&b, 4096);
		CHECK(json_scan(&js, row[i].text, strlen(row[i].text), NULL) ==
		    0);
		json_string(&js, 0, &b);
		CHECK(!b.bad && b.len == row[i].n);
		CHECK(b.len == 0 || memcmp(buf_data(&b), row[i].bytes, b.len) ==
		    0);
		CHECK(json_is(&js, 0, row[i].bytes, row[i].n));
		CHECK(!json_is(&js, 0, S("abd")));
		CHECK(row[i].n == 0 ||
		    !json_is(&js, 0, row[i].bytes, row[i].n - 1));
	}
	CHECK(json_scan(&js, S("[12,true]"), NULL) == 0);
	CHECK(!json_is(&js, 1, S("12")));
	buf_free(&b);
	json_free(&js);
}

static void
characters(void)
{
	static const int32_t want[] = { 'a', 0xe4, 0x20ac, 0x1f600, 0x1f600,
		0, -1, -1 };
	const char *text = "[\"a\\u00e4\xe2\x82\xac\xf0\x9f\x98\x80"
	    "\\ud83d\\ude00\\u0000\", 12]";
	struct json js = { 0 };
	struct json_chars chars;

	CHECK(json_scan(&js, text, strlen(text), NULL) == 0);
	json_chars(&js, 1, &chars);
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++)
		CHECK(json_next(&chars) == want[i]);
	json_chars(&js, 2, &chars);
	CHECK(json_next(&chars) == '1' && json_next(&chars) == '2' &&
	    json_next(&chars) == -1);
	json_free(&js);
}

static void
numbers(void)
{
	static const struct {
		const char *text;
		double d;
		bool whole;
		int64_t i;
	} row[] = {
		{ "0", 0, true, 0 },
		{ "-0", -0.0, true, 0 },
		{ "42", 42, true, 42 },
		{ "-42", -42, true, -42 },
		{ "1.0", 1, false, 0 },
		{ "1e2", 100, false, 0 },
		{ "0.1", 0.1, false, 0 },
		{ "-3.14159", -3.14159, false, 0 },
		{ "0.0000000001", 0.0000000001, false, 0 },
		{ "123456789012345", 123456789012345, true, 123456789012345 },
		{ "0.12345678901234567890", 0.12345678901234567890, false, 0 },
		{ "9223372036854775807", 9223372036854775807.0, true,
		    INT64_MAX },
		{ "-9223372036854775808", -9223372036854775808.0, true,
		    INT64_MIN },
		{ "9223372036854775808", 9223372036854775808.0, false, 0 },
		{ "-9223372036854775809", -9223372036854775808.0, false, 0 },
		{ "1e400", INFINITY, false, 0 },
		{ "2.5E-3", 0.0025, false, 0 },
	};
	struct json js = { 0 };
	char text[2000];
	int64_t v;

	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		CHECK(json_scan(&js, row[i].text, strlen(row[i].text), NULL) ==
		    0);
		CHECK(json_double(&js, 0) == row[i].d);
		CHECK(json_int64(&js, 0, &v) == row[i].whole);
		CHECK(!row[i].whole || v == row[i].i);
	}
	memset(text, '9', sizeof(text));
	CHECK(json_scan(&js, text, sizeof(text), NULL) == 0);
	CHECK(json_double(&js, 0) == INFINITY);
	json_free(&js);
}

int
main(void)
{
	RUN(refused_texts);
	RUN(accepted_texts);
	RUN(positions);
	RUN(depth_is_bounded);
	RUN(the_first_of_many_values);
	RUN(huge_text_is_given_back);
	RUN(members);
	RUN(strings);
	RUN(characters);
	RUN(numbers);
	DONE();
}
