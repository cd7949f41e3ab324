#include <string.h>

#include "client.h"
#include "jq.h"
#include "stats.h"

/* Who asks for health wants an answer: seconds between two lines. */
#define TIMEOUT 30

static int
take_lines(struct client *c, void (*fn)(jv, void *), void *arg, struct fault *f)
{
	uint64_t n = client_number(c, "count");
	const char *line;
	size_t len;
	jv v;

	while (n-- > 0) {
		if (client_line(c, &line, &len, f) == -1)
			return -1;
		v = jq_parse(line, len, f);
		if (!jv_is_valid(v)) {
			jv_free(v);
			return -1;
		}
		fn(v, arg);
	}
	return 0;
}

static void
ask(struct client *c, const char *topic, const char *subscription)
{
	struct buf request = { 0 };

	buf_str(&request, "{\"op\":\"stats\"");
	if (topic != NULL) {
		buf_str(&request, ",\"topic\":");
		buf_json(&request, topic, strlen(topic));
	}
	if (subscription != NULL) {
		buf_str(&request, ",\"subscription\":");
		buf_json(&request, subscription, strlen(subscription));
	}
	buf_str(&request, "}\n");
	client_add(c, buf_data(&request), request.len);
	buf_free(&request);
}

int
stats_each(const struct spool *spool, const char *daemon, const char *topic,
    const char *subscription, void (*fn)(jv, void *), void *arg,
    struct fault *f)
{
	struct client c;
	int result = -1;

	if (client_open(&c, spool, daemon, f) == -1)
		return -1;
	c.timeout_ms = TIMEOUT * 1000;
	ask(&c, topic, subscription);
	if (client_flush(&c, f) == 0 && client_answer(&c, f) == 0)
		result = take_lines(&c, fn, arg, f);
	client_close(&c);
	return result;
}

uint64_t
stats_number(jv line, const char *member)
{
	int64_t n = jq_int(jq_get(line, member), 0);

	return n > 0 ? (uint64_t)n : 0;
}

uint64_t
stats_sum(jv line, const char *member)
{
	jv v = jq_get(line, member);
	uint64_t sum = 0;

	if (jv_get_kind(v) == JV_KIND_OBJECT) {
		jv_object_foreach(v, reason, n) {
			sum += (uint64_t)jq_int(n, 0);
			jv_free(reason);
		}
	}
	jv_free(v);
	return sum;
}
