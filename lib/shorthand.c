#include "shorthand.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "jq.h"
#include "quote.h"
#include "spool.h"

/*
 * One grammar takes shorthand, JSON and JSON with single quotes, since they do
 * not collide: bare words end at , : ] } and hold neither quotes nor blanks.
 */
struct parser {
	struct shorthand *sh;
	const char *begin, *p;
	int depth;
};

static const struct schema untyped = { .type = SCHEMA_ANY };

static jv
refuse(struct parser *ps, const char *why)
{
	char q[QUOTE_MAX];
	size_t at = (size_t)(ps->p - ps->begin);

	fault_set(ps->sh->fault, FAULT_BAD_REQUEST,
	    "value, character %zu: %s at '%.40s'", at + 1, why,
	    quote(q, ps->p, strnlen(ps->p, 40)));
	return jv_invalid();
}

static jv
unsuitable(struct parser *ps, const struct schema *s, const char *why)
{
	fault_set(ps->sh->fault, FAULT_BAD_REQUEST, "%s%s%s",
	    s->name == NULL ? "" : s->name, s->name == NULL ? "" : ": ", why);
	return jv_invalid();
}

static void
blanks(struct parser *ps)
{
	while (*ps->p == ' ' || *ps->p == '\t' || *ps->p == '\n' ||
	    *ps->p == '\r')
		ps->p++;
}

/* Text as a jv string; libjq would quietly replace what is not UTF-8. */
static jv
string(struct parser *ps, const char *text, size_t len)
{
	jv s = jv_string_sized(text, (int)len);

	if ((size_t)jv_string_length_bytes(jv_copy(s)) == len &&
	    memcmp(jv_string_value(s), text, len) == 0)
		return s;
	jv_free(s);
	return refuse(ps, "not UTF-8");
}

/* '...', in which '/ stands for a quote. */
static jv
single_quoted(struct parser *ps)
{
	struct buf b = { 0 };
	jv s;

	for (ps->p++;; ps->p++) {
		if (*ps->p == '\0') {
			buf_free(&b);
			return refuse(ps, "no closing quote");
		}
		if (*ps->p == '\'') {
			if (ps->p[1] != '/')
				break;
			ps->p++;
			buf_add(&b, "'", 1);
		} else
			buf_add(&b, ps->p, 1);
	}
	ps->p++;
	s = string(ps, b.len == 0 ? "" : buf_data(&b), b.len);
	buf_free(&b);
	return s;
}

/* "...", with the escapes of JSON. */
static jv
double_quoted(struct parser *ps)
{
	const char *start = ps->p;
	jv s;

	for (ps->p++; *ps->p != '"'; ps->p++) {
		if (*ps->p == '\\' && ps->p[1] != '\0')
			ps->p++;
		if (*ps->p == '\0')
			return refuse(ps, "no closing quote");
	}
	ps->p++;
	s = jq_parse(start, (size_t)(ps->p - start), ps->sh->fault);
	return s;
}

static size_t
bare_len(const char *p)
{
	size_t n = 0;

	while (p[n] != '\0' && strchr(",:[]{}'\" \t\r\n", p[n]) == NULL)
		n++;
	return n;
}

static bool
is_word(const char *text, size_t len, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strlen(*words) == len &&
		    strncasecmp(text, *words, len) == 0)
			return true;
	return false;
}

/* Words for a scalar, by the type that is wanted. */
static jv
scalar(struct parser *ps, const struct schema *s, const char *text, size_t len,
    bool quoted)
{
	static const char *const yes[] = { "true", "t", "yes", "y", "1", NULL };
	static const char *const no[] = { "false", "f", "no", "n", "0", NULL };
	jv v;

	switch (s->type) {
	case SCHEMA_BOOL:
		if (is_word(text, len, yes))
			return jv_true();
		if (is_word(text, len, no))
			return jv_false();
		return unsuitable(ps, s, "must be true or false");
	case SCHEMA_INT:
		v = jq_parse(text, len, NULL);
		if (jv_get_kind(v) == JV_KIND_NUMBER)
			return v;
		jv_free(v);
		return unsuitable(ps, s, "must be a number");
	case SCHEMA_ANY:
		if (quoted || ps->sh->force_string)
			return string(ps, text, len);
		v = jq_parse(text, len, NULL);
		if (jv_is_valid(v))
			return v;
		jv_free(v);
		return string(ps, text, len);
	case SCHEMA_OBJECT:
	case SCHEMA_VARIANT:
	case SCHEMA_MAP:
		return unsuitable(ps, s, "must be an object, {name:value,...}");
	case SCHEMA_ARRAY:
		return unsuitable(ps, s, "must be an array, [value,...]");
	case SCHEMA_STRING:
	case SCHEMA_ENUM:
	case SCHEMA_TIME:
	case SCHEMA_DURATION:
	case SCHEMA_ADDRESS:
		break;
	}
	return string(ps, text, len);
}

/* What a name without a value, or with an empty one, means. */
static jv
blank(struct parser *ps, const struct schema *s)
{
	if (s->dflt != NULL && s->type != SCHEMA_BOOL)
		return jv_parse(s->dflt);
	switch (s->type) {
	case SCHEMA_BOOL:
		return jv_true();
	case SCHEMA_OBJECT:
	case SCHEMA_VARIANT:
	case SCHEMA_MAP:
		return jv_object();
	case SCHEMA_ARRAY:
		return jv_array();
	case SCHEMA_STRING:
		return jv_string("");
	case SCHEMA_INT:
	case SCHEMA_ENUM:
	case SCHEMA_TIME:
	case SCHEMA_DURATION:
	case SCHEMA_ADDRESS:
	case SCHEMA_ANY:
		break;
	}
	return unsuitable(ps, s, "needs a value");
}

static jv value(struct parser *, const struct schema *);

static jv
word(struct parser *ps, const struct schema *s)
{
	size_t len = bare_len(ps->p);
	const char *text = ps->p;

	if (len == 0)
		return refuse(ps, "a value is missing");
	ps->p += len;
	if (len == 4 && memcmp(text, "null", 4) == 0)
		return jv_null();
	if (len == 2 && memcmp(text, "??", 2) == 0) {
		ps->sh->help = s;
		return jv_invalid();
	}
	return scalar(ps, s, text, len, false);
}

static jv
quoted(struct parser *ps, const struct schema *s)
{
	jv text = *ps->p == '"' ? double_quoted(ps) : single_quoted(ps), v;

	if (!jv_is_valid(text))
		return text;
	v = scalar(ps, s, jv_string_value(text),
	    (size_t)jv_string_length_bytes(jv_copy(text)), true);
	jv_free(text);
	return v;
}

/* A member's name: bare or quoted; what it is called in the schema. */
static jv
key(struct parser *ps, const struct schema *s, const struct schema **member)
{
	char q[QUOTE_MAX];
	size_t len = bare_len(ps->p);
	jv name;

	if (*ps->p == '\'' || *ps->p == '"')
		name = *ps->p == '"' ? double_quoted(ps) : single_quoted(ps);
	else if (len == 0)
		return refuse(ps, "a name is missing");
	else if (len == 2 && memcmp(ps->p, "??", 2) == 0) {
		ps->sh->help = s;
		return jv_invalid();
	} else {
		name = string(ps, ps->p, len);
		ps->p += len;
	}
	if (!jv_is_valid(name))
		return name;
	if (s->type == SCHEMA_MAP || s->type == SCHEMA_ANY) {
		*member = s->type == SCHEMA_MAP ? s->of : &untyped;
		return name;
	}
	len = (size_t)jv_string_length_bytes(jv_copy(name));
	*member = schema_member(s, jv_string_value(name), len);
	if (*member == NULL) {
		fault_set(ps->sh->fault, FAULT_BAD_REQUEST,
		    "%s%s'%.100s': no such property", s->name == NULL ? "" :
		    s->name, s->name == NULL ? "" : ": ",
		    quote(q, jv_string_value(name), len));
		jv_free(name);
		return jv_invalid();
	}
	jv_free(name);
	return jv_string((*member)->name);
}

/* One name and value; false: a fault. */
static bool
pair(struct parser *ps, const struct schema *s, jv *object)
{
	const struct schema *member = &untyped;
	jv name = key(ps, s, &member), v;

	if (!jv_is_valid(name))
		return false;
	if (jv_object_has(jv_copy(*object), jv_copy(name))) {
		jv_free(name);
		refuse(ps, "a name is given twice");
		return false;
	}
	blanks(ps);
	if (*ps->p == ':') {
		ps->p++;
		blanks(ps);
		v = value(ps, member);
	} else
		v = blank(ps, member);
	if (!jv_is_valid(v)) {
		jv_free(v);
		jv_free(name);
		return false;
	}
	*object = jv_object_set(*object, name, v);
	return true;
}

/* Behind an element: true when it was the last one. */
static bool
closes(struct parser *ps, char closing, bool *ok)
{
	blanks(ps);
	if (*ps->p == ',') {
		ps->p++;
		blanks(ps);
	} else if (*ps->p != closing) {
		refuse(ps, closing == '}' ? "expected , or }" :
		    "expected , or ]");
		*ok = false;
		return true;
	}
	if (*ps->p != closing)
		return false;
	ps->p++;
	return true;
}

static jv
object(struct parser *ps, const struct schema *s)
{
	jv v = jv_object();
	bool ok = true;

	if (s->type != SCHEMA_OBJECT && s->type != SCHEMA_VARIANT &&
	    s->type != SCHEMA_MAP && s->type != SCHEMA_ANY) {
		jv_free(v);
		return unsuitable(ps, s, "must not be an object");
	}
	ps->p++;
	blanks(ps);
	if (*ps->p == '}') {
		ps->p++;
		return v;
	}
	do
		ok = pair(ps, s, &v);
	while (ok && !closes(ps, '}', &ok));
	if (ok)
		return v;
	jv_free(v);
	return jv_invalid();
}

static jv
array(struct parser *ps, const struct schema *s)
{
	jv v = jv_array(), item;
	bool ok = true;

	if (s->type != SCHEMA_ARRAY && s->type != SCHEMA_ANY) {
		jv_free(v);
		return unsuitable(ps, s, "must not be an array");
	}
	ps->p++;
	blanks(ps);
	if (*ps->p == ']') {
		ps->p++;
		return v;
	}
	do {
		item = value(ps, s->type == SCHEMA_ANY ? &untyped : s->of);
		ok = jv_is_valid(item);
		if (ok)
			v = jv_array_append(v, item);
		else
			jv_free(item);
	} while (ok && !closes(ps, ']', &ok));
	if (ok)
		return v;
	jv_free(v);
	return jv_invalid();
}

static jv
value(struct parser *ps, const struct schema *s)
{
	jv v;

	if (++ps->depth > SHORTHAND_DEPTH)
		return refuse(ps, "nested too deeply");
	if (*ps->p == '{')
		v = object(ps, s);
	else if (*ps->p == '[')
		v = array(ps, s);
	else if (*ps->p == '\'' || *ps->p == '"')
		v = quoted(ps, s);
	else
		v = word(ps, s);
	ps->depth--;
	return v;
}

/* ---- whole values ---- */

static bool
is_text(const struct schema *s)
{
	return s->type != SCHEMA_OBJECT && s->type != SCHEMA_VARIANT &&
	    s->type != SCHEMA_ARRAY && s->type != SCHEMA_MAP &&
	    s->type != SCHEMA_ANY;
}

/* Text that is all one value. */
static jv
whole(struct parser *ps, const struct schema *s)
{
	jv v;

	blanks(ps);
	v = value(ps, s);
	if (!jv_is_valid(v))
		return v;
	blanks(ps);
	if (*ps->p == '\0')
		return v;
	jv_free(v);
	return refuse(ps, "more than one value");
}

static jv
parse_text(struct shorthand *sh, const struct schema *s, const char *text)
{
	struct parser ps = { .sh = sh, .begin = text, .p = text };
	size_t len = strlen(text);

	if (strcmp(text, "null") == 0)
		return jv_null();
	if (strcmp(text, "??") == 0) {
		sh->help = s;
		return jv_invalid();
	}
	if (!is_text(s)) {
		/* a bare sentence for something untyped */
		if (s->type == SCHEMA_ANY && strchr("{['\"", text[0]) == NULL)
			return scalar(&ps, s, text, len, false);
		return whole(&ps, s);
	}
	if (len >= 2 && text[0] == '\'' && text[len - 1] == '\'')
		return whole(&ps, s);
	if (len == 0)
		return blank(&ps, s);
	return scalar(&ps, s, text, len, false);
}

static jv
from_file(struct shorthand *sh, const struct schema *s, const char *name)
{
	struct parser ps = { .sh = sh };
	char q[QUOTE_MAX], *text;
	size_t len;
	jv v;

	text = spool_read(AT_FDCWD, name, SHORTHAND_FILE_MAX, &len);
	if (text == NULL) {
		fault_errno(sh->fault, FAULT_BAD_REQUEST, "file '%s'",
		    quote(q, name, strlen(name)));
		return jv_invalid();
	}
	ps.begin = ps.p = text;
	if (strlen(text) != len)
		v = refuse(&ps, "a NUL in the file");
	else if (s->type == SCHEMA_STRING)
		v = string(&ps, text, len);
	else
		v = whole(&ps, s);
	free(text);
	return v;
}

jv
shorthand_value(struct shorthand *sh, const struct schema *s, const char *text)
{
	if (text[0] == '@' && text[1] != '\0')
		return from_file(sh, s, text + 1);
	return parse_text(sh, s, text);
}

/* ---- paths ---- */

#define STEPS_MAX 32

/* a.b[0]: the keys to go by, and what stands at the end of them. */
struct path {
	jv steps; /* strings and numbers */
	const struct schema *at;
	const char *rest; /* behind it: '\0' or '=' */
};

static bool
index_step(struct parser *ps, struct path *path)
{
	char *end;
	long i;

	if ((path->at->type != SCHEMA_ARRAY && path->at->type != SCHEMA_ANY) ||
	    (ps->p[1] != '-' && !isdigit((unsigned char)ps->p[1])))
		return false;
	i = strtol(ps->p + 1, &end, 10);
	if (*end != ']' || labs(i) > 1000000)
		return false;
	ps->p = end + 1;
	path->steps = jv_array_append(path->steps, jv_number((double)i));
	path->at = path->at->type == SCHEMA_ANY ? &untyped : path->at->of;
	return true;
}

static size_t
key_len(const char *p)
{
	return strcspn(p, ".[]{}=,:'\" \t\r\n");
}

/* A name of the path; as key(), but a dot and an equals sign end it too. */
static bool
name_step(struct parser *ps, struct path *path)
{
	const struct schema *s = path->at, *member = NULL;
	size_t len = key_len(ps->p);
	jv name;

	if (*ps->p == '\'' || *ps->p == '"')
		name = *ps->p == '"' ? double_quoted(ps) : single_quoted(ps);
	else if (len == 0)
		return false;
	else {
		name = string(ps, ps->p, len);
		ps->p += len;
	}
	if (!jv_is_valid(name))
		return false;
	if (s->type == SCHEMA_MAP)
		member = s->of;
	else if (s->type == SCHEMA_ANY)
		member = &untyped;
	else if ((member = schema_member(s, jv_string_value(name),
	    (size_t)jv_string_length_bytes(jv_copy(name)))) != NULL) {
		jv_free(name);
		name = jv_string(member->name);
	}
	if (member == NULL) {
		jv_free(name);
		return false;
	}
	path->at = member;
	path->steps = jv_array_append(path->steps, name);
	return true;
}

/* false: it is none (a fault may be set); path->steps is to be freed anyhow. */
static bool
parse_path(struct shorthand *sh, const struct schema *s, const char *text,
    struct path *path)
{
	struct parser ps = { .sh = sh, .begin = text, .p = text };
	int n = 0;

	*path = (struct path){ .steps = jv_array(), .at = s };
	if (strncmp(ps.p, "properties.", 11) == 0)
		ps.p += 11;
	for (;;) {
		if (++n > STEPS_MAX)
			return false;
		if (*ps.p == '[' ? !index_step(&ps, path) :
		    !name_step(&ps, path))
			return false;
		if (*ps.p == '.')
			ps.p++;
		else if (*ps.p != '[')
			break;
	}
	path->rest = ps.p;
	return *ps.p == '\0' || *ps.p == '=';
}

static int
no_path(struct shorthand *sh, const char *text)
{
	char q[QUOTE_MAX];

	return fault_set(sh->fault, FAULT_BAD_REQUEST,
	    "'%.100s': no such property", quote(q, text, strcspn(text, "=")));
}

/* Negative indexes count from the end; the end itself appends. */
static bool
real_index(jv list, double i, double *real)
{
	double n = jv_get_kind(list) == JV_KIND_ARRAY ?
	    jv_array_length(jv_copy(list)) : 0;

	*real = i < 0 ? n + i : i;
	return *real >= 0 && *real <= n;
}

/* Set, or with an invalid value delete, what the steps from i on lead to. */
static jv
change(struct shorthand *sh, jv target, jv steps, int i, jv new)
{
	jv step = jv_array_get(jv_copy(steps), i), child;
	bool last = i + 1 == jv_array_length(jv_copy(steps));
	bool list = jv_get_kind(step) == JV_KIND_NUMBER;
	double at = 0;

	if (jv_get_kind(target) != (list ? JV_KIND_ARRAY : JV_KIND_OBJECT)) {
		jv_free(target);
		target = list ? jv_array() : jv_object();
	}
	if (list && !real_index(target, jv_number_value(step), &at)) {
		fault_set(sh->fault, FAULT_BAD_REQUEST,
		    "index %d is outside of the list",
		    (int)jv_number_value(step));
		jv_free(target);
		jv_free(new);
		return jv_invalid();
	}
	if (list)
		step = jv_number(at);
	if (last && !jv_is_valid(new)) {
		jv_free(new);
		return jv_delpaths(target, JV_ARRAY(JV_ARRAY(step)));
	}
	if (!last) {
		child = jv_is_valid(target) && (list ?
		    at < jv_array_length(jv_copy(target)) :
		    jv_object_has(jv_copy(target), jv_copy(step))) ?
		    jv_get(jv_copy(target), jv_copy(step)) : jv_null();
		new = change(sh, child, steps, i + 1, new);
		if (!jv_is_valid(new)) {
			jv_free(step);
			jv_free(target);
			return new;
		}
	}
	return jv_set(target, step, new);
}

static jv
partial(struct shorthand *sh, const struct path *path, jv so_far)
{
	const char *text = path->rest + 1;
	struct parser ps = { .sh = sh, .begin = text, .p = text };
	jv v;

	v = *text == '\0' ? blank(&ps, path->at) :
	    shorthand_value(sh, path->at, text);
	if (!jv_is_valid(v)) {
		jv_free(so_far);
		return v;
	}
	return change(sh, so_far, path->steps, 0, v);
}

/* One more word for a list; a list adds all of its elements. */
static jv
append(struct shorthand *sh, const struct schema *s, jv so_far,
    const char *text)
{
	bool list = text[0] == '[';
	jv v = shorthand_value(sh, list || text[0] == '@' ? s : s->of, text);

	if (!jv_is_valid(v) || jv_get_kind(so_far) != JV_KIND_ARRAY) {
		jv_free(so_far);
		so_far = jv_array();
	}
	if (!jv_is_valid(v)) {
		jv_free(so_far);
		return v;
	}
	if (jv_get_kind(v) == JV_KIND_NULL) {
		jv_free(so_far);
		return v;
	}
	return jv_get_kind(v) == JV_KIND_ARRAY ? jv_array_concat(so_far, v) :
	    jv_array_append(so_far, v);
}

jv
shorthand_argument(struct shorthand *sh, const struct schema *s, jv so_far,
    const char *text)
{
	struct shorthand look = { .fault = NULL };
	struct path path;
	bool is_path;

	if (!is_text(s) && text[0] != '@' && text[0] != '{') {
		is_path = parse_path(&look, s, text, &path) &&
		    *path.rest == '=';
		if (is_path)
			so_far = partial(sh, &path, so_far);
		jv_free(path.steps);
		if (is_path)
			return so_far;
	}
	if (s->type == SCHEMA_ARRAY && strcmp(text, "??") != 0)
		return append(sh, s, so_far, text);
	jv_free(so_far);
	return shorthand_value(sh, s, text);
}

/* ---- update ---- */

jv
shorthand_set(struct shorthand *sh, const struct schema *s, jv target,
    const char *text)
{
	struct path path;

	if (!parse_path(sh, s, text, &path) || *path.rest != '=') {
		if (strchr(text, '=') == NULL)
			fault_set(sh->fault, FAULT_BAD_REQUEST,
			    "must be PATH=VALUE");
		else
			no_path(sh, text);
		jv_free(path.steps);
		jv_free(target);
		return jv_invalid();
	}
	target = partial(sh, &path, target);
	jv_free(path.steps);
	return target;
}

jv
shorthand_add(struct shorthand *sh, const struct schema *s, jv target,
    const char *where, const char *text)
{
	struct path path;
	jv old, v;

	if (!parse_path(sh, s, where, &path) || *path.rest != '\0') {
		jv_free(path.steps);
		jv_free(target);
		no_path(sh, where);
		return jv_invalid();
	}
	old = jv_getpath(jv_copy(target), jv_copy(path.steps));
	if (path.at->type == SCHEMA_ARRAY)
		v = append(sh, path.at, old, text);
	else
		v = shorthand_argument(sh, path.at, old, text);
	if (jv_is_valid(v))
		target = change(sh, target, path.steps, 0, v);
	else {
		jv_free(target);
		target = v;
	}
	jv_free(path.steps);
	return target;
}

jv
shorthand_remove(struct shorthand *sh, const struct schema *s, jv target,
    const char *where)
{
	struct path path;

	if (parse_path(sh, s, where, &path) && *path.rest == '\0')
		target = change(sh, target, path.steps, 0, jv_invalid());
	else {
		jv_free(target);
		target = jv_invalid();
		no_path(sh, where);
	}
	jv_free(path.steps);
	return target;
}
