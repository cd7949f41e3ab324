#include "message.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"

static size_t total;

static void
append(char **to, struct mqtt_str s)
{
	if (s.len > 0)
		memcpy(*to, s.p, s.len);
	*to += s.len;
}

struct message *
message_new(struct mqtt_str topic, struct mqtt_str forward,
    struct mqtt_str payload)
{
	struct message *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->refs = 1;
	if (message_remember(m, topic, forward, payload) == -1) {
		free(m);
		return NULL;
	}
	return m;
}

struct message *
message_ref(struct message *m)
{
	m->refs++;
	return m;
}

void
message_unref(struct message *m)
{
	struct holder *h;

	if (--m->refs > 0)
		return;
	message_forget(m);
	while ((h = m->also) != NULL) {
		m->also = h->next;
		free(h);
	}
	free(m);
}

size_t
message_total(void)
{
	return total;
}

void
message_forget(struct message *m)
{
	if (m->body == NULL)
		return;
	total -= message_bytes(m);
	free(m->body);
	m->body = NULL;
}

int
message_remember(struct message *m, struct mqtt_str topic,
    struct mqtt_str forward, struct mqtt_str payload)
{
	size_t n = topic.len + forward.len + payload.len;
	char *body, *to;

	if (m->body != NULL)
		return 0;
	if ((body = to = malloc(n > 0 ? n : 1)) == NULL)
		return -1;
	append(&to, topic);
	append(&to, forward);
	append(&to, payload);
	m->topic_len = (uint16_t)topic.len;
	m->forward_len = (uint32_t)forward.len;
	m->payload_len = (uint32_t)payload.len;
	m->body = body;
	total += n;
	return 0;
}

uint32_t
message_seconds(const struct message *m, int64_t now)
{
	int64_t left = (m->expires - now + CLOCK_SECOND - 1) / CLOCK_SECOND;

	return left < 1 ? 1 : left > UINT32_MAX ? UINT32_MAX : (uint32_t)left;
}
