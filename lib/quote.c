#include <string.h>

#include "quote.h"
#include "utf8.h"

/*
 * How many bytes at s stand for themselves. The C1 control characters, U+0080
 * to U+009F, are commands to some terminals.
 */
static size_t
harmless(const char *s, size_t n)
{
	unsigned char c = (unsigned char)s[0];
	size_t len;

	if (c < ' ' || c == 0x7f || c == '\\')
		return 0;
	len = utf8_char(s, n);
	if (len == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0)
		return 0;
	return len;
}

char *
quote(char out[QUOTE_MAX], const char *s, size_t n)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t i, len, add, used = 0, cut = 0;

	for (i = 0; i < n; i += len) {
		len = harmless(s + i, n - i);
		add = len > 0 ? len : 4;
		if (add > QUOTE_MAX - 1 - used) {
			memcpy(out + cut, "...", 3);
			used = cut + 3;
			break;
		}
		if (len > 0) {
			memcpy(out + used, s + i, len);
		} else {
			out[used] = '\\';
			out[used + 1] = 'x';
			out[used + 2] = hex[(unsigned char)s[i] >> 4];
			out[used + 3] = hex[(unsigned char)s[i] & 15];
			len = 1;
		}
		used += add;
		/* the last whole piece that leaves room for the dots */
		if (used <= QUOTE_MAX - 1 - 3)
			cut = used;
	}
	out[used] = '\0';
	return out;
}
