#include <stdint.h>

#include "base64.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of a digit, or -1. */
static int
value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

void
base64_encode(char *out, const void *data, size_t n)
{
	const unsigned char *p = data;
	uint32_t v;

	for (; n >= 3; n -= 3, p += 3) {
		v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		*out++ = alphabet[v >> 18];
		*out++ = alphabet[v >> 12 & 63];
		*out++ = alphabet[v >> 6 & 63];
		*out++ = alphabet[v & 63];
	}
	if (n == 0)
		return;
	v = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
	*out++ = alphabet[v >> 18];
	*out++ = alphabet[v >> 12 & 63];
	*out++ = n == 2 ? alphabet[v >> 6 & 63] : '=';
	*out++ = '=';
}

void
base64_add(struct buf *b, const void *data, size_t n)
{
	char *to = buf_room(b, BASE64_LEN(n));

	if (to == NULL)
		return;
	base64_encode(to, data, n);
	buf_grew(b, BASE64_LEN(n));
}

/* Four digits, of which the last `pad` are padding; 3 - pad bytes, or -1. */
static int
quad(unsigned char bytes[3], const char *s, int pad)
{
	uint32_t v = 0;
	int i, d;

	for (i = 0; i < 4; i++) {
		d = i < 4 - pad ? value(s[i]) : 0;
		if (d == -1)
			return -1;
		v = v << 6 | (uint32_t)d;
	}
	/* bits that belong to no byte have to be zero: one form per value */
	if ((v & ((1u << 8 * pad) - 1)) != 0)
		return -1;
	bytes[0] = (unsigned char)(v >> 16);
	bytes[1] = (unsigned char)(v >> 8);
	bytes[2] = (unsigned char)v;
	return 3 - pad;
}

long
base64_decode(void *data, const char *s, size_t n)
{
	unsigned char *out = data, bytes[3];
	long total = 0;
	int pad, got, i;
	size_t at;

	if (n % 4 != 0)
		return -1;
	for (at = 0; at < n; at += 4) {
		pad = 0;
		if (at + 4 == n && s[n - 1] == '=')
			pad = s[n - 2] == '=' ? 2 : 1;
		if ((got = quad(bytes, s + at, pad)) == -1)
			return -1;
		for (i = 0; out != NULL && i < got; i++)
			*out++ = bytes[i];
		total += got;
	}
	return total;
}
