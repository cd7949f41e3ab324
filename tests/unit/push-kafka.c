#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "../../cmd/egns-push/target.h"
#include "check.h"
#include "clock.h"
#include "file.h"
#include "jq.h"

#define MANY 5000
#define ONE_ATTEMPT (30 * CLOCK_SECOND) /* unless it fails before */
#define INIT_PRODUCER_ID 22 /* keys of requests: protocol of Kafka */

static struct ev_loop *loop;
static char dir[] = "/tmp/egns-kafka.XXXXXX";
static struct spool spool;
static rd_kafka_t *rk;
static rd_kafka_mock_cluster_t *cluster;
static struct target *target;

static struct {
	unsigned prepared, answers, delivered;
	struct outcome outcome; /* the last */
} got;

static void
on_prepared(const struct outcome *o, void *arg)
{
	(void)arg;
	got.prepared++;
	got.outcome = *o;
}

static void
attempt_free(struct attempt *a)
{
	free(a->first);
	free(a);
}

static void
on_answered(struct attempt *a, const struct outcome *o, void *arg)
{
	(void)arg;
	got.answers++;
	got.delivered += o->verdict == VERDICT_DELIVERED;
	got.outcome = *o;
	attempt_free(a);
}

static void
on_granted(void *arg)
{
	(void)arg;
	CHECK(false);
}

static const struct target_hooks hooks = { on_prepared, on_answered,
	on_granted };

/* A subscription to a topic, with these members of its destination and its
 * push. */
static jv
subscription(const char *servers, const char *topic, const char *members,
    const char *push)
{
	struct buf b = { 0 };
	struct fault f;
	jv v;

	buf_printf(&b, "{\"properties\":{\"deliveryConfiguration\":{\"push\":{"
	    "\"destination\":{\"endpointType\":\"Kafka\",\"properties\":{"
	    "\"bootstrapServers\":\"%s\",\"topic\":\"%s\"%s}}%s}}}}", servers,
	    topic, members, push);
	v = jq_parse(buf_data(&b), b.len, &f);
	if (!jv_is_valid(v))
		printf("# %s: %s\n", f.text, buf_data(&b));
	buf_free(&b);
	return v;
}

static struct target *
make(const char *servers, const char *topic, const char *members,
    const char *push, struct fault *f)
{
	struct target_use use = {
		.loop = loop,
		.spool = &spool,
		.namespace = jv_object(),
		.subscription = subscription(servers, topic, members, push),
		.topic = "orders",
		.name = "sub",
	};
	struct target *t = kafka_new(&use, jv_null(), f);

	jv_free(use.namespace);
	jv_free(use.subscription);
	return t;
}

static void
begin_at(const char *servers, const char *topic, const char *members,
    const char *push)
{
	struct fault f = { 0 };

	memset(&got, 0, sizeof(got));
	target = make(servers, topic, members, push, &f);
	if (target == NULL) {
		printf("# %s\n", f.text);
		exit(1);
	}
	target->hooks = &hooks;
	target->calls->prepare(target);
	CHECK(got.prepared == 0);
	while (got.prepared == 0)
		ev_run(loop, EVRUN_ONCE);
}

static void
begin(const char *topic, const char *members, const char *push)
{
	begin_at(rd_kafka_mock_cluster_bootstraps(cluster), topic, members,
	    push);
	CHECK(got.outcome.verdict == VERDICT_DELIVERED);
}

static void
end(void)
{
	target->calls->drop(target);
	target->calls->free(target);
}

static struct attempt *
attempt(const char *text, size_t len)
{
	struct item *item = calloc(1, sizeof(*item) + len + 1);
	struct attempt *a = calloc(1, sizeof(*a));

	memcpy(item->text, text, len);
	item->len = (uint32_t)len;
	item->count = 3;
	*a = (struct attempt){ .first = item, .n = 1, .count = 3,
		.bytes = len };
	return a;
}

#define EVENT "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\"," \
	"\"type\":\"t\""

static void
send_text(const char *text)
{
	unsigned before = got.answers;

	target->calls->send(target, attempt(text, strlen(text)));
	CHECK(got.answers == before);
}

static void
await(unsigned answers)
{
	while (got.answers < answers)
		ev_run(loop, EVRUN_ONCE);
	CHECK(got.answers == answers);
}

static bool
ended(enum verdict verdict, enum dl_result result)
{
	if (got.outcome.verdict == verdict && got.outcome.result == result)
		return true;
	printf("# verdict %d, result %d: %s\n", got.outcome.verdict,
	    got.outcome.result, got.outcome.words);
	return false;
}

static bool
ended_for_good(enum dl_reason reason, enum dl_result result)
{
	return ended(VERDICT_FINAL, result) && got.outcome.reason == reason;
}

/* ---- */

static void
many_events_are_delivered(void)
{
	begin("many", "", "");
	CHECK(target->batch == 1);
	for (unsigned i = 0; i < MANY; i++)
		send_text(EVENT "}");
	await(MANY);
	CHECK(got.delivered == MANY);
	end();
}

static void
errors_of_brokers_are_classified(void)
{
	static const struct {
		rd_kafka_resp_err_t error;
		enum dl_reason reason;
		enum dl_result result;
	} rows[] = {
		{ RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, DL_PAYLOAD_TOO_LARGE,
		    DL_RESULT_PAYLOAD_TOO_LARGE },
		{ RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
		    DL_UNAUTHORIZED, DL_FORBIDDEN },
		{ RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
		    DL_UNAUTHORIZED, DL_FORBIDDEN },
		{ RD_KAFKA_RESP_ERR_INVALID_RECORD, DL_SCHEMA_REJECTED,
		    DL_BAD_REQUEST },
	};

	begin("errors", "", "");
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rd_kafka_mock_push_request_errors(cluster, 0, 1,
		    rows[i].error);
		send_text(EVENT "}");
		await(2 * i + 1);
		CHECK(ended_for_good(rows[i].reason, rows[i].result));
		send_text(EVENT "}");
		await(2 * i + 2);
		CHECK(ended(VERDICT_DELIVERED, 0));
	}
	end();
}

/* It is not held against the memory that we have. */
static void
what_is_no_event_ends(void)
{
	begin("none", "", ",\"contentMode\":\"binary\"");
	send_text("{}");
	await(1);
	CHECK(ended_for_good(DL_SCHEMA_REJECTED, DL_BAD_REQUEST));
	end();
}

/* librdkafka tries again by itself for as long as an attempt may take. */
static void
what_may_pass_is_ridden_out(void)
{
	begin("passing", ",\"properties\":{\"retry.backoff.ms\":\"1\"}", "");
	rd_kafka_mock_push_request_errors(cluster, 0, 5,
	    RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
	    RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
	    RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
	    RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
	    RD_KAFKA_RESP_ERR__TRANSPORT);
	send_text(EVENT "}");
	await(1);
	CHECK(ended(VERDICT_DELIVERED, 0));
	end();
}

static void
a_fatal_error_is_not_the_end(void)
{
	begin("fatal", "", "");
	send_text(EVENT "}");
	await(1);
	rd_kafka_mock_push_request_errors(cluster, 0, 1,
	    RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	for (unsigned i = 0; i < 10; i++)
		send_text(EVENT "}");
	await(11);
	CHECK(ended(VERDICT_LATER, DL_ABORTED));
	CHECK(got.delivered == 1);
	send_text(EVENT "}");
	await(12);
	CHECK(ended(VERDICT_DELIVERED, 0));
	end();
}

static void
a_topic_may_be_missing(void)
{
	rd_kafka_mock_topic_set_error(cluster, "missing",
	    RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
	begin("missing", "", ",\"timeoutInSeconds\":4");
	send_text(EVENT "}");
	await(1);
	CHECK(ended_for_good(DL_ENDPOINT_NOT_FOUND, DL_NOT_FOUND));
	rd_kafka_mock_topic_set_error(cluster, "missing",
	    RD_KAFKA_RESP_ERR_NO_ERROR);
	send_text(EVENT "}");
	await(2);
	CHECK(ended(VERDICT_DELIVERED, 0));
	end();
}

/* As a broker does whose rules do not even let us see it. */
static void
a_topic_may_be_hidden(void)
{
	int64_t since = clock_mono();

	rd_kafka_mock_topic_create(cluster, "hidden", 0, 1);
	rd_kafka_mock_topic_set_error(cluster, "hidden",
	    RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	begin("hidden", "", "");
	for (unsigned i = 1; i <= 3; i++) {
		send_text(EVENT "}");
		await(i);
		CHECK(ended_for_good(DL_UNAUTHORIZED, DL_FORBIDDEN));
	}
	CHECK(clock_mono() - since < ONE_ATTEMPT);
	end();
}

/* A producer of a test before, which ends in a thread of its own, may still ask
 * for its id and be told one of the errors: so there are several. */
static void
a_cluster_may_let_nobody_write(void)
{
	static const rd_kafka_resp_err_t denied =
	    RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;

	rd_kafka_mock_push_request_errors(cluster, INIT_PRODUCER_ID, 8,
	    denied, denied, denied, denied, denied, denied, denied, denied);
	begin("closed", "", "");
	send_text(EVENT "}");
	await(1);
	CHECK(ended_for_good(DL_UNAUTHORIZED, DL_FORBIDDEN));
	rd_kafka_mock_clear_request_errors(cluster, INIT_PRODUCER_ID);
	end();
}

/* A port that is somebody's who does not listen. */
static int
take_port(char server[32])
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(bind(fd, (struct sockaddr *)&at, len) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	snprintf(server, 32, "127.0.0.1:%u", ntohs(at.sin_port));
	return fd;
}

static void
nobody_may_be_there(void)
{
	char server[32];
	int fd = take_port(server);

	begin_at(server, "t", "", ",\"timeoutInSeconds\":1");
	send_text(EVENT "}");
	await(1);
	CHECK(ended(VERDICT_LATER, DL_SOCKET_ERROR));
	CHECK(strstr(got.outcome.words, "refused") != NULL);
	end();
	close(fd);
	begin_at("no-such-host.invalid:9092", "t", "",
	    ",\"timeoutInSeconds\":1");
	send_text(EVENT "}");
	await(1);
	CHECK(ended(VERDICT_LATER, DL_RESOLUTION_ERROR));
	end();
	begin("slow", "", ",\"timeoutInSeconds\":1");
	rd_kafka_mock_broker_set_rtt(cluster, -1, 5000);
	send_text(EVENT "}");
	await(1);
	CHECK(ended(VERDICT_LATER, DL_TIMED_OUT));
	rd_kafka_mock_broker_set_rtt(cluster, -1, 0);
	end();
}

/* No attempt waits for as long as it may when librdkafka knows better. */
static void
nobody_there_is_said_soon(void)
{
	int64_t since = clock_mono();
	char server[32];
	int fd = take_port(server);

	begin_at(server, "t", "", "");
	for (unsigned i = 0; i < 10; i++)
		send_text(EVENT "}");
	await(10);
	CHECK(ended(VERDICT_LATER, DL_SOCKET_ERROR));
	CHECK(strstr(got.outcome.words, "refused") != NULL);
	/* and with a new producer */
	target->calls->prepare(target);
	send_text(EVENT "}");
	await(11);
	CHECK(ended(VERDICT_LATER, DL_SOCKET_ERROR));
	CHECK(clock_mono() - since < ONE_ATTEMPT);
	end();
	close(fd);
}

static void
too_large_is_not_even_sent(void)
{
	begin("large", ",\"properties\":{\"message.max.bytes\":\"2000\"}", "");
	for (unsigned i = 1; i <= 2; i++) {
		size_t len = 1000 * (size_t)i + 100;
		char *text = malloc(len);

		snprintf(text, len, EVENT ",\"data\":\"%0*u\"}", 1000 * i, 0);
		send_text(text);
		free(text);
		await(i);
	}
	CHECK(got.delivered == 1);
	CHECK(ended_for_good(DL_PAYLOAD_TOO_LARGE,
	    DL_RESULT_PAYLOAD_TOO_LARGE));
	end();
}

/* More than librdkafka has room for. */
static void
none_is_lost_when_there_is_no_room(void)
{
	begin("room", ",\"properties\":{\"queue.buffering.max.messages\":"
	    "\"10\"}", "");
	for (unsigned i = 0; i < 1000; i++)
		send_text(EVENT "}");
	await(1000);
	CHECK(got.delivered == 1000);
	end();
}

static void
what_is_dropped_is_not_answered(void)
{
	struct attempt *list[100];
	int64_t since = clock_mono();

	begin_at("127.0.0.1:1,no-such-host.invalid:9092", "t", "", "");
	for (unsigned i = 0; i < 100; i++) {
		list[i] = attempt(EVENT "}", strlen(EVENT "}"));
		target->calls->send(target, list[i]);
	}
	end();
	CHECK(clock_mono() - since < ONE_ATTEMPT);
	for (unsigned i = 0; i < 100; i++)
		attempt_free(list[i]);
	ev_run(loop, EVRUN_NOWAIT);
	CHECK(got.answers == 0);
}

static void
refused(const char *members, const char *words)
{
	struct fault f = { 0 };
	struct target *t = make("h:1", "t", members, "", &f);

	CHECK(t == NULL);
	if (t != NULL)
		t->calls->free(t);
	if (strstr(f.text, words) == NULL) {
		printf("# %s: %s\n", members, f.text);
		CHECK(false);
	}
	CHECK(strstr(f.text, "s3cret") == NULL);
}

#define SET(property, value) ",\"properties\":{\"" property "\":\"" value "\"}"
#define CREDENTIAL ",\"credential\":{\"file\":\"secret\"}"

static void
settings_are_checked(void)
{
	struct fault f;

	refused(SET("acks", "1"), "properties: 'acks' is always all");
	refused(SET("linger.ms", "never"), "properties: 'linger.ms': Invalid "
	    "value for configuration property \"linger.ms\"");
	refused(SET("linger.ms", "-1"), "property \"linger.ms\" value -1 is "
	    "outside allowed range 0..900000");
	refused(SET("socket.keepalive.enable", "maybe"),
	    "Expected bool value for \"socket.keepalive.enable\"");
	refused(SET("compression.type", "rar"), "compression.type");
	refused(SET("security.protocol", "sasl_ssl"), "needs a credential");
	refused(SET("sasl.mechanism", "PLAIN"), "needs a credential");
	refused(CREDENTIAL, "sasl.username");
	refused(CREDENTIAL SET("sasl.mechanism", "GSSAPI"), "must be PLAIN");
	refused(CREDENTIAL SET("sasl.mechanism", "PLAIN"), "sasl.username");
	refused(CREDENTIAL ",\"properties\":{\"sasl.username\":\"u\","
	    "\"security.protocol\":\"ssl\"}", "no credential");
	refused(CREDENTIAL ",\"properties\":{\"sasl.username\":\"u\","
	    "\"security.protocol\":\"sasl_plaintext\"}", "on this machine");
	CHECK(make("h:1/x", "t", "", "", &f) == NULL);
	CHECK(make("ssl://h:1", "t", "", "", &f) == NULL);
	CHECK(make("h:1", "a/b", "", "", &f) == NULL);
	CHECK(make("h:1,", "t", "", "", &f) == NULL);
	target = make("h,[::1]:5, h:4", "t", SET("acks", "ALL"), "", &f);
	CHECK(target != NULL);
	if (target != NULL)
		end();
}

/* They may come later. */
static void
files_are_looked_for(void)
{
	static const struct {
		const char *path, *words;
	} rows[] = {
		{ "/nonexistent/c", "properties: 'ssl.certificate.location': "
		    "'/nonexistent/c': No such file" },
		{ "/", "'/': Is a directory" },
	};
	char members[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(members, sizeof(members),
		    SET("ssl.certificate.location", "%s"), rows[i].path);
		begin_at("h:1", "t", members, "");
		CHECK(got.outcome.verdict == VERDICT_UNMADE);
		if (strstr(got.outcome.words, rows[i].words) == NULL) {
			printf("# %s\n", got.outcome.words);
			CHECK(false);
		}
		end();
	}
}

/* ---- records ---- */

static bool
shows(const char *members, const char *push, const char *event,
    const char *words)
{
	struct fault f;
	struct target *t = make("h:1", "t", members, push, &f);
	struct attempt *a = attempt(event, strlen(event));
	struct buf b = { 0 };
	bool is;

	t->calls->show(t, a, &b);
	buf_add(&b, "", 1);
	is = strstr(buf_data(&b), words) != NULL;
	if (!is)
		printf("# %s\n", buf_data(&b));
	buf_free(&b);
	attempt_free(a);
	t->calls->free(t);
	return is;
}

#define MAPPING(name, rest) \
	",\"deliveryAttributeMappings\":[{\"name\":\"" name "\"," rest "}]"
#define DYNAMIC(field) \
	"\"type\":\"Dynamic\",\"properties\":{\"sourceField\":\"" field "\"}"
#define STATIC(value) \
	"\"type\":\"Static\",\"properties\":{\"value\":\"" value "\"}"
#define BINARY ",\"contentMode\":\"binary\""

static void
records_are_those_of_the_binding(void)
{
	CHECK(shows("", "", EVENT "}", "PRODUCE t to h:1\n"
	    "content-type: application/cloudevents+json; charset="));
	CHECK(shows("", "", EVENT "}", "\naeg-subscription-name: sub\n"
	    "aeg-delivery-count: 3\naeg-output-event-id: "));
	CHECK(shows("", "", EVENT "}", "\n\n" EVENT "}\n"));
	CHECK(shows("", "", EVENT ",\"partitionkey\":\"k\"}", "\nkey: k\n"));
	CHECK(shows("", "", EVENT ",\"p\\u0061rtitionkey\":\"k\"}",
	    "\nkey: k\n"));
	CHECK(shows(MAPPING("PartitionKey", STATIC("s")), "",
	    EVENT ",\"partitionkey\":\"k\"}", "\nkey: s\n"));
	CHECK(shows(MAPPING("PartitionKey", DYNAMIC("data.a")), "",
	    EVENT ",\"data\":{\"a\":\"d\"}}", "\nkey: d\n"));
	CHECK(shows(MAPPING("PartitionKey", DYNAMIC("data.a")), "",
	    EVENT ",\"partitionkey\":\"k\"}", "\nkey: k\n"));
	CHECK(shows(MAPPING("x-team", STATIC("ops")), "", EVENT "}",
	    "\nx-team: ops\n"));
	CHECK(shows(",\"deliveryAttributeMappings\":[{\"name\":\"x\",\"type\":"
	    "\"Static\",\"properties\":{\"value\":\"s3cret\",\"isSecret\":"
	    "true}}]", "", EVENT "}", "\nx: ***\n"));
	CHECK(shows("", BINARY, EVENT ",\"data\":{\"a\":1}}",
	    "\ncontent-type: application/json\n"));
	CHECK(shows("", BINARY, EVENT ",\"data\":{\"a\":1}}",
	    "\nce_id: 1\n"));
	CHECK(shows("", BINARY, EVENT ",\"data\":{\"a\":1}}",
	    "\n\n{\"a\":1}\n"));
	CHECK(shows("", BINARY, EVENT "}", "\n\n(no value)\n"));
	CHECK(shows("", BINARY, EVENT ",\"data_base64\":\"eHl6\","
	    "\"datacontenttype\":\"text/plain\",\"partitionkey\":\"k\"}",
	    "\n\nxyz\n"));
}

int
main(void)
{
	rd_kafka_conf_t *conf;
	char why[256];

	if (mkdtemp(dir) == NULL || (spool.fd = open(dir, O_PATH)) == -1)
		return 1;
	spool.path = dir;
	loop = ev_default_loop(EVFLAG_AUTO);
	conf = rd_kafka_conf_new();
	rd_kafka_conf_set(conf, "log_level", "0", why, sizeof(why));
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	cluster = rd_kafka_mock_cluster_new(rk, 1);
	RUN(many_events_are_delivered);
	RUN(errors_of_brokers_are_classified);
	RUN(what_is_no_event_ends);
	RUN(what_may_pass_is_ridden_out);
	RUN(a_fatal_error_is_not_the_end);
	RUN(a_topic_may_be_missing);
	RUN(a_topic_may_be_hidden);
	RUN(a_cluster_may_let_nobody_write);
	RUN(nobody_may_be_there);
	RUN(nobody_there_is_said_soon);
	RUN(too_large_is_not_even_sent);
	RUN(none_is_lost_when_there_is_no_room);
	RUN(what_is_dropped_is_not_answered);
	RUN(settings_are_checked);
	RUN(files_are_looked_for);
	RUN(records_are_those_of_the_binding);
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(rk);
	rmdir(dir);
	DONE();
}
