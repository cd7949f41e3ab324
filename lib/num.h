#ifndef NUM_H
#define NUM_H

#include <stdint.h>

#include "fault.h"

/*
 * A whole number from text, decimal digits with an optional minus and nothing
 * else. 0, or -1 with a fault that says which value `name` was out of min..max.
 */
int num_parse(const char *name, const char *text, int64_t min, int64_t max,
    int64_t *value, struct fault *);

/* The same for options of commands: names the option and exits 64. */
int64_t num_option(const char *name, const char *text, int64_t min,
    int64_t max);

#endif
