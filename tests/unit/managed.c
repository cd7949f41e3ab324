#include "managed.h"

#include <ev.h>
#include <fcntl.h>
#include <inttypes.h>

#include "check.h"
#include "clock.h"
#include "credential.h"
#include "file.h"
#include "http.h"

#define AUDIENCE "https://eventgrid.azure.net"
#define HOUR "{\"access_token\":\"t0k3n\",\"expires_in\":\"3600\"}"

static struct ev_loop *loop;
static struct fetcher *fetcher;
static char dir[] = "/tmp/egns-managed.XXXXXX";

static struct {
	unsigned calls;
	char token[64];
	int64_t good_for;
	struct fault fault;
} got;

static void
on_token(const char *token, int64_t good_for, const struct fault *f, void *arg)
{
	(void)arg;
	got.calls++;
	got.fault = *f;
	got.good_for = good_for;
	snprintf(got.token, sizeof(got.token), "%s",
	    token != NULL ? token : "none");
}

/* The environment, of which the endpoint's place is made of `path`. */
static void
environment(const char *name, const char *path)
{
	static const char *const names[] = { "IDENTITY_ENDPOINT",
		"IDENTITY_HEADER", "IMDS_ENDPOINT", "AZURE_TENANT_ID",
		"AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE",
		"AZURE_AUTHORITY_HOST", "AZURE_POD_IDENTITY_AUTHORITY_HOST" };
	char url[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", http.port, path);
	setenv(name, url, 1);
	http_reset();
}

/* Ask, and what came: the token, or the fault's words. */
static const char *
ask(const char *identity)
{
	struct fault f = { 0 };

	memset(&got, 0, sizeof(got));
	if (managed_start(fetcher, identity, AUDIENCE, on_token, NULL, &f) ==
	    NULL) {
		got.fault = f;
		return got.fault.text;
	}
	while (got.calls == 0)
		ev_run(loop, EVRUN_ONCE);
	CHECK(got.calls == 1);
	CHECK((got.fault.code == FAULT_NONE) ==
	    (strcmp(got.token, "none") != 0));
	CHECK(strstr(got.fault.text, "t0k3n") == NULL);
	return got.fault.code == FAULT_NONE ? got.token : got.fault.text;
}

static bool
asked(unsigned n, const char *words)
{
	if (strstr(http_asked(n), words) != NULL)
		return true;
	printf("# asked %u: %s\n", n, http_asked(n));
	return false;
}

#define RESOURCE "resource=https%3A%2F%2Feventgrid.azure.net"

static void
virtual_machine(void)
{
	environment("AZURE_POD_IDENTITY_AUTHORITY_HOST", "");
	http_say("200 OK", HOUR);
	CHECK(strcmp(ask(NULL), "t0k3n") == 0);
	CHECK(got.good_for == 3600 * CLOCK_SECOND);
	CHECK(asked(0, "GET /metadata/identity/oauth2/token?"
	    "api-version=2018-02-01&" RESOURCE " HTTP/1.1\r\n"));
	CHECK(asked(0, "\r\nMetadata: true\r\n"));

	http_say("200 OK", HOUR);
	http_say("200 OK", HOUR);
	ask("1-2-3");
	ask("/subscriptions/a b");
	CHECK(asked(1, RESOURCE "&client_id=1-2-3 HTTP"));
	CHECK(asked(2, RESOURCE "&msi_res_id=%2Fsubscriptions%2Fa%20b HTTP"));
}

static void
app_service(void)
{
	environment("IDENTITY_ENDPOINT", "/msi/token");
	setenv("IDENTITY_HEADER", "s3cret", 1);
	http_say("200 OK", HOUR);
	http_say("200 OK", HOUR);
	CHECK(strcmp(ask(NULL), "t0k3n") == 0);
	CHECK(asked(0, "GET /msi/token?api-version=2019-08-01&" RESOURCE
	    " HTTP/1.1\r\n"));
	CHECK(asked(0, "\r\nX-IDENTITY-HEADER: s3cret\r\n"));
	ask("/x");
	CHECK(asked(1, RESOURCE "&mi_res_id=%2Fx HTTP"));
	/* what it was sent is not shown when it says that again */
	http_say("401 No", "{\"error\":\"no\",\"error_description\":"
	    "\"'s3cret' is not it\"}");
	CHECK(strstr(ask(NULL), "status 401: no: ***") != NULL);
}

static const char *
file(const char *name, const char *text)
{
	static char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(file_pwrite(fd, text, strlen(text), 0) == 0);
	CHECK(close(fd) == 0);
	return path;
}

/* An Arc endpoint that asks for the key in this file. */
static const char *
challenged(const char *path)
{
	char head[256];

	environment("IDENTITY_ENDPOINT", "/arc");
	setenv("IMDS_ENDPOINT", "http://localhost:1", 1);
	snprintf(head, sizeof(head), "401 Unauthorized\r\n"
	    "WWW-Authenticate: Basic realm=%s", path);
	http_say(head, "{}");
	http_say("200 OK", HOUR);
	return ask(NULL);
}

static void
arc(void)
{
	static const char *const no[] = { "/etc/passwd", "/etc/x.key",
		"../x.key", "", ".key" };
	char path[128];

	managed_arc_keys = dir;
	CHECK(strcmp(challenged(file("1.key", "s3cret\n")), "t0k3n") == 0);
	CHECK(asked(0, "GET /arc?api-version=2020-06-01&" RESOURCE));
	CHECK(asked(0, "\r\nMetadata: true\r\n"));
	CHECK(strstr(http_asked(0), "Authorization") == NULL);
	CHECK(asked(1, "\r\nAuthorization: Basic s3cret\r\n"));

	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		CHECK(strstr(challenged(no[i]), "not one of Arc's") != NULL);
		CHECK(*http_asked(1) == '\0');
	}
	snprintf(path, sizeof(path), "%s/../1.key", dir);
	CHECK(strstr(challenged(path), "not one of Arc's") != NULL);
	snprintf(path, sizeof(path), "%s/none.key", dir);
	CHECK(strstr(challenged(path), "cannot be read") != NULL);
	CHECK(strstr(challenged(file("1.txt", "s3cret")), "not one") != NULL);

	/* it does not like the key */
	http_reset();
	http_say("401 No", "{}");
	http_say("401 No", "{}");
	CHECK(strstr(ask(NULL), "not one of Arc's") != NULL);
	CHECK(strstr(ask("1-2-3"), "no identity but its own") != NULL);
}

static void
workload(void)
{
	environment("AZURE_AUTHORITY_HOST", "/");
	setenv("AZURE_FEDERATED_TOKEN_FILE", file("jwt", "a+b\n"), 1);
	CHECK(strstr(ask(NULL), "AZURE_TENANT_ID") != NULL);
	setenv("AZURE_TENANT_ID", "tenant", 1);
	setenv("AZURE_CLIENT_ID", "me", 1);
	http_say("200 OK", "{\"access_token\":\"t0k3n\",\"expires_in\":60}");
	CHECK(strcmp(ask(NULL), "t0k3n") == 0);
	CHECK(got.good_for == 60 * CLOCK_SECOND);
	CHECK(asked(0, "POST /tenant/oauth2/v2.0/token HTTP/1.1\r\n"));
	CHECK(asked(0, "\r\nContent-Type: "
	    "application/x-www-form-urlencoded\r\n"));
	CHECK(asked(0, "\r\n\r\ngrant_type=client_credentials&client_id=me&"
	    "scope=https%3A%2F%2Feventgrid.azure.net%2F.default&"
	    "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3A"
	    "client-assertion-type%3Ajwt-bearer&client_assertion=a%2Bb"));
	http_say("200 OK", HOUR);
	ask("other");
	CHECK(asked(1, "&client_id=other&"));

	setenv("AZURE_AUTHORITY_HOST", "http://example.org", 1);
	CHECK(strstr(ask(NULL), "AZURE_AUTHORITY_HOST: must be https") !=
	    NULL);
	setenv("AZURE_FEDERATED_TOKEN_FILE", "/none", 1);
	unsetenv("AZURE_AUTHORITY_HOST");
	CHECK(strstr(ask(NULL), "AZURE_FEDERATED_TOKEN_FILE '/none': No such")
	    != NULL);
}

static void
answers_are_hostile(void)
{
	static const struct {
		const char *head, *body, *words;
	} rows[] = {
		{ "400 Bad", "{\"error\":\"invalid_request\","
		    "\"error_description\":\"Identity not\\u001b found\"}",
		    "/metadata/identity/oauth2/token: status 400: "
		    "invalid_request: Identity not\\x1B found" },
		{ "500 Oops", "<html>", "status 500" },
		{ "302 Found\r\nLocation: /", "", "status 302" },
		{ "200 OK", "", "no \"access_token\"" },
		{ "200 OK", "[1]", "no \"access_token\"" },
		{ "200 OK", "{\"access_token\":7,\"expires_in\":\"60\"}",
		    "no \"access_token\"" },
		{ "200 OK", "{\"access_token\":\"t0k3n\"}", "does not say" },
		{ "200 OK", "{\"access_token\":\"t0k3n\",\"expires_on\":\"1\"}",
		    "has expired" },
		{ "200 OK", "{\"access_token\":\"t0k3n\","
		    "\"expires_on\":\"99999999999999999999\"}", "does not say" },
		{ "200 OK", "{\"access_token\":\"t0k3n\","
		    "\"expires_on\":\"12/31/2026\"}", "does not say" },
		{ NULL, "", "127.0.0.1: Empty reply" },
	};

	environment("AZURE_POD_IDENTITY_AUTHORITY_HOST", "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		http_reset();
		http_say(rows[i].head, rows[i].body);
		ask(NULL);
		if (strstr(got.fault.text, rows[i].words) == NULL)
			printf("# %s\n", got.fault.text);
		CHECK(strstr(got.fault.text, rows[i].words) != NULL);
		CHECK(strstr(got.fault.text, "identity endpoint http://127") ==
		    got.fault.text);
	}
}

static void
expiry_is_a_time(void)
{
	char body[128];

	environment("AZURE_POD_IDENTITY_AUTHORITY_HOST", "");
	snprintf(body, sizeof(body), "{\"access_token\":\"t0k3n\","
	    "\"expires_on\":\"%" PRId64 "\",\"expires_in\":\"9\"}",
	    clock_now() / CLOCK_SECOND + 1000);
	http_say("200 OK", body);
	CHECK(strcmp(ask(NULL), "t0k3n") == 0);
	CHECK(got.good_for > 990 * CLOCK_SECOND &&
	    got.good_for <= 1000 * CLOCK_SECOND);
}

static void
a_question_can_be_dropped(void)
{
	environment("AZURE_POD_IDENTITY_AUTHORITY_HOST", "");
	got.calls = 0;
	managed_drop(managed_start(fetcher, NULL, AUDIENCE, on_token, NULL,
	    NULL));
	managed_drop(NULL);
	ev_run(loop, EVRUN_NOWAIT);
	CHECK(got.calls == 0);
}

/* ---- a credential keeps it ---- */

static void
on_ready(const char *token, const struct fault *f, void *arg)
{
	(void)arg;
	got.calls++;
	got.fault = *f;
	snprintf(got.token, sizeof(got.token), "%s",
	    token != NULL ? token : "none");
}

static void
say(const char *token, unsigned seconds)
{
	char body[128];

	snprintf(body, sizeof(body), "{\"access_token\":\"%s\","
	    "\"expires_in\":%u}", token, seconds);
	http_say("200 OK", body);
}

/* The credential's token, waited for if need be. */
static const char *
token_of(struct credential *c)
{
	struct fault f;
	const char *token;

	switch (credential_token(c, &token, &f)) {
	case CREDENTIAL_HERE:
		return token;
	case CREDENTIAL_LATER:
		got.calls = 0;
		while (got.calls == 0)
			ev_run(loop, EVRUN_ONCE);
		return got.token;
	case CREDENTIAL_NONE:
		break;
	}
	return "none";
}

/* Move the clock of this process. */
static void
advance(int seconds)
{
	static int sum;
	char text[32];

	sum += seconds;
	snprintf(text, sizeof(text), "%d", sum);
	setenv("EGNS_CLOCK", file("clock", text), 1);
	usleep(2 * CLOCK_CHECK_MS * 1000);
}

static void
credentials_keep_and_renew(void)
{
	struct credential_use use = { .loop = loop, .dir = -1,
		.fetcher = fetcher, .audience = AUDIENCE };
	struct fault f;
	struct credential *c = credential_new(&use,
	    jv_object_set(jv_object(), jv_string("identity"),
	    jv_string("systemassigned")), on_ready, NULL, &f);
	struct buf header = { 0 };

	environment("AZURE_POD_IDENTITY_AUTHORITY_HOST", "");
	say("one", 3600);
	CHECK(strcmp(token_of(c), "one") == 0);
	CHECK(strstr(http_asked(0), "client_id") == NULL);
	advance(3000);
	CHECK(strcmp(token_of(c), "one") == 0 && *http_asked(1) == '\0');

	/* shortly before its end it is renewed, and good meanwhile */
	advance(400);
	http_say("500 Oops", "");
	CHECK(strcmp(token_of(c), "one") == 0);
	ev_run(loop, 0);
	CHECK(*http_asked(1) != '\0' && strcmp(token_of(c), "one") == 0);
	ev_run(loop, 0);
	CHECK(*http_asked(2) == '\0');
	advance(CREDENTIAL_AGAIN + 1);
	say("two", 3600);
	CHECK(strcmp(token_of(c), "one") == 0);
	ev_run(loop, 0);
	CHECK(strcmp(token_of(c), "two") == 0);

	/* it is over, or was not liked */
	advance(3601);
	say("three", 60);
	CHECK(strcmp(token_of(c), "three") == 0);
	credential_forget(c);
	http_say("400 No", "");
	CHECK(strcmp(token_of(c), "none") == 0);
	CHECK(strstr(got.fault.text, "status 400") != NULL);
	say("four five", 60);
	CHECK(strcmp(token_of(c), "none") == 0);
	CHECK(strstr(got.fault.text, "is not one token") != NULL);

	credential_header(c, "x", &header);
	CHECK(strcmp(buf_data(&header), "Authorization: Bearer x") == 0);
	buf_free(&header);
	/* with a question under way */
	CHECK(credential_token(c, &(const char *){ 0 }, &f) ==
	    CREDENTIAL_LATER);
	credential_free(c);
}

int
main(void)
{
	loop = ev_default_loop(0);
	if (mkdtemp(dir) == NULL)
		return 1;
	file("clock", "0");
	setenv("EGNS_CLOCK", file("clock", "0"), 1);
	http_start();
	fetcher = fetcher_new(loop, NULL, NULL);
	RUN(virtual_machine);
	RUN(app_service);
	RUN(arc);
	RUN(workload);
	RUN(answers_are_hostile);
	RUN(expiry_is_a_time);
	RUN(a_question_can_be_dropped);
	RUN(credentials_keep_and_renew);
	fetcher_free(fetcher);
	for (size_t i = 0; i < 4; i++)
		unlink(file((const char *[]){ "1.key", "1.txt", "jwt",
		    "clock" }[i], ""));
	rmdir(dir);
	DONE();
}
