#ifndef CONNECTION_H
#define CONNECTION_H

#include <stddef.h>

#include "fault.h"

/*
 * Connection strings, "NAME=VALUE;NAME=VALUE", whose names are compared without
 * case. The text is taken apart where it is, and values point into it; NULL is
 * what was not said. Parts that nobody asks for are for others. 0, or -1 and a
 * fault, which has nothing of the text: a part is there twice.
 */
struct connection_part {
	const char *name, **value;
};
int connection_parse(char *text, const struct connection_part *, size_t n,
    struct fault *);

#endif
