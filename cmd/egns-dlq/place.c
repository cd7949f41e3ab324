#include "place.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "jq.h"
#include "log.h"

char *
place_key(jv destination)
{
	struct buf b = { 0 };

	jq_print(&b, jq_get(destination, "deadLetterDestination"), false);
	jq_print(&b, jq_get(destination, "identity"), false);
	buf_add(&b, "", 1);
	if (b.bad) {
		buf_free(&b);
		return NULL;
	}
	return buf_data(&b); /* nothing was taken off its front */
}

struct place *
place_new(jv destination)
{
	struct place *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		jv_free(destination);
		return NULL;
	}
	p->destination = destination;
	p->key = place_key(destination);
	p->name = container_destination_name(destination);
	if (p->key != NULL && p->name != NULL)
		return p;
	place_free(p);
	return NULL;
}

void
place_free(struct place *p)
{
	if (p->container != NULL)
		container_close(p->container);
	jv_free(p->destination);
	free(p->key);
	free(p->name);
	free(p);
}

const char *
place_name(const struct place *p)
{
	return p->name;
}

void
place_opened(struct place *p, struct container *c)
{
	char *name = strdup(container_name(c));

	p->container = c;
	if (name == NULL)
		return; /* the one before will do */
	free(p->name);
	p->name = name;
}

void
place_failed(struct place *p, const struct schedule *schedule,
    const struct fault *why)
{
	int64_t pause = schedule_pause(schedule, p->attempts) * CLOCK_SECOND;
	bool same = p->failing && strcmp(p->error.text, why->text) == 0;

	if (p->failing && clock_mono() < p->due)
		return; /* begun before it was known */
	if (!p->failing)
		p->since = clock_now();
	p->failing = true;
	p->attempts++;
	p->due = clock_mono() + pause;
	p->next = clock_now() + pause;
	p->error = *why;
	if (!same)
		log_warn("%s: %s; dead letters wait", place_name(p), why->text);
}

void
place_worked(struct place *p)
{
	if (p->failing)
		log_warn("%s: dead letters are written again", place_name(p));
	p->failing = false;
	p->attempts = 0;
	p->due = p->next = p->since = 0;
}

void
place_hurry(struct place *p, int64_t at)
{
	if (at >= p->next)
		return;
	p->due -= p->next - at;
	p->next = at;
}

int64_t
place_limit(const struct place *p, int64_t since, int64_t period)
{
	return (p->since > since ? p->since : since) + period;
}
