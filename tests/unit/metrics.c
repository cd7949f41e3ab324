#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "metrics.h"

static bool
holds(struct buf *b, const char *text)
{
	bool same = !b->bad && b->len == strlen(text) &&
	    memcmp(buf_data(b), text, b->len) == 0;

	if (!same)
		printf("# %.*s", (int)b->len, buf_data(b));
	buf_reset(b, SIZE_MAX);
	return same;
}

static void
families(void)
{
	struct buf b = { 0 };

	metrics_family(&b, "egns_Published", "counter", "a \"b\" \\ c\nd");
	CHECK(holds(&b, "# HELP egns_Published a \"b\" \\\\ c\\nd\n"
	    "# TYPE egns_Published counter\n"));
	buf_free(&b);
}

static void
labels_of_samples(void)
{
	static const char *const none[] = { NULL };
	static const char *const two[] = { "topic", "t", "reason", "a\"\\\n",
		NULL };
	static const char *const gap[] = { "a", NULL, "b", "", "c", NULL,
		NULL };
	static const char *const empty[] = { "a", NULL, NULL };
	struct buf b = { 0 };

	metrics_sample(&b, "m", NULL, 1);
	CHECK(holds(&b, "m 1\n"));
	metrics_sample(&b, "m", none, 1);
	CHECK(holds(&b, "m 1\n"));
	metrics_sample(&b, "m", two, 1);
	CHECK(holds(&b, "m{topic=\"t\",reason=\"a\\\"\\\\\\n\"} 1\n"));
	metrics_sample(&b, "m", gap, 1);
	CHECK(holds(&b, "m{b=\"\"} 1\n"));
	metrics_sample(&b, "m", empty, 1);
	CHECK(holds(&b, "m 1\n"));
	buf_free(&b);
}

static void
values_of_samples(void)
{
	struct buf b = { 0 };

	metrics_sample(&b, "m", NULL, 9007199254740992.0);
	CHECK(holds(&b, "m 9007199254740992\n"));
	metrics_sample(&b, "m", NULL, 0.25);
	CHECK(holds(&b, "m 0.25\n"));
	metrics_sample(&b, "m", NULL, -3);
	CHECK(holds(&b, "m -3\n"));
	metrics_sample(&b, "m", NULL, (double)NAN);
	CHECK(holds(&b, "m NaN\n"));
	metrics_sample(&b, "m", NULL, (double)INFINITY);
	CHECK(holds(&b, "m +Inf\n"));
	metrics_sample(&b, "m", NULL, -(double)INFINITY);
	CHECK(holds(&b, "m -Inf\n"));
	buf_free(&b);
}

static void
files(void)
{
	char dir[] = "/tmp/metrics.XXXXXX", *text;
	struct spool spool = { .path = mkdtemp(dir) };
	struct buf b = { 0 };
	size_t len;

	spool.fd = open(dir, O_PATH | O_DIRECTORY);
	buf_str(&b, "m 1\n");
	metrics_write(&spool, "x", &b); /* there is no directory */
	CHECK(b.len == 0);
	CHECK(mkdirat(spool.fd, "metrics", 0777) == 0);
	buf_str(&b, "m 1\n");
	metrics_write(&spool, "x", &b);
	b.bad = true;
	metrics_write(&spool, "x", &b);
	CHECK(!b.bad);
	text = spool_read(spool.fd, "metrics/x.prom", 64, &len);
	CHECK(text != NULL && strcmp(text, "m 1\n") == 0);
	free(text);
	CHECK(unlinkat(spool.fd, "metrics/x.prom", 0) == 0);
	CHECK(unlinkat(spool.fd, "metrics", AT_REMOVEDIR) == 0);
	close(spool.fd);
	CHECK(rmdir(dir) == 0);
}

int
main(void)
{
	RUN(families);
	RUN(labels_of_samples);
	RUN(values_of_samples);
	RUN(files);
	DONE();
}
