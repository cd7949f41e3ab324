/* records: what the spool says of events that were not delivered */
#include "records.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "clock.h"
#include "daybook.h"
#include "deadletter.h"
#include "file.h"
#include "line.h"
#include "maildir.h"
#include "parcel.h"

/* A line of 16 MiB of a log or a session that is corrupt, as base64, and what a
 * record says about it; events are smaller. */
#define RECORD_MAX (16 * 1024 * 1024 / 3 * 4 + 64 * 1024)
#define WORD 128 /* bytes of a name or a reason that are looked at, and a NUL */

struct gathering {
	int spool;
	const struct selection *selection;
	const char *dir;      /* of the file that is read */
	struct json json;
	struct buf word;
	uint64_t count;       /* of what waits */
	void (*fn)(const char *reason, uint64_t count, void *arg);
	void *arg;
	int rc;               /* -1: something could not be read */
	struct fault *fault;  /* the first one */
};

static void
unread(struct gathering *g, const char *name, const char *why)
{
	if (g->rc == 0)
		g->rc = fault_set(g->fault, FAULT_INTERNAL, "%s/%s: %s", g->dir,
		    name, why);
}

/* ---- one record ---- */

/* A member that is a string, as far as it fits; "": it is none. */
static void
string(struct gathering *g, uint32_t object, const char *member,
    char word[WORD])
{
	uint32_t t = json_member(&g->json, object, member, strlen(member));
	size_t n;

	buf_reset(&g->word, WORD);
	if (t != 0 && g->json.tok[t].type == JSON_STRING)
		json_string(&g->json, t, &g->word);
	n = g->word.len < WORD ? g->word.len : WORD - 1;
	if (n > 0)
		memcpy(word, buf_data(&g->word), n);
	word[n] = '\0';
}

static bool
is_one_of(const struct selection *s, const char *reason)
{
	int ours = dl_reason_parse(reason, strlen(reason));
	const char *name;

	for (size_t i = 0; i < s->nreasons; i++) {
		name = s->reasons[i];
		if (strcasecmp(name, reason) == 0 || (ours != -1 &&
		    letter_reason(name, strlen(name), "", 0) == ours))
			return true;
	}
	return s->nreasons == 0;
}

static bool
is_in_time(const struct selection *s, const char *text)
{
	int64_t time;

	return clock_parse(text, strlen(text), &time) == -1 ||
	    (time >= s->since && (s->until == 0 || time < s->until));
}

/* Is the record that was scanned meant? Its reason is a member of `in`. A topic
 * that went takes all of its subscriptions along. */
static bool
is_meant(struct gathering *g, uint32_t in, const char *member,
    char reason[WORD])
{
	const struct selection *s = g->selection;
	char word[WORD];

	string(g, in, member, reason);
	if (!is_one_of(s, reason))
		return false;
	string(g, 0, "topic", word);
	if (s->topic != NULL && strcmp(word, s->topic) != 0)
		return false;
	string(g, 0, "subscription", word);
	if (*word == '\0' && strcmp(reason, "TopicDeleted") != 0)
		return false;
	if (s->subscription != NULL && strcmp(word, s->subscription) != 0)
		return false;
	string(g, 0, "time", word);
	return is_in_time(s, word);
}

static void
take_drop(struct gathering *g)
{
	uint32_t t = json_member(&g->json, 0, "count", 5);
	char reason[WORD];
	int64_t count;

	/* a message that a session lost is none of ours */
	if (json_member(&g->json, 0, "session", 7) != 0 ||
	    !is_meant(g, 0, "reason", reason))
		return;
	/* without a number it is one event, or nobody counted */
	if (t == 0 || !json_int64(&g->json, t, &count))
		count = 1;
	if (count > 0)
		g->fn(reason, (uint64_t)count, g->arg);
}

static void
take_waiting(struct gathering *g)
{
	uint32_t t = json_member(&g->json, 0, "deadletterProperties", 20);
	char reason[WORD];

	g->count += t != 0 && is_meant(g, t, "deadletterreason", reason);
}

/* ---- files ---- */

static void
take_line(struct gathering *g, const char *name, const struct line_reader *r,
    const char *line, size_t len)
{
	if (json_scan(&g->json, line, len, NULL) == -1 ||
	    g->json.tok[0].type != JSON_OBJECT) {
		/* without a newline it is torn, and counts for nothing */
		if (r->taken > len)
			unread(g, name, "a line that cannot be read");
	} else if (g->fn != NULL) {
		take_drop(g);
	} else {
		take_waiting(g);
	}
}

static void
take_file(struct gathering *g, int dir, const char *name)
{
	struct line_reader r = { .max = RECORD_MAX };
	const char *line;
	size_t len;
	int rc;

	r.fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (r.fd == -1) {
		if (errno != ENOENT) /* it has gone on */
			unread(g, name, strerror(errno));
		return;
	}
	while ((rc = line_next(&r, &line, &len)) == 1)
		take_line(g, name, &r, line, len);
	if (rc == -1)
		unread(g, name, errno == EMSGSIZE ? "a line that is too long" :
		    strerror(errno));
	json_trim(&g->json);
	line_free(&r);
	close(r.fd);
}

/* Lines, whatever they say. */
static void
count_lines(struct gathering *g, int dir, const char *name)
{
	char block[65536];
	ssize_t n = 0;
	off_t at = 0;
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd == -1 && errno == ENOENT)
		return;
	for (; fd != -1; at += n) {
		if ((n = file_pread(fd, block, sizeof(block), at)) <= 0)
			break;
		g->count += maildir_lines(block, (size_t)n);
	}
	if (fd == -1 || n == -1)
		unread(g, name, strerror(errno));
	if (fd != -1)
		close(fd);
}

/* Has the day of this file any of the time that is meant? */
static bool
is_day_meant(const struct selection *s, const char *name)
{
	char first[CLOCK_TEXT + 1], last[CLOCK_TEXT + 1];

	clock_format(first, s->since);
	clock_format(last, s->until);
	return daybook_is_name(name) && strncmp(name, first, 10) >= 0 &&
	    (s->until == 0 || strncmp(name, last, 10) <= 0);
}

static void
take_name(struct gathering *g, int dir, const char *name)
{
	const struct selection *s = g->selection;
	struct maildir_name file;
	struct parcel parcel;
	bool mail = maildir_parse(name, &file);

	if (g->fn != NULL) {
		if (is_day_meant(s, name))
			take_file(g, dir, name);
		return;
	}
	if (!mail && !parcel_parse(&parcel, name))
		return;
	if (s->topic != NULL || s->subscription != NULL || s->nreasons > 0 ||
	    s->since != 0 || s->until != 0)
		take_file(g, dir, name);
	else if (mail)
		g->count += file.lines;
	else
		count_lines(g, dir, name);
}

static void
take_directory(struct gathering *g, const char *path)
{
	DIR *dir = file_opendir(g->spool, path, 0);
	struct dirent *e;

	g->dir = path;
	if (dir == NULL) {
		if (errno != ENOENT)
			unread(g, ".", strerror(errno));
		return;
	}
	for (errno = 0; (e = readdir(dir)) != NULL; errno = 0) {
		if (e->d_name[0] != '.')
			take_name(g, dirfd(dir), e->d_name);
	}
	if (errno != 0)
		unread(g, ".", strerror(errno));
	closedir(dir);
}

static int
done(struct gathering *g)
{
	json_free(&g->json);
	buf_free(&g->word);
	return g->rc;
}

int
records_dropped(int spool, const struct selection *s,
    void (*fn)(const char *reason, uint64_t count, void *arg), void *arg,
    struct fault *f)
{
	struct gathering g = { .spool = spool, .selection = s, .fn = fn,
		.arg = arg, .fault = f };

	take_directory(&g, "dropped");
	return done(&g);
}

int
records_waiting(int spool, const struct selection *s, uint64_t *count,
    struct fault *f)
{
	static const char *const dirs[] = { "deadletter/new", "deadletter/cur",
		"deadletter/batch", PARCEL_SORTED, PARCEL_SENDING };
	struct gathering g = { .spool = spool, .selection = s, .fault = f };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		take_directory(&g, dirs[i]);
	*count = g.count;
	return done(&g);
}
