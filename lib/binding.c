#include "binding.h"

#include <string.h>
#include <strings.h>

#include "base64.h"

struct text {
	const char *p; /* never NULL */
	size_t n;
};

/* The bytes of a token: a string's, unescaped, or the text of another value.
 * `scratch` is where they are when they do not stand in the text as such; it
 * stays bad once there was no memory. */
static struct text
text(const struct json *js, uint32_t t, struct buf *scratch)
{
	const struct json_token *tok = &js->tok[t];
	unsigned quote = tok->type == JSON_STRING;
	const char *p;

	if (tok->escaped) {
		buf_take(scratch, scratch->len);
		json_string(js, t, scratch);
		p = buf_data(scratch);
		return (struct text){ p == NULL ? "" : p,
			p == NULL ? 0 : scratch->len };
	}
	return (struct text){ js->text + tok->start + quote,
		tok->end - tok->start - 2 * quote };
}

/* Is a media type one of JSON: whatever /json or +json? */
static bool
is_json(struct text type)
{
	const char *semicolon = memchr(type.p, ';', type.n);

	if (semicolon != NULL)
		type.n = (size_t)(semicolon - type.p);
	while (type.n > 0 && type.p[type.n - 1] == ' ')
		type.n--;
	return type.n > 5 && strchr("/+", type.p[type.n - 5]) != NULL &&
	    strncasecmp(type.p + type.n - 4, "json", 4) == 0;
}

/* What has no type is JSON, as the event is. */
static bool
data_is_json(const struct event *ev, struct buf *scratch)
{
	return ev->datacontenttype == 0 ||
	    is_json(text(&ev->json, ev->datacontenttype, scratch));
}

void
binding_type(const struct event *ev, struct buf *out)
{
	size_t before = out->len;

	if (ev->datacontenttype == 0) {
		if (ev->data != 0)
			buf_str(out, "application/json");
		return;
	}
	json_string(&ev->json, ev->datacontenttype, out);
	/* HTTP/2 takes no header with a space behind it */
	while (out->len > before && buf_data(out)[out->len - 1] == ' ')
		out->len--;
}

static void
decode(struct text coded, struct buf *out)
{
	char *room = buf_room(out, coded.n / 4 * 3);
	long n;

	if (room != NULL && (n = base64_decode(room, coded.p, coded.n)) != -1)
		buf_grew(out, (size_t)n);
}

void
binding_data(const struct event *ev, struct buf *out)
{
	const struct json *js = &ev->json;
	const struct json_token *tok = &js->tok[ev->data];
	struct buf scratch = { 0 };

	if (ev->data_base64 != 0)
		decode(text(js, ev->data_base64, &scratch), out);
	else if (ev->data != 0 && tok->type == JSON_STRING &&
	    !data_is_json(ev, &scratch))
		json_string(js, ev->data, out);
	else if (ev->data != 0)
		buf_add(out, js->text + tok->start, tok->end - tok->start);
	out->bad |= scratch.bad;
	buf_free(&scratch);
}

/* CloudEvents HTTP binding, 3.1.3.2. */
static void
encode(struct text value, struct buf *out)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t plain = 0;

	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];
		const char code[] = { '%', hex[c >> 4], hex[c & 15] };

		if (c > ' ' && c < 0x7f && c != '"' && c != '%')
			continue;
		buf_add(out, value.p + plain, i - plain);
		buf_add(out, code, sizeof(code));
		plain = i + 1;
	}
	if (value.n > plain)
		buf_add(out, value.p + plain, value.n - plain);
}

/* Is the value of a member one that stands in the head of a message? */
static bool
is_attribute(const struct event *ev, uint32_t t)
{
	return ev->json.tok[t].type != JSON_NULL && t != ev->data &&
	    t != ev->data_base64 && t != ev->datacontenttype;
}

void
binding_http(const struct event *ev, struct buf *out)
{
	const struct json *js = &ev->json;
	struct buf scratch = { 0 };

	for (uint32_t t = 1; t < js->tok[0].next; t = js->tok[t + 1].next) {
		if (!is_attribute(ev, t + 1))
			continue;
		buf_str(out, "ce-");
		json_string(js, t, out);
		buf_str(out, ": ");
		encode(text(js, t + 1, &scratch), out);
		buf_add(out, "", 1);
	}
	out->bad |= scratch.bad;
	buf_free(&scratch);
}

int
binding_kafka(const struct event *ev, int (*fn)(const char *, const char *,
    size_t, void *), void *arg)
{
	const struct json *js = &ev->json;
	struct buf scratch = { 0 }, name = { 0 };
	struct text value;
	int rc = 0;

	for (uint32_t t = 1; rc == 0 && t < js->tok[0].next;
	     t = js->tok[t + 1].next) {
		if (!is_attribute(ev, t + 1))
			continue;
		buf_reset(&name, EVENT_MAX);
		buf_str(&name, "ce_");
		json_string(js, t, &name);
		buf_add(&name, "", 1);
		value = text(js, t + 1, &scratch);
		rc = name.bad || scratch.bad ? -1 :
		    fn(buf_data(&name), value.p, value.n, arg);
	}
	buf_free(&name);
	buf_free(&scratch);
	return rc;
}

int
binding_field(const struct event *ev, const char *path, struct buf *out)
{
	const struct json *js = &ev->json;
	uint32_t t = 0;
	size_t n;

	for (;; path += n + 1) {
		n = strcspn(path, ".");
		if ((t = json_member(js, t, path, n)) == 0)
			return -1;
		if (path[n] == '\0')
			break;
	}
	switch (js->tok[t].type) {
	case JSON_STRING:
		json_string(js, t, out);
		return 0;
	case JSON_NUMBER: case JSON_TRUE: case JSON_FALSE:
		buf_add(out, js->text + js->tok[t].start,
		    js->tok[t].end - js->tok[t].start);
		return 0;
	default:
		return -1;
	}
}
