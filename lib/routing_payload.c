#include "routing_payload.h"

#include <string.h>

#include "base64.h"
#include "event.h"
#include "record.h"
#include "utf8.h"

#define NAME(s) s, sizeof(s) - 1

static int
decode(struct routing_scratch *s, const struct message *m, struct payload *p,
    struct fault *f)
{
	struct mqtt_str text = routing_string(s, m->payload_base64);
	char *to = buf_data(&s->text);
	long n;

	if (!m->js->tok[m->payload_base64].escaped) {
		p->coded = m->payload_base64;
		buf_reset(&s->text, ROUTING_KEEP);
		if ((to = buf_room(&s->text, text.len)) == NULL)
			return 0;
	}
	if ((n = base64_decode(to, text.p, text.len)) == -1)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "\"payload_base64\" is not base64");
	p->bytes = (struct mqtt_str){ to, (size_t)n };
	if (m->payload_len != -1 && m->payload_len != n)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "\"payload\" is not all there");
	return 0;
}

/*
 * A string is the payload's text; but not when its length shows that the
 * payload was a string in JSON, as %J has it: quotes and all.
 */
static bool
is_text(const struct message *m, struct mqtt_str text)
{
	return m->payload_len < 0 || (uint64_t)m->payload_len < text.len + 2;
}

/* Is it JSON that an event can have? It is without white space around it
 * then. */
static bool
is_json(struct routing_scratch *s, const struct message *m, struct payload *p)
{
	size_t i = 0;

	/* as deep in the event as it is in the message */
	if (p->json)
		return json_is_within(m->js, EVENT_DEPTH);
	while (i < p->bytes.len && memchr(" \t\r\n", p->bytes.p[i], 4) != NULL)
		i++;
	/* most texts are none from the first character on */
	if (i == p->bytes.len || memchr("{[\"-0123456789tfn", p->bytes.p[i],
	    17) == NULL)
		return false;
	json_trim(&s->inner);
	if (json_scan(&s->inner, p->bytes.p, p->bytes.len, NULL) == -1 ||
	    !json_is_within(&s->inner, RECORD_PAYLOAD_DEPTH))
		return false;
	p->bytes = routing_token(&s->inner, 0);
	return true;
}

/* text/ and whatever. */
static bool
is_text_type(struct mqtt_str s)
{
	return s.len > 5 && strncasecmp(s.p, "text/", 5) == 0;
}

/* Whatever /json or +json. */
static bool
is_json_type(struct mqtt_str s)
{
	return s.len > 5 && (s.p[s.len - 5] == '/' || s.p[s.len - 5] == '+') &&
	    strncasecmp(s.p + s.len - 4, "json", 4) == 0;
}

static bool
is_utf8(const struct payload *p)
{
	return p->string != 0 || utf8_text(p->bytes.p, p->bytes.len);
}

/* The service's rule: reference, section 14.3. */
static enum form
azure_form(struct routing_scratch *s, const struct message *m,
    struct payload *p)
{
	if (m->mqtt3 || (!m->utf8 &&
	    !routing_is(m->type, NAME("application/json"))))
		return FORM_BYTES;
	if (is_json(s, m, p))
		return FORM_JSON;
	return is_utf8(p) ? FORM_TEXT : FORM_BYTES;
}

static enum form
default_form(struct routing_scratch *s, const struct message *m,
    struct payload *p)
{
	if (is_json(s, m, p))
		return FORM_JSON;
	if ((m->utf8 || is_text_type(m->type) || is_json_type(m->type)) &&
	    is_utf8(p))
		return FORM_TEXT;
	return FORM_BYTES;
}

static void
add_bytes(struct buf *b, const struct json *js, const struct payload *p)
{
	buf_add(b, NAME(",\"data_base64\":"));
	if (p->coded != 0) {
		routing_add_json(b, routing_token(js, p->coded));
		return;
	}
	buf_add(b, "\"", 1);
	base64_add(b, p->bytes.p, p->bytes.len);
	buf_add(b, "\"", 1);
}

int
routing_payload_read(struct routing_scratch *s, const struct message *m,
    struct payload *p, struct fault *f)
{
	const struct json_token *tok = &m->js->tok[m->payload];
	struct mqtt_str text;

	*p = (struct payload){ .form = FORM_NONE };
	if (m->payload == 0)
		return decode(s, m, p, f);
	p->bytes = routing_token(m->js, m->payload);
	p->json = true;
	if (tok->type == JSON_NULL && m->payload_len == 0)
		p->bytes.len = 0;
	if (tok->type != JSON_STRING)
		return 0;
	text = routing_string(s, m->payload);
	if (is_text(m, text)) {
		p->bytes = text;
		p->string = m->payload;
		p->json = false;
	}
	return 0;
}

void
routing_payload_shape(struct routing_scratch *s, const struct message *m,
    struct payload *p, bool azure)
{
	if (p->bytes.len == 0)
		p->form = FORM_NONE;
	else if (azure)
		p->form = azure_form(s, m, p);
	else
		p->form = default_form(s, m, p);
	if (p->form == FORM_TEXT && p->too_long)
		p->form = FORM_BYTES;
}

void
routing_payload_add(struct buf *b, const struct json *js,
    const struct payload *p)
{
	switch (p->form) {
	case FORM_NONE:
		break;
	case FORM_JSON:
		buf_add(b, NAME(",\"data\":"));
		routing_add_json(b, p->bytes);
		break;
	case FORM_TEXT:
		buf_add(b, NAME(",\"data\":"));
		if (p->string != 0)
			routing_add_json(b, routing_token(js, p->string));
		else
			buf_json(b, p->bytes.p, p->bytes.len);
		break;
	case FORM_BYTES:
		add_bytes(b, js, p);
		break;
	}
}

/* Outside strings a line's end is white space, and within there is none. */
void
routing_add_json(struct buf *b, struct mqtt_str s)
{
	char *to = buf_room(b, s.len), *p;

	if (to == NULL)
		return;
	memcpy(to, s.p, s.len);
	buf_grew(b, s.len);
	for (p = to; (p = memchr(p, '\n', (size_t)(to + s.len - p))) != NULL;)
		*p = ' ';
	for (p = to; (p = memchr(p, '\r', (size_t)(to + s.len - p))) != NULL;)
		*p = ' ';
}
