#include <fcntl.h>
#include <inttypes.h>
#include <time.h>

#include "../../cmd/egns-push/target.h"
#include "check.h"
#include "clock.h"
#include "file.h"
#include "http.h"
#include "jq.h"

#define ID "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventHub" \
	"/namespaces/eh1/eventhubs/hub1"

static struct ev_loop *loop;
static char dir[] = "/tmp/egns-eventhub.XXXXXX";
static struct spool spool;
static struct target *target;

/* The other targets are not looked at here. */
struct target *
webhook_new(const struct target_use *use, struct fault *f)
{
	(void)use, (void)f;
	return NULL;
}

struct target *
kafka_new(const struct target_use *use, jv hub, struct fault *f)
{
	(void)use, (void)f;
	jv_free(hub);
	return NULL;
}

static struct {
	unsigned prepared, answers;
	struct attempt *attempt;
	struct outcome outcome;
} got;

static void
on_prepared(const struct outcome *o, void *arg)
{
	(void)arg;
	got.prepared++;
	got.outcome = *o;
}

static void
on_answered(struct attempt *a, const struct outcome *o, void *arg)
{
	(void)arg;
	got.answers++;
	got.attempt = a;
	got.outcome = *o;
}

static void
on_granted(void *arg)
{
	(void)arg;
	CHECK(false);
}

static const struct target_hooks hooks = { on_prepared, on_answered,
	on_granted };

static jv
parse(const char *fmt, ...)
{
	struct buf b = { 0 };
	struct fault f = { 0 };
	char text[8192];
	va_list ap;
	jv v;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_str(&b, text);
	v = jq_parse(buf_data(&b), b.len, &f);
	if (!jv_is_valid(v))
		printf("# %s: %s\n", f.text, text);
	buf_free(&b);
	return v;
}

/* With an entry of endpoints (JSON), and these other members of push and of the
 * destination, which begin with a comma. */
static struct target *
make(jv namespace, const char *push, const char *more, struct fault *f)
{
	jv subscription = parse("{\"properties\":{\"deliveryConfiguration\":"
	    "{\"push\":{\"deliveryWithResourceIdentity\":{\"identity\":"
	    "{\"type\":\"UserAssigned\",\"userAssignedIdentity\":\"/id\"},"
	    "\"destination\":{\"endpointType\":\"EventHub\",\"properties\":"
	    "{%s%s}}}%s}}}}", strstr(more, "resourceId") != NULL ?
	    "\"maxEventsPerBatch\":1" : "\"resourceId\":\"" ID "\"", more,
	    push);
	struct target_use use = { .loop = loop, .spool = &spool,
		.namespace = namespace, .subscription = subscription,
		.topic = "t", .name = "s1" };
	struct target *t;

	t = eventhub_new(&use, f);
	jv_free(subscription);
	jv_free(namespace);
	return t;
}

static jv
namespace(const char *credential)
{
	return parse("{\"properties\":{\"endpoints\":[{\"resourceId\":\"%s\","
	    "\"url\":\"http://127.0.0.1:%u/hub1/\"%s%s}]}}", ID, http.port,
	    credential != NULL ? ",\"credential\":" : "",
	    credential != NULL ? credential : "");
}

#define FILE_OF(type) "{\"file\":\"secret\",\"type\":\"" type "\"}"

static void
begin(const char *credential, const char *push, const char *more)
{
	struct fault f = { 0 };

	http_reset();
	memset(&got, 0, sizeof(got));
	target = make(namespace(credential), push, more, &f);
	if (target == NULL) {
		printf("# %s\n", f.text);
		exit(1);
	}
	target->hooks = &hooks;
	target->calls->prepare(target);
	CHECK(got.prepared == 0);
	while (got.prepared == 0)
		ev_run(loop, EVRUN_ONCE);
	CHECK(got.outcome.verdict == VERDICT_DELIVERED);
}

static void
end(void)
{
	target->calls->drop(target);
	target->calls->free(target);
	target = NULL;
}

static struct item *
item(const char *text, const char *token)
{
	struct item *i = calloc(1, sizeof(*i) + strlen(text) + 1);

	i->count = 1;
	i->len = (uint32_t)strlen(text);
	memcpy(i->text, text, i->len);
	snprintf(i->token, sizeof(i->token), "%s", token);
	return i;
}

static void
add(struct attempt *a, const char *text)
{
	struct item **last = &a->first;

	while (*last != NULL)
		last = &(*last)->next;
	*last = item(text, "");
	a->n++;
	a->bytes += strlen(text);
}

static void
forget(struct attempt *a)
{
	struct item *i;

	while ((i = a->first) != NULL) {
		a->first = i->next;
		free(i);
	}
	*a = (struct attempt){ 0 };
}

static void
deliver(struct attempt *a)
{
	unsigned before = got.answers;

	target->calls->send(target, a);
	CHECK(got.answers == before);
	while (got.answers == before)
		ev_run(loop, EVRUN_ONCE);
	CHECK(got.answers == before + 1 && got.attempt == a);
	CHECK(strstr(got.outcome.words, "s3cret") == NULL);
}

/* What came of one event, or of several of an attempt. */
static enum verdict
send_events(const char *const *texts, size_t n)
{
	struct attempt a = { 0 };

	for (size_t i = 0; i < n; i++)
		add(&a, texts[i]);
	deliver(&a);
	forget(&a);
	return got.outcome.verdict;
}

static enum verdict
send_event(const char *text)
{
	return send_events(&text, 1);
}

static bool
asked(unsigned n, const char *words)
{
	if (strstr(http_asked(n), words) != NULL)
		return true;
	printf("# '%s' not in %u: %s\n", words, n, http_asked(n));
	return false;
}

/* What jq makes of the body of what was asked, as text. */
static void
print(jv v, void *arg)
{
	jq_print(arg, v, false);
}

static const char *
member(unsigned n, const char *expression)
{
	static char out[8192];
	const char *body = strstr(http_asked(n), "\r\n\r\n");
	struct jq_program *p = jq_compile(expression, NULL);
	struct buf b = { 0 };
	jv v = jv_null();

	if (body != NULL)
		v = jq_parse(body + 4, strlen(body + 4), NULL);
	if (jv_is_valid(v))
		CHECK(jq_run(p, v, print, &b, NULL) == 0);
	snprintf(out, sizeof(out), "%.*s", (int)b.len,
	    b.len > 0 ? buf_data(&b) : "");
	jq_free(p);
	buf_free(&b);
	return out;
}

static bool
is(unsigned n, const char *path, const char *json)
{
	if (strcmp(member(n, path), json) == 0)
		return true;
	printf("# %s: %s\n", path, member(n, path));
	return false;
}

static void
secret(const char *text)
{
	int fd = openat(spool.fd, "secret", O_WRONLY | O_CREAT | O_TRUNC,
	    0600);

	CHECK(file_pwrite(fd, text, strlen(text), 0) == 0);
	CHECK(close(fd) == 0);
}

#define EVENT(id, more) "{\"specversion\":\"1.0\",\"id\":\"" id "\"," \
	"\"source\":\"/s\",\"type\":\"t\"" more "}"

/* ---- one event, and several ---- */

static void
one_is_sent_as_it_is(void)
{
	begin(FILE_OF("bearer"), "", "");
	http_say("201 Created", "");
	CHECK(send_event(EVENT("1", ",\"data\":{ }")) == VERDICT_DELIVERED);
	CHECK(asked(0, "POST /hub1/messages?timeout=60&api-version=2014-01 "
	    "HTTP/1.1\r\n"));
	CHECK(asked(0, "\r\nContent-Type: application/cloudevents+json; "
	    "charset=utf-8\r\n"));
	CHECK(asked(0, "\r\naeg-subscription-name: s1\r\n"));
	CHECK(asked(0, "\r\naeg-delivery-count: 1\r\n"));
	CHECK(asked(0, "\r\naeg-output-event-id: "));
	CHECK(asked(0, "\r\naeg-metadata-version: 1.0\r\n"));
	CHECK(asked(0, "\r\naeg-compatibility-mode-enabled: false\r\n"));
	CHECK(asked(0, "\r\nAuthorization: Bearer s3cret\r\n"));
	CHECK(asked(0, "\r\n\r\n" EVENT("1", ",\"data\":{ }")));
	CHECK(strstr(http_asked(0), "BrokerProperties") == NULL);
	end();
}

static void
several_are_a_batch(void)
{
	static const char *const events[] = {
		EVENT("1", ",\"data\":\"a\\\"b\\\\\""),
		EVENT("2", ",\"data\":\"\xc3\xa4\"") };

	begin(FILE_OF("bearer"), "", "");
	http_say("201 Created", "");
	CHECK(send_events(events, 2) == VERDICT_DELIVERED);
	CHECK(asked(0, "\r\nContent-Type: application/vnd.microsoft."
	    "servicebus.json\r\n"));
	CHECK(asked(0, "\r\nAuthorization: Bearer s3cret\r\n"));
	CHECK(strstr(http_asked(0), "\r\naeg-") == NULL);
	CHECK(is(0, ".[0].Body", "\"{\\\"specversion\\\":\\\"1.0\\\",\\\"id"
	    "\\\":\\\"1\\\",\\\"source\\\":\\\"/s\\\",\\\"type\\\":\\\"t\\\","
	    "\\\"data\\\":\\\"a\\\\\\\"b\\\\\\\\\\\"}\""));
	CHECK(is(0, ".[0].IsBodyBase64", "null"));
	CHECK(is(0, ".[0].BrokerProperties", "null"));
	CHECK(is(0, ".[0].UserProperties[\"aeg-subscription-name\"]",
	    "\"s1\""));
	CHECK(is(0, ".[0].UserProperties[\"aeg-delivery-count\"]", "\"1\""));
	CHECK(is(0, ".[1].UserProperties[\"content-type\"]",
	    "\"application/cloudevents+json; charset=utf-8\""));
	CHECK(is(0, "length", "2"));
	end();
}

/* What escapes would make much longer is sent as base64. */
static void
batches_never_become_too_large(void)
{
	struct attempt a = { 0 };
	struct buf text = { 0 };

	begin(FILE_OF("bearer"), "", "");
	CHECK(target->batch > 100 && target->batch_bytes > 500000);
	for (unsigned i = 0; i < target->batch; i++) {
		buf_reset(&text, 1 << 20);
		buf_str(&text, EVENT("1", ",\"partitionkey\":\""));
		text.len--;
		for (unsigned k = 0; k < 200; k++)
			buf_str(&text, "\xf0\x9f\x98\x80");
		buf_str(&text, "\",\"data\":\"");
		while (text.len + 3 < target->batch_bytes / target->batch)
			buf_str(&text, "\\\"");
		buf_add(&text, "\"}", 3);
		add(&a, buf_data(&text));
	}
	CHECK(a.bytes <= target->batch_bytes &&
	    a.bytes > target->batch_bytes * 9 / 10);
	buf_reset(&text, 1 << 20);
	target->calls->show(target, &a, &text);
	printf("# %u events of %zu bytes are %zu\n", a.n, a.bytes, text.len);
	buf_add(&text, "", 1);
	CHECK(strstr(buf_data(&text), "\"IsBodyBase64\":true") != NULL);
	CHECK(text.len > 900000 && text.len < 1000000);
	buf_free(&text);
	forget(&a);
	end();
}

#define MAPPING(name, type, member, value) "{\"name\":\"" name "\"," \
	"\"type\":\"" type "\",\"properties\":{\"" member "\":\"" value "\"}}"
#define STATIC(name, value) MAPPING(name, "Static", "value", value)
#define DYNAMIC(name, field) MAPPING(name, "Dynamic", "sourceField", field)
#define SECRET(name, value) "{\"name\":\"" name "\",\"type\":\"Static\"," \
	"\"properties\":{\"value\":\"" value "\",\"isSecret\":true}}"
#define MAPPINGS(list) ",\"deliveryAttributeMappings\":[" list "]"

static void
properties_are_mapped(void)
{
	static const char *const events[] = {
		EVENT("1", ",\"subject\":\"x\",\"data\":{\"n\":5}"),
		EVENT("2", "") };

	begin(FILE_OF("bearer"), "", MAPPINGS(STATIC("team", "ops") ","
	    DYNAMIC("n", "data.n") "," DYNAMIC("s", "subject")));
	http_say("201 Created", "");
	http_say("201 Created", "");
	CHECK(send_event(events[0]) == VERDICT_DELIVERED);
	CHECK(asked(0, "\r\nteam: ops\r\n") && asked(0, "\r\nn: 5\r\n") &&
	    asked(0, "\r\ns: x\r\n"));
	CHECK(send_events(events, 2) == VERDICT_DELIVERED);
	CHECK(is(1, ".[0].UserProperties | [.team,.n,.s]",
	    "[\"ops\",\"5\",\"x\"]"));
	CHECK(is(1, ".[1].UserProperties | [.team,.n,.s]",
	    "[\"ops\",null,null]"));
	end();
}

/* A header takes no such properties; an element of a batch does. */
static void
one_may_be_a_batch(void)
{
	static const char *const rows[] = { "\xc3\xa4", "" };

	for (size_t i = 0; i < 2; i++) {
		char event[256];

		begin(FILE_OF("bearer"), "", MAPPINGS(DYNAMIC("s", "data")));
		http_say("201 Created", "");
		snprintf(event, sizeof(event), "%.*s,\"data\":\"%s\"}",
		    (int)strlen(EVENT("1", "")) - 1, EVENT("1", ""), rows[i]);
		CHECK(send_event(event) == VERDICT_DELIVERED);
		CHECK(is(0, "length", "1"));
		snprintf(event, sizeof(event), "\"%s\"", rows[i]);
		CHECK(is(0, ".[0].UserProperties.s", event));
		end();
	}
}

static void
partition_keys(void)
{
	static const char *const events[] = {
		EVENT("1", ",\"partitionkey\":\"p\",\"subject\":\"x\""),
		EVENT("2", ",\"partitionkey\":\"p\",\"subject\":\"x\"") };
	static const struct {
		const char *mappings, *key;
	} rows[] = {
		{ "", "p" },
		{ MAPPINGS(STATIC("PartitionKey", "k\\\"")), "k\\\"" },
		{ MAPPINGS(DYNAMIC("partitionkey", "subject")), "x" },
		{ MAPPINGS(DYNAMIC("PartitionKey", "data.none")), "p" },
	};
	char text[128];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(FILE_OF("bearer"), "", rows[i].mappings);
		http_say("201 Created", "");
		http_say("201 Created", "");
		CHECK(send_event(events[0]) == VERDICT_DELIVERED);
		snprintf(text, sizeof(text), "\r\nBrokerProperties: "
		    "{\"PartitionKey\":\"%s\"}\r\n", rows[i].key);
		CHECK(asked(0, text));
		CHECK(strcasestr(http_asked(0), "\r\npartitionkey:") == NULL);
		CHECK(send_events(events, 2) == VERDICT_DELIVERED);
		snprintf(text, sizeof(text), "{\"PartitionKey\":\"%s\"}",
		    rows[i].key);
		CHECK(is(1, ".[1].BrokerProperties", text));
		CHECK(is(1, ".[1].UserProperties | .PartitionKey, "
		    ".partitionkey", "nullnull"));
		end();
	}
}

static bool
join(const char *one, const char *two)
{
	struct item *a = item(one, "token-a"), *b = item(two, "token-b");
	bool joins = target->calls->joins(target, a, b);

	/* what is remembered of the first says the same */
	CHECK(target->calls->joins(target, a, b) == joins);
	CHECK(target->calls->joins(target, b, a) == joins);
	free(a);
	free(b);
	return joins;
}

static void
what_goes_together(void)
{
	char large[4000];

	snprintf(large, sizeof(large), "%.*s,\"subject\":\"%2000d\"}",
	    (int)strlen(EVENT("1", "")) - 1, EVENT("1", ""), 7);
	begin(FILE_OF("bearer"), "", "");
	CHECK(join(EVENT("1", ""), EVENT("2", "")));
	CHECK(join(EVENT("1", ""), large));
	CHECK(join(EVENT("1", ",\"partitionkey\":\"a\""),
	    EVENT("2", ",\"partitionkey\":\"a\"")));
	CHECK(!join(EVENT("1", ",\"partitionkey\":\"a\""),
	    EVENT("2", ",\"partitionkey\":\"b\"")));
	CHECK(!join(EVENT("1", ",\"partitionkey\":\"a\""), EVENT("2", "")));
	CHECK(!join(EVENT("1", ""), "{}"));
	end();
	begin(FILE_OF("bearer"), "", MAPPINGS(DYNAMIC("x", "subject") ","
	    STATIC("PartitionKey", "k")));
	memset(strstr(large, "  "), 'x', 1999);
	CHECK(join(EVENT("1", ",\"partitionkey\":\"a\""),
	    EVENT("2", ",\"subject\":\"x\"")));
	CHECK(!join(EVENT("1", ""), large));
	end();
}

/* Longer keys begin with what the service takes. */
static void
keys_are_cut(void)
{
	char event[1024], key[300] = "";

	for (unsigned i = 0; i < 140; i++)
		strcat(key, i < 128 ? "k" : "x");
	snprintf(event, sizeof(event), "%.*s,\"partitionkey\":\"%s\"}",
	    (int)strlen(EVENT("1", "")) - 1, EVENT("1", ""), key);
	begin(FILE_OF("bearer"), "", "");
	http_say("201 Created", "");
	send_event(event);
	key[128] = '\0';
	snprintf(event, sizeof(event), "PartitionKey\":\"%s\"}", key);
	CHECK(asked(0, event));
	end();
}

static void
binary_mode(void)
{
	static const char *const events[] = {
		EVENT("1", ",\"subject\":\"\\u00e4\",\"ext\":5,"
		    "\"datacontenttype\":\"text/plain\",\"data\":\"a\\nb\""),
		EVENT("2", ",\"data_base64\":\"AAH/\""),
		EVENT("3", ",\"data\":{\"a\": 1}"),
		EVENT("4", "") };

	begin(FILE_OF("bearer"), ",\"contentMode\":\"binary\"", "");
	for (unsigned i = 0; i < 4; i++)
		http_say("201 Created", "");
	CHECK(send_events(events, 4) == VERDICT_DELIVERED);
	CHECK(is(0, ".[0].Body", "\"a\\nb\""));
	CHECK(is(0, ".[0].UserProperties | [.cloudEvents_id,"
	    ".cloudEvents_subject,.cloudEvents_ext,.cloudEvents_specversion,"
	    ".cloudEvents_data,.[\"content-type\"]]", "[\"1\",\"\xc3\xa4\","
	    "\"5\",\"1.0\",null,\"text/plain\"]"));
	CHECK(is(0, ".[1] | [.Body,.IsBodyBase64]", "[\"AAH/\",true]"));
	CHECK(is(0, ".[1].UserProperties[\"content-type\"]",
	    "\"application/octet-stream\""));
	CHECK(is(0, ".[2].Body", "\"{\\\"a\\\": 1}\""));
	CHECK(is(0, ".[2].UserProperties[\"content-type\"]",
	    "\"application/json\""));
	CHECK(is(0, ".[3].Body", "\"\""));
	CHECK(is(0, ".[3].UserProperties[\"content-type\"]", "null"));
	CHECK(send_event(events[2]) == VERDICT_DELIVERED);
	CHECK(asked(1, "\r\nContent-Type: application/json\r\n"));
	CHECK(asked(1, "\r\ncloudEvents_id: 3\r\n"));
	CHECK(asked(1, "\r\n\r\n{\"a\": 1}"));
	CHECK(send_event(events[0]) == VERDICT_DELIVERED);
	CHECK(is(2, "length", "1"));
	CHECK(send_event(events[3]) == VERDICT_DELIVERED);
	CHECK(strcasestr(http_asked(3), "Content-Type:") == NULL);
	end();
}

/* ---- who we are ---- */

#define STRING "Endpoint=sb://eh1.servicebus.windows.net/;" \
	"SharedAccessKeyName=send;SharedAccessKey=s3cret"

static void
copy_header(unsigned n, char *out, size_t len)
{
	const char *p = strstr(http_asked(n), "\r\nAuthorization: ");

	snprintf(out, len, "%.*s", p == NULL ? 0 :
	    (int)strcspn(p + 2, "\r"), p == NULL ? "" : p + 2);
}

static int64_t
ahead(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return clock_now() / CLOCK_SECOND - t.tv_sec;
}

static void
clock_ahead(const char *seconds)
{
	int fd = openat(spool.fd, "clock", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(file_pwrite(fd, seconds, strlen(seconds), 0) == 0);
	CHECK(close(fd) == 0);
	while (llabs(ahead() - atoll(seconds)) > 1)
		usleep(1000);
}

static void
connection_strings_are_signed_with(void)
{
	char first[1024], other[1024];
	long long until;

	secret(STRING "\n");
	begin(FILE_OF("connectionString"), "", "");
	for (unsigned i = 0; i < 5; i++)
		http_say("201 Created", "");
	send_event(EVENT("1", ""));
	copy_header(0, first, sizeof(first));
	snprintf(other, sizeof(other), "Authorization: SharedAccessSignature "
	    "sr=http%%3A%%2F%%2F127.0.0.1%%3A%u%%2Fhub1&sig=", http.port);
	CHECK(strncmp(first, other, strlen(other)) == 0);
	CHECK(strstr(first, "&skn=send") != NULL);
	until = atoll(strstr(first, "&se=") + 4);
	CHECK(until - clock_now() / CLOCK_SECOND > 3590 &&
	    until - clock_now() / CLOCK_SECOND <= 3600);

	/* once, until shortly before it ends */
	clock_ahead("2990");
	send_event(EVENT("2", ""));
	copy_header(1, other, sizeof(other));
	CHECK(strcmp(first, other) == 0);
	clock_ahead("3010");
	send_event(EVENT("3", ""));
	copy_header(2, other, sizeof(other));
	CHECK(strcmp(first, other) != 0);
	CHECK(atoll(strstr(other, "&se=") + 4) >= until + 3000);
	clock_ahead("0"); /* back */
	send_event(EVENT("4", ""));
	copy_header(3, other, sizeof(other));
	CHECK(atoll(strstr(other, "&se=") + 4) < until + 100);

	/* another one */
	secret("EntityPath=hub1;" STRING "2");
	send_event(EVENT("5", ""));
	copy_header(4, first, sizeof(first));
	CHECK(strstr(first, "&skn=send") != NULL && strcmp(first, other) != 0);

	/* and what is none: nothing is sent */
	secret("s3cret");
	CHECK(send_event(EVENT("6", "")) == VERDICT_UNMADE);
	CHECK(strstr(got.outcome.words, "connection string has no Endpoint") !=
	    NULL);
	CHECK(*http_asked(5) == '\0');
	end();
	secret("s3cret");
}

static void
signatures_are_sent(void)
{
	static const char *const rows[] = {
		"SharedAccessSignature sr=a&sig=b&se=1&skn=c", "sr=a&sig=b&se=1&skn=c" };

	for (size_t i = 0; i < 2; i++) {
		secret(rows[i]);
		begin(FILE_OF("sas"), "", "");
		http_say("201 Created", "");
		send_event(EVENT("1", ""));
		CHECK(asked(0, "\r\nAuthorization: SharedAccessSignature "
		    "sr=a&sig=b&se=1&skn=c\r\n"));
		end();
	}
	secret("s3cret");
}

static void
identities_are_asked_for(void)
{
	char host[64];

	snprintf(host, sizeof(host), "http://127.0.0.1:%u", http.port);
	setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", host, 1);
	begin(NULL, "", "");
	http_say("200 OK", "{\"access_token\":\"s3cret\","
	    "\"expires_in\":\"3600\"}");
	http_say("201 Created", "");
	CHECK(send_event(EVENT("1", "")) == VERDICT_DELIVERED);
	CHECK(asked(0, "resource=https%3A%2F%2Feventhubs.azure.net&"
	    "msi_res_id=%2Fid HTTP"));
	CHECK(asked(1, "\r\nAuthorization: Bearer s3cret\r\n"));
	end();
}

/* ---- answers ---- */

static void
answers(void)
{
	static const struct {
		const char *head, *body;
		enum verdict verdict;
	} rows[] = {
		{ "201 Created", "", VERDICT_DELIVERED },
		{ "200 OK", "<x>", VERDICT_DELIVERED },
		{ "204 No Content", "", VERDICT_DELIVERED },
		{ "205 Reset", "", VERDICT_LATER },
		{ "302 Found\r\nLocation: /", "", VERDICT_LATER },
		{ "400 Bad Request", "s3cret", VERDICT_FINAL },
		{ "403 Forbidden", "", VERDICT_FINAL },
		{ "404 Not Found", "", VERDICT_FINAL },
		{ "413 Too Large", "", VERDICT_FINAL },
		{ "429 Slow\r\nRetry-After: 7", "", VERDICT_LATER },
		{ "500 \x1b[31m s3cret", "\x1b s3cret", VERDICT_LATER },
		{ "503 Busy", "", VERDICT_LATER },
		{ NULL, "", VERDICT_LATER },
		{ "garbage", "", VERDICT_LATER },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(FILE_OF("bearer"), "", "");
		http_say(rows[i].head, rows[i].body);
		if (send_event(EVENT("1", "")) != rows[i].verdict)
			printf("# %zu: %d %s\n", i, got.outcome.verdict,
			    got.outcome.words);
		CHECK(got.outcome.verdict == rows[i].verdict);
		end();
	}
	begin(FILE_OF("bearer"), "", "");
	http_say("401 Unauthorized", "");
	http_say("201 Created", "");
	CHECK(send_event(EVENT("1", "")) == VERDICT_DELIVERED);
	http_say("401 Unauthorized", "");
	http_say("401 Unauthorized", "");
	CHECK(send_event(EVENT("1", "")) == VERDICT_FINAL);
	end();
}

static void
what_is_no_event_ends(void)
{
	begin(FILE_OF("bearer"), "", "");
	CHECK(send_event("{\"id\":5}") == VERDICT_FINAL);
	CHECK(got.outcome.reason == DL_SCHEMA_REJECTED);
	end();
}

static void
a_drop_is_an_end(void)
{
	struct attempt a = { 0 }, b = { 0 };

	begin(FILE_OF("bearer"), "", "");
	http_say("201 Created", "");
	add(&a, EVENT("1", ""));
	add(&b, "none");
	target->calls->send(target, &a);
	target->calls->send(target, &b);
	target->calls->drop(target);
	ev_run(loop, EVRUN_NOWAIT);
	CHECK(got.answers == 0);
	forget(&a);
	forget(&b);
	end();
}

/* ---- for people, and settings ---- */

static void
requests_are_shown(void)
{
	struct attempt a = { 0 };
	struct buf b = { 0 };

	secret(STRING);
	begin(FILE_OF("connectionString"), "", MAPPINGS(SECRET("x", "s3cret")
	    "," SECRET("PartitionKey", "s3cret") "," STATIC("y", "seen")));
	for (unsigned n = 1; n <= 2; n++) {
		add(&a, EVENT("17", ""));
		buf_reset(&b, 0);
		target->calls->show(target, &a, &b);
		buf_add(&b, "", 1);
		CHECK(strstr(buf_data(&b), "POST http://127.0.0.1") != NULL);
		CHECK(strstr(buf_data(&b), "/hub1/messages?***\n") != NULL);
		CHECK(strstr(buf_data(&b), "\nAuthorization: ***\n") != NULL);
		CHECK(strstr(buf_data(&b), n == 1 ? "\nx: ***\n" :
		    "\"x\":\"***\",\"y\":\"seen\"") != NULL);
		CHECK(strstr(buf_data(&b), n == 1 ? "\nBrokerProperties: ***" :
		    "{\"PartitionKey\":\"***\"}") != NULL);
		CHECK(strstr(buf_data(&b), "17") != NULL);
		CHECK(strstr(buf_data(&b), "s3cret") == NULL);
	}
	forget(&a);
	add(&a, "{}");
	buf_reset(&b, 0);
	target->calls->show(target, &a, &b);
	CHECK(strncmp(buf_data(&b), "no request: ", 12) == 0);
	forget(&a);
	buf_free(&b);
	end();
	secret("s3cret");
}

static void
refused(const char *entry, const char *more, const char *words)
{
	struct fault f = { 0 };

	CHECK(make(parse("{\"properties\":{\"endpoints\":[%s]}}", entry), "",
	    more, &f) == NULL);
	if (strstr(f.text, words) == NULL)
		printf("# %s\n", f.text);
	CHECK(strstr(f.text, words) != NULL);
}

#define ENTRY(more) "{\"resourceId\":\"" ID "\"," more "}"

static void
settings(void)
{
	refused(ENTRY("\"url\":\"http://example.org/h\""), "",
	    "endpoints: url: must be https");
	refused(ENTRY("\"url\":\"kafkas://h:9093/t\""), "",
	    "endpoints: url: must be https");
	refused(ENTRY("\"url\":\"https://h/hub?x\""), "",
	    "endpoints: url: of an event hub it has no query");
	refused(ENTRY("\"credential\":{\"file\":\"x\",\"type\":\"key\"}"),
	    "", "an event hub takes no key");
	refused("", MAPPINGS(STATIC("BrokerProperties", "x")),
	    "'BrokerProperties': the name is in use");
	refused("", MAPPINGS(STATIC("cloudEvents_id", "x")),
	    "'cloudEvents_id': the name is in use");
	refused("", MAPPINGS(STATIC("Authorization", "x")), "of its own");
	refused("", ",\"resourceId\":\"/x/namespaces/a/eventhubs/b\"",
	    "resourceId: '/x/namespaces/a/eventhubs/b' is no ...");
	refused("", ",\"resourceId\":\"/providers/Microsoft.EventHub/"
	    "namespaces/a.b/eventhubs/b\"", "is no ...");
	refused("", ",\"resourceId\":\"/providers/Microsoft.EventHub/"
	    "namespaces/a/eventhubs/b?c\"", "is no ...");
	refused("", ",\"resourceId\":\"/providers/Microsoft.EventHub/"
	    "namespaces/a\"", "is no ...");
}

/* Without an entry, or one that has no url, the service has it. */
static void
hubs_of_the_service(void)
{
	static const char *const rows[] = { "",
		ENTRY("\"credential\":{\"file\":\"secret\"}") };
	static const char begins[] = "POST https://eh1.servicebus.windows.net/"
	    "hub1/messages?***\n";
	struct attempt a = { 0 };
	struct buf b = { 0 };
	struct fault f;

	add(&a, EVENT("1", ""));
	for (size_t i = 0; i < 2; i++) {
		target = make(parse("{\"properties\":{\"endpoints\":[%s]}}",
		    rows[i]), "", "", &f);
		CHECK(target != NULL);
		target->calls->show(target, &a, &b);
		buf_add(&b, "", 1);
		CHECK(strncmp(buf_data(&b), begins, strlen(begins)) == 0);
		buf_free(&b);
		end();
	}
	forget(&a);
}

/* Keeps the loop turning: what was pending before it waits is no event. */
static void
on_tick(struct ev_loop *l, ev_timer *timer, int events)
{
	(void)l, (void)timer, (void)events;
}

int
main(void)
{
	ev_timer tick;
	char clock[64];

	loop = ev_default_loop(0);
	if (mkdtemp(dir) == NULL ||
	    (spool.fd = open(dir, O_PATH | O_DIRECTORY)) == -1)
		return 1;
	snprintf(clock, sizeof(clock), "%s/clock", dir);
	setenv("EGNS_CLOCK", clock, 1);
	http_start();
	ev_timer_init(&tick, on_tick, 0.01, 0.01);
	ev_timer_start(loop, &tick);
	secret("s3cret");
	RUN(one_is_sent_as_it_is);
	RUN(several_are_a_batch);
	RUN(batches_never_become_too_large);
	RUN(properties_are_mapped);
	RUN(one_may_be_a_batch);
	RUN(partition_keys);
	RUN(keys_are_cut);
	RUN(what_goes_together);
	RUN(binary_mode);
	RUN(signatures_are_sent);
	RUN(connection_strings_are_signed_with);
	RUN(identities_are_asked_for);
	RUN(answers);
	RUN(what_is_no_event_ends);
	RUN(a_drop_is_an_end);
	RUN(requests_are_shown);
	RUN(settings);
	RUN(hubs_of_the_service);
	unlinkat(spool.fd, "secret", 0);
	unlinkat(spool.fd, "clock", 0);
	rmdir(dir);
	DONE();
}
