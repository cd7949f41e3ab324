#include "template.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "quote.h"

#define ALPHABET "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define KEY_CHARACTERS ALPHABET "0123456789_"

struct parser {
	struct template *template;
	const char *begin, *p;
	struct fault *fault;
};

static int
refuse(const struct parser *ps, const char *at, const char *why)
{
	char q[QUOTE_MAX];

	if (*at == '\0')
		return fault_set(ps->fault, FAULT_BAD_REQUEST, "%s at its end",
		    why);
	return fault_set(ps->fault, FAULT_BAD_REQUEST,
	    "%s at '%s', byte %td", why, quote(q, at, strnlen(at, 40)),
	    at - ps->begin + 1);
}

static void
add_piece(struct parser *ps, enum template_piece_type type, const char *text,
    size_t len)
{
	struct template *t = ps->template;

	t->pieces[t->npieces++] = (struct template_piece){ type, text, len };
	t->levels[t->nlevels - 1].npieces++;
}

/* Is the variable's name here? Then go behind it. */
static bool
take(struct parser *ps, const char *name)
{
	size_t len = strlen(name);

	if (strncmp(ps->p, name, len) != 0)
		return false;
	ps->p += len;
	return true;
}

static int
unknown_variable(const struct parser *ps, const char *at)
{
	if (strncmp(at + 2, "principal.", 10) == 0)
		return refuse(ps, at, "${principal...} is now "
		    "${client.authenticationName} or ${client.attributes.KEY}");
	return refuse(ps, at, "${client.authenticationName}, "
	    "${client.attributes.KEY} or ${dollar} expected");
}

static int
suffix(struct parser *ps)
{
	const char *text = ps->p;
	size_t len = strcspn(text, "/+#${|}");

	if (len == 0 || text[len] != '}')
		return refuse(ps, text + len, "'|' needs text without "
		    "/ + # $ { | up to a '}'");
	add_piece(ps, TEMPLATE_TEXT, text, len);
	ps->p = text + len;
	return 0;
}

/* "${...}", all of it. */
static int
variable(struct parser *ps)
{
	const char *at = ps->p, *key;

	if (at[1] != '{')
		return refuse(ps, at, "'$' begins no variable; a literal one "
		    "is ${dollar}");
	if (take(ps, "${dollar}")) {
		add_piece(ps, TEMPLATE_TEXT, at, 1);
		return 0;
	}
	if (take(ps, "${client.authenticationName"))
		add_piece(ps, TEMPLATE_NAME, at, 0);
	else if (take(ps, "${client.attributes.")) {
		key = ps->p;
		ps->p += strspn(key, KEY_CHARACTERS);
		if (ps->p == key)
			return refuse(ps, key, "a name of letters, digits and "
			    "_ expected");
		add_piece(ps, TEMPLATE_ATTRIBUTE, key, (size_t)(ps->p - key));
	} else
		return unknown_variable(ps, at);
	if (*ps->p == '|') {
		ps->p++;
		if (suffix(ps) == -1)
			return -1;
	}
	return take(ps, "}") ? 0 : refuse(ps, ps->p, "'}' expected");
}

static int
wildcard(struct parser *ps)
{
	struct template *t = ps->template;
	bool rest = *ps->p == '#';

	/* MQTT-4.7.1-1, MQTT-4.7.1-2 */
	if (t->levels[t->nlevels - 1].npieces != 0 ||
	    (ps->p[1] != '/' && ps->p[1] != '\0'))
		return refuse(ps, ps->p, "a wildcard is a level of its own");
	if (rest && ps->p[1] != '\0')
		return refuse(ps, ps->p, "'#' is the last level");
	t->levels[t->nlevels - 1].type = rest ? TEMPLATE_REST : TEMPLATE_ONE;
	ps->p++;
	return 0;
}

static int
level(struct parser *ps)
{
	struct template *t = ps->template;
	size_t len;
	int rc = 0;

	if (t->nlevels == TOPIC_LEVELS)
		return fault_set(ps->fault, FAULT_BAD_REQUEST,
		    "more than %d levels", TOPIC_LEVELS);
	t->levels[t->nlevels++] = (struct template_level){
		.type = TEMPLATE_PIECED, .piece = t->npieces
	};
	while (rc == 0 && *ps->p != '\0' && *ps->p != '/') {
		if (*ps->p == '$')
			rc = variable(ps);
		else if (*ps->p == '+' || *ps->p == '#')
			rc = wildcard(ps);
		else {
			len = strcspn(ps->p, "/+#$");
			add_piece(ps, TEMPLATE_TEXT, ps->p, len);
			ps->p += len;
		}
	}
	return rc;
}

int
template_parse(struct template *t, const char *text,
    struct fault *f)
{
	struct parser ps = { .begin = text, .p = text, .fault = f };
	size_t len = strlen(text);

	t->nlevels = t->npieces = 0;
	ps.template = t;
	if (len == 0 || len > TOPIC_MAX)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "has %zu bytes; must have 1 to %d", len, TOPIC_MAX);
	if ((text[0] == '$' && text[1] != '{') ||
	    strncmp(text, "${dollar}", 9) == 0)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "topics that begin with '$' are reserved");
	while (level(&ps) == 0) {
		if (*ps.p == '\0')
			return 0;
		ps.p++;
	}
	return -1;
}

/* ---- for one client ---- */

struct value {
	const char *text;
	size_t len;
	char number[24];
};

/* A whole number, or a string; an escaped one is written down in `copy`. */
static bool
attribute(const struct json *js, uint32_t attributes,
    const struct template_piece *p, struct buf *copy, struct value *v)
{
	uint32_t t = json_member(js, attributes, p->text, p->len);
	int64_t number;

	if (t == 0)
		return false;
	if (js->tok[t].type == JSON_NUMBER && json_int64(js, t, &number)) {
		v->text = v->number;
		v->len = (size_t)snprintf(v->number, sizeof(v->number),
		    "%" PRId64, number);
		return true;
	}
	if (js->tok[t].type != JSON_STRING)
		return false;
	buf_reset(copy, SIZE_MAX);
	json_string(js, t, copy);
	v->text = buf_data(copy);
	v->len = copy->len;
	return !copy->bad;
}

/* Nothing that could reach beyond its level, or stand for other levels. */
static bool
is_within_level(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] == '/' || s[i] == '+' || s[i] == '#' || s[i] == '\0')
			return false;
	return len > 0;
}

static bool
add_value(const struct template_piece *p, const char *name, size_t name_len,
    const struct json *js, uint32_t attributes, struct buf *b)
{
	struct value v = { .text = name, .len = name_len };
	struct buf copy = { 0 };
	bool ok = p->type == TEMPLATE_NAME ||
	    (attributes != 0 && attribute(js, attributes, p, &copy, &v));

	ok = ok && is_within_level(v.text, v.len);
	if (ok)
		buf_add(b, v.text, v.len);
	buf_free(&copy);
	return ok;
}

int
template_expand(const struct template *t, const char *name, size_t name_len,
    const struct json *js, uint32_t attributes, struct buf *b,
    const struct template_piece **blame)
{
	size_t before = b->len;

	for (size_t i = 0; i < t->nlevels; i++) {
		const struct template_level *l = &t->levels[i];

		if (i > 0)
			buf_add(b, "/", 1);
		if (l->type != TEMPLATE_PIECED)
			buf_add(b, l->type == TEMPLATE_ONE ? "+" : "#", 1);
		for (size_t j = l->piece; j < l->piece + l->npieces; j++) {
			const struct template_piece *p = &t->pieces[j];

			*blame = p;
			if (p->type == TEMPLATE_TEXT)
				buf_add(b, p->text, p->len);
			else if (!add_value(p, name, name_len, js, attributes,
			    b))
				goto none;
			if (b->bad || b->len - before > TOPIC_MAX ||
			    buf_data(b)[before] == '$')
				goto none;
		}
	}
	if (b->len - before <= TOPIC_MAX)
		return 0;
none:
	b->len = before;
	return -1;
}
