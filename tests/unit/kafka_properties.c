#include "kafka_properties.h"

#include <string.h>

#include "check.h"
#include "jq.h"

static int
check(const char *text, struct fault *f)
{
	jv v = jq_parse(text, strlen(text), NULL);
	int rc;

	CHECK(jv_get_kind(v) == JV_KIND_OBJECT);
	*f = (struct fault){ .text = "" };
	rc = kafka_properties_check(v, f);
	jv_free(v);
	return rc;
}

static void
test_taken(void)
{
	static const char *const good[] = { "{}",
		"{\"acks\":\"ALL\",\"enable.idempotence\":\"True\"}",
		"{\"acks\":\"-1\",\"request.required.acks\":\"all\"}",
		"{\"sasl.mechanism\":\"SCRAM-SHA-512\",\"sasl.username\":\"u\"}",
		"{\"ssl.certificate.location\":\"/c\",\"linger.ms\":\"5\"}",
		/* librdkafka says so, when it is made */
		"{\"linger.ms\":\"never\"}" };
	struct fault f;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(check(good[i], &f) == 0);
}

static void
test_refused(void)
{
	static const struct {
		const char *name, *words;
	} rows[] = {
		{ "acks", "'acks' is always all" },
		{ "request.required.acks", "always all" },
		{ "enable.idempotence", "always true" },
		{ "sasl.password", "is a secret" },
		{ "ssl.key.pem", "is a secret" },
		{ "ssl.key.password", "is a secret" },
		{ "sasl.jaas.config", "is a secret" },
		{ "sasl.oauthbearer.client.secret", "is a secret" },
		{ "ssl.ca.location", "trustedCertificates" },
		{ "message.timeout.ms", "timeoutInSeconds" },
		{ "delivery.timeout.ms", "timeoutInSeconds" },
		{ "plugin.library.paths", "can be set here" },
		{ "sasl.kerberos.kinit.cmd", "can be set here" },
		{ "enable.ssl.certificate.verification", "can be set here" },
		{ "test.mock.num.brokers", "can be set here" },
		{ "group.id", "can be set here" },
		{ "Acks", "can be set here" },
		{ "", "can be set here" },
		{ "lingr.ms", "'lingr.ms': no such property of a producer" },
		{ "a\\u001b[31m", "'a\\x1B[31m': no such property" },
	};
	char text[128];
	struct fault f;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "{\"linger.ms\":\"1\","
		    "\"%s\":\"s3cret\"}", rows[i].name);
		CHECK(check(text, &f) == -1 && f.code == FAULT_BAD_REQUEST);
		if (strstr(f.text, rows[i].words) == NULL)
			printf("# %s: %s\n", rows[i].name, f.text);
		CHECK(strstr(f.text, rows[i].words) != NULL);
		CHECK(strstr(f.text, "s3cret") == NULL);
	}
	CHECK(check("{\"acks\":1}", &f) == -1);
	CHECK(strcmp(f.text, "'acks' must be a string") == 0);
}

int
main(void)
{
	RUN(test_taken);
	RUN(test_refused);
	DONE();
}
