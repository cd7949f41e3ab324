#ifndef DISTANCE_H
#define DISTANCE_H

#include <stddef.h>

/* How many letters to change, add or drop to get from one word to the other, in
 * any case of letters; 64: one is too long for that. */
size_t distance(const char *, const char *);

#endif
