#ifndef SECRET_H
#define SECRET_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Has a text, which somebody sent us and which is to be quoted, a piece of our
 * secret in it, so that nobody may see it? More of a text than QUOTE_MAX is not
 * quoted, and not looked at.
 */
bool secret_told(const char *text, size_t, const char *secret, size_t);

#endif
