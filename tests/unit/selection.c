/* which dead letters are meant, and the walk over all there are */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "registry.h"
#include "selection.h"
#include "spool.h"

#define SECONDS(n) ((n) * CLOCK_SECOND)
#define HOUR SECONDS(3600)
#define NOON SECONDS(INT64_C(1769860800)) /* 2026-01-31T12:00:00Z */
#define NOON_PATH "2026/01/31/12"

static struct spool spool;
static struct container_use use;
static struct buf said; /* what a walk has told */

/* ---- a spool ---- */

static void
put(struct registry *r, const char *path, const char *text)
{
	struct fault f;

	if (registry_put(r, path, jq_parse(text, strlen(text), NULL), &f) ==
	    -1) {
		printf("# %s\n", f.text);
		abort();
	}
}

#define SUBSCRIPTION(mode, destination) \
	"{\"properties\":{\"deliveryConfiguration\":{\"" mode "\":{" \
	"\"deadLetterDestinationWithResourceIdentity\":{" \
	"\"deadLetterDestination\":" destination "}}}}}"
#define ACCOUNTS "/providers/Microsoft.Storage/storageAccounts/"
#define LOCAL "{\"endpointType\":\"StorageBlob\",\"properties\":{" \
	"\"resourceId\":\"" ACCOUNTS "local\"," \
	"\"blobContainerName\":\"deadletter\"}}"
#define FAR "{\"endpointType\":\"StorageBlob\",\"properties\":{" \
	"\"resourceId\":\"" ACCOUNTS "far\"," \
	"\"blobContainerName\":\"c\"}}," \
	"\"identity\":{\"userAssignedIdentity\":\"/letters\"}"
#define BESIDE "{\"endpointType\":\"Directory\",\"properties\":{" \
	"\"path\":\"beside\"}}"

static void
begin(void)
{
	static char path[] = "/tmp/egns-selection.XXXXXX";
	static const char namespace[] = "{\"name\":\"ns\",\"properties\":{}}";
	struct registry *r;

	if (mkdtemp(path) == NULL)
		abort();
	spool.path = path;
	spool.fd = open(path, O_RDONLY | O_DIRECTORY);
	if (spool.fd == -1 || registry_create(spool.fd, NULL) == -1 ||
	    (r = registry_open(&spool, true, NULL)) == NULL)
		abort();
	put(r, "namespace", namespace);
	put(r, "topics/t", "{}");
	put(r, "topics/t/eventSubscriptions/a", SUBSCRIPTION("queue", LOCAL));
	put(r, "topics/t/eventSubscriptions/b", SUBSCRIPTION("push", BESIDE));
	put(r, "topics/t/eventSubscriptions/c", SUBSCRIPTION("push", FAR));
	put(r, "topics/t/eventSubscriptions/d", SUBSCRIPTION("queue", FAR));
	if (registry_commit(r, "user:test", NULL) == -1)
		abort();
	registry_close(r);
	use.loop = ev_default_loop(0);
	use.spool = &spool;
	use.namespace = jq_parse(namespace, sizeof(namespace) - 1, NULL);
}

static void
end(void)
{
	if (spool_remove(AT_FDCWD, spool.path) == -1)
		abort();
	close(spool.fd);
	jv_free(use.namespace);
	buf_free(&said);
}

static void
fresh(void)
{
	if (spool_remove(spool.fd, "containers") == -1 ||
	    spool_remove(spool.fd, "beside") == -1 ||
	    spool_mkdir(spool.fd, "containers/local/deadletter", 0700) == -1 ||
	    spool_mkdir(spool.fd, "beside", 0700) == -1)
		abort();
}

static void
blob(const char *container, const char *name, const char *text)
{
	struct fault f = { 0 };
	struct container *c = container_open_name(&use, container, &f);

	if (c == NULL || container_put(c, name, text, strlen(text), &f) == -1) {
		printf("# %s\n", f.text);
		abort();
	}
	container_close(c);
}

/* A letter of ours, which died so many seconds past noon. */
static const char *
letter(int id, int died)
{
	static char line[8][512];
	static int next;
	char *out = line[next++ % 8], time[CLOCK_TEXT + 1];

	clock_format(time, NOON + SECONDS(died));
	snprintf(out, sizeof(line[0]), "{\"id\":\"%d\",\"subject\":\"s/%d\","
	    "\"deadletterProperties\":{\"deadletterreason\":\"%s\","
	    "\"deadLetterTime\":\"%s\"}}\n", id, id,
	    id % 2 ? "Unauthorized" : "Odd", time);
	return out;
}

static const char *
letters(int from, int to)
{
	static char text[4096];

	text[0] = '\0';
	for (; from <= to; from++)
		strcat(text, letter(from, from));
	return text;
}

/* ---- a Blob Storage that gives what it is told to ---- */

struct blob_container {
	char url[64], identity[64];
};

static char asked[64]; /* the identity that has asked for a list */

/* Of each of its blobs: '+' it is given, '-' later perhaps, '0' it is gone. */
static const char *gives;

struct blob_container *
blob_open(const struct blob_use *u, jv endpoint, const char *identity,
    const char *container, struct fault *f)
{
	struct blob_container *c = calloc(1, sizeof(*c));

	(void)u, (void)f;
	snprintf(c->url, sizeof(c->url), "https://far/%s", container);
	snprintf(c->identity, sizeof(c->identity), "%s",
	    identity == NULL ? "" : identity);
	jv_free(endpoint);
	return c;
}

void
blob_close(struct blob_container *c)
{
	free(c);
}

const char *
blob_url(const struct blob_container *c)
{
	return c->url;
}

void
blob_drop(struct blob_request *r)
{
	(void)r;
	abort();
}

struct blob_request *
blob_put(struct blob_container *c, const char *name, const void *text,
    size_t len, const char *etag, blob_done *done, void *arg)
{
	(void)c, (void)name, (void)text, (void)len, (void)etag;
	(void)done, (void)arg;
	abort();
}

struct blob_request *
blob_delete(struct blob_container *c, const char *name, const char *etag,
    blob_done *done, void *arg)
{
	(void)c, (void)name, (void)etag, (void)done, (void)arg;
	abort();
}

/* Answers come at once; who waits for them does not mind. */
static struct blob_request *
answer(enum blob_result result, enum fault_code code, const char *text,
    blob_done *done, void *arg)
{
	static char request;
	struct blob_answer a = { .result = result, .text = text,
		.len = strlen(text), .etag = "e" };

	fault_set(&a.fault, code, "%s", result == BLOB_DONE ? "" : "no");
	done(&a, arg);
	return (struct blob_request *)&request;
}

struct blob_request *
blob_get(struct blob_container *c, const char *name, size_t max,
    blob_done *done, void *arg)
{
	char how = gives[atoi(strrchr(name, '/') + 1)];

	(void)c, (void)max;
	if (how == '+')
		return answer(BLOB_DONE, FAULT_NONE, letter(1, 1), done, arg);
	return how == '0' ?
	    answer(BLOB_MISSING, FAULT_NOT_FOUND, "", done, arg) :
	    answer(BLOB_LATER, FAULT_UNAVAILABLE, "", done, arg);
}

struct blob_request *
blob_list(struct blob_container *c, const char *prefix, const char *marker,
    void (*each)(const struct blob_entry *, void *), blob_done *done,
    void *arg)
{
	char name[64];

	(void)prefix, (void)marker;
	memcpy(asked, c->identity, sizeof(asked));
	for (size_t i = 0; i < strlen(gives); i++) {
		snprintf(name, sizeof(name), "ns/t/a/" NOON_PATH "/%zu", i);
		each(&(struct blob_entry){ .name = name, .etag = "e" }, arg);
	}
	return answer(BLOB_DONE, FAULT_NONE, "", done, arg);
}

/* ---- a walk, in a few words ---- */

static int
on_blob(const struct letter_place *place, void *arg, struct fault *f)
{
	(void)arg;
	(void)f;
	buf_printf(&said, "%s:", strrchr(place->blob, '/') + 1);
	return strstr(place->blob, "unread") == NULL;
}

/* -1 and 1 of callbacks, when this is the letter's number. */
static uint64_t fails, stops;

static int
on_letter(const struct letter *l, const struct letter_place *place,
    bool selected, void *arg, struct fault *f)
{
	(void)place;
	(void)arg;
	if (selected)
		buf_printf(&said, " %llu", (unsigned long long)l->number);
	else
		buf_str(&said, " .");
	if (l->number == fails)
		return fault_set(f, FAULT_TOO_MANY, "failed");
	return l->number == stops;
}

static int
on_end(const struct letter_place *place, void *arg, struct fault *f)
{
	(void)f;
	if (place->size == 0 || place->etag[0] == '\0')
		buf_str(&said, " nothing");
	if (arg != NULL && container_delete(place->container, place->blob,
	    place->etag, NULL) == -1)
		buf_str(&said, " undeleted");
	buf_str(&said, "; ");
	return 0;
}

static int
on_leave(struct container *c, void *arg, struct fault *f)
{
	(void)arg;
	(void)f;
	buf_printf(&said, "<%s> ", container_name(c));
	return 0;
}

static void
on_trouble(const char *container, const char *name, uint64_t line,
    const struct fault *f, void *arg)
{
	(void)arg;
	if (name == NULL)
		buf_printf(&said, "[%s] ", container);
	else
		buf_printf(&said, " !%llu", (unsigned long long)line);
	if (f->code == FAULT_NONE || f->text[0] == '\0')
		buf_str(&said, "without a word");
}

static void
on_slip(const struct fault *f, void *arg)
{
	(void)arg;
	buf_printf(&said, "%s", f->text);
}

static int
walk(const struct selection *s, void *arg, struct fault *f)
{
	const struct letter_walk calls = { on_blob, on_letter, on_end, on_leave,
		on_trouble, on_slip, arg };
	struct registry *r = registry_open(&spool, false, NULL);
	int rc;

	if (r == NULL)
		abort();
	buf_reset(&said, 1 << 20);
	rc = selection_walk(s, &use, r, &calls, f);
	registry_close(r);
	buf_add(&said, "", 1);
	return rc;
}

static int
walk_is(const struct selection *s, const char *want)
{
	struct fault f;

	if (walk(s, NULL, &f) == -1) {
		printf("# %s\n", f.text);
		return 0;
	}
	if (strcmp(buf_data(&said), want) != 0)
		printf("# got  %s\n# want %s\n", buf_data(&said), want);
	return strcmp(buf_data(&said), want) == 0;
}

#define IN "local/deadletter"
#define PLACE "ns/t/a/" NOON_PATH "/"

/* ---- tests ---- */

static int
option(struct selection *s, int ch, const char *value)
{
	static char copy[8][256];
	static int next;
	char *text = copy[next++ % 8];

	snprintf(text, sizeof(copy[0]), "%s", value);
	return selection_option(s, ch, text, NULL);
}

static void
options_are_taken(void)
{
	struct selection s = { 0 };

	CHECK(option(&s, SELECTION_TOPIC, "t") == 0);
	CHECK(strcmp(s.topic, "t") == 0);
	CHECK(option(&s, SELECTION_TOPIC, "") == -1);
	CHECK(option(&s, SELECTION_REASON, "Unauthorized, Odd words,,") == 0);
	CHECK(option(&s, SELECTION_REASON, "x") == 0);
	CHECK(s.nreasons == 3 && strcmp(s.reasons[1], "Odd words") == 0 &&
	    strcmp(s.reasons[2], "x") == 0);
	CHECK(option(&s, SELECTION_REASON, " ,") == -1);
	CHECK(option(&s, SELECTION_REASON, "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,"
	    "a,a,a,a,a,a,a,a,a,a,a,a,a") == -1);
	CHECK(option(&s, SELECTION_LIMIT, "5") == 0 && s.limit == 5);
	CHECK(option(&s, SELECTION_LIMIT, "0") == -1);
	CHECK(option(&s, SELECTION_QUARANTINE, "") == 0 && s.quarantine);
	CHECK(option(&s, SELECTION_SELECT, ".id") == 0);
	CHECK(option(&s, SELECTION_SELECT, ".subject") == 0);
	CHECK(option(&s, SELECTION_SELECT, ".[") == -1 && s.select != NULL);
	CHECK(option(&s, SELECTION_LAST, "x") == -1);
	selection_free(&s);
}

static int64_t
time_of(const char *text)
{
	struct selection s = { 0 };

	return option(&s, SELECTION_SINCE, text) == -1 ? -1 : s.since;
}

static int
is_ago(const char *text, int64_t ago)
{
	int64_t before = clock_now(), us = time_of(text), after = clock_now();

	return us >= before - ago && us <= after - ago;
}

static void
times_are_told_in_three_ways(void)
{
	CHECK(time_of("2026-01-31T12:00:00Z") == NOON);
	CHECK(time_of("2026-01-31T13:00:00+01:00") == NOON);
	CHECK(time_of("2026-01-31") == NOON - 12 * HOUR);
	CHECK(is_ago("90s", SECONDS(90)));
	CHECK(is_ago("30m", HOUR / 2));
	CHECK(is_ago("2h", 2 * HOUR));
	CHECK(is_ago("7d", 7 * 24 * HOUR));
	CHECK(is_ago("99999999d", 24 * HOUR * 99999999));
	CHECK(time_of("999999999d") == -1);
	CHECK(time_of("2026-02-30") == -1);
	CHECK(time_of("2h ") == -1);
	CHECK(time_of("h") == -1);
	CHECK(time_of("5") == -1);
	CHECK(time_of("5w") == -1);
	CHECK(time_of("") == -1);
}

static void
all_containers_are_walked_once(void)
{
	fresh();
	blob(IN, PLACE "1.json", letters(1, 2));
	blob(IN, PLACE "2.json", letter(3, 3));
	blob("./beside", "x/y", letter(4, 4));
	if (spool_mkdir(spool.fd, "containers/other/c", 0700) == -1)
		abort();
	blob("other/c", PLACE "3.json", letter(5, 5));
	CHECK(walk_is(&(struct selection){ 0 }, "[far/c] y: 1; <./beside> "
	    "1.json: 1 2; 2.json: 1; <local/deadletter> 3.json: 1; <other/c> "));
	CHECK(walk_is(&(struct selection){ .container = "other/c" },
	    "3.json: 1; <other/c> "));
	CHECK(walk(&(struct selection){ .container = "?" }, NULL, NULL) == -1);
	CHECK(walk_is(&(struct selection){ .container = "other/none" },
	    "[other/none] <other/none> "));
}

static void
letters_are_told_apart(void)
{
	struct selection s = { .container = IN };

	fresh();
	blob(IN, PLACE "1.json", letters(1, 5));
	s.reasons[0] = "unauthorized";
	s.nreasons = 1;
	CHECK(walk_is(&s, "1.json: 1 . 3 . 5; <" IN "> "));
	s.reasons[1] = "ODD";
	s.nreasons = 2;
	CHECK(walk_is(&s, "1.json: 1 2 3 4 5; <" IN "> "));
	s.nreasons = 0;
	s.since = NOON + SECONDS(2);
	CHECK(walk_is(&s, "1.json: . 2 3 4 5; <" IN "> "));
	s.until = NOON + SECONDS(4);
	CHECK(walk_is(&s, "1.json: . 2 3 . .; <" IN "> "));
	s.since = s.until = 0;
	s.subject = "s/3";
	CHECK(walk_is(&s, "1.json: . . 3 . .; <" IN "> "));
	s.subject = "s/";
	CHECK(walk_is(&s, "1.json: 1 2 3 4 5; <" IN "> "));
	CHECK(option(&s, SELECTION_SELECT, ".id == \"2\", true") == 0);
	CHECK(walk_is(&s, "1.json: . 2 . . .; <" IN "> "));
	CHECK(option(&s, SELECTION_SELECT,
	    ".deadletterProperties.deadLetterTime") == 0);
	CHECK(walk_is(&s, "1.json: 1 2 3 4 5; <" IN "> "));
	CHECK(option(&s, SELECTION_SELECT, "empty") == 0);
	CHECK(walk_is(&s, "1.json: . . . . .; <" IN "> "));
	CHECK(option(&s, SELECTION_SELECT,
	    "if .id == \"2\" then error(\"x\") else .id end") == 0);
	CHECK(walk_is(&s, "1.json: 1 !2 . 3 4 5; <" IN "> "));
	selection_free(&s);
}

static void
paths_say_what_is_meant(void)
{
	struct selection s = { .container = IN };
	struct fault f;

	fresh();
	blob(IN, PLACE "1.json", letter(1, 1));
	blob(IN, "ns/t/b/" NOON_PATH "/2.json", letter(2, 2));
	blob(IN, "ns/t2/a/" NOON_PATH "/3.json", letter(3, 3));
	blob(IN, "ns2/t/a/" NOON_PATH "/4.json", letter(4, 4));
	blob(IN, CONTAINER_QUARANTINE PLACE "5.json", letter(5, 5));
	blob(IN, CONTAINER_REPLAYED PLACE "6.json", letter(6, 6));
	blob(IN, "ns2/7.json", letter(7, 7));
	blob(IN, "NS/T/a/" NOON_PATH "/8.json", letter(8, 8));
	CHECK(walk_is(&s, "8.json: 1; 1.json: 1; 2.json: 1; 3.json: 1; 7.json: "
	    "1; <" IN "> "));
	s.topic = "t";
	CHECK(walk_is(&s, "1.json: 1; 2.json: 1; <" IN "> "));
	s.subscription = "b";
	CHECK(walk_is(&s, "2.json: 1; <" IN "> "));
	s.topic = NULL;
	s.subscription = "a";
	CHECK(walk_is(&s, "8.json: 1; 1.json: 1; 3.json: 1; <" IN "> "));
	s.quarantine = true;
	CHECK(walk_is(&s, "5.json: 1; <" IN "> "));
	/* there, without letters; and not there: a slip of the pen */
	s.topic = "t";
	s.subscription = "d";
	CHECK(walk_is(&s, "<" IN "> "));
	s.topic = "t2";
	CHECK(walk(&s, NULL, &f) == -1);
	CHECK(f.code == FAULT_NOT_FOUND &&
	    strstr(f.text, "no subscription 't2/d',") != NULL);
	CHECK(strcmp(buf_data(&said), "<" IN "> ") == 0);
	s.subscription = NULL;
	CHECK(walk(&s, NULL, &f) == -1);
	CHECK(strstr(f.text, "no topic 't2',") != NULL);
	s.quarantine = false;
	CHECK(walk_is(&s, "3.json: 1; <" IN "> "));
}

static void
set_modified(const char *path, int64_t us)
{
	struct timespec t[2] = { { .tv_sec = us / CLOCK_SECOND },
		{ .tv_sec = us / CLOCK_SECOND } };

	if (utimensat(spool.fd, path, t, 0) == -1)
		abort();
}

static void
old_blobs_are_passed_over(void)
{
	struct selection s = { .container = IN, .since = NOON + 2 * HOUR };

	fresh();
	blob(IN, PLACE "1.json", letter(1, 1));
	CHECK(walk_is(&s, "1.json: .; <" IN "> "));
	set_modified("containers/" IN "/" PLACE "1.json", NOON);
	CHECK(walk_is(&s, "<" IN "> "));
	s.since = NOON + HOUR - 1;
	CHECK(walk_is(&s, "1.json: .; <" IN "> "));
	/* without a time of its own, a letter has that of its blob */
	fresh();
	blob(IN, PLACE "1.json", "{\"deadletterProperties\":{}}");
	blob(IN, "x/2.json", "{\"deadletterProperties\":{}}");
	set_modified("containers/" IN "/x/2.json", NOON - HOUR);
	s.since = NOON;
	CHECK(walk_is(&s, "1.json: 1; 2.json: .; <" IN "> "));
	s.since = 0;
	s.until = NOON;
	CHECK(walk_is(&s, "1.json: .; 2.json: 1; <" IN "> "));
}

static void
the_limit_ends_the_walk(void)
{
	struct selection s = { .container = IN, .limit = 3 };

	fresh();
	blob(IN, PLACE "1.json", letters(1, 2));
	blob(IN, PLACE "2.json", letters(1, 3));
	blob(IN, PLACE "3.json", letters(1, 3));
	CHECK(walk_is(&s, "1.json: 1 2; 2.json: 1 . .; <" IN "> "));
	s.limit = 2;
	CHECK(walk_is(&s, "1.json: 1 2; <" IN "> "));
	s.limit = 0;
	stops = 2;
	CHECK(walk_is(&s, "1.json: 1 2; <" IN "> "));
	blob(IN, PLACE "0.json", letters(1, 3));
	CHECK(walk_is(&s, "0.json: 1 2 .; <" IN "> "));
	stops = 0;
}

static void
a_callback_ends_the_walk(void)
{
	struct selection s = { .container = IN };
	struct fault f;

	fresh();
	blob(IN, PLACE "1.json", letters(1, 3));
	fails = 2;
	CHECK(walk(&s, NULL, &f) == -1 && f.code == FAULT_TOO_MANY);
	CHECK(strcmp(buf_data(&said), "1.json: 1 2") == 0);
	fails = 0;
}

static void
trouble_ends_nothing(void)
{
	struct selection s = { .container = IN };
	char path[] = "containers/" IN "/" PLACE "2.json";
	int fd;

	fresh();
	blob(IN, PLACE "1.json", "nonsense\n{\"id\":\"1\"}\n"
	    "{\"deadletterProperties\":{}}\n{\"deadletterProp");
	blob(IN, PLACE "2.json", "");
	blob(IN, PLACE "3.json", letter(1, 1));
	blob(IN, PLACE "4.unread", letter(1, 1));
	fd = openat(spool.fd, path, O_WRONLY);
	if (fd == -1 || ftruncate(fd, LETTER_BLOB_MAX + 1) == -1)
		abort();
	close(fd);
	CHECK(walk_is(&s, "1.json: !1 !2 3 !4; 2.json: !0"
	    "3.json: 1; 4.unread:<" IN "> "));
}

#define NOBODY_S "no dead letter was found with the reason "

static void
reasons_that_nobody_knows_are_told(void)
{
	struct selection s = { .container = IN, .nreasons = 1,
		.reasons = { "unautorized" } };

	fresh();
	blob(IN, PLACE "1.json", letters(1, 2));
	CHECK(walk_is(&s, "1.json: . .; <" IN "> " NOBODY_S
	    "'unautorized'; did you mean 'Unauthorized'?"));
	/* ours, and a letter's that is not meant */
	s.nreasons = 3;
	s.reasons[0] = "TimeToLiveExceeded";
	s.reasons[1] = "odD";
	s.reasons[2] = "deadletterwritefailed";
	s.until = NOON;
	CHECK(walk_is(&s, "1.json: . .; <" IN "> "));
	s.until = 0;
	s.reasons[2] = "a \033comet";
	CHECK(walk_is(&s, "1.json: . 2; <" IN "> " NOBODY_S
	    "'a \\x1Bcomet'"));
	/* who has enough does not know */
	s.limit = 1;
	CHECK(walk_is(&s, "1.json: . 2; <" IN "> "));
}

static void
blobs_may_go_at_their_end(void)
{
	struct selection s = { .container = IN };

	fresh();
	blob(IN, PLACE "1.json", letters(1, 2));
	blob(IN, PLACE "2.json", letters(1, 2));
	CHECK(walk(&s, &s, NULL) == 0);
	CHECK(strcmp(buf_data(&said), "1.json: 1 2; 2.json: 1 2; <" IN "> ") ==
	    0);
	CHECK(walk_is(&s, "<" IN "> "));
}

/* With the account far; what there was is returned. */
static jv
with_far(void)
{
	static const char endpoints[] = "{\"name\":\"ns\",\"properties\":{"
	    "\"endpoints\":[{\"resourceId\":\"" ACCOUNTS "far\"}]}}";
	jv was = use.namespace;

	use.namespace = jq_parse(endpoints, sizeof(endpoints) - 1, NULL);
	return was;
}

static void
who_asks_is_a_subscription_s(void)
{
	struct selection s = { .container = "https://far/c" };
	jv was = with_far();

	fresh();
	gives = "";
	CHECK(walk(&s, NULL, NULL) == 0 && strcmp(asked, "/letters") == 0);
	s.container = NULL;
	CHECK(walk(&s, NULL, NULL) == 0 && strcmp(asked, "/letters") == 0);
	/* of nobody's destination */
	s.container = "https://far/d/?q";
	CHECK(walk_is(&s, "<https://far/d> ") && strcmp(asked, "") == 0);
	jv_free(use.namespace);
	use.namespace = was;
}

static void
blob_storage_that_does_not_answer_is_left(void)
{
	struct selection s = { .container = "https://far/c" };
	jv was = with_far();

	gives = "+-+--0--+---+";
	CHECK(walk_is(&s, "0: 1; 1: !02: 1; 3: !04: !05:6: !07: !08: 1; "
	    "9: !010: !011: !0[https://far/c] <https://far/c> "));
	gives = "--";
	CHECK(walk_is(&s, "0: !01: !0<https://far/c> "));
	jv_free(use.namespace);
	use.namespace = was;
}

int
main(void)
{
	begin();
	RUN(options_are_taken);
	RUN(times_are_told_in_three_ways);
	RUN(all_containers_are_walked_once);
	RUN(letters_are_told_apart);
	RUN(paths_say_what_is_meant);
	RUN(old_blobs_are_passed_over);
	RUN(the_limit_ends_the_walk);
	RUN(a_callback_ends_the_walk);
	RUN(trouble_ends_nothing);
	RUN(reasons_that_nobody_knows_are_told);
	RUN(blobs_may_go_at_their_end);
	RUN(who_asks_is_a_subscription_s);
	RUN(blob_storage_that_does_not_answer_is_left);
	end();
	DONE();
}
