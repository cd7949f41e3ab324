#include <fcntl.h>
#include <inttypes.h>

#include "../../cmd/egns-route/target.h"
#include "check.h"
#include "clock.h"
#include "file.h"
#include "http.h"
#include "jq.h"

#define ID "/subscriptions/s/providers/Microsoft.EventGrid/topics/t"

static struct ev_loop *loop;
static char dir[] = "/tmp/egns-custom.XXXXXX";
static struct spool spool;

static struct {
	unsigned opened, positions, answers;
	uint64_t position;
	enum outcome outcome;
	int64_t retry_after;
	struct fault fault;
} got;

static void
on_opened(void *arg)
{
	(void)arg;
	got.opened++;
}

static void
on_lost(const struct fault *f, void *arg)
{
	(void)f, (void)arg;
	CHECK(false);
}

static void
on_hint(void *arg)
{
	(void)arg;
	CHECK(false);
}

static void
on_position(uint64_t number, void *arg)
{
	(void)arg;
	got.positions++;
	got.position = number;
}

static void
on_answered(enum outcome outcome, int64_t retry_after, const struct fault *f,
    void *arg)
{
	struct target *t = *(struct target **)arg;

	got.answers++;
	got.outcome = outcome;
	got.retry_after = retry_after;
	got.fault = *f;
	if (outcome == OUTCOME_GONE)
		t->calls->close(t); /* as hooks may */
}

static const struct target_hooks hooks = { on_opened, on_lost, on_hint,
	on_position, on_answered };
static struct target *target;

/* A namespace whose topic has this credential (JSON), and these other
 * properties. */
static jv
namespace(const char *credential, const char *more)
{
	struct buf b = { 0 };
	jv v;

	buf_printf(&b, "{\"properties\":{\"endpoints\":[{\"resourceId\":\""
	    "/SUBSCRIPTIONS/s/providers/microsoft.eventgrid/topics/T\","
	    "\"url\":\"http://127.0.0.1:%u/api/events?x=y\"%s%s}]%s}}",
	    http.port, credential != NULL ? ",\"credential\":" : "",
	    credential != NULL ? credential : "", more);
	v = jq_parse(buf_data(&b), b.len, NULL);
	buf_free(&b);
	return v;
}

static void
begin(const char *credential, const char *more)
{
	struct fault f = { 0 };

	http_reset();
	memset(&got, 0, sizeof(got));
	target = custom_new(loop, &spool, namespace(credential, more), ID,
	    &hooks, &target, &f);
	if (target == NULL) {
		printf("# %s\n", f.text);
		exit(1);
	}
	CHECK(target->window == 1);
	target->calls->open(target);
	CHECK(got.opened == 0);
	while (got.opened == 0)
		ev_run(loop, EVRUN_ONCE);
}

static void
end(void)
{
	target->calls->close(target);
	target->calls->free(target);
}

/* Send lines up to `last` of a run; what came of it. */
static enum outcome
send_lines(const char *lines, uint64_t run, uint64_t last)
{
	struct parcel p = { .run = run, .last = last };
	unsigned before = got.answers;

	buf_str(&p.text, lines);
	target->calls->send(target, &p);
	buf_free(&p.text);
	CHECK(got.answers == before);
	while (got.answers == before)
		ev_run(loop, EVRUN_ONCE);
	CHECK(got.answers == before + 1);
	CHECK(strstr(got.fault.text, "s3cret") == NULL);
	return got.outcome;
}

static uint64_t
position(uint64_t run)
{
	unsigned before = got.positions;

	target->calls->ask(target, run);
	CHECK(got.positions == before);
	while (got.positions == before)
		ev_run(loop, EVRUN_ONCE);
	return got.position;
}

static bool
asked(unsigned n, const char *words)
{
	if (strstr(http_asked(n), words) != NULL)
		return true;
	printf("# asked %u: %s\n", n, http_asked(n));
	return false;
}

/* A secret's file; the spool's path of it. */
static void
secret(const char *text)
{
	int fd = openat(spool.fd, "secret", O_WRONLY | O_CREAT | O_TRUNC,
	    0600);

	CHECK(file_pwrite(fd, text, strlen(text), 0) == 0);
	CHECK(close(fd) == 0);
}

static void
parcels_are_batches(void)
{
	unsigned connections;

	begin(NULL, "");
	http_say("200 OK", "");
	http_say("202 Accepted", "{}");
	CHECK(send_lines("{\"id\":1}\n{\"id\":2}\n", 7, 2) == OUTCOME_STORED);
	connections = http.connections;
	CHECK(asked(0, "POST /api/events?x=y HTTP/1.1\r\n"));
	CHECK(asked(0, "\r\nContent-Type: application/cloudevents-batch+json; "
	    "charset=utf-8\r\n"));
	CHECK(asked(0, "\r\n\r\n[{\"id\":1},{\"id\":2}]"));
	CHECK(strstr(http_asked(0), "Authorization") == NULL);
	CHECK(strstr(http_asked(0), "aeg-") == NULL);
	CHECK(send_lines("{\"id\":3}\n", 7, 3) == OUTCOME_STORED);
	CHECK(asked(1, "\r\n\r\n[{\"id\":3}]"));
	CHECK(http.connections == connections);
	end();
}

static void
positions_are_of_this_process(void)
{
	begin(NULL, "");
	CHECK(position(7) == 0);
	http_say("200 OK", "");
	http_say("500 Oops", "");
	http_say("200 OK", "");
	send_lines("{}\n", 7, 4);
	CHECK(position(7) == 4);
	send_lines("{}\n", 7, 5);
	CHECK(position(7) == 4);
	target->calls->close(target);
	target->calls->open(target);
	while (got.opened == 1)
		ev_run(loop, EVRUN_ONCE);
	CHECK(position(7) == 4);
	CHECK(position(8) == 0);
	send_lines("{}\n", 8, 1);
	CHECK(position(8) == 1);
	end();
}

static void
credentials_are_sent(void)
{
	static const struct {
		const char *credential, *header;
	} rows[] = {
		{ "{\"file\":\"secret\",\"type\":\"key\"}",
		    "\r\naeg-sas-key: s3cret\r\n" },
		{ "{\"command\":\"echo s3cret\",\"type\":\"sas\"}",
		    "\r\naeg-sas-token: s3cret\r\n" },
		{ "{\"file\":\"secret\"}",
		    "\r\nAuthorization: Bearer s3cret\r\n" },
	};

	secret("s3cret\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(rows[i].credential, "");
		http_say("200 OK", "");
		CHECK(send_lines("{}\n", 1, 1) == OUTCOME_STORED);
		CHECK(asked(0, rows[i].header));
		end();
	}
}

#define TOKEN "{\"access_token\":\"s3cret\",\"expires_in\":\"3600\"}"

static void
identity(const char *credential, const char *info, const char *parameter)
{
	char more[256];

	snprintf(more, sizeof(more), ",\"topicSpacesConfiguration\":{"
	    "\"routingIdentityInfo\":%s}", info);
	begin(credential, more);
	http_say("200 OK", TOKEN);
	http_say("200 OK", "");
	http_say("200 OK", "");
	CHECK(send_lines("{}\n", 1, 1) == OUTCOME_STORED);
	CHECK(send_lines("{}\n", 1, 2) == OUTCOME_STORED);
	CHECK(asked(0, "GET /metadata/identity/oauth2/token?"));
	CHECK(asked(0, parameter));
	CHECK(asked(1, "\r\nAuthorization: Bearer s3cret\r\n"));
	CHECK(asked(2, "\r\nAuthorization: Bearer s3cret\r\n"));
	end();
}

static void
identities_are_asked_for(void)
{
	char host[64];

	snprintf(host, sizeof(host), "http://127.0.0.1:%u", http.port);
	setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", host, 1);
	identity(NULL, "{\"type\":\"SystemAssigned\"}",
	    "resource=https%3A%2F%2Feventgrid.azure.net HTTP");
	identity(NULL, "{\"type\":\"UserAssigned\","
	    "\"userAssignedIdentity\":\"/id\"}", "&msi_res_id=%2Fid HTTP");
	identity("{\"identity\":\"me\"}", "{\"type\":\"SystemAssigned\"}",
	    "&client_id=me HTTP");

	/* none is given: what comes waits */
	begin("{\"identity\":\"me\"}", "");
	http_say("400 No", "{\"error\":\"no_such\"}");
	CHECK(send_lines("{}\n", 1, 1) == OUTCOME_LATER);
	CHECK(strstr(got.fault.text, "topic '" ID "': identity endpoint "
	    "http://127.0.0.1") == got.fault.text);
	CHECK(strstr(got.fault.text, "status 400: no_such") != NULL);
	end();
	begin("{\"file\":\"none\"}", "");
	CHECK(send_lines("{}\n", 1, 1) == OUTCOME_LATER);
	CHECK(strstr(got.fault.text, "file 'none': No such file") != NULL);
	end();
}

static void
a_refused_secret_is_fetched_once_more(void)
{
	begin("{\"command\":\"echo x >>runs; wc -l <runs\"}", "");
	CHECK(fchdir(spool.fd) == 0);
	http_say("401 Unauthorized", "");
	http_say("200 OK", "");
	CHECK(send_lines("{}\n", 1, 1) == OUTCOME_STORED);
	CHECK(asked(0, "Bearer 1\r\n"));
	CHECK(asked(1, "Bearer 2\r\n"));
	http_say("403 Forbidden", "{\"error\":{\"code\":\"x\","
	    "\"message\":\"not\\u0007 you\"}}");
	http_say("401 Unauthorized", "{\"error\":{\"message\":\"nor 3\"}}");
	CHECK(send_lines("{}\n", 1, 2) == OUTCOME_DENIED);
	CHECK(got.fault.code == FAULT_UNAUTHORIZED);
	/* a message with our secret in it is not passed on */
	CHECK(strcmp(got.fault.text, "topic '" ID "': status 401; check its "
	    "credential in endpoints") == 0);
	CHECK(asked(2, "Bearer 2\r\n"));
	CHECK(asked(3, "Bearer 3\r\n"));
	http_say("401 Unauthorized", "");
	http_say("503 Busy", "");
	CHECK(send_lines("{}\n", 1, 2) == OUTCOME_LATER);
	CHECK(position(1) == 1);
	end();

	/* without one there is nothing to be tried */
	begin(NULL, "");
	http_say("403 Forbidden", "");
	CHECK(send_lines("{}\n", 1, 1) == OUTCOME_DENIED);
	CHECK(got.fault.code == FAULT_FORBIDDEN && *http_asked(1) == '\0');
	end();
}

static void
statuses(void)
{
	static const struct {
		const char *head, *body;
		enum outcome outcome;
		enum fault_code code;
		int retry;
		const char *words;
	} rows[] = {
		{ "204 No Content", "", OUTCOME_STORED, FAULT_NONE, 0, "" },
		{ "200 OK", "{\"error\":{\"message\":\"x\"}}", OUTCOME_STORED,
		    FAULT_NONE, 0, "" },
		{ "302 Found\r\nLocation: /", "", OUTCOME_LATER,
		    FAULT_UNAVAILABLE, 0, "not followed" },
		{ "304 Not Modified", "", OUTCOME_LATER, FAULT_UNAVAILABLE, 0,
		    "status 304" },
		{ "400 Bad Request", "{\"error\":{\"message\":\"no\\nsource\"}}",
		    OUTCOME_REFUSED, FAULT_BAD_REQUEST, 0,
		    "status 400: 'no\\x0Asource'" },
		{ "404 Not Found", "<html>", OUTCOME_GONE, FAULT_NOT_FOUND, 0,
		    "topic '" ID "': status 404" },
		{ "405 Not Here", "", OUTCOME_LATER, FAULT_UNAVAILABLE, 0,
		    "405" },
		{ "408 Timeout", "", OUTCOME_LATER, FAULT_UNAVAILABLE, 0, "" },
		{ "410 Gone", "", OUTCOME_GONE, FAULT_NOT_FOUND, 0, "410" },
		{ "413 Too Large", "", OUTCOME_REFUSED, FAULT_TOO_LARGE, 0,
		    "413" },
		{ "415 Unsupported", "", OUTCOME_REFUSED, FAULT_BAD_REQUEST, 0,
		    "415" },
		{ "429 Slow\r\nRetry-After: 30", "", OUTCOME_LATER,
		    FAULT_TOO_MANY, 30, "429" },
		{ "500 Oops", "", OUTCOME_LATER, FAULT_UNAVAILABLE, 0, "500" },
		{ "503 Busy\r\nRetry-After: 7", "[\"error\"]", OUTCOME_LATER,
		    FAULT_UNAVAILABLE, 7, "503" },
		{ NULL, "", OUTCOME_LATER, FAULT_UNAVAILABLE, 0,
		    "127.0.0.1: Empty reply" },
		{ "999 What", "", OUTCOME_LATER, FAULT_UNAVAILABLE, 0, "999" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(NULL, "");
		http_say(rows[i].head, rows[i].body);
		send_lines("{}\n", 1, 1);
		if (got.outcome != rows[i].outcome || (got.outcome !=
		    OUTCOME_STORED && strstr(got.fault.text, rows[i].words) ==
		    NULL))
			printf("# %s: %d %s\n", rows[i].head, got.outcome,
			    got.fault.text);
		CHECK(got.outcome == rows[i].outcome);
		CHECK(got.fault.code == rows[i].code);
		CHECK(got.retry_after == rows[i].retry * CLOCK_SECOND);
		CHECK(got.outcome == OUTCOME_STORED ||
		    strstr(got.fault.text, rows[i].words) != NULL);
		end();
	}
}

/* Closed before the answer, or before the token: nothing is told. */
static void
a_close_is_an_end(void)
{
	static const char *const credentials[] = { NULL,
		"{\"command\":\"sleep 60\"}", "{\"file\":\"none\"}" };
	struct parcel p = { .run = 1, .last = 1 };

	buf_str(&p.text, "{}\n");
	for (size_t i = 0; i < 3; i++) {
		begin(credentials[i], "");
		http_say("200 OK", "");
		target->calls->send(target, &p);
		if (i == 0)
			ev_run(loop, EVRUN_NOWAIT);
		target->calls->close(target);
		ev_run(loop, EVRUN_NOWAIT);
		target->calls->free(target);
		CHECK(got.answers == 0);
	}
	buf_free(&p.text);
}

static void
refused(jv ns, const char *id, const char *words)
{
	struct fault f = { 0 };

	CHECK(custom_new(loop, &spool, ns, id, &hooks, NULL, &f) == NULL);
	if (strstr(f.text, words) == NULL)
		printf("# %s\n", f.text);
	CHECK(strstr(f.text, words) != NULL);
}

static void
settings(void)
{
	static const char plain[] = "{\"properties\":{\"endpoints\":[{"
	    "\"resourceId\":\"x\",\"url\":\"http://example.org/\"},"
	    "{\"resourceId\":\"y\"}]}}";
	static const char kafka[] = "{\"properties\":{\"endpoints\":[{"
	    "\"resourceId\":\"x\",\"url\":\"kafkas://h:9093/t\"}]}}";

	refused(namespace(NULL, ""), "/other", "no entry for the custom topic '/");
	refused(jv_object(), ID, "no entry for the custom topic '/");
	refused(namespace("{\"key\":\"s3cret\"}", ""), ID,
	    "credential: \"key\" is no member");
	refused(jq_parse(plain, sizeof(plain) - 1, NULL), "x",
	    "endpoints: url: must be https");
	refused(jq_parse(plain, sizeof(plain) - 1, NULL), "y",
	    "endpoints: the entry of the custom topic 'y' has no url");
	refused(jq_parse(kafka, sizeof(kafka) - 1, NULL), "x",
	    "endpoints: url: must be https");
	refused(namespace("{\"file\":\"secret\","
	    "\"type\":\"connectionString\"}", ""), ID,
	    "a connection string is for event hubs and storage "
	    "accounts only");
}

int
main(void)
{
	loop = ev_default_loop(0);
	if (mkdtemp(dir) == NULL ||
	    (spool.fd = open(dir, O_PATH | O_DIRECTORY)) == -1)
		return 1;
	http_start();
	RUN(parcels_are_batches);
	RUN(positions_are_of_this_process);
	RUN(credentials_are_sent);
	RUN(identities_are_asked_for);
	RUN(a_refused_secret_is_fetched_once_more);
	RUN(statuses);
	RUN(a_close_is_an_end);
	RUN(settings);
	unlinkat(spool.fd, "secret", 0);
	unlinkat(spool.fd, "runs", 0);
	rmdir(dir);
	DONE();
}
