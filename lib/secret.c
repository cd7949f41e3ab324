#include "secret.h"

#include <string.h>

#include "quote.h"

#define PIECE 12 /* bytes of a secret that are too many to be told */

bool
secret_told(const char *text, size_t len, const char *secret, size_t n)
{
	size_t piece = n < PIECE ? n : PIECE;

	if (len > QUOTE_MAX)
		len = QUOTE_MAX;
	for (; piece > 0 && len >= piece; text++, len--)
		if (memmem(secret, n, text, piece) != NULL)
			return true;
	return false;
}
