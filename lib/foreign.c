#include "foreign.h"

#include <string.h>

#include "base64.h"
#include "hex.h"
#include "utf8.h"

#define PAYLOAD "\"payload\":"
#define CORRELATION "\"correlation-data\":"

/* One escape of n > 0 bytes behind a backslash; how many it has, or 0: none
 * that mosquitto_sub writes. */
static size_t
unescape(char *out, const char *s, size_t n)
{
	static const char letters[] = "bfnrt\"\\/", meant[] = "\b\f\n\r\t\"\\/";
	const char *letter = strchr(letters, s[0]);
	int code;

	if (s[0] != '\0' && letter != NULL) {
		*out = meant[letter - letters];
		return 1;
	}
	/* of control characters alone: \u001f */
	if (n < 5 || memcmp(s, "u00", 3) != 0 ||
	    (code = hex_byte(s + 3)) == -1 || code > 0x7f)
		return 0;
	*out = (char)code;
	return 5;
}

/* What stands between quotes, as a string in base64. */
static bool
add_coded(struct buf *b, const char *s, size_t n)
{
	struct buf bytes = { 0 };
	char *to = buf_room(&bytes, n);
	size_t len = 0, used;

	for (size_t i = 0; to != NULL && i < n; i += used) {
		used = 1;
		to[len] = s[i];
		if (s[i] == '\\') {
			i++;
			if (i == n || (used = unescape(to + len, s + i,
			    n - i)) == 0)
				to = NULL;
		}
		len++;
	}
	if (to != NULL) {
		buf_add(b, "\"", 1);
		base64_add(b, to, len);
		buf_add(b, "\"", 1);
	}
	buf_free(&bytes);
	return to != NULL;
}

static bool
ends_with(const struct buf *b, const char *s)
{
	size_t n = strlen(s);

	return b->len >= n &&
	    memcmp(buf_data(b) + b->len - n, s, n) == 0;
}

/* A string from its quote to behind its other one. */
static bool
add_string(struct buf *b, const char *s, size_t n)
{
	if (utf8_text(s, n)) {
		buf_add(b, s, n);
		return true;
	}
	if (b->bad || (!ends_with(b, PAYLOAD) && !ends_with(b, CORRELATION)))
		return false;
	b->len -= 2;
	buf_str(b, "_base64\":");
	return add_coded(b, s + 1, n - 2);
}

bool
foreign_recode(struct buf *b, const char *text, size_t n)
{
	const char *p = text, *end = text + n, *quote, *q;

	while (p < end) {
		quote = memchr(p, '"', (size_t)(end - p));
		if (quote == NULL) {
			buf_add(b, p, (size_t)(end - p));
			break;
		}
		buf_add(b, p, (size_t)(quote - p));
		for (q = quote + 1; q < end && *q != '"'; q++)
			if (*q == '\\' && ++q == end)
				return false;
		if (q == end || !add_string(b, quote, (size_t)(q + 1 - quote)))
			return false;
		p = q + 1;
	}
	return !b->bad;
}
