#include "distance.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define FAR 64 /* farther than words that are counted */

static bool
is_same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

size_t
distance(const char *a, const char *b)
{
	size_t n = strlen(b), row[FAR], diagonal, up;

	if (n >= FAR || strlen(a) >= FAR)
		return FAR;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			up = row[j];
			row[j] = diagonal + !is_same(a[i - 1], b[j - 1]);
			if (up + 1 < row[j])
				row[j] = up + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			diagonal = up;
		}
	}
	return row[n];
}
