#include "metrics.h"

#include <math.h>
#include <stdio.h>

#include "log.h"

/* Text with backslashes before backslash and newline, and before `quote`. */
static void
escaped(struct buf *b, const char *s, char quote)
{
	size_t n;

	for (; *s != '\0'; s += n) {
		n = 0;
		while (s[n] != '\0' && s[n] != '\\' && s[n] != '\n' &&
		    s[n] != quote)
			n++;
		buf_add(b, s, n);
		if (s[n] == '\0')
			break;
		buf_str(b, "\\");
		buf_add(b, s[n] == '\n' ? "n" : s + n, 1);
		n++;
	}
}

static void
labelled(struct buf *b, const char *const *labels)
{
	char before = '{';

	for (; labels != NULL && *labels != NULL; labels += 2) {
		if (labels[1] == NULL)
			continue;
		buf_printf(b, "%c%s=\"", before, labels[0]);
		escaped(b, labels[1], '"');
		buf_str(b, "\"");
		before = ',';
	}
	if (before == ',')
		buf_str(b, "}");
}

void
metrics_family(struct buf *b, const char *name, const char *type,
    const char *help)
{
	buf_printf(b, "# HELP %s ", name);
	escaped(b, help, '\0');
	buf_printf(b, "\n# TYPE %s %s\n", name, type);
}

void
metrics_sample(struct buf *b, const char *name, const char *const *labels,
    double value)
{
	buf_str(b, name);
	labelled(b, labels);
	if (isnan(value))
		buf_str(b, " NaN\n");
	else if (isinf(value))
		buf_str(b, value < 0 ? " -Inf\n" : " +Inf\n");
	else
		buf_printf(b, " %.16g\n", value);
}

void
metrics_write(const struct spool *spool, const char *name, struct buf *b)
{
	char path[64];

	snprintf(path, sizeof(path), "metrics/%s.prom", name);
	if (!b->bad && spool_replace(spool->fd, path, buf_data(b), b->len,
	    false) == -1)
		log_debug("%s was not written", path);
	buf_free(b);
}
