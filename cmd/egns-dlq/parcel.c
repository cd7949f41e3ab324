#include "parcel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "log.h"
#include "maildir.h"
#include "spool.h"

/* A round's parcels have PARCEL_BYTES and the record that was too much. */
#define FILE_MAX (64 * 1024 * 1024)
#define UNFINISHED ".tmp"
#define LAST_MAX (INT64_MAX / 2) /* that others may follow, and periods pass */

bool
parcel_is_word(const char *s, size_t len)
{
	if (len == 0 || len >= PARCEL_WORD)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') ||
		    (s[i] >= 'A' && s[i] <= 'Z') ||
		    (s[i] >= '0' && s[i] <= '9') || s[i] == '-'))
			return false;
	return true;
}

static const char *
dir_of(bool sending)
{
	return sending ? PARCEL_SENDING : PARCEL_SORTED;
}

void
parcel_name(const struct parcel *p, char name[PARCEL_NAME])
{
	time_t hour = (time_t)(p->hour / CLOCK_SECOND);
	struct tm tm;

	gmtime_r(&hour, &tm);
	snprintf(name, PARCEL_NAME, "%s.%s.%04d%02d%02d%02d.%" PRId64 "-%"
	    PRId64 ".%s", p->topic, p->subscription, tm.tm_year + 1900,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, p->first, p->last, p->guid);
}

void
parcel_path(const struct parcel *p, char path[PARCEL_NAME])
{
	char name[PARCEL_NAME];

	parcel_name(p, name);
	snprintf(path, PARCEL_NAME, "%s/%.200s", dir_of(p->sending), name);
}

static bool
parse_hour(const char *s, int64_t *hour)
{
	char text[] = "yyyy-MM-ddTHH:00:00Z";

	memcpy(text, s, 4);
	memcpy(text + 5, s + 4, 2);
	memcpy(text + 8, s + 6, 2);
	memcpy(text + 11, s + 8, 2);
	return clock_parse(text, strlen(text), hour) == 0;
}

bool
parcel_parse(struct parcel *p, const char *name)
{
	char hour[11], again[PARCEL_NAME];

	*p = (struct parcel){ .hour = 0 };
	if (strlen(name) >= PARCEL_NAME ||
	    sscanf(name, "%63[A-Za-z0-9-].%63[A-Za-z0-9-].%10[0-9].%" SCNd64
	    "-%" SCNd64 ".%36[0-9a-f-]", p->topic, p->subscription, hour,
	    &p->first, &p->last, p->guid) != 6 || strlen(hour) != 10 ||
	    strlen(p->guid) != UUID_SIZE - 1 || !parse_hour(hour, &p->hour) ||
	    p->first < 0 || p->last < p->first || p->last > LAST_MAX)
		return false;
	parcel_name(p, again);
	return strcmp(name, again) == 0;
}

bool
parcel_is_part(const struct parcel *part, const struct parcel *whole)
{
	return part != whole && part->hour == whole->hour &&
	    part->first >= whole->first && part->last <= whole->last &&
	    part->last - part->first < whole->last - whole->first &&
	    strcmp(part->topic, whole->topic) == 0 &&
	    strcmp(part->subscription, whole->subscription) == 0;
}

char *
parcel_read(int spool, const struct parcel *p, size_t *len)
{
	char path[PARCEL_NAME];

	parcel_path(p, path);
	return spool_read_regular(spool, path, FILE_MAX, len);
}

int
parcel_write(int spool, const char *dir, const struct parcel *p,
    const struct buf *records)
{
	char path[2 * PARCEL_NAME], name[PARCEL_NAME];
	int fd, rc;

	parcel_name(p, name);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = openat(spool, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
	    0600);
	if (fd == -1)
		return -1;
	rc = file_pwrite(fd, buf_data(records), records->len, 0);
	if (rc == 0)
		rc = fsync(fd);
	return file_close(fd, rc);
}

int
parcel_remove(int spool, const struct parcel *p)
{
	char path[PARCEL_NAME];

	parcel_path(p, path);
	return unlinkat(spool, path, 0) == 0 || errno == ENOENT ? 0 : -1;
}

/* What its name does not say. */
static int
measure(int spool, struct parcel *p)
{
	size_t len;
	char *text = parcel_read(spool, p, &len);

	if (text == NULL)
		return -1;
	p->bytes = len;
	p->letters = maildir_lines(text, len);
	free(text);
	return 0;
}

static int
load_one(int spool, const char *name, bool sending,
    int (*fn)(struct parcel *, void *), void *arg)
{
	size_t len = strlen(name), end = strlen(UNFINISHED);
	char path[PARCEL_NAME];
	struct parcel p, *copy;

	if (len > end && strcmp(name + len - end, UNFINISHED) == 0) {
		snprintf(path, sizeof(path), "%s/%.200s", dir_of(sending),
		    name);
		return unlinkat(spool, path, 0);
	}
	if (!parcel_parse(&p, name))
		return 0;
	p.sending = sending;
	if (measure(spool, &p) == -1) {
		/* one that cannot be read keeps no other waiting */
		if (errno == ENOMEM)
			return -1;
		log_warn("%s/%s: %s: it stays", dir_of(sending), name,
		    strerror(errno));
		return 0;
	}
	if ((copy = malloc(sizeof(*copy))) == NULL)
		return -1;
	*copy = p;
	return fn(copy, arg);
}

int
parcel_load(int spool, bool sending, int (*fn)(struct parcel *, void *),
    void *arg)
{
	DIR *dir = file_opendir(spool, dir_of(sending), 0);
	struct dirent *e;
	int rc = 0, error;

	if (dir == NULL)
		return -1;
	while (rc == 0 && (errno = 0, e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			rc = load_one(spool, e->d_name, sending, fn, arg);
	if (rc == 0 && errno != 0)
		rc = -1;
	error = errno;
	closedir(dir);
	errno = error;
	return rc;
}
