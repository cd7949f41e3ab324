/* what dropped/ and deadletter/ have on record */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "clock.h"
#include "file.h"
#include "json.h"
#include "line.h"
#include "maildir.h"

/* A line of 16 MiB of sessions/ that is corrupt, as base64, and what a record
 * says about it; events are smaller. */
#define RECORD_MAX (16 * 1024 * 1024 / 3 * 4 + 64 * 1024)

struct gathering {
	struct books *books;
	struct json json;
	uint64_t *broken;
	bool drops; /* dropped/, not deadletter/ */
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

/* A record older than its subscription is of another one of that name. */
static bool
is_older(const struct json *j, const struct account *a)
{
	size_t len;
	const char *text = string(j, "time", &len);
	int64_t time;

	return text != NULL && clock_parse(text, len, &time) == 0 &&
	    time < a->created;
}

static int
take(struct gathering *g)
{
	struct account *a = whose(g);
	uint32_t t = json_member(&g->json, 0, "offset", 6);
	int64_t offset;

	if (a == NULL || t == 0 || !json_int64(&g->json, t, &offset) ||
	    is_older(&g->json, a))
		return 0;
	return offsets_add(g->drops ? &a->drops : &a->letters,
	    (uint64_t)offset);
}

static void
broken(struct gathering *g, const char *dir, const char *name, uint64_t line)
{
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

static bool
is_ours(const struct gathering *g, const char *name)
{
	struct maildir_name parts;
	size_t len = strlen(name);

	if (!g->drops)
		return maildir_parse(name, &parts);
	return len > 7 && strcmp(name + len - 7, ".ndjson") == 0;
}

static int
take_directory(struct gathering *g, const char *path, struct fault *f)
{
	DIR *dir = file_opendir(g->books->spool.fd, path, 0);
	struct dirent *e;
	int rc = 0;

	if (dir == NULL)
		return errno == ENOENT ? 0 :
		    fault_errno(f, FAULT_INTERNAL, "%s", path);
	while (rc == 0 && (e = readdir(dir)) != NULL) {
		if (is_ours(g, e->d_name) &&
		    (rc = take_file(g, dirfd(dir), path, e->d_name)) == -1)
			fault_errno(f, FAULT_INTERNAL, "%s/%s", path,
			    e->d_name);
	}
	closedir(dir);
	return rc;
}

int
records_gather(struct books *b, uint64_t *broken_lines, struct fault *f)
{
	struct gathering g = { .books = b, .broken = broken_lines };
	struct ledger *l;
	size_t i;
	int rc = 0;

	if (take_directory(&g, "deadletter/new", f) == -1 ||
	    take_directory(&g, "deadletter/cur", f) == -1)
		rc = -1;
	g.drops = true;
	if (rc == 0)
		rc = take_directory(&g, "dropped", f);
	json_free(&g.json);
	for (l = b->ledger; l < b->ledger + b->n; l++) {
		for (i = 0; i < l->n; i++) {
			offsets_sort(&l->account[i].drops);
			offsets_sort(&l->account[i].letters);
		}
	}
	return rc;
}
