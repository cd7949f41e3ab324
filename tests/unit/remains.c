#include <stdarg.h>
#include <string.h>

#include "check.h"
#include "remains.h"

#define A "{\"id\":\"a\",\"deadletterProperties\":{}}"
#define B "{\"id\":\"b\",\"deadletterProperties\":{}}"
#define C "{\"event\":{\"id\":\"c\"},\n \"deadletterProperties\":{} }"

/* Those with the ids go. */
static bool
goes(const struct letter *l, void *arg)
{
	const char *ids = arg;
	struct buf id = { 0 };
	bool rc;

	json_string(l->json, l->id, &id);
	rc = id.len == 1 && memchr(ids, *buf_data(&id), strlen(ids)) != NULL;
	buf_free(&id);
	return rc;
}

/* Without these, `text` is `want`; from memory of just its size. */
static bool
leaves(const char *text, const char *ids, size_t count, const char *want)
{
	size_t len = strlen(text), taken;
	char *copy = malloc(len), arg[8];
	struct buf left = { 0 };
	struct fault f;
	bool rc;

	memcpy(copy, text, len);
	snprintf(arg, sizeof(arg), "%s", ids);
	buf_str(&left, "before");
	rc = remains_of(&left, copy, len, goes, arg, &taken, &f) == 0 &&
	    taken == count && left.len == 6 + strlen(want) &&
	    memcmp(buf_data(&left) + 6, want, left.len - 6) == 0;
	if (!rc)
		printf("# %zu: '%.*s'\n", taken, (int)left.len,
		    buf_data(&left));
	buf_free(&left);
	free(copy);
	return rc;
}

static void
a_line_goes_with_its_newline(void)
{
	CHECK(leaves(A "\n" B "\n", "a", 1, B "\n"));
	CHECK(leaves(A "\n" B "\n", "b", 1, A "\n"));
	CHECK(leaves(A "\n" B, "b", 1, A "\n"));
	CHECK(leaves(A " \r\n\n" B "\n", "a", 1, "\n" B "\n"));
	CHECK(leaves(C "\n" A "\n", "c", 1, A "\n"));
	CHECK(leaves(A " " B "\n" C, "b", 1, A " " C));
}

static void
an_element_goes_with_its_comma(void)
{
	CHECK(leaves("[" A "," B "," C "]", "a", 1, "[" B "," C "]"));
	CHECK(leaves("[" A ", " B ",\n" C "]", "b", 1, "[" A ", " C "]"));
	CHECK(leaves("[" A ",\n " B "\n]\n", "b", 1, "[" A "\n]\n"));
	CHECK(leaves("[" A "," B "," C "]", "bc", 2, "[" A "]"));
	CHECK(leaves("[" A "]\n[" B "]\n", "b", 1, "[" A "]\n[]\n"));
}

static void
nothing_is_left_when_all_go(void)
{
	CHECK(leaves(A "\n" B "\n", "ab", 2, ""));
	CHECK(leaves(" [\n" A ",\n" B "\n]\n", "ab", 2, ""));
	CHECK(leaves("\xef\xbb\xbf" A, "a", 1, ""));
}

static void
what_is_no_letter_stays(void)
{
	CHECK(leaves("{\"id\":\"a\"}\n" A "\nnonsense, \"b\"\n" B "\n{", "ab",
	    2, "{\"id\":\"a\"}\nnonsense, \"b\"\n{"));
	CHECK(leaves("[1," A ",{},\"" "x\"]", "a", 1, "[1,{},\"" "x\"]"));
	CHECK(leaves("[" A ",tru", "a", 1, "[tru"));
	CHECK(leaves("", "a", 0, ""));
	CHECK(leaves(A "\n", "b", 0, A "\n"));
}

int
main(void)
{
	RUN(a_line_goes_with_its_newline);
	RUN(an_element_goes_with_its_comma);
	RUN(nothing_is_left_when_all_go);
	RUN(what_is_no_letter_stays);
	DONE();
}
