#include <fcntl.h>
#include <sys/stat.h>

#include "../../cmd/egns-push/callback.h"
#include "../../cmd/egns-push/target.h"
#include "check.h"
#include "clock.h"
#include "http.h"
#include "jq.h"

#define E1 "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\"," \
	"\"type\":\"t\",\"subject\":\"a\",\"data\":{\"x\":1}}"
#define E2 "{\"specversion\":\"1.0\",\"id\":\"2\",\"source\":\"/s\"," \
	"\"type\":\"t\",\"subject\":\"a\",\"data\":2}"
#define E3 "{\"specversion\":\"1.0\",\"id\":\"3\",\"source\":\"/s\"," \
	"\"type\":\"t\",\"subject\":\"b \\u00e9\"}"
#define E4 "{\"specversion\":\"1.0\",\"id\":\"4\",\"source\":\"/s\"," \
	"\"type\":\"t\",\"data\":{\"x\":\"1\\r\\nEvil: z\"}}"
#define OFF "\"abuseProtection\":\"Off\""

static char dir[] = "/tmp/egns-push-webhook.XXXXXX";
static struct spool spool;
static struct standing standing;
static struct target_use use;
static struct target *target;
static char url[128];
static unsigned port; /* of it */

static struct {
	unsigned prepared, answered, granted;
	struct outcome outcome;
	struct attempt *attempt;
} got;

/* ---- stand-ins for what is tested elsewhere ---- */

static struct callback_wait {
	void (*granted)(long, void *);
	void *arg;
} the_wait;
static unsigned waits, forgotten;
static char first_key[CALLBACK_KEY + 1];

struct callback_wait *
callback_wait(struct callback *c, char key[CALLBACK_KEY + 1],
    void (*granted)(long, void *), void *arg)
{
	(void)c;
	snprintf(first_key, sizeof(first_key), "%s", key);
	if (*key == '\0')
		snprintf(key, CALLBACK_KEY + 1, "%032x", 7u);
	the_wait = (struct callback_wait){ granted, arg };
	waits++;
	return &the_wait;
}

void
callback_forget(struct callback_wait *w)
{
	forgotten += w != NULL;
}

void
callback_url(const struct callback_wait *w, struct buf *b)
{
	(void)w;
	buf_str(b, "https://us/callback/7");
}

struct target *
eventhub_new(const struct target_use *u, struct fault *f)
{
	(void)u;
	fault_set(f, FAULT_CONFLICT, "eventhub");
	return NULL;
}

struct target *
kafka_new(const struct target_use *u, jv hub, struct fault *f)
{
	(void)u;
	fault_set(f, FAULT_CONFLICT, "kafka %s",
	    jq_str(hub, "url") != NULL ? jq_str(hub, "url") : "");
	jv_free(hub);
	return NULL;
}

/* ---- */

static void
on_prepared(const struct outcome *o, void *arg)
{
	(void)arg;
	got.prepared++;
	got.outcome = *o;
	ev_break(use.loop, EVBREAK_ONE);
}

static void
on_answered(struct attempt *a, const struct outcome *o, void *arg)
{
	(void)arg;
	got.answered++;
	got.attempt = a;
	got.outcome = *o;
	ev_break(use.loop, EVBREAK_ONE);
}

static void
on_granted(void *arg)
{
	(void)arg;
	got.granted++;
	target->calls->prepare(target); /* as hooks may */
	ev_break(use.loop, EVBREAK_ONE);
}

static const struct target_hooks hooks = { on_prepared, on_answered,
	on_granted };

/* Of members of push, of its properties, and of the namespace; each begins with
 * a comma, or is empty. Properties without a comma have an endpointUrl. */
static struct target *
make(const char *push, const char *properties, const char *namespace,
    struct fault *f)
{
	struct buf b = { 0 };

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/hook?code=s3cret",
	    port);
	buf_printf(&b, "{\"properties\":{\"deliveryConfiguration\":{\"push\":{"
	    "\"destination\":{\"endpointType\":\"WebHook\",\"properties\":{"
	    "%s%s%s%s}}%s}}}}", *properties == '"' ? "" : "\"endpointUrl\":\"",
	    *properties == '"' ? "" : url, *properties == '"' ? "" : "\"",
	    properties, push);
	use.subscription = jq_parse(buf_data(&b), b.len, NULL);
	buf_reset(&b, SIZE_MAX);
	buf_printf(&b, "{\"properties\":{\"x\":1%s}}", namespace);
	use.namespace = jq_parse(buf_data(&b), b.len, NULL);
	buf_free(&b);
	CHECK(jv_is_valid(use.subscription) && jv_is_valid(use.namespace));
	target = target_new(&use, f);
	jv_free(use.namespace);
	jv_free(use.subscription);
	return target;
}

static void
begin(const char *push, const char *properties, const char *namespace)
{
	struct fault f = { 0 };

	http_reset();
	memset(&got, 0, sizeof(got));
	if (make(push, properties, namespace, &f) == NULL) {
		printf("# %s\n", f.text);
		exit(1);
	}
	target->hooks = &hooks;
}

static void
end(void)
{
	target->calls->drop(target);
	target->calls->free(target);
}

static const char *
prepare(void)
{
	unsigned before = got.prepared;

	target->calls->prepare(target);
	CHECK(got.prepared == before); /* the loop tells */
	while (got.prepared == before)
		ev_run(use.loop, EVRUN_ONCE);
	CHECK(got.prepared == before + 1);
	CHECK(strstr(got.outcome.words, "s3cret") == NULL);
	return got.outcome.words;
}

static struct item *
item(const char *text, const char *token)
{
	struct item *i = calloc(1, sizeof(*i) + strlen(text) + 1);

	i->len = (uint32_t)strlen(text);
	strcpy(i->text, text);
	snprintf(i->token, sizeof(i->token), "%s", token);
	i->count = 3;
	return i;
}

static void
attempt_make(struct attempt *a, const char *one, const char *two)
{
	*a = (struct attempt){ .first = item(one, "1"), .n = 1, .count = 3 };
	a->bytes = strlen(one);
	if (two != NULL) {
		a->first->next = item(two, "2");
		a->bytes += strlen(two);
		a->n++;
	}
}

static void
attempt_free(struct attempt *a)
{
	free(a->first->next);
	free(a->first);
}

static enum verdict
deliver(const char *one, const char *two)
{
	struct attempt a;
	unsigned before = got.answered;

	attempt_make(&a, one, two);
	target->calls->send(target, &a);
	CHECK(got.answered == before);
	while (got.answered == before)
		ev_run(use.loop, EVRUN_ONCE);
	CHECK(got.attempt == &a && got.answered == before + 1);
	attempt_free(&a);
	return got.outcome.verdict;
}

static bool
asked(unsigned n, const char *words)
{
	if (strstr(http_asked(n), words) != NULL)
		return true;
	printf("# asked %u: %s\n", n, http_asked(n));
	return false;
}

static bool
not_asked(unsigned n, const char *words)
{
	return !(strstr(http_asked(n), words) != NULL && asked(n, "\r"));
}

static void
structured(void)
{
	char first[64], second[64];

	begin("", "", "");
	CHECK(target->batch == 1 && target->in_flight == 64);
	http_say("200 OK", "");
	http_say("204 No", "");
	CHECK(deliver(E1, NULL) == VERDICT_DELIVERED);
	CHECK(asked(0, "POST /hook?code=s3cret HTTP/1.1\r\n"));
	CHECK(asked(0, "\r\nContent-Type: application/cloudevents+json; "
	    "charset=utf-8\r\n"));
	CHECK(asked(0, "\r\naeg-event-type: Notification\r\n"));
	CHECK(asked(0, "\r\naeg-subscription-name: sub-1\r\n"));
	CHECK(asked(0, "\r\naeg-delivery-count: 3\r\n"));
	CHECK(asked(0, "\r\naeg-metadata-version: 1.0\r\n"));
	CHECK(asked(0, "\r\nUser-Agent: egns-push\r\n"));
	CHECK(asked(0, "\r\nWebHook-Request-Origin: eventgrid.azure.net\r\n"));
	CHECK(asked(0, "\r\nOrigin: eventgrid.azure.net\r\n"));
	CHECK(asked(0, "\r\n\r\n" E1));
	CHECK(not_asked(0, "Authorization"));
	CHECK(deliver(E1, NULL) == VERDICT_DELIVERED);
	CHECK(asked(0, "\r\naeg-output-event-id: "));
	snprintf(first, sizeof(first), "%.60s",
	    strstr(http_asked(0), "aeg-output-event-id"));
	snprintf(second, sizeof(second), "%.60s",
	    strstr(http_asked(1), "aeg-output-event-id"));
	CHECK(strcmp(first, second) != 0);
	end();

	begin("," OFF, "", "");
	http_say("500 Oops", "");
	CHECK(deliver(E1, NULL) == VERDICT_LATER);
	CHECK(not_asked(0, "rigin"));
	end();
}

static void
batches(void)
{
	begin("", ",\"maxEventsPerBatch\":5,"
	    "\"preferredBatchSizeInKilobytes\":2", "");
	CHECK(target->batch == 5 && target->batch_bytes == 2048);
	http_say("200 OK", "");
	http_say("200 OK", "");
	CHECK(deliver(E1, E2) == VERDICT_DELIVERED);
	CHECK(asked(0, "\r\nContent-Type: application/cloudevents-batch+json; "
	    "charset=utf-8\r\n"));
	CHECK(asked(0, "\r\n\r\n[" E1 "," E2 "]"));
	deliver(E2, NULL);
	CHECK(asked(1, "\r\n\r\n[" E2 "]"));
	end();
	/* the other property is one event, by default */
	begin("", ",\"maxEventsPerBatch\":1,"
	    "\"preferredBatchSizeInKilobytes\":2", "");
	CHECK(target->batch == 1);
	http_say("200 OK", "");
	deliver(E1, NULL);
	CHECK(asked(0, "\r\n\r\n" E1));
	end();
}

static void
binary(void)
{
	begin(",\"contentMode\":\"binary\"", ",\"maxEventsPerBatch\":5", "");
	CHECK(target->batch == 1);
	for (int i = 0; i < 3; i++)
		http_say("200 OK", "");
	deliver(E1, NULL);
	CHECK(asked(0, "\r\nce-id: 1\r\n"));
	CHECK(asked(0, "\r\nContent-Type: application/json\r\n"));
	CHECK(asked(0, "\r\n\r\n{\"x\":1}"));
	/* nothing is no type of data */
	deliver(E3, NULL);
	CHECK(asked(1, "\r\nce-subject: b%20%C3%A9\r\n"));
	CHECK(not_asked(1, "Content-Type"));
	CHECK(asked(1, "\r\nContent-Length: 0\r\n"));
	deliver("{\"specversion\":\"1.0\",\"id\":\"4\",\"source\":\"/s\","
	    "\"type\":\"t\",\"data_base64\":\"eHl6\"}", NULL);
	CHECK(asked(2, "\r\nContent-Type: application/octet-stream\r\n"));
	CHECK(asked(2, "\r\n\r\nxyz"));
	/* what is no event never will be */
	CHECK(deliver("{}", NULL) == VERDICT_FINAL);
	CHECK(got.outcome.reason == DL_SCHEMA_REJECTED);
	CHECK(*http_asked(3) == '\0');
	end();
}

#define STATIC(name, value, secret) "{\"name\":\"" name "\"," \
	"\"type\":\"Static\",\"properties\":{\"value\":\"" value "\"," \
	"\"isSecret\":" secret "}}"
#define DYNAMIC(name, field) "{\"name\":\"" name "\"," \
	"\"type\":\"Dynamic\",\"properties\":{\"sourceField\":\"" field "\"}}"

static bool
joins(const char *one, const char *token, const char *two)
{
	struct item *first = item(one, token), *second = item(two, "9");
	bool rc = target->calls->joins(target, first, second);

	free(first);
	free(second);
	return rc;
}

static void
mappings(void)
{
	begin("", ",\"maxEventsPerBatch\":5,\"deliveryAttributeMappings\":["
	    STATIC("X-Team", "ops", "false") ","
	    STATIC("User-Agent", "me", "false") ","
	    STATIC("X-Key", "s3cret", "true") "]", "");
	http_say("200 OK", "");
	http_say("200 OK", "");
	deliver(E1, NULL);
	CHECK(asked(0, "\r\nX-Team: ops\r\n"));
	CHECK(asked(0, "\r\nX-Key: s3cret\r\n"));
	CHECK(asked(0, "\r\nUser-Agent: me\r\n"));
	CHECK(not_asked(0, "egns-push"));
	prepare(); /* a handshake has them, too */
	CHECK(asked(1, "OPTIONS /hook?code=s3cret HTTP/1.1\r\n"));
	CHECK(asked(1, "\r\nX-Key: s3cret\r\n"));
	CHECK(joins(E1, "1", E3));
	end();

	begin("", ",\"maxEventsPerBatch\":5,\"deliveryAttributeMappings\":["
	    STATIC("X-Team", "ops", "false") ","
	    DYNAMIC("X-Subject", "subject") "," DYNAMIC("X-N", "data.x") "]",
	    "");
	http_say("200 OK", "");
	http_say("200 OK", "");
	deliver(E1, NULL);
	CHECK(asked(0, "\r\nX-Team: ops\r\nX-Subject: a\r\nX-N: 1\r\n"));
	CHECK(asked(0, "\r\nUser-Agent: egns-push\r\n"));
	CHECK(deliver(E4, NULL) == VERDICT_DELIVERED);
	CHECK(asked(1, "\r\nX-Team: ops\r\n"));
	CHECK(not_asked(1, "\r\nEvil") && not_asked(1, "\r\nX-N"));
	CHECK(joins(E1, "1", E1) && !joins(E1, "1", E2));
	CHECK(joins(E2, "2", E2) && !joins(E2, "2", E1));
	CHECK(joins(E1, "", E1) && joins(E2, "", E2));
	CHECK(!joins(E1, "3", "{}") && !joins("{}", "4", "{}"));
	end();
}

#define APP ",\"azureActiveDirectoryApplicationIdOrUri\":\"api://app\""

static void
tokens(void)
{
	int fd = openat(spool.fd, "token", O_WRONLY | O_CREAT, 0600);

	CHECK(write(fd, "t0ken\n", 6) == 6 && close(fd) == 0);
	begin("", APP, ",\"endpoints\":[{\"resourceId\":\"API://APP\","
	    "\"credential\":{\"file\":\"token\"}}]");
	http_say("200 OK\r\nWebHook-Allowed-Origin: *", "");
	http_say("200 OK", "");
	prepare();
	CHECK(asked(0, "\r\nAuthorization: Bearer t0ken\r\n"));
	CHECK(deliver(E1, NULL) == VERDICT_DELIVERED);
	CHECK(asked(1, "\r\nAuthorization: Bearer t0ken\r\n"));
	end();

	/* an identity's */
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", http.port);
	setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", url, 1);
	begin("", APP, "");
	http_say("200 OK", "{\"access_token\":\"t1\",\"expires_in\":\"3600\"}");
	http_say("200 OK", "");
	CHECK(deliver(E1, NULL) == VERDICT_DELIVERED);
	CHECK(asked(0, "resource=api%3A%2F%2Fapp"));
	CHECK(asked(1, "\r\nAuthorization: Bearer t1\r\n"));
	/* none: nothing is sent, which is no attempt */
	end();
	begin("", APP, "");
	http_say("400 No", "{\"error\":\"no_such\"}");
	CHECK(deliver(E1, NULL) == VERDICT_UNMADE);
	CHECK(strstr(got.outcome.words, "no_such") != NULL);
	CHECK(*http_asked(1) == '\0');
	end();
}

static void
handshake_grants(void)
{
	static const struct {
		const char *head;
		long rate;
		int64_t pause; /* ms */
	} rows[] = {
		{ "200 OK\r\nWebHook-Allowed-Origin: eventgrid.azure.net", 0, 0 },
		{ "405 No\r\nwebhook-allowed-origin:   EventGrid.Azure.NET  \r\n"
		    "WebHook-Allowed-Rate: 120", 120, 500 },
		{ "500 No\r\nWebHook-Allowed-Origin: *\r\n"
		    "WebHook-Allowed-Rate: *", -1, 0 },
		{ "302 No\r\nLocation: /\r\nWebHook-Allowed-Origin: *\r\n"
		    "WebHook-Allowed-Rate: 0", 0, 0 },
		{ "200 OK\r\nWebHook-Allowed-Origin: *\r\n"
		    "WebHook-Allowed-Rate: -5", 0, 0 },
		{ "200 OK\r\nWebHook-Allowed-Origin: *\r\n"
		    "WebHook-Allowed-Rate: 99999999999999999999", 0, 0 },
		{ "200 OK\r\nWebHook-Allowed-Origin: *\r\n"
		    "WebHook-Allowed-Rate: 10, 20", 0, 0 },
		{ "200 OK\r\nWebHook-Allowed-Origin: *\r\n"
		    "WebHook-Allowed-Rate: 9223372036854775807",
		    INT64_MAX, 0 },
	};
	struct standing kept;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&standing.handshake, 0, sizeof(standing.handshake));
		begin("", "", "");
		http_say(rows[i].head, "");
		prepare();
		CHECK(got.outcome.verdict == VERDICT_DELIVERED);
		CHECK(asked(0, "OPTIONS /hook?code=s3cret HTTP/1.1\r\n"));
		CHECK(asked(0, "\r\nWebHook-Request-Origin: "
		    "eventgrid.azure.net\r\n"));
		CHECK(not_asked(0, "Callback"));
		CHECK(not_asked(0, "Content-Type"));
		CHECK(standing.handshake.state == HANDSHAKE_GRANTED);
		CHECK(standing.handshake.rate == rows[i].rate);
		CHECK(target->pause / 1000 == rows[i].pause);
		end();
	}

	/* it is kept, and not asked again, for the same endpoint */
	CHECK(standing_load(&kept, spool.fd, "topic-1", "sub-1", "u", NULL) ==
	    0);
	CHECK(memcmp(&kept, &standing, sizeof(kept)) == 0);
	standing.handshake.rate = 60;
	begin("", "", "");
	prepare();
	CHECK(got.outcome.verdict == VERDICT_DELIVERED);
	CHECK(*http_asked(0) == '\0');
	CHECK(target->pause / 1000 == 1000);
	end();
	begin("", "", ",\"profile\":\"Azure\"");
	prepare();
	CHECK(target->pause == 0);
	end();
	/* another origin is another question */
	begin("", "", ",\"webhookOrigin\":\"push.example.org\"");
	http_say("200 OK\r\nWebHook-Allowed-Origin: push.example.org", "");
	prepare();
	CHECK(asked(0, "\r\nWebHook-Request-Origin: push.example.org\r\n"));
	CHECK(got.outcome.verdict == VERDICT_DELIVERED);
	end();
	/* without abuse protection there is none */
	begin("," OFF, "", "");
	prepare();
	CHECK(got.outcome.verdict == VERDICT_DELIVERED);
	CHECK(*http_asked(0) == '\0');
	end();
}

static void
handshake_refuses(void)
{
	memset(&standing.handshake, 0, sizeof(standing.handshake));
	begin("", "", "");
	http_say("200 OK", "");
	CHECK(strstr(prepare(), "the handshake was answered without permission "
	    "(status 200, no WebHook-Allowed-Origin): the endpoint has to "
	    "answer OPTIONS") == got.outcome.words);
	CHECK(got.outcome.verdict == VERDICT_UNMADE);
	CHECK(standing.handshake.state == HANDSHAKE_REFUSED);
	CHECK(standing.handshake.status == 200);
	/* it is asked again */
	http_say("403 No\r\nWebHook-Allowed-Origin: e\tvil.example", "");
	CHECK(strstr(prepare(), "status 403, WebHook-Allowed-Origin: "
	    "'e\\x09vil.example'") != NULL);
	http_say("501 No\r\nRetry-After: 9", "");
	prepare();
	CHECK(got.outcome.verdict == VERDICT_UNMADE);
	CHECK(got.outcome.retry_after == 9 * CLOCK_SECOND);
	CHECK(standing.handshake.status == 501);
	/* trouble is no refusal */
	http_say("503 No\r\nRetry-After: 7", "");
	CHECK(strcmp(prepare(), "the handshake: status 503") == 0);
	CHECK(got.outcome.verdict == VERDICT_LATER);
	CHECK(got.outcome.result == DL_BUSY);
	CHECK(got.outcome.retry_after == 7 * CLOCK_SECOND);
	CHECK(standing.handshake.status == 501);
	http_say(NULL, "");
	CHECK(strstr(prepare(), "the handshake: 127.0.0.1") ==
	    got.outcome.words);
	CHECK(got.outcome.verdict == VERDICT_LATER);
	http_say_raw("nonsense\r\n\r\n");
	prepare();
	CHECK(got.outcome.verdict == VERDICT_LATER);
	CHECK(got.outcome.result == DL_SOCKET_ERROR);
	http_say("200 OK\r\nWebHook-Allowed-Origin: *", "");
	prepare();
	CHECK(got.outcome.verdict == VERDICT_DELIVERED);
	end();
}

static void
callbacks(void)
{
	memset(&standing.handshake, 0, sizeof(standing.handshake));
	use.callback = (struct callback *)&the_wait; /* never looked into */
	waits = forgotten = 0;
	begin("", "", "");
	http_say("200 OK", "");
	prepare();
	CHECK(asked(0, "\r\nWebHook-Request-Callback: "
	    "https://us/callback/7\r\n"));
	CHECK(got.outcome.verdict == VERDICT_UNMADE);
	CHECK(strstr(got.outcome.words, "callback") != NULL);
	CHECK(standing.handshake.state == HANDSHAKE_PENDING);
	CHECK(strlen(standing.handshake.key) == CALLBACK_KEY);
	CHECK(*first_key == '\0' && waits == 1 && forgotten == 0);
	http_say("200 OK", "");
	prepare(); /* asks again, with the same */
	CHECK(waits == 1);
	end();
	CHECK(forgotten == 1);

	/* so does another process */
	begin("", "", "");
	http_say("200 OK", "");
	prepare();
	CHECK(strlen(first_key) == CALLBACK_KEY && waits == 2);
	target->calls->drop(target);
	CHECK(forgotten == 1);
	the_wait.granted(30, the_wait.arg);
	CHECK(got.granted == 0);
	while (got.prepared < 2)
		ev_run(use.loop, EVRUN_ONCE);
	CHECK(got.granted == 1 && forgotten == 2);
	CHECK(got.outcome.verdict == VERDICT_DELIVERED);
	CHECK(standing.handshake.state == HANDSHAKE_GRANTED);
	CHECK(standing.handshake.rate == 30 && *standing.handshake.key == '\0');
	CHECK(target->pause / 1000 == 2000);
	CHECK(*http_asked(1) == '\0');
	end();

	/* it may be quicker than the answer */
	memset(&standing.handshake, 0, sizeof(standing.handshake));
	begin("", "", "");
	http_say("200 OK", "");
	target->calls->prepare(target);
	the_wait.granted(0, the_wait.arg);
	while (got.prepared == 0)
		ev_run(use.loop, EVRUN_ONCE);
	ev_run(use.loop, EVRUN_NOWAIT);
	CHECK(got.outcome.verdict == VERDICT_DELIVERED);
	CHECK(got.prepared == 1 && got.granted == 0);
	CHECK(standing.handshake.state == HANDSHAKE_GRANTED);
	end();

	/* another origin is no "not yet" */
	memset(&standing.handshake, 0, sizeof(standing.handshake));
	begin("", "", "");
	http_say("200 OK\r\nWebHook-Allowed-Origin: x", "");
	prepare();
	CHECK(standing.handshake.state == HANDSHAKE_REFUSED);
	CHECK(*standing.handshake.key == '\0');
	end();
	CHECK(waits == forgotten);
	use.callback = NULL;
}

static void
dropped(void)
{
	struct attempt a, b;
	int fd;

	memset(&standing.handshake, 0, sizeof(standing.handshake));
	port = http_silence(&fd);
	begin(",\"contentMode\":\"binary\"", "", "");
	attempt_make(&a, E1, NULL);
	attempt_make(&b, "{}", NULL);
	target->calls->prepare(target);
	target->calls->send(target, &a);
	target->calls->send(target, &b);
	target->calls->drop(target);
	ev_run(use.loop, EVRUN_NOWAIT);
	CHECK(got.prepared == 0 && got.answered == 0);
	/* freed under way */
	target->calls->prepare(target);
	target->calls->send(target, &a);
	target->calls->send(target, &b);
	target->calls->free(target);
	ev_run(use.loop, EVRUN_NOWAIT);
	CHECK(got.prepared == 0 && got.answered == 0);
	port = http.port;
	close(fd);
	begin("," OFF ",\"contentMode\":\"binary\"", "", "");
	target->calls->prepare(target);
	target->calls->send(target, &b);
	target->calls->drop(target);
	ev_run(use.loop, EVRUN_NOWAIT);
	CHECK(got.prepared == 0 && got.answered == 0);
	target->calls->send(target, &b);
	while (got.answered == 0)
		ev_run(use.loop, EVRUN_ONCE);
	ev_run(use.loop, EVRUN_NOWAIT);
	CHECK(got.prepared == 0 && got.answered == 1);
	end();
	attempt_free(&a);
	attempt_free(&b);
}

static void
show(void)
{
	struct buf b = { 0 };
	struct attempt a;

	begin("", APP ",\"deliveryAttributeMappings\":["
	    STATIC("X-Key", "s3cret", "true") ","
	    STATIC("X-Team", "ops", "false") "]", "");
	attempt_make(&a, E1, NULL);
	target->calls->show(target, &a, &b);
	buf_add(&b, "", 1);
	CHECK(strstr(buf_data(&b), "POST http://127.0.0.1:") == buf_data(&b));
	CHECK(strstr(buf_data(&b), "/hook?***\n") != NULL);
	CHECK(strstr(buf_data(&b), "\nX-Key: ***\nX-Team: ops\n") != NULL);
	CHECK(strstr(buf_data(&b), "\nAuthorization: Bearer ***\n") != NULL);
	CHECK(strstr(buf_data(&b), "\n\n" E1 "\n") != NULL);
	CHECK(strstr(buf_data(&b), "s3cret") == NULL);
	CHECK(*http_asked(0) == '\0');
	end();
	begin("", ",\"deliveryAttributeMappings\":["
	    STATIC("authorization", "Basic s3cret", "false") "]", "");
	buf_reset(&b, 0);
	target->calls->show(target, &a, &b);
	buf_add(&b, "", 1);
	CHECK(strstr(buf_data(&b), "\nauthorization: ***\n") != NULL);
	end();
	buf_free(&b);
	attempt_free(&a);
}

static void
refused(const char *properties, const char *namespace, const char *words)
{
	struct fault f = { 0 };

	CHECK(make("", properties, namespace, &f) == NULL);
	if (strstr(f.text, words) == NULL)
		printf("# %s\n", f.text);
	CHECK(strstr(f.text, words) != NULL);
	CHECK(strstr(f.text, "s3cret") == NULL);
}

static void
settings(void)
{
	refused("\"endpointUrl\":\"http://example.org/s3cret\"", "",
	    "endpointUrl: must be https://");
	refused("\"endpointUrl\":7", "", "no endpointUrl");
	refused(",\"deliveryAttributeMappings\":[" STATIC("aeg-x", "1", "false")
	    "]", "", "delivery attribute 'aeg-x'");
	refused(APP ",\"deliveryAttributeMappings\":["
	    STATIC("Authorization", "s3cret", "false") "]", "",
	    "credential of its own");
	refused(APP, ",\"endpoints\":[{\"resourceId\":\"api://app\","
	    "\"credential\":{\"key\":\"s3cret\"}}]", "credential: ");
	refused(",\"minimumTlsVersionAllowed\":\"9\"", "", "TLS");
}

static void
by_type(const char *push, const char *words)
{
	static const char namespace[] = "{\"properties\":{\"endpoints\":[{"
	    "\"resourceId\":\"/HUB\",\"url\":\"kafka://127.0.0.1:1/t\"}]}}";
	struct fault f = { 0 };
	struct buf b = { 0 };

	buf_printf(&b, "{\"properties\":{\"deliveryConfiguration\":{\"push\":"
	    "{%s}}}}", push);
	use.subscription = jq_parse(buf_data(&b), b.len, NULL);
	use.namespace = jq_parse(namespace, sizeof(namespace) - 1, NULL);
	CHECK(target_new(&use, &f) == NULL);
	if (strstr(f.text, words) == NULL)
		printf("# %s\n", f.text);
	CHECK(strstr(f.text, words) != NULL);
	jv_free(use.subscription);
	jv_free(use.namespace);
	buf_free(&b);
}

#define TO(type, id) "\"destination\":{\"endpointType\":\"" type "\"," \
	"\"properties\":{\"resourceId\":\"" id "\"}}"

static void
targets_by_type(void)
{
	by_type(TO("EventHub", "/other"), "eventhub");
	by_type(TO("EventHub", "/hub"), "kafka kafka://127.0.0.1:1/t");
	by_type("\"deliveryWithResourceIdentity\":{\"identity\":{\"type\":"
	    "\"SystemAssigned\"}," TO("EventHub", "/hub") "}", "kafka kafka:");
	by_type(TO("Kafka", "/hub"), "kafka ");
	by_type(TO("StorageQueue", "/hub"), "WebHook, EventHub or Kafka");
	by_type("", "WebHook, EventHub or Kafka");
}

static void
credentials(void)
{
	static const char *const identities[][2] = {
		{ "{\"type\":\"SystemAssigned\"}", "SystemAssigned" },
		{ "{\"type\":\"UserAssigned\",\"userAssignedIdentity\":\"/id\"}",
		    "/id" },
		{ "{\"type\":\"UserAssigned\"}", "" },
		{ "null", "SystemAssigned" },
	};
	struct buf b = { 0 };
	jv c;

	use.namespace = jv_object();
	for (size_t i = 0; i < 4; i++) {
		buf_reset(&b, SIZE_MAX);
		buf_printf(&b, "{\"properties\":{\"deliveryConfiguration\":{"
		    "\"push\":{\"deliveryWithResourceIdentity\":{"
		    "\"identity\":%s}}}}}", identities[i][0]);
		use.subscription = jq_parse(buf_data(&b), b.len, NULL);
		c = target_credential(&use, "api://app");
		CHECK(strcmp(jq_str(c, "identity"), identities[i][1]) == 0);
		jv_free(c);
		jv_free(use.subscription);
	}
	jv_free(use.namespace);
	buf_free(&b);
}

int
main(void)
{
	use = (struct target_use){ .loop = ev_default_loop(0),
		.spool = &spool, .topic = "topic-1", .name = "sub-1",
		.standing = &standing };
	if (mkdtemp(dir) == NULL ||
	    (spool.fd = open(dir, O_PATH | O_DIRECTORY)) == -1)
		return 1;
	strcpy(standing.uid, "u");
	http_start();
	port = http.port;
	RUN(structured);
	RUN(batches);
	RUN(binary);
	RUN(mappings);
	RUN(tokens);
	RUN(handshake_grants);
	RUN(handshake_refuses);
	RUN(callbacks);
	RUN(dropped);
	RUN(show);
	RUN(settings);
	RUN(targets_by_type);
	RUN(credentials);
	spool_remove(spool.fd, "push");
	unlinkat(spool.fd, "token", 0);
	rmdir(dir);
	DONE();
}
