#include "blob.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "file.h"
#include "http.h"
#include "jq.h"

#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define SAS "sv=2021-08-06&sp=rcwdl&sig=c2VjcmV0%2Bc2VjcmV0c2VjcmV0%3D"
#define ID "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/" \
	"storageAccounts/acct1"

static struct blob_use use;
static char dir_name[] = "/tmp/egns-blob.XXXXXX";

static bool
has(const char *text, const char *words)
{
	if (strstr(text, words) != NULL)
		return true;
	printf("# no '%s' in: %s\n", words, text);
	return false;
}

static bool
same(const char *a, const char *b)
{
	if (strcmp(a, b) == 0)
		return true;
	printf("# %s\n# is not %s\n", a, b);
	return false;
}

/* ---- a container, and what it is told ---- */

static struct {
	unsigned calls;
	struct blob_answer answer;
	char text[65536];
	struct buf entries;
} got;

static void
on_done(const struct blob_answer *a, void *arg)
{
	CHECK(arg == &got);
	got.calls++;
	got.answer = *a;
	snprintf(got.text, sizeof(got.text), "%.*s", (int)a->len, a->text);
	ev_break(use.loop, EVBREAK_ONE);
}

static void
on_entry(const struct blob_entry *e, void *arg)
{
	CHECK(arg == &got);
	CHECK(got.calls == 0);
	buf_printf(&got.entries, "%s %" PRIu64 " %s;", e->name, e->size,
	    e->etag);
}

static void
write_file(const char *name, const char *text)
{
	int fd = openat(use.dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(file_pwrite(fd, text, strlen(text), 0) == 0);
	CHECK(close(fd) == 0);
}

static void
write_token(const char *text)
{
	write_file("token", text);
}

static jv
credential(const char *how, const char *what, const char *type)
{
	return JV_OBJECT(jv_string(how), jv_string(what), jv_string("type"),
	    jv_string(type));
}

/* The container c of account acct1 of the server, with this credential, which
 * is consumed. */
static struct blob_container *
open_with(jv settings)
{
	char url[64];
	struct fault f = { .text = "" };
	struct blob_container *c;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/acct1", http.port);
	c = blob_open(&use, JV_OBJECT(jv_string("resourceId"), jv_string(ID),
	    jv_string("url"), jv_string(url), jv_string("credential"),
	    settings), NULL, "con", &f);
	CHECK(c != NULL && *f.text == '\0');
	http_reset();
	return c;
}

static struct blob_container *
open_key(void)
{
	write_token(KEY);
	return open_with(credential("file", "token", "key"));
}

/* Run a request to its end. */
static void
finish(struct blob_request *r)
{
	CHECK(r != NULL);
	got.calls = 0;
	buf_reset(&got.entries, SIZE_MAX);
	ev_run(use.loop, 0);
	CHECK(got.calls == 1);
	if (got.answer.result == BLOB_DONE)
		CHECK(got.answer.fault.code == FAULT_NONE);
	else
		CHECK(got.answer.fault.code != FAULT_NONE &&
		    got.answer.fault.text[0] != '\0');
	buf_add(&got.entries, "", 1);
}

static void
put(struct blob_container *c, const char *name, const char *if_match)
{
	finish(blob_put(c, name, "{}\n", 3, if_match, on_done, &got));
}

static void
get(struct blob_container *c, const char *name, size_t max)
{
	finish(blob_get(c, name, max, on_done, &got));
}

static void
delete(struct blob_container *c, const char *name, const char *if_match)
{
	finish(blob_delete(c, name, if_match, on_done, &got));
}

static void
list(struct blob_container *c, const char *prefix, const char *marker)
{
	finish(blob_list(c, prefix, marker, on_entry, on_done, &got));
}

/* ---- that goes well ---- */

static void
puts_a_new_blob(void)
{
	struct blob_container *c = open_key();

	http_say("201 Created\r\nETag: \"0x8D\"", "");
	put(c, "ns/t/s p/a.json", NULL);
	CHECK(got.answer.result == BLOB_DONE && !got.answer.unsure);
	CHECK(same(got.answer.etag, "\"0x8D\""));
	CHECK(has(http_asked(0), "PUT /acct1/con/ns/t/s%20p/a.json HTTP/1.1"));
	CHECK(has(http_asked(0), "\r\nContent-Type: application/json\r\n"));
	CHECK(has(http_asked(0), "\r\nContent-Length: 3\r\n"));
	CHECK(has(http_asked(0), "\r\nx-ms-blob-type: BlockBlob\r\n"));
	CHECK(has(http_asked(0), "\r\nx-ms-version: 2021-08-06\r\n"));
	CHECK(has(http_asked(0), "\r\nIf-None-Match: *\r\n"));
	CHECK(has(http_asked(0),
	    "\r\nContent-MD5: ioBVTJHZ/KisuC8CPeAvEQ==\r\n"));
	CHECK(has(http_asked(0), "\r\nAuthorization: SharedKey acct1:"));
	CHECK(has(http_asked(0), "\r\n\r\n{}\n"));
	CHECK(strstr(http_asked(0), "If-Match") == NULL);
	blob_close(c);
}

static void
puts_in_place_of_one(void)
{
	struct blob_container *c = open_key();

	http_say("201 Created", "");
	put(c, "a", "\"0x8D\"");
	CHECK(got.answer.result == BLOB_DONE);
	CHECK(has(http_asked(0), "\r\nIf-Match: \"0x8D\"\r\n"));
	CHECK(strstr(http_asked(0), "If-None-Match") == NULL);
	http_say("201 Created", "");
	finish(blob_put(c, "empty", "", 0, NULL, on_done, &got));
	CHECK(got.answer.result == BLOB_DONE);
	CHECK(has(http_asked(1), "\r\nContent-Length: 0\r\n"));
	blob_close(c);
}

static void
gets_and_deletes(void)
{
	struct blob_container *c = open_key();

	http_say("200 OK\r\nETag: \"0x8E\"", "{\"a\":1}\n");
	get(c, "a", 8);
	CHECK(got.answer.result == BLOB_DONE);
	CHECK(same(got.text, "{\"a\":1}\n"));
	CHECK(same(got.answer.etag, "\"0x8E\""));
	CHECK(has(http_asked(0), "GET /acct1/con/a HTTP/1.1"));
	http_say("202 Accepted", "");
	delete(c, "a", "\"0x8E\"");
	CHECK(got.answer.result == BLOB_DONE);
	CHECK(has(http_asked(1), "DELETE /acct1/con/a HTTP/1.1"));
	CHECK(has(http_asked(1), "\r\nIf-Match: \"0x8E\"\r\n"));
	http_say("202 Accepted", "");
	delete(c, "a", NULL);
	CHECK(strstr(http_asked(2), "If-") == NULL);
	blob_close(c);
}

#define PAGE(blobs, marker) "<EnumerationResults><Blobs>" blobs "</Blobs>" \
	"<NextMarker>" marker "</NextMarker></EnumerationResults>"
#define ONE "<Blob><Name>a/1</Name><Properties><Content-Length>7" \
	"</Content-Length><Etag>0x8D</Etag></Properties></Blob>"
#define TWO "<Blob><Name>a/2</Name></Blob>"

static void
lists_pages(void)
{
	struct blob_container *c = open_key();

	http_say("200 OK", PAGE(ONE TWO, "2!8/"));
	list(c, "a/", NULL);
	CHECK(got.answer.result == BLOB_DONE);
	CHECK(same(buf_data(&got.entries), "a/1 7 \"0x8D\";a/2 0 ;"));
	CHECK(same(got.text, "2!8/"));
	CHECK(has(http_asked(0), "GET /acct1/con?comp=list&maxresults=1000&"
	    "prefix=a%2F&restype=container HTTP/1.1"));
	http_say("200 OK", PAGE("", ""));
	list(c, NULL, "2!8/");
	CHECK(got.answer.result == BLOB_DONE);
	CHECK(same(buf_data(&got.entries), "") && got.answer.len == 0);
	CHECK(has(http_asked(1), "?comp=list&marker=2%218%2F&maxresults=1000&"
	    "restype=container HTTP/1.1"));
	/* what is not whole */
	http_say("200 OK", "<EnumerationResults><Blobs>" ONE "</Blobs>");
	list(c, NULL, NULL);
	CHECK(got.answer.result == BLOB_LATER && !got.answer.unsure);
	CHECK(got.answer.len == 0);
	CHECK(has(got.answer.fault.text, "no list of blobs"));
	blob_close(c);
}

static void
names_that_nobody_has(void)
{
	static const char *const rows[] = { "", ".", "..", "a/../b", "./a",
		"a/.", "a/..", "\xff" };
	static char longest[BLOB_NAME + 2];
	struct blob_container *c = open_key();

	memset(longest, 'x', BLOB_NAME + 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put(c, rows[i], NULL);
		CHECK(got.answer.result == BLOB_REFUSED);
		CHECK(has(got.answer.fault.text, "can have this name"));
	}
	delete(c, "", NULL);
	CHECK(got.answer.result == BLOB_REFUSED);
	get(c, longest, 1);
	CHECK(got.answer.result == BLOB_REFUSED);
	/* no condition would be none at all */
	put(c, "a", "");
	CHECK(got.answer.result == BLOB_REFUSED);
	CHECK(has(got.answer.fault.text, "ETag is not known"));
	CHECK(same(http_asked(0), ""));
	http_say("201 Created", "");
	put(c, longest + 1, NULL);
	CHECK(got.answer.result == BLOB_DONE);
	http_say("201 Created", "");
	put(c, ".a/..b/...", NULL);
	CHECK(got.answer.result == BLOB_DONE);
	CHECK(has(http_asked(1), "PUT /acct1/con/.a/..b/... HTTP"));
	blob_close(c);
}

/* ---- that does not ---- */

#define SAID(status, code) status "\r\nx-ms-error-code: " code

/* How a put, a get, a delete end with this answer; '-': it is not asked for. */
static void
results(void)
{
	static const struct {
		const char *head;
		char put, replace, get, delete;
		bool unsure;
	} rows[] = {
		{ SAID("409 Conflict", "BlobAlreadyExists"), 'E', 'E', '-',
		    '-', false },
		{ SAID("412 Precondition Failed", "ConditionNotMet"), 'E', 'C',
		    '-', 'C', false },
		{ "412 Precondition Failed", 'L', 'C', '-', 'C', false },
		{ SAID("412 Precondition Failed", "LeaseIdMissing"), 'L', 'L',
		    '-', 'L', false },
		{ SAID("404 Not Found", "BlobNotFound"), '-', 'M', 'M', 'M',
		    false },
		{ SAID("404 Not Found", "ContainerNotFound"), 'L', 'L', 'L',
		    'L', false },
		{ "404 Not Found", 'L', 'L', 'L', 'L', false },
		{ SAID("403 Forbidden", "AuthorizationPermissionMismatch"),
		    'L', 'L', 'L', 'L', false },
		{ SAID("403 Forbidden", "UnauthorizedBlobOverwrite"), 'E', 'L',
		    '-', '-', false },
		{ SAID("409 Conflict", "ContainerBeingDeleted"), 'L', 'L', 'L',
		    'L', false },
		{ SAID("409 Conflict", "SnapshotsPresent"), '-', '-', '-', 'R',
		    false },
		{ SAID("409 Conflict", "BlobImmutableDueToPolicy"), '-', 'R',
		    '-', 'R', false },
		{ SAID("400 Bad Request", "InvalidHeaderValue"), 'R', 'R', 'R',
		    'R', false },
		{ SAID("400 Bad Request", "Md5Mismatch"), 'L', 'L', '-', '-',
		    false },
		{ SAID("413 Too Large", "RequestBodyTooLarge"), 'R', 'R', '-',
		    '-', false },
		{ "405 Not Allowed", 'R', 'R', 'R', 'R', false },
		{ "408 Timeout", 'L', 'L', 'L', 'L', true },
		{ "429 Too Many", 'L', 'L', 'L', 'L', false },
		{ SAID("500 Error", "OperationTimedOut"), 'L', 'L', 'L', 'L',
		    true },
		{ SAID("503 Busy", "ServerBusy"), 'L', 'L', 'L', 'L', true },
		{ "307 Elsewhere\r\nLocation: http://127.0.0.1:1/", 'L', 'L',
		    'L', 'L', false },
		/* a page to log in, for instance */
		{ "200 OK", 'L', 'L', '-', 'L', false },
		{ "201 Created", '-', '-', 'L', 'L', false },
		{ "202 Accepted", 'L', 'L', 'L', '-', false },
		{ "204 No Content", 'L', 'L', 'L', 'L', false },
		{ NULL, 'L', 'L', 'L', 'L', true },
	};
	static const char letters[] = {
		[BLOB_DONE] = 'D', [BLOB_EXISTS] = 'E', [BLOB_CHANGED] = 'C',
		[BLOB_MISSING] = 'M', [BLOB_LATER] = 'L', [BLOB_REFUSED] = 'R',
	};
	static const enum fault_code codes[] = {
		[BLOB_EXISTS] = FAULT_CONFLICT, [BLOB_CHANGED] = FAULT_CONFLICT,
		[BLOB_MISSING] = FAULT_NOT_FOUND,
		[BLOB_LATER] = FAULT_UNAVAILABLE,
	};
	struct blob_container *c = open_key();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char want[] = { rows[i].put, rows[i].replace,
			rows[i].get, rows[i].delete };

		for (unsigned n = 0; n < 4; n++) {
			if (want[n] == '-')
				continue;
			http_reset();
			http_say(rows[i].head, "");
			if (rows[i].head == NULL) /* it is tried again, once */
				http_say(NULL, "");
			if (n < 2)
				put(c, "a", n == 0 ? NULL : "\"0\"");
			else if (n == 2)
				get(c, "a", 10);
			else
				delete(c, "a", NULL);
			if (letters[got.answer.result] != want[n])
				printf("# row %zu, %u: %c, not %c\n", i, n,
				    letters[got.answer.result], want[n]);
			CHECK(letters[got.answer.result] == want[n]);
			CHECK(got.answer.unsure == (rows[i].unsure && n != 2));
			CHECK(got.answer.result == BLOB_REFUSED ||
			    got.answer.fault.code == codes[got.answer.result]);
			CHECK(rows[i].head == NULL || has(got.answer.fault.text,
			    "status "));
		}
	}
	blob_close(c);
}

static void
bodies_that_are_too_long(void)
{
	struct blob_container *c = open_key();

	http_say("200 OK", "123456789");
	get(c, "a", 8);
	CHECK(got.answer.result == BLOB_REFUSED);
	CHECK(got.answer.fault.code == FAULT_TOO_LARGE);
	CHECK(has(got.answer.fault.text, "more than 8 bytes"));
	http_say(SAID("413 Too Large", "RequestBodyTooLarge"), "");
	put(c, "a", NULL);
	CHECK(got.answer.fault.code == FAULT_TOO_LARGE);
	blob_close(c);
}

static void
bodies_that_are_not_whole(void)
{
	static const char half[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
	    "chunked\r\n\r\n3\r\n<En\r\nzz\r\n";
	static const char created[] = "HTTP/1.1 201 Created\r\nTransfer-"
	    "Encoding: chunked\r\n\r\n3\r\n<En\r\nzz\r\n";
	struct blob_container *c = open_key();

	http_say_raw(half);
	get(c, "a", 8);
	CHECK(got.answer.result == BLOB_LATER);
	http_say_raw(half);
	list(c, NULL, NULL);
	CHECK(got.answer.result == BLOB_LATER);
	/* but the status is there */
	http_say_raw(created);
	put(c, "a", NULL);
	CHECK(got.answer.result == BLOB_DONE);
	blob_close(c);
}

static void
nobody_answers(void)
{
	struct fault f;
	struct blob_container *c;
	char url[64];
	int fd;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/acct1",
	    http_silence(&fd));
	close(fd);
	write_token(KEY);
	c = blob_open(&use, JV_OBJECT(jv_string("url"), jv_string(url),
	    jv_string("credential"), credential("file", "token", "key")), NULL,
	    "con", &f);
	put(c, "a", NULL);
	CHECK(got.answer.result == BLOB_LATER && !got.answer.unsure);
	CHECK(has(got.answer.fault.text, "127.0.0.1"));
	blob_close(c);
}

/* ---- words ---- */

#define XML_ERROR(code, message) "<?xml version=\"1.0\"?><Error><Code>" code \
	"</Code><Message>" message "\nRequestId:1\nTime:2</Message></Error>"

static const char *
words(struct blob_container *c, const char *status, const char *code,
    const char *message)
{
	struct buf b = { 0 };

	buf_printf(&b, XML_ERROR("%s", "%s") "%c", code, message, '\0');
	http_say(status, buf_data(&b));
	http_say(status, buf_data(&b));
	put(c, "a", NULL);
	buf_free(&b);
	http_reset();
	return got.answer.fault.text;
}

static void
says_what_to_do(void)
{
	struct blob_container *c = open_key();
	char url[64];

	CHECK(same(words(c, "503 Busy", "ServerBusy", "Come back."),
	    "status 503 ServerBusy: Come back."));
	CHECK(same(words(c, "503 Busy", "Server Busy", "a\033[2Jb"),
	    "status 503"));
	CHECK(same(words(c, "500 Bad", "", "a\xc2\x9b""b"),
	    "status 500: a\\xC2\\x9Bb"));
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/acct1", http.port);
	CHECK(has(words(c, "404 Not", "ContainerNotFound", "x"),
	    "there is no container 'con'; make it: az storage container create "
	    "--name con --account-name acct1 --blob-endpoint http://"));
	CHECK(has(got.answer.fault.text, url));
	CHECK(has(words(c, "403 No", "AuthenticationFailed", "x"),
	    "the key is not this account's, or this machine's clock is wrong"));
	CHECK(has(words(c, "403 No", "KeyBasedAuthenticationNotPermitted",
	    "x"), "the account takes no keys"));
	CHECK(has(words(c, "403 No", "AuthorizationFailure", "x"),
	    "az storage account network-rule add --account-name acct1"));
	CHECK(same(words(c, "403 No", "AccountIsDisabled", "It is."),
	    "status 403 AccountIsDisabled: It is."));
	CHECK(has(words(c, "302 Found", "", ""), "is it the right URL?"));
	blob_close(c);
	write_token(SAS);
	c = open_with(credential("file", "token", "sas"));
	CHECK(has(words(c, "403 No", "AuthorizationPermissionMismatch", "x"),
	    "sp=rcwdl"));
	CHECK(has(words(c, "403 No", "AuthenticationFailed", "x"),
	    "or has ended"));
	blob_close(c);
	write_token("eyJ");
	c = open_with(credential("file", "token", "bearer"));
	CHECK(has(words(c, "403 No", "AuthorizationPermissionMismatch", "x"),
	    "the token's owner lacks the role 'Storage Blob Data Contributor' "
	    "here; grant it: az role assignment create --assignee PRINCIPAL-ID "
	    "--role 'Storage Blob Data Contributor' --scope " ID
	    "/blobServices/default/containers/con"));
	CHECK(has(words(c, "401 No", "InvalidAuthenticationInfo", "x"),
	    "or not for https://storage.azure.com/"));
	blob_close(c);
}

/* Nor when the other side says them again. */
static void
secrets_are_not_said(void)
{
	struct blob_container *c = open_key();

	CHECK(same(words(c, "500 Bad", "a", "your key is " KEY),
	    "status 500"));
	blob_close(c);
	write_token(SAS);
	c = open_with(credential("file", "token", "sas"));
	CHECK(same(words(c, "500 Bad", "Error", "?sv=1&amp;sig=c2VjcmV0+c2Vj"
	    "cmV0c2VjcmV0="), "status 500"));
	CHECK(strstr(blob_url(c), "sig") == NULL);
	http_say(NULL, "");
	http_say(NULL, "");
	put(c, "a", NULL);
	CHECK(strstr(got.answer.fault.text, "sig") == NULL);
	blob_close(c);
	write_token("tokentokentoken");
	c = open_with(credential("file", "token", "bearer"));
	CHECK(same(words(c, "500 Bad", "tokentokentoken", "x"), "status 500"));
	blob_close(c);
	write_token("s3cret");
	c = open_with(credential("file", "token", "key"));
	put(c, "a", NULL);
	CHECK(got.answer.result == BLOB_LATER);
	CHECK(has(got.answer.fault.text, "is no key of an account"));
	CHECK(strstr(got.answer.fault.text, "s3cret") == NULL);
	blob_close(c);
}

/* ---- tokens ---- */

static void
another_token(void)
{
	struct blob_container *c;

	CHECK(unlinkat(use.dir, "token", 0) == 0);
	c = open_with(credential("command", "echo x >>token; wc -l <token",
	    "bearer"));
	http_say("201 Created", "");
	http_say(SAID("401 Who", "InvalidAuthenticationInfo"), "");
	http_say("201 Created", "");
	http_say("401 Who", "");
	http_say("401 Who", "");
	put(c, "a", NULL);
	CHECK(has(http_asked(0), "\r\nAuthorization: Bearer 1\r\n"));
	put(c, "b", NULL);
	CHECK(got.answer.result == BLOB_DONE);
	CHECK(has(http_asked(1), "\r\nAuthorization: Bearer 1\r\n"));
	CHECK(has(http_asked(2), "\r\nAuthorization: Bearer 2\r\n"));
	/* once only */
	put(c, "c", NULL);
	CHECK(got.answer.result == BLOB_LATER);
	CHECK(has(got.answer.fault.text, "status 401"));
	CHECK(has(http_asked(4), "\r\nAuthorization: Bearer 3\r\n"));
	CHECK(same(http_asked(5), ""));
	blob_close(c);
}

static void
no_token(void)
{
	struct blob_container *c;

	c = open_with(credential("command", "exit 3", "bearer"));
	put(c, "a", NULL);
	CHECK(got.answer.result == BLOB_LATER && !got.answer.unsure);
	CHECK(got.answer.fault.code == FAULT_UNAVAILABLE);
	CHECK(same(got.answer.fault.text,
	    "the credential's command ended with status 3"));
	blob_close(c);
	c = open_with(credential("file", "nowhere", "key"));
	put(c, "a", NULL);
	CHECK(got.answer.result == BLOB_LATER);
	CHECK(has(got.answer.fault.text, "'nowhere': No such file"));
	blob_close(c);
}

/* The endpoint has no credential: it is the machine. */
static void
an_identity(void)
{
	struct blob_container *c;
	struct fault f;
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/token", http.port);
	setenv("IDENTITY_ENDPOINT", url, 1);
	setenv("IDENTITY_HEADER", "h", 1);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/acct1", http.port);
	c = blob_open(&use, JV_OBJECT(jv_string("url"), jv_string(url),
	    jv_string("resourceId"), jv_string(ID)),
	    "11111111-2222-3333-4444-555555555555", "con", &f);
	http_reset();
	http_say("200 OK", "{\"access_token\":\"eyJ\",\"expires_on\":"
	    "\"4102444800\",\"token_type\":\"Bearer\"}");
	http_say(SAID("403 No", "AuthorizationPermissionMismatch"), "");
	put(c, "a", NULL);
	CHECK(has(http_asked(0),
	    "resource=https%3A%2F%2Fstorage.azure.com%2F"));
	CHECK(has(http_asked(0), "client_id=11111111-2222-3333"));
	CHECK(has(http_asked(1), "\r\nAuthorization: Bearer eyJ\r\n"));
	CHECK(has(got.answer.fault.text, "identity 11111111-2222-3333-4444-"
	    "555555555555 lacks the role"));
	CHECK(has(got.answer.fault.text, "--assignee 11111111-2222-3333"));
	CHECK(has(got.answer.fault.text, "/containers/con"));
	blob_close(c);
	unsetenv("IDENTITY_ENDPOINT");
	unsetenv("IDENTITY_HEADER");
}

/* EGNS_CLOCK moves our time, here by a year, not that of the service. */
static void
signs_with_the_real_time(void)
{
	struct blob_container *c = open_key();
	time_t now = time(NULL), ours = (time_t)(clock_now() / CLOCK_SECOND);
	char day[32];
	struct tm tm;

	CHECK(ours > now + 86400);
	http_say("201 Created", "");
	put(c, "a", NULL);
	gmtime_r(&now, &tm);
	strftime(day, sizeof(day), "x-ms-date: %a, %d %b %Y", &tm);
	CHECK(has(http_asked(0), day));
	blob_close(c);
}

/* ---- dropping ---- */

static unsigned told;

static void
close_done(const struct blob_answer *a, void *arg)
{
	CHECK(a->result == BLOB_REFUSED);
	told++;
	blob_close(arg);
	ev_break(use.loop, EVBREAK_ONE);
}

static void
dropped(void)
{
	struct blob_container *c = open_key();

	got.calls = told = 0;
	blob_drop(NULL);
	blob_close(NULL);
	/* while it is under way, and before it is told of */
	blob_drop(blob_get(c, "a", 1, on_done, &got));
	blob_drop(blob_get(c, "", 1, on_done, &got));
	ev_run(use.loop, EVRUN_NOWAIT);
	/* with others of all kinds */
	blob_get(c, "", 1, close_done, c);
	blob_get(c, "", 1, close_done, c);
	blob_get(c, "a", 1, on_done, &got);
	ev_run(use.loop, 0);
	CHECK(told == 1);
	ev_run(use.loop, EVRUN_NOWAIT);
	CHECK(got.calls == 0);
}

static void
cannot_be_opened(void)
{
	static const struct {
		const char *container, *url, *words;
	} rows[] = {
		{ "ab", "https://h", "'ab' must be the name of a cont" },
		{ "Deadletter", "https://h", "name of a container" },
		{ "$root", "https://h", "name of a container" },
		{ "a/b", "https://h", "name of a container" },
		{ "a?b", "https://h", "name of a container" },
		{ "con", "http://h", "endpoints: url: must be https" },
		{ "con", "https://h/?sig=x", "it has no query" },
		{ "con", NULL, "needs a url" },
	};
	struct fault f;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		jv e = JV_OBJECT(jv_string("credential"),
		    credential("file", "token", "key"));

		if (rows[i].url != NULL)
			e = jv_object_set(e, jv_string("url"),
			    jv_string(rows[i].url));
		f = (struct fault){ .text = "" };
		CHECK(blob_open(&use, e, NULL, rows[i].container, &f) == NULL);
		CHECK(f.code == FAULT_BAD_REQUEST);
		CHECK(has(f.text, rows[i].words));
	}
}

int
main(void)
{
	char path[64];

	use.loop = ev_default_loop(0);
	if (mkdtemp(dir_name) == NULL ||
	    (use.dir = open(dir_name, O_RDONLY | O_DIRECTORY)) == -1 ||
	    (use.fetcher = fetcher_new(use.loop, NULL, NULL)) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/clock", dir_name);
	write_file("clock", "31536000\n");
	setenv("EGNS_CLOCK", path, 1);
	http_start();
	RUN(puts_a_new_blob);
	RUN(puts_in_place_of_one);
	RUN(gets_and_deletes);
	RUN(lists_pages);
	RUN(names_that_nobody_has);
	RUN(results);
	RUN(bodies_that_are_too_long);
	RUN(bodies_that_are_not_whole);
	RUN(nobody_answers);
	RUN(says_what_to_do);
	RUN(secrets_are_not_said);
	RUN(another_token);
	RUN(no_token);
	RUN(an_identity);
	RUN(signs_with_the_real_time);
	RUN(dropped);
	RUN(cannot_be_opened);
	fetcher_free(use.fetcher);
	buf_free(&got.entries);
	unlinkat(use.dir, "token", 0);
	unlinkat(use.dir, "clock", 0);
	rmdir(dir_name);
	DONE();
}
