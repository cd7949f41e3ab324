#ifndef ARRAY_H
#define ARRAY_H

#include <stdlib.h>

/*
 * Room for one element more behind n of them, in an array that begins as NULL
 * and grows in no other way: its capacity is the next power of two, which needs
 * no keeping. NULL without memory: the array is as it was.
 */
static inline void *
array_room(void *array, size_t n, size_t size)
{
	if (n != 0 && (n & (n - 1)) != 0)
		return array;
	return realloc(array, (n == 0 ? 1 : 2 * n) * size);
}

#endif
