/* what deadletter/, dropped/ and replay/ have on record */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "clock.h"
#include "daybook.h"
#include "deadletter.h"
#include "file.h"
#include "json.h"
#include "line.h"
#include "transit.h"

/* A line of 16 MiB of sessions/ that is corrupt, as base64, and what a record
 * says about it; events are smaller. */
#define RECORD_MAX (16 * 1024 * 1024 / 3 * 4 + 64 * 1024)

/* egns-replay forgets what it did after 90 days. */
#define REMEMBERED (90 * CLOCK_DAY)

#define LOOKS 3 /* at what is missing, before it is */

struct gathering {
	struct books *books;
	struct json json;
	uint64_t *broken;
	/* what a line tells of its subscription */
	int (*take)(const struct gathering *, struct account *);
	int64_t now;
	bool recent; /* the line: replay/ knows what was done since */
};

static const char *
string(const struct json *j, const char *member, size_t *len)
{
	uint32_t t = json_member(j, 0, member, strlen(member));

	if (t == 0 || j->tok[t].type != JSON_STRING)
		return NULL;
	*len = j->tok[t].end - j->tok[t].start - 2;
	return j->text + j->tok[t].start + 1;
}

static struct account *
whose(struct gathering *g)
{
	size_t topic_len, len;
	const char *topic = string(&g->json, "topic", &topic_len);
	const char *name = string(&g->json, "subscription", &len);
	struct ledger *l;

	if (topic == NULL || name == NULL)
		return NULL;
	l = books_ledger(g->books, topic, topic_len);
	return l == NULL ? NULL : ledger_account(l, name, len);
}

/* 0: it says none. */
static int64_t
time_of(const struct json *j)
{
	size_t len;
	const char *text = string(j, "time", &len);
	int64_t time;

	return text != NULL && clock_parse(text, len, &time) == 0 ? time : 0;
}

static int64_t
number(const struct json *j, const char *member)
{
	uint32_t t = json_member(j, 0, member, strlen(member));
	int64_t n;

	return t != 0 && json_int64(j, t, &n) ? n : -1;
}

static bool
says(const struct json *j, const char *member, const char *what)
{
	uint32_t t = json_member(j, 0, member, strlen(member));

	return t != 0 && json_is(j, t, what, strlen(what));
}

/* ---- the lines ---- */

static int
take_waiting(const struct gathering *g, struct account *a)
{
	return marks_add(&a->letters, number(&g->json, "offset"), MARK_WAITS);
}

/* A name of a container, egns-dlq(8): a path begins so, a URL has a scheme. */
static bool
is_local(const struct json *j)
{
	size_t len;
	const char *name = string(j, "container", &len);

	return name != NULL && len > 0 && name[0] != '/' && name[0] != '.' &&
	    memmem(name, len, "://", 3) == NULL;
}

static int
take_written(const struct gathering *g, struct account *a)
{
	const struct json *j = &g->json;
	uint32_t t = json_member(j, 0, "offsets", 7), i;
	unsigned marks = is_local(j) ? MARK_LOCAL : MARK_AWAY;
	int64_t offset;

	if (g->recent)
		marks |= MARK_RECENT;
	if (t == 0 || j->tok[t].type != JSON_ARRAY)
		return 0;
	for (i = t + 1; i < j->tok[t].next; i = j->tok[i].next) {
		if (json_int64(j, i, &offset) &&
		    marks_add(&a->letters, offset, marks) == -1)
			return -1;
	}
	return 0;
}

/* Those that were put aside first, as they had been replayed, are replayed. */
static int
take_pruned(const struct gathering *g, struct account *a)
{
	static const char aside[] = "_replayed/";
	const struct json *j = &g->json;
	int64_t n = number(j, "pruned");
	size_t len;
	const char *blob = string(j, "blob", &len);

	if (n > 0 && g->recent && is_local(j) &&
	    (blob == NULL || len < strlen(aside) ||
	    memcmp(blob, aside, strlen(aside)) != 0))
		a->pruned += (uint64_t)n;
	return 0;
}

static int
take_dropped(const struct gathering *g, struct account *a)
{
	int64_t offset = number(&g->json, "offset");

	if (says(&g->json, "reason", DL_WRITE_FAILED))
		return marks_add(&a->letters, offset, MARK_LATE);
	return offset < 0 ? 0 : offsets_add(&a->drops, (uint64_t)offset);
}

static int
take_replayed(const struct gathering *g, struct account *a)
{
	if (!says(&g->json, "result", "replayed"))
		return 0;
	return marks_add(&a->letters, number(&g->json, "offset"),
	    MARK_REPLAYED);
}

/* A record older than its subscription is of another one of that name. */
static int
take(struct gathering *g)
{
	struct account *a = whose(g);
	int64_t time;

	if (a == NULL)
		return 0;
	time = time_of(&g->json);
	if (time != 0 && time < a->created)
		return 0;
	g->recent = time > g->now - REMEMBERED;
	return g->take(g, a);
}

static void
broken(struct gathering *g, const char *dir, const char *name, uint64_t line)
{
	if (g->broken == NULL)
		return; /* it was told before */
	fprintf(stderr, "egns-ctl: %s/%s: line %" PRIu64 " cannot be read\n",
	    dir, name, line);
	++*g->broken;
}

static int
take_line(struct gathering *g, const char *dir, const char *name,
    struct line_reader *r, const char *line, size_t len)
{
	if (json_scan(&g->json, line, len, NULL) == 0 &&
	    g->json.tok[0].type == JSON_OBJECT)
		return take(g);
	/* without a newline it is torn, and its event has not ended yet */
	if (r->taken > len)
		broken(g, dir, name, r->number);
	return 0;
}

/* ---- the files ---- */

static int
take_file(struct gathering *g, int fd, const char *dir, const char *name)
{
	struct line_reader r = { .max = RECORD_MAX };
	const char *line;
	size_t len;
	int rc;

	r.fd = openat(fd, name, O_RDONLY | O_CLOEXEC);
	if (r.fd == -1)
		return errno == ENOENT ? 0 : -1; /* the next stage took it */
	while ((rc = line_next(&r, &line, &len)) == 1) {
		if ((rc = take_line(g, dir, name, &r, line, len)) == -1)
			break;
	}
	if (rc == -1 && errno == EMSGSIZE) {
		broken(g, dir, name, r.number);
		rc = 0;
	}
	json_trim(&g->json);
	line_free(&r);
	close(r.fd);
	return rc;
}

static int
take_directory(struct gathering *g, const char *path,
    bool (*is_ours)(const char *), struct fault *f)
{
	DIR *dir = file_opendir(g->books->spool.fd, path, 0);
	struct dirent *e;
	int rc = 0;

	if (dir == NULL)
		return errno == ENOENT ? 0 :
		    fault_errno(f, FAULT_INTERNAL, "%s", path);
	while (rc == 0 && (errno = 0, e = readdir(dir)) != NULL) {
		if (is_ours(e->d_name) &&
		    (rc = take_file(g, dirfd(dir), path, e->d_name)) == -1)
			fault_errno(f, FAULT_INTERNAL, "%s/%s", path,
			    e->d_name);
	}
	if (rc == 0 && errno != 0)
		rc = fault_errno(f, FAULT_INTERNAL, "%s", path);
	closedir(dir);
	return rc;
}

static void
sort(struct account *a)
{
	offsets_sort(&a->drops);
	marks_sort(&a->letters);
	a->recorded = 0;
	for (size_t i = 0; i < a->letters.n; i++)
		a->recorded += (a->letters.at[i] & MARK_RECORDED) != 0;
}

static void
sort_all(struct books *b)
{
	struct ledger *l;
	size_t i;

	for (l = b->ledger; l < b->ledger + b->n; l++) {
		for (i = 0; i < l->n; i++)
			sort(&l->account[i]);
	}
}

static void
begin(struct gathering *g, struct books *b, uint64_t *broken)
{
	*g = (struct gathering){ .books = b, .broken = broken,
		.now = clock_now() };
}

/* Of files of days. */
static int
gather(struct gathering *g, const char *path,
    int (*take_it)(const struct gathering *, struct account *),
    struct fault *f)
{
	g->take = take_it;
	return take_directory(g, path, daybook_is_name, f);
}

static int
end(struct gathering *g, int rc)
{
	json_free(&g->json);
	sort_all(g->books);
	return rc;
}

/* In the order in which a dead letter passes through them: one that egns-dlq
 * moves on while we look is met twice, and not never. */
static int
look(struct books *b, uint64_t *broken, struct fault *f)
{
	struct gathering g;
	int rc = 0;

	begin(&g, b, broken);
	g.take = take_waiting;
	for (size_t i = 0; rc == 0 && i < TRANSIT_STAGES; i++)
		rc = take_directory(&g, transit[i].path, transit[i].is_ours,
		    f);
	if (rc == 0)
		rc = gather(&g, "deadletter/written", take_written, f);
	if (rc == 0)
		rc = gather(&g, "dropped", take_dropped, f);
	return end(&g, rc);
}

static bool
some_missing(const struct books *b)
{
	const struct ledger *l;
	size_t i;

	for (l = b->ledger; l < b->ledger + b->n; l++) {
		for (i = 0; i < l->n; i++) {
			if (l->account[i].recorded <
			    l->account[i].dead_lettered)
				return true;
		}
	}
	return false;
}

/*
 * Parcels that wait are made fewer within a directory, and whoever reads that
 * at the time may meet neither the parts nor the whole: what is missing is
 * looked for again.
 */
int
records_gather(struct books *b, uint64_t *broken, struct fault *f)
{
	int looks = LOOKS;

	do {
		if (look(b, broken, f) == -1)
			return -1;
		broken = NULL;
	} while (--looks > 0 && some_missing(b));
	return 0;
}

int
records_gather_replayed(struct books *b, uint64_t *broken, struct fault *f)
{
	struct gathering g;

	begin(&g, b, broken);
	return end(&g, gather(&g, "replay", take_replayed, f));
}

int
records_gather_pruned(struct books *b, struct fault *f)
{
	struct gathering g;

	begin(&g, b, NULL);
	return end(&g, gather(&g, "deadletter/written", take_pruned, f));
}
