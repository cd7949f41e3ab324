#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "utf8.h"

#define BUF_MIN 256 /* bytes of the first allocation */

static int
enlarge(struct buf *b, size_t need)
{
	size_t cap = b->cap < BUF_MIN / 2 ? BUF_MIN : b->cap * 2;
	char *mem;

	if (cap < need || cap < b->cap)
		cap = need;
	if ((mem = realloc(b->mem, cap)) == NULL)
		return -1;
	b->mem = mem;
	b->cap = cap;
	return 0;
}

static bool
unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	    c == '~';
}

void
buf_free(struct buf *b)
{
	free(b->mem);
	*b = (struct buf){ 0 };
}

void
buf_wipe(struct buf *b)
{
	if (b->mem != NULL)
		explicit_bzero(b->mem, b->cap);
	buf_free(b);
}

void
buf_reset(struct buf *b, size_t keep)
{
	b->start = b->len = 0;
	b->bad = false;
	if (b->cap > keep)
		buf_free(b);
}

char *
buf_room(struct buf *b, size_t n)
{
	if (b->bad)
		return NULL;
	if (b->mem != NULL && n <= b->cap - b->start - b->len)
		return b->mem + b->start + b->len;
	if (n > SIZE_MAX - b->len) {
		b->bad = true;
		return NULL;
	}
	/*
	 * Moving pays when it moves no more than was taken; otherwise we also
	 * double, so that a byte is moved a constant number of times.
	 */
	if ((b->mem == NULL || b->start < b->len || n > b->cap - b->len) &&
	    enlarge(b, b->len + n) == -1) {
		b->bad = true;
		return NULL;
	}
	if (b->start > 0)
		memmove(b->mem, b->mem + b->start, b->len);
	b->start = 0;
	return b->mem + b->len;
}

void
buf_grew(struct buf *b, size_t n)
{
	b->len += n;
}

void
buf_take(struct buf *b, size_t n)
{
	b->len -= n;
	b->start = b->len == 0 ? 0 : b->start + n;
}

void
buf_add(struct buf *b, const void *data, size_t n)
{
	char *to;

	if (n == 0 || (to = buf_room(b, n)) == NULL)
		return;
	memcpy(to, data, n);
	b->len += n;
}

void
buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	size_t room = 128;
	va_list ap;
	char *to;
	int n;

	for (;;) {
		if ((to = buf_room(b, room)) == NULL)
			return;
		va_start(ap, fmt);
		n = vsnprintf(to, room, fmt, ap);
		va_end(ap);
		if (n < 0) {
			b->bad = true;
			return;
		}
		if ((size_t)n < room)
			break;
		room = (size_t)n + 1;
	}
	b->len += (size_t)n;
}

void
buf_u64(struct buf *b, uint64_t v)
{
	char digits[20], *p = digits + sizeof(digits);

	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	buf_add(b, p, (size_t)(digits + sizeof(digits) - p));
}

static void
escape(struct buf *b, unsigned char c)
{
	static const char letters[32] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n',
		['\f'] = 'f', ['\r'] = 'r',
	};
	static const char hex[] = "0123456789abcdef";
	const char code[] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

	if (c >= 0x80) {
		buf_str(b, "\xef\xbf\xbd");
	} else if (c < sizeof(letters) && letters[c] == 0) {
		buf_add(b, code, sizeof(code));
	} else {
		buf_add(b, "\\", 1);
		buf_add(b, c < sizeof(letters) ? &letters[c] : (char *)&c, 1);
	}
}

void
buf_json(struct buf *b, const char *s, size_t n)
{
	size_t i = 0, plain = 0, len;
	unsigned char c;

	buf_add(b, "\"", 1);
	while (i < n) {
		c = (unsigned char)s[i];
		if (c < 0x80)
			len = c >= ' ' && c != '"' && c != '\\';
		else
			len = utf8_char(s + i, n - i);
		if (len > 0) {
			i += len;
			continue;
		}
		buf_add(b, s + plain, i - plain);
		escape(b, c);
		plain = ++i;
	}
	buf_add(b, s + plain, n - plain);
	buf_add(b, "\"", 1);
}

void
buf_uri(struct buf *b, const char *s, const char *also)
{
	for (; *s != '\0'; s++)
		if (unreserved(*s) || strchr(also, *s) != NULL)
			buf_add(b, s, 1);
		else
			buf_printf(b, "%%%02X", (unsigned char)*s);
}
