/* how push subscriptions stand, on disk */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "spool.h"
#include "standing.h"

#define NOON (INT64_C(1769860800) * CLOCK_SECOND) /* 2026-01-31T12:00:00Z */
#define FILE_OF "push/orders/hook.json"

static int tmp; /* a directory of this test program */

static void
begin(void)
{
	char path[] = "/tmp/egns-standing.XXXXXX";

	if (mkdtemp(path) == NULL || chdir(path) == -1 ||
	    (tmp = open(".", O_RDONLY | O_DIRECTORY)) == -1)
		abort();
}

static void
end(void)
{
	char path[4096];

	if (getcwd(path, sizeof(path)) == NULL || chdir("/") == -1 ||
	    spool_remove(AT_FDCWD, path) == -1)
		abort();
	close(tmp);
}

static int
is_there(const char *path)
{
	return faccessat(tmp, path, F_OK, 0) == 0;
}

static void
write_file(const char *path, const char *text)
{
	if (spool_mkdir(tmp, "push/orders", 0755) == -1 ||
	    spool_replace(tmp, path, text, strlen(text), false) == -1)
		abort();
}

static struct standing
load(const char *uid, int *rc)
{
	struct standing s;
	struct fault f;

	memset(&s, 0xff, sizeof(s));
	*rc = standing_load(&s, tmp, "orders", "hook", uid, &f);
	return s;
}

static int
save(const struct standing *s)
{
	struct fault f;

	return standing_save(s, tmp, "orders", "hook", &f);
}

static struct standing
whole(void)
{
	struct standing s = { .uid = "u-1" };

	s.hold.since = NOON + 5;
	strcpy(s.hold.by, "user:root");
	strcpy(s.hold.reason, "the \"role\" is wrong\\ \xc3\xa4");
	s.handshake.state = HANDSHAKE_PENDING;
	s.handshake.time = NOON;
	memset(s.handshake.endpoint, 'a', 64);
	strcpy(s.handshake.origin, "eventgrid.azure.net");
	s.handshake.rate = 120;
	memset(s.handshake.key, 'b', 32);
	s.handshake.status = 405;
	return s;
}

static int
same(const struct standing *a, const struct standing *b)
{
	return strcmp(a->uid, b->uid) == 0 && a->hold.since == b->hold.since &&
	    strcmp(a->hold.by, b->hold.by) == 0 &&
	    strcmp(a->hold.reason, b->hold.reason) == 0 &&
	    a->handshake.state == b->handshake.state &&
	    a->handshake.time == b->handshake.time &&
	    strcmp(a->handshake.endpoint, b->handshake.endpoint) == 0 &&
	    strcmp(a->handshake.origin, b->handshake.origin) == 0 &&
	    a->handshake.rate == b->handshake.rate &&
	    strcmp(a->handshake.key, b->handshake.key) == 0 &&
	    a->handshake.status == b->handshake.status;
}

static void
without_a_file_it_is_empty(void)
{
	struct standing none = { .uid = "u-1" }, s;
	int rc;

	s = load("u-1", &rc);
	CHECK(rc == 0);
	CHECK(same(&s, &none));
}

static void
what_is_saved_is_read(void)
{
	struct standing s = whole(), got;
	int rc;

	CHECK(save(&s) == 0);
	got = load("u-1", &rc);
	CHECK(rc == 0 && same(&s, &got));
	s.handshake.rate = -1;
	s.handshake.state = HANDSHAKE_GRANTED;
	s.handshake.key[0] = '\0';
	CHECK(save(&s) == 0);
	got = load("u-1", &rc);
	CHECK(rc == 0 && same(&s, &got));
	memset(&s.hold, 0, sizeof(s.hold));
	s.handshake.state = HANDSHAKE_REFUSED;
	s.handshake.rate = 0;
	CHECK(save(&s) == 0);
	got = load("u-1", &rc);
	CHECK(rc == 0 && same(&s, &got));
}

static void
no_secrets_are_shown(void)
{
	struct standing s = whole(), none = { .uid = "u-1" };
	struct buf b = { 0 };

	standing_show(&s, &b);
	buf_str(&b, " ");
	standing_show(&none, &b);
	buf_add(&b, "", 1);
	CHECK(strcmp(buf_data(&b), "{\"state\":\"pending\",\"time\":"
	    "\"2026-01-31T12:00:00.000000Z\",\"origin\":"
	    "\"eventgrid.azure.net\",\"rate\":120,\"status\":405} null")
	    == 0);
	buf_free(&b);
}

static void
of_another_uid_it_is_empty(void)
{
	struct standing s = whole(), none = { .uid = "u-2" }, got;
	int rc;

	CHECK(save(&s) == 0);
	got = load("u-2", &rc);
	CHECK(rc == 0 && same(&none, &got));
}

static void
nothing_to_say_is_no_file(void)
{
	struct standing s = whole(), none = { .uid = "u-1" };

	CHECK(save(&s) == 0 && is_there(FILE_OF));
	CHECK(save(&none) == 0);
	CHECK(!is_there(FILE_OF));
	CHECK(!is_there("push/orders"));
	CHECK(save(&none) == 0);
}

static void
a_broken_file_is_a_fault(void)
{
	static const char *const texts[] = { "", "{", "[]", "null",
		"{\"uid\":\"u-1\"} x" };
	int rc;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		write_file(FILE_OF, texts[i]);
		load("u-1", &rc);
		CHECK(rc == -1);
	}
}

/* People may have written it. */
static void
what_makes_no_sense_is_left_out(void)
{
	struct standing s;
	int rc;

	write_file(FILE_OF, "{\"uid\":\"u-1\",\"hold\":7,\"handshake\":{"
	    "\"state\":\"maybe\",\"time\":\"noon\",\"rate\":-3,"
	    "\"status\":\"x\",\"key\":{}}}");
	s = load("u-1", &rc);
	CHECK(rc == 0 && s.hold.since == 0);
	CHECK(s.handshake.state == HANDSHAKE_NONE);
	CHECK(s.handshake.time == 0 && s.handshake.rate == 0);
	CHECK(s.handshake.status == 0 && s.handshake.key[0] == '\0');
}

static void
a_hold_without_a_time_holds(void)
{
	struct standing s;
	int rc;

	write_file(FILE_OF, "{\"uid\":\"u-1\",\"hold\":{}}");
	s = load("u-1", &rc);
	CHECK(rc == 0 && s.hold.since != 0);
}

static void
long_texts_are_cut(void)
{
	struct standing s;
	char text[1024] = "{\"uid\":\"u-1\",\"hold\":{\"reason\":\"";
	size_t n = strlen(text);
	int rc;

	memset(text + n, 'r', 600);
	strcpy(text + n + 600, "\"}}");
	write_file(FILE_OF, text);
	s = load("u-1", &rc);
	CHECK(rc == 0 && strlen(s.hold.reason) == sizeof(s.hold.reason) - 1);
}

static void
what_cannot_be_saved_leaves_it_as_it_was(void)
{
	struct standing s = whole(), got;
	int rc;

	CHECK(save(&s) == 0);
	if (mkdirat(tmp, FILE_OF ".tmp", 0755) == -1)
		abort();
	s.hold.since++;
	CHECK(save(&s) == -1);
	got = load("u-1", &rc);
	CHECK(rc == 0 && got.hold.since == s.hold.since - 1);
	unlinkat(tmp, FILE_OF ".tmp", AT_REMOVEDIR);
}

static bool
has(const char *topic, const char *subscription, void *arg)
{
	++*(int *)arg;
	return strcmp(topic, "orders") == 0 &&
	    strcmp(subscription, "hook") == 0;
}

static void
what_is_gone_is_swept(void)
{
	struct standing s = whole();
	struct fault f;
	int asked = 0;

	CHECK(save(&s) == 0);
	CHECK(standing_save(&s, tmp, "orders", "old", &f) == 0);
	CHECK(standing_save(&s, tmp, "gone", "hook", &f) == 0);
	write_file("push/orders/old.json.tmp", "x");
	write_file("push/orders/README", "x");
	standing_sweep(tmp, has, &asked);
	CHECK(asked == 4);
	CHECK(is_there(FILE_OF));
	CHECK(is_there("push/orders/README")); /* not ours */
	CHECK(!is_there("push/orders/old.json"));
	CHECK(!is_there("push/orders/old.json.tmp"));
	CHECK(!is_there("push/gone"));
	spool_remove(tmp, "push");
	standing_sweep(tmp, has, &asked);
	CHECK(asked == 4);
}

int
main(void)
{
	begin();
	RUN(without_a_file_it_is_empty);
	RUN(what_is_saved_is_read);
	RUN(no_secrets_are_shown);
	RUN(of_another_uid_it_is_empty);
	RUN(nothing_to_say_is_no_file);
	RUN(a_broken_file_is_a_fault);
	RUN(what_makes_no_sense_is_left_out);
	RUN(a_hold_without_a_time_holds);
	RUN(long_texts_are_cut);
	RUN(what_cannot_be_saved_leaves_it_as_it_was);
	RUN(what_is_gone_is_swept);
	end();
	DONE();
}
