#include "kafka_properties.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "quote.h"

/* What a subscription may say. */
static const char *const known[] = {
	"acks", "api.version.request", "api.version.request.timeout.ms",
	"batch.num.messages", "batch.size", "broker.address.family",
	"broker.address.ttl", "broker.version.fallback", "client.id",
	"client.rack", "compression.codec", "compression.level",
	"compression.type", "connections.max.idle.ms", "enable.idempotence",
	"linger.ms", "max.in.flight", "max.in.flight.requests.per.connection",
	"message.copy.max.bytes", "message.max.bytes",
	"message.send.max.retries", "metadata.max.age.ms", "partitioner",
	"queue.buffering.backpressure.threshold",
	"queue.buffering.max.kbytes", "queue.buffering.max.messages",
	"queue.buffering.max.ms", "queuing.strategy",
	"receive.message.max.bytes", "reconnect.backoff.max.ms",
	"reconnect.backoff.ms", "request.required.acks", "request.timeout.ms",
	"retries", "retry.backoff.ms", "sasl.mechanism", "sasl.mechanisms",
	"sasl.username", "security.protocol",
	"socket.connection.setup.timeout.ms", "socket.keepalive.enable",
	"socket.max.fails", "socket.nagle.disable",
	"socket.receive.buffer.bytes", "socket.send.buffer.bytes",
	"socket.timeout.ms", "ssl.certificate.location", "ssl.cipher.suites",
	"ssl.crl.location", "ssl.curves.list", "ssl.key.location",
	"ssl.sigalgs.list", "sticky.partitioning.linger.ms",
	"topic.metadata.propagation.max.ms",
	"topic.metadata.refresh.fast.interval.ms",
	"topic.metadata.refresh.interval.ms", "topic.metadata.refresh.sparse",
};

/* Stronger than what a subscription says. */
static const struct {
	const char *name, *value, *also;
} fixed[] = {
	{ "acks", "all", "-1" },
	{ "request.required.acks", "all", "-1" },
	{ "enable.idempotence", "true", "true" },
};

static bool
is_known(const char *name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return false;
}

static bool
is_secret(const char *name)
{
	size_t len = strlen(name);

	return strstr(name, "password") != NULL ||
	    strstr(name, "secret") != NULL || strstr(name, "jaas") != NULL ||
	    (len > 4 && strcmp(name + len - 4, ".pem") == 0);
}

static int
check_property(const char *name, jv value, struct fault *f)
{
	const char *text;
	char q[QUOTE_MAX];

	quote(q, name, strlen(name));
	if (is_secret(name))
		return fault_set(f, FAULT_BAD_REQUEST, "'%s' is a secret and "
		    "has no place here: use credential", q);
	if (strcmp(name, "message.timeout.ms") == 0 ||
	    strcmp(name, "delivery.timeout.ms") == 0)
		return fault_set(f, FAULT_BAD_REQUEST, "'%s' is the push's "
		    "timeoutInSeconds", q);
	if (strncmp(name, "ssl.ca.", 7) == 0)
		return fault_set(f, FAULT_BAD_REQUEST, "'%s' is the "
		    "namespace's trustedCertificates", q);
	if (!is_known(name))
		return fault_set(f, FAULT_BAD_REQUEST, "'%s': no such property "
		    "of a producer, or none that can be set here; see "
		    "egns-push(8)", q);
	if (jv_get_kind(value) != JV_KIND_STRING)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "'%s' must be a string", q);
	text = jv_string_value(value);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (strcmp(name, fixed[i].name) == 0 &&
		    strcasecmp(text, fixed[i].value) != 0 &&
		    strcmp(text, fixed[i].also) != 0)
			return fault_set(f, FAULT_BAD_REQUEST, "'%s' is always "
			    "%s: an event counts as delivered when it is safe",
			    name, fixed[i].value);
	return 0;
}

int
kafka_properties_check(jv v, struct fault *f)
{
	int rc = 0;

	jv_object_foreach(v, name, value) {
		if (rc == 0)
			rc = check_property(jv_string_value(name), value, f);
		jv_free(name);
		jv_free(value);
	}
	return rc;
}
