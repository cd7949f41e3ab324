#include "remains.h"

#include <string.h>

#include "utf8.h"

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static size_t
skip_space(const char *text, size_t len, size_t at)
{
	while (at < len && is_space(text[at]))
		at++;
	return at;
}

/* The last element of an array goes: so does the comma before it. */
static void
drop_comma(struct buf *left, size_t begin)
{
	size_t n = left->len;

	while (n > begin && is_space(buf_data(left)[n - 1]))
		n--;
	if (n > begin && buf_data(left)[n - 1] == ',')
		left->len = n - 1;
}

/* Where the text goes on behind a letter that is taken out and ends at `at`. */
static size_t
behind(struct buf *left, size_t begin, const char *text, size_t len, size_t at)
{
	size_t next = skip_space(text, len, at);
	const char *nl;

	if (next < len && text[next] == ',')
		return skip_space(text, len, next + 1);
	if (next < len && text[next] == ']') {
		drop_comma(left, begin);
		return at;
	}
	/* another one may stand on the same line */
	nl = memchr(text + at, '\n', next - at);
	return nl == NULL ? next : (size_t)(nl - text) + 1;
}

static bool
is_nothing(const char *text, size_t len)
{
	for (size_t i = utf8_bom(text, len); i < len; i++)
		if (!is_space(text[i]) && text[i] != '[' && text[i] != ']')
			return false;
	return true;
}

int
remains_of(struct buf *left, const char *text, size_t len,
    bool (*goes)(const struct letter *, void *arg), void *arg, size_t *taken,
    struct fault *f)
{
	struct letters letters = { .text = text, .len = len };
	size_t begin = left->len, from = 0, at;
	struct letter letter;
	int rc;

	*taken = 0;
	while ((rc = letters_next(&letters, &letter, f)) != 0) {
		if (rc == -1 && f->code == FAULT_INTERNAL)
			break;
		if (rc == -1 || !goes(&letter, arg))
			continue;
		at = (size_t)(letter.text - text);
		buf_add(left, text + from, at - from);
		from = behind(left, begin, text, len, at + letter.len);
		++*taken;
	}
	letters_free(&letters);
	if (rc == -1)
		return -1;
	buf_add(left, text + from, len - from);
	if (left->bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	if (is_nothing(buf_data(left) + begin, left->len - begin))
		left->len = begin;
	return 0;
}
