/* show: dead letters for eyes */
#include <inttypes.h>
#include <string.h>

#include "choice.h"
#include "clock.h"
#include "look.h"
#include "plain.h"

#define KEEP (64 * 1024) /* bytes of an attribute whose memory is kept */
#define INDENT 4
#define NAME 14            /* columns of a member's name */

struct show {
	struct buf value; /* of an attribute */
	uint64_t n;       /* letters shown */
};

static void
name(struct buf *b, const char *text)
{
	buf_printf(b, "%*s%-*s", INDENT, "", NAME, text);
}

static void
member(struct buf *b, const char *what, const char *text)
{
	if (*text == '\0')
		return;
	name(b, what);
	plain_text(b, text, strlen(text));
	buf_str(b, "\n");
}

static void
moment(struct buf *b, const char *what, int64_t time)
{
	char text[CLOCK_TEXT + 1];

	clock_format(text, time);
	member(b, what, time == 0 ? "" : text);
}

static void
attribute(struct show *s, struct buf *b, const char *what,
    const struct json *j, uint32_t t)
{
	if (t == 0)
		return;
	buf_reset(&s->value, KEEP);
	json_string(j, t, &s->value);
	name(b, what);
	plain_text(b, buf_data(&s->value), s->value.len);
	buf_str(b, "\n");
	b->bad = b->bad || s->value.bad;
}

static void
data(struct buf *b, const struct letter *letter, const char *what)
{
	uint32_t t = json_member(letter->json, letter->event, what,
	    strlen(what));

	if (t == 0)
		return;
	name(b, what);
	plain_value(b, letter->json, t, INDENT + NAME);
	buf_str(b, "\n");
}

static void
where(struct buf *b, const struct letter *letter,
    const struct letter_place *place)
{
	const char *container = container_name(place->container);

	plain_text(b, container, strlen(container));
	buf_str(b, "/");
	plain_text(b, place->blob, strlen(place->blob));
	buf_printf(b, ", %" PRIu64 "\n", letter->number);
}

static void
format(struct buf *b, const struct letter *letter,
    const struct letter_place *place, void *arg)
{
	struct show *s = arg;

	if (s->n++ > 0)
		buf_str(b, "\n");
	where(b, letter, place);
	member(b, "reason", look_reason(letter));
	member(b, "result", letter->result);
	if (letter->attempts >= 0) {
		name(b, "attempts");
		buf_printf(b, "%" PRId64 "\n", letter->attempts);
	}
	moment(b, "published", letter->published);
	moment(b, "last attempt", letter->attempted);
	moment(b, "dead since", letter->died);
	attribute(s, b, "id", letter->json, letter->id);
	attribute(s, b, "source", letter->json, letter->source);
	attribute(s, b, "type", letter->json, letter->type);
	attribute(s, b, "subject", letter->json, letter->subject);
	data(b, letter, "data");
	data(b, letter, "data_base64");
}

int
verb_show(struct options *opt, char *words[])
{
	struct show s = { .n = 0 };
	int status = choice_print(opt, words, format, &s);

	buf_free(&s.value);
	return status;
}
