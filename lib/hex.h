#ifndef HEX_H
#define HEX_H

#include <stddef.h>
#include <stdint.h>

/* What a hexadecimal digit, of either case, stands for; -1: it is none. */
static inline int
hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 'a' - 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that two digits are; -1: they are none. A NUL ends the text. */
static inline int
hex_byte(const char *text)
{
	int high = hex_digit(text[0]), low;

	if (high == -1 || (low = hex_digit(text[1])) == -1)
		return -1;
	return high << 4 | low;
}

/* n bytes as 2 * n lower-case digits, and a NUL. */
static inline void
hex_text(char *text, const uint8_t *bytes, size_t n)
{
	for (; n > 0; n--, bytes++) {
		*text++ = "0123456789abcdef"[*bytes >> 4];
		*text++ = "0123456789abcdef"[*bytes & 15];
	}
	*text = '\0';
}

#endif
