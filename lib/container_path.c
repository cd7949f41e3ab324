/* container.h: what the names of blobs say */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "container.h"

#define PARTS 7 /* namespace, topic, subscription, year, month, day, hour */

struct part {
	const char *text;
	size_t len;
};

/* What is behind, if it begins with `before`. */
static bool
skip(const char **name, const char *before)
{
	size_t len = strlen(before);

	if (strncmp(*name, before, len) != 0)
		return false;
	*name += len;
	return true;
}

static void
copy(char out[64], const struct part *p)
{
	if (p->len > 0 && p->len < 64) {
		memcpy(out, p->text, p->len);
		out[p->len] = '\0';
	}
}

/* A number of at most that many digits; -1: it is none. */
static int
number(const struct part *p, size_t digits)
{
	int n = 0;

	if (p->len == 0 || p->len > digits)
		return -1;
	for (size_t i = 0; i < p->len; i++) {
		if (p->text[i] < '0' || p->text[i] > '9')
			return -1;
		n = n * 10 + (p->text[i] - '0');
	}
	return n;
}

static int64_t
hour_of(const struct part date[4])
{
	int year = number(&date[0], 4), month = number(&date[1], 2);
	int day = number(&date[2], 2), hour = number(&date[3], 2);
	char text[64];
	int64_t us;
	int n;

	if (year == -1 || month == -1 || day == -1 || hour == -1)
		return 0;
	n = snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:00:00Z", year,
	    month, day, hour);
	return clock_parse(text, (size_t)n, &us) == 0 ? us : 0;
}

void
blob_path_read(struct blob_path *p, const char *name)
{
	struct part parts[PARTS] = { { NULL, 0 } };
	size_t n = 0, len;

	*p = (struct blob_path){ .hour = 0 };
	p->quarantine = skip(&name, CONTAINER_QUARANTINE);
	p->replayed = !p->quarantine && skip(&name, CONTAINER_REPLAYED);
	/* the last part is the blob's own name */
	for (; n < PARTS && name[len = strcspn(name, "/")] != '\0';
	    name += len + 1)
		parts[n++] = (struct part){ name, len };
	copy(p->namespace, &parts[0]);
	copy(p->topic, &parts[1]);
	copy(p->subscription, &parts[2]);
	p->hour = hour_of(parts + 3);
}

int
blob_path_write(char name[BLOB_NAME + 1], const char *namespace,
    const char *topic, const char *subscription, int64_t time,
    const char *guid)
{
	char at[CLOCK_TEXT + 1];
	int n;

	clock_format(at, time); /* 2026-01-31T12:... */
	n = snprintf(name, BLOB_NAME + 1, "%s/%s/%s/%.4s/%.2s/%.2s/%.2s/"
	    "%s.json", namespace, topic, subscription, at, at + 5, at + 8,
	    at + 11, guid);
	return n > BLOB_NAME ? -1 : 0;
}
