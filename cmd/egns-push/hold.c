/* a push subscription that is left alone for a while */
#include "hold.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"

#define SAY (60 * CLOCK_SECOND) /* between words of ones that come and go */

static void
say(struct hold *h)
{
	int64_t now = clock_mono();

	h->said = h->told == 0 || now - h->told >= SAY;
	if (!h->said)
		return;
	h->told = now;
	log_warn("%s/%s: on hold: %s", h->topic, h->name, h->reason);
}

void
hold_begin(struct hold *h, int64_t until, const char *by, const char *reason)
{
	bool begins = h->since == 0;

	if (begins)
		h->since = clock_now();
	h->until = until;
	h->by = by;
	snprintf(h->reason, sizeof(h->reason), "%s", reason);
	if (begins)
		say(h);
}

void
hold_end(struct hold *h)
{
	if (h->since == 0)
		return;
	if (h->said)
		log_warn("%s/%s: delivers again", h->topic, h->name);
	h->since = h->until = 0;
}

bool
hold_is_over(const struct hold *h)
{
	return h->until == 0 || clock_mono() >= h->until;
}

static void
add_time(struct buf *b, const char *name, int64_t us)
{
	char text[CLOCK_TEXT + 1];

	clock_format(text, us);
	buf_printf(b, ",\"%s\":\"%s\"", name, text);
}

void
hold_tell(struct buf *b, int64_t since, const char *by, const char *reason)
{
	add_time(b, "since", since);
	buf_str(b, ",\"by\":");
	buf_json(b, by, strlen(by));
	buf_str(b, ",\"reason\":");
	buf_json(b, reason, strlen(reason));
}

void
hold_show(const struct hold *h, struct buf *b)
{
	int64_t now = clock_mono();

	hold_tell(b, h->since, h->by, h->reason);
	if (h->until != 0)
		add_time(b, "nextAttempt", clock_now() +
		    (h->until > now ? h->until - now : 0));
}
