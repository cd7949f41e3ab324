#include <fcntl.h>
#include <jv.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../cmd/egns-route/supplies.h"
#include "changes.h"
#include "check.h"
#include "file.h"
#include "registry.h"
#include "spool.h"

#define LOG "namespace/changes.ndjson"
#define UID "e88cdb21-be51-4995-b9e1-e3b0aacec79f"
#define RUN_OF_UID UINT64_C(0xe88cdb21be514995)

static char dir[] = "/tmp/egns-unit-XXXXXX";
static struct spool spool;
static char got[4096]; /* what event() was told: "ID PATH " of each */

static void
fresh(void)
{
	CHECK(spool_remove(spool.fd, "namespace") == 0);
	CHECK(spool_remove(spool.fd, "lifecycle") == 0);
	CHECK(registry_create(spool.fd, NULL) == 0);
}

/* A transaction of n resources, "path" or "path=topic" (of the namespace). */
static void
change(const char *const *paths, int n)
{
	struct registry *r = registry_open(&spool, true, NULL);
	char text[512];

	for (int i = 0; i < n; i++) {
		const char *is = strchr(paths[i], '=');
		char path[64];

		snprintf(path, sizeof(path), "%.*s", is == NULL ? 60 :
		    (int)(is - paths[i]), paths[i]);
		snprintf(text, sizeof(text), "{\"uid\":\"" UID "\","
		    "\"properties\":{\"lifecycleTopicResourceId\":\"%s\"}}",
		    is == NULL ? "" : is + 1);
		CHECK(registry_put(r, path, jv_parse(text), NULL) == 0);
	}
	CHECK(registry_commit(r, "user:ann", NULL) == 0);
	registry_close(r);
}

#define CHANGE(...) change((const char *const[]){ __VA_ARGS__ }, \
	(int)(sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)))

static int
event(const char *line, size_t len, const char *id, struct buf *out,
    void *arg, struct fault *f)
{
	struct json js = { 0 };
	struct change c;

	(void)out;
	(void)arg;
	(void)f;
	CHECK(changes_parse(&js, line, len, &c));
	sprintf(got + strlen(got), "%s %.*s ", strchr(id, '/') + 1,
	    (int)c.path_len, c.path);
	CHECK(strncmp(id, UID "/", sizeof(UID)) == 0);
	json_free(&js);
	return 1;
}

static struct supply *
supply(uint64_t number)
{
	struct supply *s = changes_new(&spool, event, NULL, NULL);

	CHECK(s != NULL && s->run == RUN_OF_UID);
	s->calls->begin(s, number);
	return s;
}

/* All that there is now, as event() is told it. */
static const char *
take(struct supply *s, size_t max, bool done)
{
	struct batch *b;

	got[0] = '\0';
	while (s->calls->take(s, max, 100, &b) == 0 && b != NULL) {
		const char *p = b->text, *end = p + b->proof.bytes, *nl;
		uint64_t n = b->first;

		CHECK(b->run == RUN_OF_UID);
		for (; p < end; p = nl + 1) {
			nl = memchr(p, '\n', (size_t)(end - p));
			s->calls->event(s, b, n++, p, (size_t)(nl - p), NULL,
			    NULL);
		}
		CHECK(n == b->first + b->proof.lines);
		if (done)
			CHECK(s->calls->done(s, b) == 0);
		batches_free(b);
	}
	return got;
}

static void
lines_behind_the_one_that_names_the_topic(void)
{
	struct supply *s;

	fresh();
	CHANGE("namespace", "clients/early");
	CHANGE("namespace=t");
	s = supply(0);
	CHECK(strcmp(take(s, 1 << 20, false), "") == 0);
	CHANGE("clients/a", "topics/x", "clients/b");
	CHECK(strcmp(take(s, 1 << 20, false),
	    "4 clients/a 5 topics/x 6 clients/b ") == 0);
	CHECK(strcmp(take(s, 1 << 20, false), "") == 0);
	/* the namespace changes, and its topic stays */
	CHANGE("namespace=t", "clients/c");
	CHECK(strcmp(take(s, 1, false), "7 namespace 8 clients/c ") == 0);
	s->calls->free(s);
	/* the target has come so far */
	s = supply(5);
	CHECK(strcmp(take(s, 1, false),
	    "6 clients/b 7 namespace 8 clients/c ") == 0);
	/* and another topic is told nothing of that */
	CHANGE("namespace=u", "clients/d");
	s->calls->begin(s, 0);
	CHECK(strcmp(take(s, 1 << 20, false), "10 clients/d ") == 0);
	/* the first one again knows of less than has passed it by */
	CHANGE("namespace=t", "clients/e");
	s->calls->begin(s, 8);
	CHECK(strcmp(take(s, 1 << 20, false), "12 clients/e ") == 0);
	s->calls->free(s);
}

static void
what_is_done_is_remembered(void)
{
	struct supply *s;

	fresh();
	CHANGE("namespace=t");
	CHANGE("clients/a", "clients/b");
	s = supply(0);
	CHECK(strcmp(take(s, 1, true), "2 clients/a 3 clients/b ") == 0);
	s->calls->free(s);
	CHANGE("clients/c");
	s = supply(0);
	CHECK(strcmp(take(s, 1, true), "4 clients/c ") == 0);
	s->calls->free(s);
}

static void
a_transaction_comes_whole(void)
{
	struct supply *s;
	size_t before, len;
	char *log;
	int fd;

	fresh();
	CHANGE("namespace=t");
	s = supply(0);
	take(s, 1, false);
	free(spool_read(spool.fd, LOG, 1 << 20, &before));
	CHANGE("clients/a", "clients/b");
	log = spool_read(spool.fd, LOG, 1 << 20, &len);
	fd = openat(spool.fd, LOG, O_RDWR);
	for (size_t cut = before; cut < len; cut++) {
		CHECK(ftruncate(fd, (off_t)cut) == 0);
		CHECK(strcmp(take(s, 1 << 20, false), "") == 0);
		CHECK(file_pwrite(fd, log + cut, len - cut, (off_t)cut) == 0);
	}
	CHECK(strcmp(take(s, 1 << 20, false), "2 clients/a 3 clients/b ") == 0);
	close(fd);
	free(log);
	s->calls->free(s);
}

static void
another_file_goes_on_where_the_old_one_was(void)
{
	struct supply *s;
	size_t len;
	char *log;

	fresh();
	CHANGE("namespace=t");
	CHANGE("clients/a");
	s = supply(0);
	CHECK(strcmp(take(s, 1, false), "2 clients/a ") == 0);
	log = spool_read(spool.fd, LOG, 1 << 20, &len);
	CHECK(spool_replace(spool.fd, LOG, log, len, true) == 0);
	free(log);
	CHANGE("clients/b");
	CHECK(strcmp(take(s, 1, false), "3 clients/b ") == 0);
	s->calls->free(s);
}

static void
a_damaged_line_is_not_passed_by(void)
{
	struct supply *s;
	struct batch *b;
	int fd;

	fresh();
	CHANGE("namespace=t");
	CHANGE("clients/a");
	s = supply(1);
	fd = openat(spool.fd, LOG, O_RDWR);
	CHECK(file_pwrite(fd, "x", 1, 100) == 0);
	close(fd);
	CHECK(s->calls->take(s, 1 << 20, 1, &b) == -1 && b == NULL);
	s->calls->free(s);
}

int
main(void)
{
	CHECK(mkdtemp(dir) != NULL);
	spool.fd = open(dir, O_RDONLY | O_DIRECTORY);
	spool.path = dir;
	RUN(lines_behind_the_one_that_names_the_topic);
	RUN(what_is_done_is_remembered);
	RUN(a_transaction_comes_whole);
	RUN(another_file_goes_on_where_the_old_one_was);
	RUN(a_damaged_line_is_not_passed_by);
	spool_remove(spool.fd, "namespace");
	spool_remove(spool.fd, "lifecycle");
	close(spool.fd);
	rmdir(dir);
	DONE();
}
