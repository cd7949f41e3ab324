#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <tcutil.h>

#include "uuid.h"

static const char digits[] = "0123456789abcdef";

void
uuid_new(char uuid[UUID_SIZE])
{
	unsigned char b[16];
	char *p = uuid;

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		abort(); /* up to 256 bytes it never fails */
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = digits[b[i] >> 4];
		*p++ = digits[b[i] & 0x0f];
	}
	*p = '\0';
}

void
uuid_next(char uuid[UUID_SIZE])
{
	static char last[UUID_SIZE];
	static uint64_t counted;
	uint64_t n = counted++;

	if (last[0] == '\0')
		uuid_new(last);
	for (char *p = last + UUID_SIZE - 2; *p != '-'; p--, n >>= 4)
		*p = digits[n & 15];
	memcpy(uuid, last, UUID_SIZE);
}

void
uuid_of(char uuid[UUID_SIZE], const char *words)
{
	char hex[48];

	tcmd5hash(words, (int)strlen(words), hex);
	hex[12] = '3';
	hex[16] = "89ab"[hex[16] % 4];
	snprintf(uuid, UUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8,
	    hex + 12, hex + 16, hex + 20);
}
