#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "crc32c.h"

#define POLYNOMIAL 0x82f63b78u /* 0x1edc6f41 with its bits reversed */

/* Eight bytes a step: table[k][b] is byte b with k zero bytes behind it. */
static uint32_t table[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
make_table(void)
{
	uint32_t b, c;
	int k;

	for (b = 0; b < 256; b++) {
		c = b;
		for (k = 0; k < 8; k++)
			c = c >> 1 ^ (c & 1 ? POLYNOMIAL : 0);
		table[0][b] = c;
	}
	for (b = 0; b < 256; b++) {
		for (k = 1; k < 8; k++)
			table[k][b] = table[k - 1][b] >> 8 ^
			    table[0][table[k - 1][b] & 0xff];
	}
}

static uint32_t
by_table(uint32_t c, const unsigned char *p, size_t n)
{
	pthread_once(&once, make_table);
	for (; n >= 8; n -= 8, p += 8)
		c = table[7][(c ^ p[0]) & 0xff] ^
		    table[6][(c >> 8 ^ p[1]) & 0xff] ^
		    table[5][(c >> 16 ^ p[2]) & 0xff] ^
		    table[4][(c >> 24 ^ p[3]) & 0xff] ^ table[3][p[4]] ^
		    table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
	while (n-- > 0)
		c = c >> 8 ^ table[0][(c ^ *p++) & 0xff];
	return c;
}

#ifdef __x86_64__
#include <nmmintrin.h>

static bool
have_instruction(void)
{
	return __builtin_cpu_supports("sse4.2") != 0;
}

__attribute__((target("sse4.2"))) static uint32_t
by_instruction(uint32_t c, const unsigned char *p, size_t n)
{
	uint64_t v, wide = c;

	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&v, p, 8);
		wide = _mm_crc32_u64(wide, v);
	}
	c = (uint32_t)wide;
	while (n-- > 0)
		c = _mm_crc32_u8(c, *p++);
	return c;
}
#else
static bool
have_instruction(void)
{
	return false;
}

static uint32_t
by_instruction(uint32_t c, const unsigned char *p, size_t n)
{
	return by_table(c, p, n);
}
#endif

uint32_t
crc32c(uint32_t crc, const void *data, size_t n)
{
	if (have_instruction())
		return ~by_instruction(~crc, data, n);
	return ~by_table(~crc, data, n);
}

void
crc32c_format(char text[CRC32C_TEXT], uint32_t crc)
{
	int i;

	for (i = CRC32C_TEXT - 1; i >= 0; i--, crc >>= 4)
		text[i] = "0123456789abcdef"[crc & 15];
}
