#include <err.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sysexits.h>

#include "num.h"
#include "quote.h"

static int
digits(const char *text, int64_t *value)
{
	bool minus = *text == '-';
	const char *p = text + minus;
	int64_t v = 0;

	if (*p == '\0')
		return -1;
	for (; *p != '\0'; p++) {
		if (*p < '0' || *p > '9')
			return -1;
		/* counted downwards, because INT64_MIN has no positive */
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_sub_overflow(v, *p - '0', &v))
			return -1;
	}
	if (!minus && v == INT64_MIN)
		return -1;
	*value = minus ? v : -v;
	return 0;
}

int
num_parse(const char *name, const char *text, int64_t min, int64_t max,
    int64_t *value, struct fault *f)
{
	char q[QUOTE_MAX];
	int64_t v;

	if (digits(text, &v) == -1 || v < min || v > max)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "%s: '%s' is not a whole number from %" PRId64
		    " to %" PRId64,
		    name, quote(q, text, strlen(text)), min, max);
	*value = v;
	return 0;
}

int64_t
num_option(const char *name, const char *text, int64_t min, int64_t max)
{
	struct fault f;
	int64_t value = 0;

	if (num_parse(name, text, min, max, &value, &f) == -1)
		errx(EX_USAGE, "%s", f.text);
	return value;
}
