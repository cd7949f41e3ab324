/*
 * A byte that chooses a namespace, and any bytes as a message. What becomes of
 * it is an event that a topic takes, on one line, with all enrichments in it as
 * they have to be; or nothing, and a fault.
 */
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "jq.h"
#include "routing.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define E(key, value) "{\"key\":\"" key "\",\"value\":\"" value "\"}"
#define ENRICHED ",\"topicSpacesConfiguration\":{\"routingEnrichments\":{" \
	"\"static\":[" E("plant", "west") "],\"dynamic\":[" \
	E("sender", "${client.authenticationName}") "," \
	E("hall", "${client.attributes.hall}") "," \
	E("unit", "${mqtt.message.userProperties.unit}") "," \
	E("topic", "${mqtt.message.topicName}") "," \
	E("reply", "${mqtt.message.responseTopic}") "," \
	E("corr", "${mqtt.message.correlationData}") "," \
	E("pfi", "${mqtt.message.pfi}") "]}}"
static const char *const namespaces[] = {
	"{\"name\":\"ns\"}",
	"{\"name\":\"ns\",\"properties\":{\"profile\":\"Azure\"}}",
	"{\"name\":\"ns\",\"properties\":{\"profile\":\"Default\"" ENRICHED "}}",
	"{\"name\":\"ns\",\"properties\":{\"profile\":\"Azure\"" ENRICHED "}}",
};
#define N (sizeof(namespaces) / sizeof(namespaces[0]))

static void
must(bool truth)
{
	if (!truth)
		abort();
}

static struct routing *
choose(uint8_t which)
{
	static struct routing *all[N];
	size_t i = which % N;

	if (all[i] == NULL)
		all[i] = routing_new(jq_parse(namespaces[i],
		    strlen(namespaces[i]), NULL), NULL);
	must(all[i] != NULL);
	return all[i];
}

/* The enrichments are there, and no device has a say in them. */
static void
check_enrichments(const struct event *ev)
{
	static const char *const names[] = { "sender", "hall", "unit", "topic",
		"reply", "corr", "pfi" };
	uint32_t t;

	t = json_member(&ev->json, 0, "plant", 5);
	must(t != 0 && json_is(&ev->json, t, "west", 4));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		must(json_member(&ev->json, 0, names[i], strlen(names[i])) !=
		    0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct event ev;
	static struct buf out;
	struct fault f = { 0 };
	const char *text;
	size_t len;

	if (n == 0)
		return 0;
	buf_reset(&out, 0);
	if (routing_event(choose(data[0]), (const char *)data + 1, n - 1,
	    "run/1", 0, &out, &f) == -1) {
		must(f.code != FAULT_NONE && f.text[0] != '\0' && out.len == 0);
		return 0;
	}
	text = buf_data(&out);
	len = out.len - 1;
	must(memchr(text, '\n', out.len) == text + len);
	must(event_parse(&ev, text, len, &f) == 0);
	if (data[0] % N >= 2)
		check_enrichments(&ev);
	return 0;
}
