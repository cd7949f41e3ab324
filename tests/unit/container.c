#include "container.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "jq.h"
#include "principal.h"
#include "storage.h"

#define GROUP "/subscriptions/s/resourceGroups/g"
#define ACCOUNTS GROUP "/providers/Microsoft.Storage/storageAccounts/"
#define IDENTITY GROUP \
	"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/letters"
#define ROLE "Storage Blob Data Contributor"
#define BLOB "ns/t/s/2026/01/31/12/1.json"

static char dir[] = "/tmp/egns-container.XXXXXX";
static char out[sizeof(dir) + 4]; /* beside the spool */
static struct spool spool;
static struct ev_loop *loop;
static jv namespace;

/* ---- what is synced, in order; and a sync that fails ---- */

static char calls[4096];
static int syncs, sync_fails; /* that one, counted from 1 */

int fsync(int);

static void
note(const char *call, int fd, const char *name)
{
	char link[64], path[512];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = '\0';
	n = (ssize_t)strlen(calls);
	snprintf(calls + n, sizeof(calls) - (size_t)n, "%s %s%s\n", call,
	    strrchr(path, '/') + 1, name);
}

int
fsync(int fd)
{
	note("sync", fd, "");
	if (++syncs == sync_fails) {
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

int
linkat(int from, const char *old, int to, const char *new, int flags)
{
	note("link", to, "");
	return (int)syscall(SYS_linkat, from, old, to, new, flags);
}

int
renameat(int from, const char *old, int to, const char *new)
{
	note("rename", to, "");
	return (int)syscall(SYS_renameat2, from, old, to, new, 0);
}

static void
forget_calls(void)
{
	calls[0] = '\0';
	syncs = sync_fails = 0;
}

/* ---- a Blob Storage that answers as it is told to, from the loop ---- */

struct blob_container {
	struct blob_use use;
	char url[128];
};

struct blob_request {
	struct ev_timer timer;
	struct blob_answer answer;
	int page; /* of a list; 0: none */
	void (*each)(const struct blob_entry *, void *);
	blob_done *done;
	void *arg;
};

static struct blob_answer answer; /* of the next request */
static char asked[256];           /* what the last one wanted */
static int pages;                 /* of a list */

struct blob_container *
blob_open(const struct blob_use *use, jv endpoint, const char *identity,
    const char *container, struct fault *f)
{
	struct blob_container *c = calloc(1, sizeof(*c));

	(void)f;
	c->use = *use;
	snprintf(c->url, sizeof(c->url), "%s/%s", jq_str(endpoint, "url"),
	    container);
	snprintf(asked, sizeof(asked), "%s",
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

static void
tell_entries(struct blob_request *r)
{
	char name[32];

	for (int i = 0; i < 3; i++) {
		const struct blob_entry e = { name, (uint64_t)i, r->page, "e" };

		snprintf(name, sizeof(name), "%d/%d", r->page, i);
		r->each(&e, r->arg);
	}
	snprintf(name, sizeof(name), "%d", r->page + 1);
	r->answer.text = r->page < pages ? name : "";
	r->answer.len = strlen(r->answer.text);
	r->done(&r->answer, r->arg);
}

static void
on_timer(struct ev_loop *l, ev_timer *timer, int events)
{
	struct blob_request *r = timer->data;

	(void)l, (void)events;
	if (r->page > 0)
		tell_entries(r);
	else
		r->done(&r->answer, r->arg);
	free(r);
}

static struct blob_request *
ask(struct blob_container *c, const char *what, const char *name,
    blob_done *done, void *arg)
{
	struct blob_request *r = calloc(1, sizeof(*r));

	snprintf(asked, sizeof(asked), "%s %s", what, name);
	r->answer = answer;
	r->done = done;
	r->arg = arg;
	ev_timer_init(&r->timer, on_timer, 0, 0);
	r->timer.data = r;
	ev_timer_start(c->use.loop, &r->timer);
	return r;
}

struct blob_request *
blob_put(struct blob_container *c, const char *name, const void *text,
    size_t len, const char *if_match, blob_done *done, void *arg)
{
	(void)text, (void)len;
	return ask(c, if_match == NULL ? "put" : if_match, name, done, arg);
}

struct blob_request *
blob_get(struct blob_container *c, const char *name, size_t max,
    blob_done *done, void *arg)
{
	(void)max;
	return ask(c, "get", name, done, arg);
}

struct blob_request *
blob_delete(struct blob_container *c, const char *name, const char *if_match,
    blob_done *done, void *arg)
{
	(void)if_match;
	return ask(c, "delete", name, done, arg);
}

struct blob_request *
blob_list(struct blob_container *c, const char *prefix, const char *marker,
    void (*each)(const struct blob_entry *, void *), blob_done *done, void *arg)
{
	struct blob_request *r = ask(c, "list", prefix, done, arg);

	r->each = each;
	r->page = marker == NULL ? 1 : atoi(marker);
	return r;
}

void
blob_drop(struct blob_request *r)
{
	free(r);
}

/* ---- helpers ---- */

static void
sh(const char *command)
{
	CHECK(system(command) == 0);
}

static const struct container_use *
use(void)
{
	static struct container_use u;

	u = (struct container_use){ .loop = loop, .spool = &spool,
		.namespace = namespace };
	return &u;
}

static struct container *
open_destination(const char *text, struct registry *r, struct fault *f)
{
	jv d = jv_parse(text);
	struct container *c = container_open(use(), d, r, f);

	jv_free(d);
	return c;
}

#define BLOB_TYPE(id, name) "{\"deadLetterDestination\":{\"endpointType\":" \
	"\"StorageBlob\",\"properties\":{\"resourceId\":\"" id \
	"\",\"blobContainerName\":\"" name "\"}}}"
#define DIRECTORY_TYPE(path) "{\"deadLetterDestination\":{\"endpointType\":" \
	"\"Directory\",\"properties\":{\"path\":\"" path "\"}}}"

static struct container *
named(const char *name)
{
	struct fault f = { 0 };
	struct container *c = container_open_name(use(), name, &f);

	if (c == NULL)
		printf("# %s: %s\n", name, f.text);
	CHECK(c != NULL);
	return c;
}

static bool
has(const struct fault *f, enum fault_code code, const char *words)
{
	bool yes = f->code == code && strstr(f->text, words) != NULL;

	if (!yes)
		printf("# %s: %s\n", fault_name(f->code), f->text);
	return yes;
}

/* What came of a put. */
static struct blob_answer put_answer;

static void
on_put(const struct blob_answer *a, void *arg)
{
	put_answer = *a;
	++*(int *)arg;
}

static enum blob_result
put(struct container *c, const char *name, const char *text)
{
	int n = 0;

	CHECK(container_put_start(c, name, text, strlen(text), on_put, &n)
	    == 0);
	CHECK(n == 0);
	while (n == 0)
		ev_run(loop, EVRUN_ONCE);
	CHECK(n == 1);
	return put_answer.result;
}

static bool
holds(struct container *c, const char *name, const char *text)
{
	char etag[BLOB_ETAG];
	struct fault f;
	size_t len;
	char *got = container_get(c, name, 1 << 20, &len, etag, &f);
	bool yes = got != NULL && len == strlen(text) &&
	    strcmp(got, text) == 0;

	free(got);
	return yes;
}

static bool
there(const char *path)
{
	struct stat st;

	return fstatat(spool.fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static unsigned
mode(const char *path)
{
	struct stat st;

	CHECK(fstatat(spool.fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0);
	return st.st_mode & 07777;
}

/* ---- names ---- */

static void
names_of_blobs_are_read(void)
{
	static const struct {
		const char *name, *namespace, *topic, *subscription;
		int64_t hour; /* hours since 1970 */
		bool quarantine, replayed;
	} rows[] = {
		{ "ns/t/s/2026/01/31/12/x.json", "ns", "t", "s", 491628, 0, 0 },
		{ "ns/t/s/2026/1/31/9/x.json", "ns", "t", "s", 491625, 0, 0 },
		{ "_quarantine/ns/t/s/2026/01/31/12/x", "ns", "t", "s", 491628,
		    1, 0 },
		{ "_replayed/ns/t/s/2026/01/31/12/x", "ns", "t", "s", 491628,
		    0, 1 },
		{ "ns/t/s/2026/01/31/12/more/x", "ns", "t", "s", 491628, 0, 0 },
		{ "ns/t/s/2026/01/31/x.json", "ns", "t", "s", 0, 0, 0 },
		{ "ns/t/s/2026/02/30/12/x", "ns", "t", "s", 0, 0, 0 },
		{ "ns/t/s/2026/01/31/24/x", "ns", "t", "s", 0, 0, 0 },
		{ "ns/t/s/02026/01/31/12/x", "ns", "t", "s", 0, 0, 0 },
		{ "ns/t/s/2026/+1/31/12/x", "ns", "t", "s", 0, 0, 0 },
		{ "ns/t/x.json", "ns", "t", "", 0, 0, 0 },
		{ "ns/x.json", "ns", "", "", 0, 0, 0 },
		{ "x.json", "", "", "", 0, 0, 0 },
		{ "", "", "", "", 0, 0, 0 },
		{ "//", "", "", "", 0, 0, 0 },
		{ "1234567890123456789012345678901234567890123456789012345678"
		    "901234/t/x", "", "t", "", 0, 0, 0 },
	};
	struct blob_path p;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		blob_path_read(&p, rows[i].name);
		if (strcmp(p.namespace, rows[i].namespace) != 0 ||
		    strcmp(p.topic, rows[i].topic) != 0 ||
		    strcmp(p.subscription, rows[i].subscription) != 0 ||
		    p.hour != rows[i].hour * 3600 * 1000000 ||
		    p.quarantine != rows[i].quarantine ||
		    p.replayed != rows[i].replayed) {
			printf("# %s\n", rows[i].name);
			CHECK(false);
		}
	}
}

static void
names_of_blobs_are_written(void)
{
	char name[BLOB_NAME + 1], *long_name = malloc(BLOB_NAME + 1);

	CHECK(blob_path_write(name, "ns", "t", "s", INT64_C(491628) *
	    3600 * 1000000 + 1, "1-2") == 0);
	CHECK(strcmp(name, "ns/t/s/2026/01/31/12/1-2.json") == 0);
	memset(long_name, 'x', BLOB_NAME);
	long_name[BLOB_NAME] = '\0';
	CHECK(blob_path_write(name, long_name, "t", "s", 0, "1") == -1);
	/* ns/t/s/1970/01/01/00/1.json but for the ns */
	long_name[BLOB_NAME - 25] = '\0';
	CHECK(blob_path_write(name, long_name, "t", "s", 0, "1") == 0);
	CHECK(strlen(name) == BLOB_NAME);
	free(long_name);
}

/* ---- destinations ---- */

static void
destinations(void)
{
	static const struct {
		const char *text;
		const char *name; /* NULL: the fault */
		bool remote;
		enum fault_code code;
		const char *words;
	} rows[] = {
		{ BLOB_TYPE(ACCOUNTS "local", "deadletter"),
		    "local/deadletter", false, 0, NULL },
		{ BLOB_TYPE(ACCOUNTS "LOCAL", "not-yet"), "local/not-yet",
		    false, 0, NULL },
		{ BLOB_TYPE(ACCOUNTS "acct", "dead"),
		    "https://acct.blob.core.windows.net/dead", true, 0, NULL },
		{ DIRECTORY_TYPE("a/b"), "./a/b", false, 0, NULL },
		{ DIRECTORY_TYPE("./a/b//"), "./a/b", false, 0, NULL },
		{ DIRECTORY_TYPE(".a"), ".a", false, 0, NULL },
		{ DIRECTORY_TYPE("/var/a/"), "/var/a", false, 0, NULL },
		{ DIRECTORY_TYPE("a/../../b"), NULL, false, FAULT_BAD_REQUEST,
		    "the path of a container must have no .. in it" },
		{ DIRECTORY_TYPE(""), NULL, false, FAULT_BAD_REQUEST,
		    "must be the path" },
		{ BLOB_TYPE(ACCOUNTS "other", "dead"), NULL, false,
		    FAULT_NOT_FOUND, "/containers/other" },
		{ BLOB_TYPE(ACCOUNTS "..", "dead"), NULL, false,
		    FAULT_BAD_REQUEST, "must be the id of a storage account" },
		{ BLOB_TYPE(ACCOUNTS "local", "../x"), NULL, false,
		    FAULT_BAD_REQUEST, "cannot be the name" },
		{ BLOB_TYPE(ACCOUNTS "local", "a\\u001b[2Jb"), "local/a\033[2Jb",
		    false, 0, NULL },
		{ "{\"deadLetterDestination\":{\"endpointType\":\"Directory\"}}",
		    NULL, false, FAULT_BAD_REQUEST, "neither" },
		{ "{\"deadLetterDestination\":{\"endpointType\":"
		    "\"StorageBlob\"}}", NULL, false, FAULT_BAD_REQUEST,
		    "lacks" },
		{ "null", NULL, false, FAULT_BAD_REQUEST, "neither" },
		{ "7", NULL, false, FAULT_BAD_REQUEST, "neither" },
	};
	struct container *c;
	struct fault f;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		f = (struct fault){ 0 };
		c = open_destination(rows[i].text, NULL, &f);
		if ((c != NULL) != (rows[i].name != NULL))
			printf("# %s: %s\n", rows[i].text, f.text);
		CHECK((c != NULL) == (rows[i].name != NULL));
		CHECK(c == NULL || rows[i].name == NULL ||
		    (strcmp(container_name(c), rows[i].name) == 0 &&
		    container_is_remote(c) == rows[i].remote));
		CHECK(c != NULL || has(&f, rows[i].code, rows[i].words));
		container_close(c);
	}
}

/* What subscriptions say, and what it is called while nothing opens it. */
static void
destinations_of_subscriptions(void)
{
#define OF(mode) "{\"properties\":{\"deliveryConfiguration\":{\"" mode \
	"\":{\"deadLetterDestinationWithResourceIdentity\":" \
	BLOB_TYPE(ACCOUNTS "Acct", "dead") "}}}}"
	static const struct {
		const char *subscription, *name;
	} rows[] = {
		{ OF("queue"), "acct/dead" },
		{ OF("push"), "acct/dead" },
		{ OF("pull"), NULL },
		{ "{\"properties\":{\"deliveryConfiguration\":{\"queue\":"
		    "{\"deadLetterDestinationWithResourceIdentity\":7}}}}", NULL },
	}, names[] = {
		{ DIRECTORY_TYPE("../x"), "../x" },
		{ DIRECTORY_TYPE("x"), "./x" },
		{ DIRECTORY_TYPE("/x"), "/x" },
		{ BLOB_TYPE("id", "c"), "id/c" },
		{ "{}", "?" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		jv s = jv_parse(rows[i].subscription);
		jv d = container_destination(s);
		char *name = container_destination_name(d);

		CHECK(jv_get_kind(d) == (rows[i].name != NULL ?
		    JV_KIND_OBJECT : JV_KIND_NULL));
		CHECK(rows[i].name == NULL || strcmp(name, rows[i].name) == 0);
		free(name);
		jv_free(d);
		jv_free(s);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		jv d = jv_parse(names[i].subscription);
		char *name = container_destination_name(d);

		CHECK(strcmp(name, names[i].name) == 0);
		free(name);
		jv_free(d);
	}
}

static void
names_of_containers(void)
{
	static const char *const good[] = { "local/deadletter", "local/not-yet",
		"./a/b", ".a", "/var/a", "https://acct.blob.core.windows.net/dead",
	};
	static const struct {
		const char *name;
		enum fault_code code;
		const char *words;
	} bad[] = {
		{ "deadletter", FAULT_BAD_REQUEST, "is no container" },
		{ "./deadletter/new", FAULT_BAD_REQUEST,
		    "the path of a container must not be in deadletter/" },
		{ "", FAULT_BAD_REQUEST, "is no container" },
		{ "a/b/c", FAULT_BAD_REQUEST, "is no container" },
		{ "local/..", FAULT_BAD_REQUEST, "cannot be" },
		{ "local/.hidden", FAULT_BAD_REQUEST, "cannot be" },
		{ "local/", FAULT_BAD_REQUEST, "cannot be" },
		{ "a~/x", FAULT_BAD_REQUEST, "cannot be" },
		{ "../x", FAULT_BAD_REQUEST, "no .." },
		{ "/a/../x", FAULT_BAD_REQUEST, "no .." },
		{ "x\033[2J", FAULT_BAD_REQUEST, "'x\\x1B[2J'" },
		{ "https://acct2.blob.core.windows.net/dead?sig=secret",
		    FAULT_NOT_FOUND, "'https://acct2.blob.core.windows.net/dead'" },
		{ "https://", FAULT_NOT_FOUND, "no storage account" },
	};
	struct container *c;
	struct fault f;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		c = named(good[i]);
		CHECK(c != NULL && strcmp(container_name(c), good[i]) == 0);
		container_close(c);
	}
	c = named("HTTPS://acct.blob.core.windows.net/dead/?sv=1");
	CHECK(c != NULL && strcmp(container_name(c),
	    "https://acct.blob.core.windows.net/dead") == 0);
	container_close(c);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		f = (struct fault){ 0 };
		c = container_open_name(use(), bad[i].name, &f);
		CHECK(c == NULL && has(&f, bad[i].code, bad[i].words));
		container_close(c);
	}
}

static void
who_writes_to_blob_storage_is_passed_on(void)
{
	static const char text[] = "{\"deadLetterDestination\":{"
	    "\"endpointType\":\"StorageBlob\",\"properties\":{\"resourceId\":"
	    "\"" ACCOUNTS "acct\",\"blobContainerName\":\"dead\"}},"
	    "\"identity\":{\"type\":\"UserAssigned\","
	    "\"userAssignedIdentity\":\"" IDENTITY "\"}}";

	container_close(open_destination(text, NULL, NULL));
	CHECK(strcmp(asked, IDENTITY) == 0);
	container_close(open_destination(BLOB_TYPE(ACCOUNTS "acct", "dead"),
	    NULL, NULL));
	CHECK(strcmp(asked, "") == 0);
}

/* ---- roles ---- */

#define BY_USER "\"identity\":{\"type\":\"UserAssigned\"," \
	"\"userAssignedIdentity\":\"" IDENTITY "\"},"
#define LOCAL_BY(identity) "{" identity "\"deadLetterDestination\":{" \
	"\"endpointType\":\"StorageBlob\",\"properties\":{\"resourceId\":\"" \
	ACCOUNTS "local\",\"blobContainerName\":\"deadletter\"}}}"

/* Does this assignment, and no other, let somebody write? */
static bool
granted(const char *who, const char *role, const char *scope,
    const char *destination, struct fault *f)
{
	struct registry *r = registry_open(&spool, true, NULL);
	struct container *c;
	bool yes;

	CHECK(r != NULL && registry_put(r, "roleAssignments/one", JV_OBJECT(
	    jv_string("name"), jv_string("one"), jv_string("properties"),
	    JV_OBJECT(jv_string("principalName"), jv_string(who),
	    jv_string("roleDefinitionName"), jv_string(role),
	    jv_string("scope"), jv_string(scope))), NULL) == 0);
	c = open_destination(destination, r, f);
	yes = c != NULL;
	container_close(c);
	registry_close(r);
	return yes;
}

static void
a_role_is_had_on_every_level(void)
{
	static const struct {
		const char *scope;
		bool good;
	} rows[] = {
		{ ACCOUNTS "local/blobServices/default/containers/deadletter",
		    true },
		{ ACCOUNTS "local/blobservices/DEFAULT/containers/Deadletter/",
		    true },
		{ ACCOUNTS "local/blobServices/default", true },
		{ ACCOUNTS "local", true },
		{ ACCOUNTS "LOCAL", true },
		{ GROUP "/providers/Microsoft.Storage", true },
		{ GROUP, true },
		{ "/subscriptions/S", true },
		{ "/", true },
		{ ACCOUNTS "loca", false },
		{ ACCOUNTS "local2", false },
		{ ACCOUNTS "local/blobServices/default/containers/dead",
		    false },
		{ ACCOUNTS "local/blobServices/default/containers/deadletter/x",
		    false },
		{ "/subscriptions/other", false },
		{ "/subscriptions/s/resourceGroups/g2", false },
		{ "", false },
		{ "subscriptions/s", false },
	};
	struct fault f;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		f = (struct fault){ 0 };
		if (granted("1234", ROLE, rows[i].scope, LOCAL_BY(""), &f) !=
		    rows[i].good) {
			printf("# '%s' %s\n", rows[i].scope, f.text);
			CHECK(false);
		}
		CHECK(rows[i].good || has(&f, FAULT_FORBIDDEN, "lacks"));
	}
}

static void
a_missing_role_says_what_to_grant(void)
{
	char by_user[UUID_SIZE], words[256];
	struct fault f = { 0 };

	CHECK(!granted("1234", "EventGrid Contributor", "/", LOCAL_BY(""), &f));
	CHECK(has(&f, FAULT_FORBIDDEN, "the namespace's identity lacks '" ROLE
	    "' on the storage account; to grant it: egns-ctl role assignment "
	    "create --assignee 1234 --role '" ROLE "' --scope '" ACCOUNTS
	    "local'"));
	CHECK(granted("1234", "storage BLOB data contributor", "/",
	    LOCAL_BY("\"identity\":{\"type\":\"SystemAssigned\"},"), &f));
	CHECK(!granted("user:root", ROLE, "/", LOCAL_BY(""), &f));

	principal_of_identity(by_user, IDENTITY);
	CHECK(!granted("1234", ROLE, "/", LOCAL_BY(BY_USER), &f));
	snprintf(words, sizeof(words), "identity 'letters' lacks '" ROLE "'");
	CHECK(has(&f, FAULT_FORBIDDEN, words));
	snprintf(words, sizeof(words), "--assignee %s --role", by_user);
	CHECK(has(&f, FAULT_FORBIDDEN, words));
	CHECK(granted(by_user, ROLE, "/", LOCAL_BY(BY_USER), &f));
	CHECK(granted(IDENTITY, ROLE, "/", LOCAL_BY(BY_USER), &f));
	CHECK(!granted(IDENTITY "2", ROLE, "/", LOCAL_BY(BY_USER), &f));
	CHECK(!granted("1234", ROLE, "/", LOCAL_BY(
	    "\"identity\":{\"type\":\"UserAssigned\"},"), &f));
	CHECK(has(&f, FAULT_BAD_REQUEST, "userAssignedIdentity is missing"));
}

static void
others_need_no_role(void)
{
	struct fault f = { 0 };
	char own[UUID_SIZE];
	jv was = namespace;

	CHECK(granted("x", ROLE, "/", DIRECTORY_TYPE("a"), &f));
	CHECK(granted("x", ROLE, "/", BLOB_TYPE(ACCOUNTS "acct", "dead"), &f));
	/* a namespace without an identity has the one of its first grant */
	namespace = jv_parse("{\"name\":\"plant\",\"identity\":"
	    "{\"type\":\"None\"}}");
	principal_of_namespace(own, "plant");
	CHECK(granted(own, ROLE, "/", LOCAL_BY(""), &f));
	CHECK(!granted("1234", ROLE, "/", LOCAL_BY(""), &f));
	jv_free(namespace);
	namespace = was;
}

/* ---- putting ---- */

static void
a_blob_is_put_once(void)
{
	struct container *c = named("local/deadletter");
	struct fault f;

	CHECK(put(c, BLOB, "one\n") == BLOB_DONE);
	CHECK(put_answer.etag[0] != '\0');
	CHECK(holds(c, BLOB, "one\n"));
	CHECK(mode("containers/local/deadletter/" BLOB) == 0600);
	CHECK(mode("containers/local/deadletter/ns/t/s/2026/01") == 0700);
	CHECK(mode("containers/local/deadletter") == 0755);
	CHECK(put(c, BLOB, "two\n") == BLOB_EXISTS);
	CHECK(container_put(c, BLOB, "two\n", 4, &f) == -1);
	CHECK(has(&f, FAULT_CONFLICT, "is there already"));
	CHECK(holds(c, BLOB, "one\n"));
	CHECK(container_put(c, "top.json", "", 0, &f) == 0);
	CHECK(holds(c, "top.json", ""));
	CHECK(!there("containers/local/deadletter/" BLOB ".tmp~"));
	container_close(c);
}

static void
what_was_put_is_on_disk(void)
{
	struct container *c = named("local/sync");
	struct fault f;

	sh("mkdir $dir/containers/local/sync");
	forget_calls();
	CHECK(put(c, "a/b/1", "x") == BLOB_DONE);
	CHECK(strcmp(calls, "sync sync\nsync a\nsync 1.tmp~\nlink b\nsync b\n")
	    == 0);
	/* a directory that was there, perhaps not for good */
	forget_calls();
	CHECK(put(c, "a/b/2", "x") == BLOB_DONE);
	CHECK(strcmp(calls, "sync a\nsync 2.tmp~\nlink b\nsync b\n") == 0);
	/* nor a blob */
	forget_calls();
	CHECK(put(c, "a/b/2", "x") == BLOB_EXISTS);
	CHECK(strcmp(calls, "sync a\nsync b\n") == 0);
	forget_calls();
	CHECK(put(c, "top", "x") == BLOB_DONE);
	CHECK(strcmp(calls, "sync top.tmp~\nlink sync\nsync sync\n") == 0);
	forget_calls();
	CHECK(container_replace(c, "top", put_answer.etag, "yy", 2, &f) == 0);
	CHECK(strcmp(calls, "sync top.tmp~\nrename sync\nsync sync\n") == 0);
	container_close(c);
}

static void
a_sync_that_fails_is_no_put(void)
{
	struct container *c = named("local/sync");

	for (int i = 1; i <= 3; i++) {
		forget_calls();
		sync_fails = i;
		CHECK(put(c, "a/b/3", "x") == BLOB_LATER);
		CHECK(has(&put_answer.fault, FAULT_UNAVAILABLE,
		    "No space left on device"));
		CHECK(!there("containers/local/sync/a/b/3"));
		CHECK(!there("containers/local/sync/a/b/3.tmp~"));
	}
	for (int i = 1; i <= 2; i++) {
		forget_calls();
		sync_fails = i;
		CHECK(put(c, "a/b/2", "x") == BLOB_LATER);
		CHECK(there("containers/local/sync/a/b/2"));
	}
	forget_calls();
	CHECK(put(c, "a/b/3", "x") == BLOB_DONE);
	container_close(c);
}

#define SYNC "$dir/containers/local/sync/"

static void
what_a_crash_left_is_used_again(void)
{
	struct container *c = named("local/sync");
	char path[128];
	int fd;

	sh("echo half of it, and longer >" SYNC "a/b/4.tmp~");
	CHECK(put(c, "a/b/4", "x") == BLOB_DONE);
	CHECK(holds(c, "a/b/4", "x"));
	CHECK(!there("containers/local/sync/a/b/4.tmp~"));
	/* behind the link: it is the blob */
	sh("ln " SYNC "a/b/4 " SYNC "a/b/4.tmp~");
	CHECK(put(c, "a/b/4", "other") == BLOB_EXISTS);
	CHECK(holds(c, "a/b/4", "x"));
	CHECK(!there("containers/local/sync/a/b/4.tmp~"));
	/* somebody writes it at this moment */
	snprintf(path, sizeof(path), "%s/containers/local/sync/a/b/5.tmp~",
	    dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(write(fd, "mine", 4) == 4 && flock(fd, LOCK_EX) == 0);
	CHECK(put(c, "a/b/5", "x") == BLOB_LATER);
	CHECK(has(&put_answer.fault, FAULT_UNAVAILABLE, "somebody else"));
	CHECK(lseek(fd, 0, SEEK_END) == 4);
	close(fd);
	CHECK(put(c, "a/b/5", "x") == BLOB_DONE);
	/* and it goes with the blob */
	sh(": >" SYNC "a/b/5.tmp~");
	CHECK(container_delete(c, "a/b/5", NULL, NULL) == 0);
	CHECK(!there("containers/local/sync/a/b/5.tmp~"));
	container_close(c);
}

static void
names_that_are_no_blobs(void)
{
	static const char *const bad[] = { "", "/", "a/", "/a", "a//b", ".",
		"..", "../x", "a/../b", "a/./b", ".a", "a/.b", ".a/b", "a~",
		"a.tmp~", "a~/b" };
	struct container *c = named("local/deadletter");
	char name[BLOB_NAME + 2], etag[BLOB_ETAG];
	struct fault f;
	size_t len;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (put(c, bad[i], "x") != BLOB_REFUSED)
			printf("# '%s'\n", bad[i]);
		CHECK(put_answer.result == BLOB_REFUSED);
		CHECK(container_get(c, bad[i], 10, &len, etag, &f) == NULL);
		CHECK(has(&f, FAULT_BAD_REQUEST, "cannot be the name"));
		CHECK(container_replace(c, bad[i], "x", "x", 1, &f) == -1);
		CHECK(has(&f, FAULT_BAD_REQUEST, "cannot be the name"));
		CHECK(container_delete(c, bad[i], NULL, &f) == -1);
		CHECK(has(&f, FAULT_BAD_REQUEST, "cannot be the name"));
	}
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	CHECK(put(c, name, "x") == BLOB_REFUSED);
	CHECK(has(&put_answer.fault, FAULT_BAD_REQUEST, "cannot be the name"));
	name[256] = '\0';
	CHECK(put(c, name, "x") == BLOB_REFUSED);
	CHECK(has(&put_answer.fault, FAULT_BAD_REQUEST, "too long"));
	CHECK(put(c, "a\033[2J/\n~", "x") == BLOB_REFUSED);
	CHECK(has(&put_answer.fault, FAULT_BAD_REQUEST, "a\\x1B[2J/\\x0A"));
	CHECK(!there("containers/local/deadletter/a"));
	container_close(c);
}

static void
containers_that_cannot_be_used(void)
{
	struct container *c = named("local/not-yet");
	char etag[BLOB_ETAG], words[128];
	struct fault f;
	size_t len;

	snprintf(words, sizeof(words),
	    "is not there; to make it: mkdir %s/containers/local/not-yet", dir);
	CHECK(put(c, BLOB, "x") == BLOB_LATER);
	CHECK(has(&put_answer.fault, FAULT_UNAVAILABLE, words));
	CHECK(container_get(c, BLOB, 1, &len, etag, &f) == NULL);
	CHECK(has(&f, FAULT_UNAVAILABLE, words));
	CHECK(container_delete(c, BLOB, NULL, &f) == -1);
	CHECK(has(&f, FAULT_UNAVAILABLE, words));
	CHECK(container_list(c, NULL, NULL, NULL, &f) == -1);
	CHECK(has(&f, FAULT_UNAVAILABLE, words));
	sh(": >$dir/containers/local/not-yet");
	CHECK(put(c, BLOB, "x") == BLOB_LATER);
	CHECK(has(&put_answer.fault, FAULT_UNAVAILABLE, "Not a directory"));
	sh("rm $dir/containers/local/not-yet; mkdir $dir/containers/local/not-yet");
	CHECK(put(c, BLOB, "x") == BLOB_DONE);
	/* a file where a directory should be, and the other way round */
	sh(": >$dir/containers/local/not-yet/ns2");
	CHECK(put(c, "ns2/x", "x") == BLOB_LATER);
	CHECK(has(&put_answer.fault, FAULT_UNAVAILABLE, "Not a directory"));
	CHECK(put(c, "ns", "x") == BLOB_LATER);
	CHECK(has(&put_answer.fault, FAULT_UNAVAILABLE, "Is a directory"));
	sh("mkfifo $dir/containers/local/not-yet/fifo");
	CHECK(put(c, "fifo", "x") == BLOB_LATER);
	CHECK(container_get(c, "fifo", 1, &len, etag, &f) == NULL);
	CHECK(container_delete(c, "fifo", NULL, &f) == -1);
	CHECK(there("containers/local/not-yet/fifo"));
	container_close(c);
}

static void
without_permission_it_is_put_later(void)
{
	struct container *c = named(out);
	struct fault f;
	uid_t uid = geteuid();

	sh("mkdir $out/a && chmod 500 $out/a $out");
	CHECK(uid != 0 || (chown(out, 65534, 65534) == 0 &&
	    seteuid(65534) == 0));
	CHECK(put(c, "b/x", "x") == BLOB_LATER);
	CHECK(has(&put_answer.fault, FAULT_UNAVAILABLE, "Permission denied"));
	CHECK(put(c, "x", "x") == BLOB_LATER);
	CHECK(has(&put_answer.fault, FAULT_UNAVAILABLE, "Permission denied"));
	if (uid == 0) { /* a is the superuser's */
		CHECK(put(c, "a/x", "x") == BLOB_LATER);
		CHECK(container_list(c, NULL, NULL, NULL, &f) == -1);
		CHECK(has(&f, FAULT_UNAVAILABLE, "/a': Permission denied"));
		CHECK(container_list(c, "ab", NULL, NULL, &f) == 0);
	}
	CHECK(seteuid(uid) == 0);
	sh("chmod 700 $out/a $out && rmdir $out/a");
	CHECK(uid != 0 || chown(out, 0, 0) == 0);
	CHECK(put(c, "b/x", "x") == BLOB_DONE);
	container_close(c);
}

/* ---- links ---- */

static int
count(const struct blob_entry *e, void *arg)
{
	(void)e;
	++*(int *)arg;
	return 0;
}

static void
links_to_containers(void)
{
	struct container *c;

	sh("cd $dir/containers/local && mkdir ../../inside && "
	    "ln -s ../../inside good && ln -s ../../../../$out up && "
	    "ln -s $out absolute && ln -s loop loop && "
	    "ln -s local ../linked && ln -s containers/local/up ../../up");
	c = named("local/good");
	CHECK(put(c, BLOB, "x") == BLOB_DONE);
	CHECK(there("inside/" BLOB));
	container_close(c);
	c = named("linked/deadletter");
	CHECK(put(c, "linked", "x") == BLOB_DONE);
	container_close(c);
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = { "local/up",
			"local/absolute", "local/loop" };
		char words[64];

		c = named(names[i]);
		CHECK(put(c, BLOB, "x") == BLOB_LATER);
		snprintf(words, sizeof(words),
		    "'containers/%s' is a symbolic link that leads out",
		    names[i]);
		CHECK(has(&put_answer.fault, FAULT_UNAVAILABLE, words));
		container_close(c);
	}
	c = named("./up/x");
	CHECK(put(c, BLOB, "x") == BLOB_LATER);
	CHECK(has(&put_answer.fault, FAULT_UNAVAILABLE,
	    "'./up' is a symbolic link that leads out"));
	container_close(c);
	sh("ls -A $out | grep -v '^b$' && exit 1; exit 0");
}

static void
links_in_containers(void)
{
	struct container *c = named("local/links");
	char etag[BLOB_ETAG];
	struct fault f;
	size_t len;
	int n = 0;

	sh("mkdir -p $out/o/2026 $dir/containers/local/links/a; echo secret >$out/o/f;"
	    " cd $dir/containers/local/links && ln -s $out/o out && "
	    "ln -s $out/o/f f && ln -s $out/o/new new.tmp~ && mkdir in && "
	    "ln -s in way && echo x >in/f && ln -s $out/o a/b");
	CHECK(put(c, "out/x", "x") == BLOB_LATER);
	CHECK(has(&put_answer.fault, FAULT_UNAVAILABLE,
	    "/links/out/x': 'out' is a symbolic link, and nothing"));
	CHECK(put(c, "a/b/c/d", "x") == BLOB_LATER);
	CHECK(has(&put_answer.fault, FAULT_UNAVAILABLE, "'a/b' is a symb"));
	CHECK(put(c, "way/x", "x") == BLOB_LATER);
	CHECK(put(c, "f", "x") == BLOB_LATER);
	CHECK(has(&put_answer.fault, FAULT_UNAVAILABLE, "'f' is a symbolic"));
	CHECK(put(c, "new", "x") == BLOB_LATER);
	CHECK(container_get(c, "f", 10, &len, etag, &f) == NULL);
	CHECK(has(&f, FAULT_UNAVAILABLE, "'f' is a symbolic link"));
	CHECK(container_get(c, "out/f", 10, &len, etag, &f) == NULL);
	CHECK(container_get(c, "way/f", 10, &len, etag, &f) == NULL);
	CHECK(container_replace(c, "f", "x", "x", 1, &f) == -1);
	CHECK(container_replace(c, "out/f", "x", "x", 1, &f) == -1);
	CHECK(has(&f, FAULT_UNAVAILABLE, "'out' is a symbolic link"));
	CHECK(container_delete(c, "f", NULL, &f) == -1);
	CHECK(container_delete(c, "out/f", NULL, &f) == -1);
	CHECK(container_list(c, NULL, count, &n, &f) == 0 && n == 1);
	container_close(c);
	sh("[ \"$(cat $out/o/f)\" = secret ] && [ \"$(ls $out/o)\" = \"2026\nf\" ]"
	    " && [ -L $dir/containers/local/links/f ]");
	sh("rm -r $out/o");
}

/* ---- lists ---- */

static char seen[8192];

static int
see(const struct blob_entry *e, void *arg)
{
	size_t n = strlen(seen);

	snprintf(seen + n, sizeof(seen) - n, "%s:%ju\n", e->name,
	    (uintmax_t)e->size);
	CHECK(e->modified > INT64_C(1500000000000000) && e->etag[0] != '\0');
	return arg != NULL && strcmp(e->name, arg) == 0 ? 7 : 0;
}

static bool
lists(struct container *c, const char *prefix, const char *want)
{
	struct fault f;

	seen[0] = '\0';
	CHECK(container_list(c, prefix, see, NULL, &f) == 0);
	if (strcmp(seen, want) != 0)
		printf("# %s\n", seen);
	return strcmp(seen, want) == 0;
}

static void
lists_are_in_order(void)
{
	struct container *c = named("local/list");
	struct fault f;

	sh("mkdir -p $dir/containers/local/list && cd $dir/containers/local/list"
	    " && mkdir -p ns/t/9 ns/t/10 ns/t/010 ns/t/1a .hid old~ ns2 empty &&"
	    " printf 123 >ns/t/9/b && : >ns/t/9/a && : >ns/t/10/z &&"
	    " : >ns/t/010/y && : >ns/t/1a/x && : >ns/t/99999999999999999999"
	    " && : >ns/t/100000000000000000000 && : >.h && : >b~ && : >.hid/x &&"
	    " : >old~/x && : >ns2/x && : >'odd \\name' && mkfifo fifo &&"
	    " ln -s ns2/x link && ln -s ns2 dirlink && : >Z");
	CHECK(lists(c, NULL, "Z:0\nns/t/9/a:0\nns/t/9/b:3\nns/t/010/y:0\n"
	    "ns/t/10/z:0\nns/t/99999999999999999999:0\n"
	    "ns/t/100000000000000000000:0\nns/t/1a/x:0\nns2/x:0\n"
	    "odd \\name:0\n"));
	CHECK(lists(c, "ns", "ns/t/9/a:0\nns/t/9/b:3\nns/t/010/y:0\n"
	    "ns/t/10/z:0\nns/t/99999999999999999999:0\n"
	    "ns/t/100000000000000000000:0\nns/t/1a/x:0\nns2/x:0\n"));
	CHECK(lists(c, "ns/t/1", "ns/t/10/z:0\n"
	    "ns/t/100000000000000000000:0\nns/t/1a/x:0\n"));
	CHECK(lists(c, "ns/t/9/b", "ns/t/9/b:3\n"));
	CHECK(lists(c, "ns2/", "ns2/x:0\n"));
	CHECK(lists(c, "ns/t/9/b/", ""));
	CHECK(lists(c, "../", ""));
	CHECK(lists(c, "none", ""));
	seen[0] = '\0';
	CHECK(container_list(c, "ns/", see, (void *)"ns/t/9/b", &f) == 7);
	CHECK(strcmp(seen, "ns/t/9/a:0\nns/t/9/b:3\n") == 0);
	container_close(c);
}

/* What is too long for a name is no blob, however deep it goes. */
static void
deep_directories_are_bounded(void)
{
	struct container *c = named("local/deep");
	int fd, sub;

	sh("mkdir $dir/containers/local/deep");
	fd = openat(spool.fd, "containers/local/deep", O_RDONLY);
	for (int i = 0; i < 600; i++) {
		CHECK(mkdirat(fd, "d", 0700) == 0);
		sub = openat(fd, "d", O_RDONLY);
		close(fd);
		fd = sub;
		if (i == 510) { /* d/d/.../d/xy */
			close(openat(fd, "xy", O_WRONLY | O_CREAT, 0600));
			close(openat(fd, "xyz", O_WRONLY | O_CREAT, 0600));
		}
	}
	close(openat(fd, "y", O_WRONLY | O_CREAT, 0600));
	close(fd);
	seen[0] = '\0';
	CHECK(container_list(c, NULL, see, NULL, NULL) == 0);
	CHECK(strlen(seen) == BLOB_NAME + 3);
	container_close(c);
}

static int
delete_each(const struct blob_entry *e, void *arg)
{
	static int n;
	struct fault f;

	if (n++ % 2 == 0)
		CHECK(container_delete(arg, e->name, e->etag, &f) == 0);
	else
		CHECK(container_replace(arg, e->name, e->etag, "new", 3, &f) ==
		    0);
	return 0;
}

static int
delete_others(const struct blob_entry *e, void *arg)
{
	CHECK(strcmp(e->name, "g/1") == 0);
	CHECK(container_delete(arg, "g/2", NULL, NULL) == 0);
	CHECK(container_delete(arg, "g/3/4", NULL, NULL) == 0);
	return 0;
}

static void
what_is_listed_may_be_deleted(void)
{
	struct container *c = named("local/list");

	sh("rm -r $dir/containers/local/list && mkdir -p $dir/containers/local/list/a/b"
	    " $dir/containers/local/list/c && cd $dir/containers/local/list && "
	    ": >a/1 && : >a/b/2 && : >a/b/3 && : >c/4 && : >c/5");
	CHECK(container_list(c, NULL, delete_each, c, NULL) == 0);
	CHECK(lists(c, NULL, "a/b/2:3\nc/4:3\n"));
	CHECK(put(c, "g/1", "") == BLOB_DONE && put(c, "g/2", "") == BLOB_DONE);
	CHECK(put(c, "g/3/4", "") == BLOB_DONE);
	CHECK(container_list(c, "g/", delete_others, c, NULL) == 0);
	container_close(c);
}

/* ---- get, replace, delete ---- */

static void
too_much_is_not_read(void)
{
	struct container *c = named("local/sync");
	char etag[BLOB_ETAG], *text;
	struct fault f;
	size_t len;

	CHECK(put(c, "big", "1234") == BLOB_DONE);
	CHECK(container_get(c, "big", 3, &len, etag, &f) == NULL);
	CHECK(has(&f, FAULT_TOO_LARGE, "big': File too large"));
	text = container_get(c, "big", 4, &len, etag, &f);
	CHECK(text != NULL && len == 4 && strcmp(text, "1234") == 0);
	CHECK(strcmp(etag, put_answer.etag) == 0);
	free(text);
	CHECK(container_get(c, "none", 4, &len, etag, &f) == NULL);
	CHECK(has(&f, FAULT_NOT_FOUND, "/none': not found"));
	CHECK(container_get(c, "no/such", 4, &len, etag, &f) == NULL);
	CHECK(has(&f, FAULT_NOT_FOUND, "not found"));
	container_close(c);
}

static void
a_blob_is_replaced_as_it_was(void)
{
	struct container *c = named("local/sync");
	char etag[BLOB_ETAG], old[BLOB_ETAG];
	struct fault f;
	size_t len;

	CHECK(put(c, "r/1", "1234") == BLOB_DONE);
	strcpy(old, put_answer.etag);
	CHECK(container_replace(c, "r/1", old, "12", 2, &f) == 0);
	CHECK(holds(c, "r/1", "12"));
	CHECK(mode("containers/local/sync/r/1") == 0600);
	CHECK(container_replace(c, "r/1", old, "other", 5, &f) == -1);
	CHECK(has(&f, FAULT_CONFLICT, "/r/1' is not as it was"));
	CHECK(container_delete(c, "r/1", old, &f) == -1);
	CHECK(has(&f, FAULT_CONFLICT, "is not as it was"));
	CHECK(holds(c, "r/1", "12"));
	/* by hand, to the same length */
	free(container_get(c, "r/1", 9, &len, etag, &f));
	usleep(20000); /* a tick of the clock that files have */
	sh("printf 34 >" SYNC "r/1");
	CHECK(container_replace(c, "r/1", etag, "x", 1, &f) == -1);
	CHECK(has(&f, FAULT_CONFLICT, "is not as it was"));
	CHECK(holds(c, "r/1", "34"));
	CHECK(container_replace(c, "none", old, "x", 1, &f) == -1);
	CHECK(has(&f, FAULT_NOT_FOUND, "not found"));
	CHECK(!there("containers/local/sync/none.tmp~"));
	/* no room */
	free(container_get(c, "r/1", 9, &len, etag, &f));
	forget_calls();
	sync_fails = 1;
	CHECK(container_replace(c, "r/1", etag, "x", 1, &f) == -1);
	CHECK(has(&f, FAULT_UNAVAILABLE, "No space left on device"));
	CHECK(holds(c, "r/1", "34"));
	CHECK(!there("containers/local/sync/r/1.tmp~"));
	container_close(c);
}

static void
empty_directories_go_with_their_last_blob(void)
{
	struct container *c = named("local/sync");
	struct fault f;

	CHECK(put(c, "d/e/f/1", "x") == BLOB_DONE);
	CHECK(put(c, "d/e/f/2", "x") == BLOB_DONE);
	CHECK(put(c, "d/3", "x") == BLOB_DONE);
	CHECK(container_delete(c, "d/e/f/1", NULL, &f) == 0);
	CHECK(there("containers/local/sync/d/e/f/2"));
	CHECK(container_delete(c, "d/e/f/1", NULL, &f) == -1);
	CHECK(has(&f, FAULT_NOT_FOUND, "not found"));
	CHECK(container_delete(c, "d/e/f/2", NULL, &f) == 0);
	CHECK(!there("containers/local/sync/d/e"));
	CHECK(there("containers/local/sync/d/3"));
	CHECK(container_delete(c, "d", NULL, &f) == -1);
	container_close(c);
	c = named("local/not-yet");
	sh("cd $dir/containers/local/not-yet && rm -r * && : >x");
	CHECK(container_delete(c, "x", NULL, &f) == 0);
	CHECK(there("containers/local/not-yet"));
	container_close(c);
}

/* ---- others at the same time ---- */

#define WRITERS 4
#define ROUNDS 50

/* Writers put the same names; the number of those that it was not, or -1. */
static int
write_all(struct container *c, int me)
{
	char name[32], text[5001];
	int done = 0;

	ev_loop_fork(loop);
	memset(text, 'a' + me, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "%d/%d/x", i / 10, i);
		do
			put(c, name, text);
		while (put_answer.result == BLOB_LATER &&
		    strstr(put_answer.fault.text, "somebody else") != NULL);
		if (put_answer.result == BLOB_DONE)
			done++;
		else if (put_answer.result != BLOB_EXISTS)
			return 255;
		if (!holds(c, name, text) && put_answer.result == BLOB_DONE)
			return 254;
	}
	return done;
}

static void
one_of_many_puts_a_blob(void)
{
	struct container *c = named("local/many");
	pid_t pids[WRITERS];
	int status, done = 0;

	sh("mkdir $dir/containers/local/many");
	fflush(stdout);
	for (int i = 0; i < WRITERS; i++)
		if ((pids[i] = fork()) == 0)
			_exit(write_all(c, i));
	for (int i = 0; i < WRITERS; i++) {
		CHECK(waitpid(pids[i], &status, 0) == pids[i]);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) <= ROUNDS);
		done += WEXITSTATUS(status);
	}
	CHECK(done == ROUNDS);
	sh("cd $dir/containers/local/many && [ \"$(find . -type f | wc -l)\" = 50 ] &&"
	    " [ -z \"$(find . -name '*~')\" ] &&"
	    " ! find . -type f ! -size 5000c | grep .");
	container_close(c);
}

static void
directories_that_go_are_made_again(void)
{
	struct container *c = named("local/race");
	char name[32];
	int status, bad = 0;
	pid_t pid;

	sh("mkdir $dir/containers/local/race");
	fflush(stdout);
	if ((pid = fork()) == 0) {
		ev_loop_fork(loop);
		for (;;) {
			put(c, "a/b/c/other", "x");
			container_delete(c, "a/b/c/other", NULL, NULL);
		}
	}
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "a/b/c/%d", i);
		bad += put(c, name, "x") != BLOB_DONE;
		bad += container_delete(c, name, NULL, NULL) != 0;
	}
	if (bad > 0)
		printf("# %d: %s\n", bad, put_answer.fault.text);
	CHECK(bad == 0);
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, &status, 0) == pid);
	container_close(c);
}

/* One after the other takes a line off; none is lost, none taken twice. */
static int
take_lines(struct container *c)
{
	char etag[BLOB_ETAG], *text;
	struct fault f;
	size_t len;
	int taken = 0;

	for (;;) {
		text = container_get(c, "lines", 1000, &len, etag, &f);
		if (text == NULL || len == 0)
			break;
		if (container_replace(c, "lines", etag, text + 1, len - 1, &f)
		    == 0)
			taken++;
		else if (f.code != FAULT_CONFLICT)
			break;
		free(text);
	}
	free(text);
	return text == NULL ? 255 : taken;
}

static void
no_replacement_is_lost(void)
{
	struct container *c = named("local/race");
	int status, taken = 0;
	pid_t pids[3];
	char text[201];

	memset(text, 'x', 200);
	text[200] = '\0';
	CHECK(put(c, "lines", text) == BLOB_DONE);
	fflush(stdout);
	for (int i = 0; i < 3; i++)
		if ((pids[i] = fork()) == 0)
			_exit(take_lines(c));
	for (int i = 0; i < 3; i++) {
		CHECK(waitpid(pids[i], &status, 0) == pids[i]);
		CHECK(WIFEXITED(status));
		taken += WEXITSTATUS(status);
	}
	CHECK(taken == 200);
	container_close(c);
}

/* ---- Blob Storage ---- */

#define REMOTE "https://acct.blob.core.windows.net/dead"

static void
answers_of_blob_storage(void)
{
	static const struct {
		enum blob_result result;
		enum fault_code code;
	} rows[] = {
		{ BLOB_EXISTS, FAULT_CONFLICT },
		{ BLOB_CHANGED, FAULT_CONFLICT },
		{ BLOB_MISSING, FAULT_NOT_FOUND },
		{ BLOB_LATER, FAULT_UNAVAILABLE },
		{ BLOB_LATER, FAULT_INTERNAL },
		{ BLOB_REFUSED, FAULT_TOO_LARGE },
	};
	struct container *c = named(REMOTE);
	char etag[BLOB_ETAG], *text;
	struct fault f;
	size_t len;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		answer = (struct blob_answer){ .result = rows[i].result };
		fault_set(&answer.fault, rows[i].code, "its words");
		CHECK(container_put(c, "x", "x", 1, &f) == -1);
		CHECK(has(&f, rows[i].code, "its words"));
		CHECK(container_get(c, "x", 1, &len, etag, &f) == NULL);
		CHECK(has(&f, rows[i].code, "its words"));
	}
	answer = (struct blob_answer){ .text = "abc", .len = 3, .etag = "E" };
	CHECK(container_put(c, "1", "x", 1, &f) == 0);
	CHECK(strcmp(asked, "put 1") == 0);
	text = container_get(c, "2", 9, &len, etag, &f);
	CHECK(text != NULL && len == 3 && strcmp(text, "abc") == 0);
	CHECK(strcmp(etag, "E") == 0 && strcmp(asked, "get 2") == 0);
	free(text);
	CHECK(container_replace(c, "3", "tag", "x", 1, &f) == 0);
	CHECK(strcmp(asked, "tag 3") == 0);
	CHECK(container_delete(c, "4", "tag", &f) == 0);
	CHECK(strcmp(asked, "delete 4") == 0);
	container_close(c);
}

static int
see_and_get(const struct blob_entry *e, void *arg)
{
	char etag[BLOB_ETAG];
	struct blob_answer was = answer;
	size_t n = strlen(seen), len;

	snprintf(seen + n, sizeof(seen) - n, "%s %ju %jd %s\n", e->name,
	    (uintmax_t)e->size, (intmax_t)e->modified, e->etag);
	answer.text = "x";
	answer.len = 1;
	free(container_get(arg, e->name, 9, &len, etag, NULL));
	CHECK(strncmp(asked, "get ", 4) == 0 &&
	    strcmp(asked + 4, e->name) == 0);
	answer = was;
	return strcmp(e->name, "2/2") == 0 ? 9 : 0;
}

static void
lists_of_blob_storage(void)
{
	struct container *c = named(REMOTE);
	struct fault f;

	answer = (struct blob_answer){ .result = BLOB_DONE };
	for (pages = 1; pages <= 3; pages++) {
		seen[0] = '\0';
		CHECK(container_list(c, "p", see_and_get, c, &f) ==
		    (pages == 1 ? 0 : 9));
		CHECK(strcmp(seen, pages == 1 ?
		    "1/0 0 1 e\n1/1 1 1 e\n1/2 2 1 e\n" :
		    "1/0 0 1 e\n1/1 1 1 e\n1/2 2 1 e\n"
		    "2/0 0 2 e\n2/1 1 2 e\n2/2 2 2 e\n") == 0);
	}
	answer.result = BLOB_LATER;
	answer.fault.code = FAULT_UNAVAILABLE;
	CHECK(container_list(c, "p", see_and_get, c, &f) == -1);
	CHECK(f.code == FAULT_UNAVAILABLE);
	container_close(c);
}

/* Another thing on the loop ends its run: the answer is waited for. */
static void
end_run(struct ev_loop *l, ev_prepare *w, int events)
{
	(void)events;
	ev_prepare_stop(l, w);
	ev_break(l, EVBREAK_ONE);
}

static void
a_broken_loop_is_run_again(void)
{
	struct container *c = named(REMOTE);
	ev_prepare prepare;
	struct fault f;

	answer = (struct blob_answer){ .result = BLOB_DONE };
	ev_prepare_init(&prepare, end_run);
	ev_prepare_start(loop, &prepare);
	CHECK(container_put(c, "x", "x", 1, &f) == 0);
	container_close(c);
}

/* ---- */

static void
words_of_storage(void)
{
	char account[STORAGE_ACCOUNT];

	CHECK(storage_check_account(ACCOUNTS "abc", NULL) == 0);
	CHECK(storage_account(account, ACCOUNTS "aBC1") == 0);
	CHECK(strcmp(account, "abc1") == 0);
	CHECK(storage_account(account, ACCOUNTS "x/y") == -1);
	CHECK(strcmp(account, "abc1") == 0);
	CHECK(storage_check_account(ACCOUNTS "ab", NULL) == -1);
	CHECK(storage_check_account(ACCOUNTS
	    "abcdefghijklmnopqrstuvwxy", NULL) == -1);
	CHECK(storage_check_account(ACCOUNTS "a.b", NULL) == -1);
	CHECK(storage_check_account(ACCOUNTS "abc" + 1, NULL) == -1);
	CHECK(storage_check_container("a-1", NULL) == 0);
	CHECK(storage_check_container("ab", NULL) == -1);
	CHECK(storage_check_container("-ab", NULL) == -1);
	CHECK(storage_check_container("ab_", NULL) == -1);
	CHECK(storage_check_path("..", NULL) == -1);
	CHECK(storage_check_path("a/..", NULL) == -1);
	CHECK(storage_check_path("a/...", NULL) == 0);
	CHECK(storage_check_path("a../..b/.", NULL) == 0);
}

/* Relative paths are below the spool, which has other things there, too. */
static void
paths_of_the_spool(void)
{
	static const char *const bad[] = { "deadletter", "./deadletter/sorted",
		".//topics", "././/run/", "replay/x", "namespace", "route/cur",
		"push", ".", "./", "././/" };
	static const char *const good[] = { "containers/local/x", "deadletters",
		"dead/topics", ".dead", "Topics", "/deadletter", "/", "/run" };
	struct fault f;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(storage_check_path(bad[i], &f) == -1);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(storage_check_path(good[i], NULL) == 0);
	storage_check_path("./route/x", &f);
	CHECK(has(&f, FAULT_BAD_REQUEST, "must not be in route/, which the "
	    "spool has for other things"));
}

/* And so are absolute ones that lead there. */
static void
absolute_paths_of_the_spool(void)
{
	static const struct {
		const char *end, *name;
	} rows[] = { { "/a/b", "./a/b" }, { "//.a/", ".a" }, { "/topics/x", NULL },
		{ "/", NULL }, { "", NULL } };
	char path[sizeof(dir) + 16];
	struct container *c;
	struct fault f;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", dir, rows[i].end);
		c = container_open_name(use(), path, &f);
		CHECK(c == NULL ? rows[i].name == NULL &&
		    f.code == FAULT_BAD_REQUEST :
		    rows[i].name != NULL &&
		    strcmp(container_name(c), rows[i].name) == 0);
		container_close(c);
	}
	c = named(out);
	CHECK(strcmp(container_name(c), out) == 0);
	container_close(c);
}

static void
begin(void)
{
	namespace = jv_parse("{\"name\":\"plant\",\"identity\":"
	    "{\"type\":\"SystemAssigned\",\"principalId\":\"1234\"},"
	    "\"properties\":{\"endpoints\":[{\"resourceId\":\"/other\","
	    "\"url\":\"https://acct.blob.core.windows.net\"},{\"resourceId\":"
	    "\"" ACCOUNTS "one\",\"url\":\"https://one\"},{\"resourceId\":"
	    "\"" ACCOUNTS "acct\",\"url\":"
	    "\"https://acct.blob.core.windows.net\"}]}}");
	CHECK(registry_create(spool.fd, NULL) == 0);
	setenv("dir", dir, 1);
	setenv("out", out, 1);
	sh("mkdir -p $dir/containers/local/deadletter $out;"
	    "chmod 755 $dir/containers/local/deadletter $dir");
}

int
main(void)
{
	umask(022);
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(out, sizeof(out), "%s.out", dir);
	spool.path = dir;
	spool.fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	loop = ev_default_loop(0);
	begin();
	RUN(words_of_storage);
	RUN(paths_of_the_spool);
	RUN(absolute_paths_of_the_spool);
	RUN(names_of_blobs_are_read);
	RUN(names_of_blobs_are_written);
	RUN(destinations);
	RUN(destinations_of_subscriptions);
	RUN(names_of_containers);
	RUN(who_writes_to_blob_storage_is_passed_on);
	RUN(a_role_is_had_on_every_level);
	RUN(a_missing_role_says_what_to_grant);
	RUN(others_need_no_role);
	RUN(a_blob_is_put_once);
	RUN(what_was_put_is_on_disk);
	RUN(a_sync_that_fails_is_no_put);
	RUN(what_a_crash_left_is_used_again);
	RUN(names_that_are_no_blobs);
	RUN(containers_that_cannot_be_used);
	RUN(without_permission_it_is_put_later);
	RUN(links_to_containers);
	RUN(links_in_containers);
	RUN(lists_are_in_order);
	RUN(deep_directories_are_bounded);
	RUN(what_is_listed_may_be_deleted);
	RUN(too_much_is_not_read);
	RUN(a_blob_is_replaced_as_it_was);
	RUN(empty_directories_go_with_their_last_blob);
	RUN(one_of_many_puts_a_blob);
	RUN(directories_that_go_are_made_again);
	RUN(no_replacement_is_lost);
	RUN(answers_of_blob_storage);
	RUN(lists_of_blob_storage);
	RUN(a_broken_loop_is_run_again);
	sh("rm -rf $dir $out");
	jv_free(namespace);
	close(spool.fd);
	DONE();
}
