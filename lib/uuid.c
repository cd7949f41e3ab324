#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <tcutil.h>

#include "uuid.h"

void
uuid_new(char uuid[UUID_SIZE])
{
	unsigned char b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		abort(); /* up to 256 bytes it never fails */
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(uuid, UUID_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-"
	    "%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4],
	    b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
	    b[15]);
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
