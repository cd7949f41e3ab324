#include "schema_check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "address.h"
#include "clock.h"
#include "jq.h"
#include "quote.h"

jv
check_bad(struct check *c, const char *fmt, ...)
{
	char words[sizeof(c->fault->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	fault_set(c->fault, FAULT_BAD_REQUEST, "%.*s%s%s", (int)c->path.len,
	    c->path.len == 0 ? "" : buf_data(&c->path),
	    c->path.len == 0 ? "" : ": ", words);
	return jv_invalid();
}

size_t
check_down(struct check *c, const char *name)
{
	size_t len = c->path.len;
	char q[QUOTE_MAX];

	if (len != 0)
		buf_str(&c->path, ".");
	buf_str(&c->path, quote(q, name, strlen(name)));
	return len;
}

static size_t
down_index(struct check *c, int i)
{
	size_t len = c->path.len;

	buf_printf(&c->path, "[%d]", i);
	return len;
}

void
check_up(struct check *c, size_t len)
{
	c->path.len = len;
}

static jv
check_any(struct check *c, const struct schema *s, jv v)
{
	struct fault f;

	if (s->check_any == NULL || s->check_any(v, &f) == 0)
		return v;
	jv_free(v);
	return check_bad(c, "%s", f.text);
}

const char *const check_type_words[] = {
	[SCHEMA_STRING] = "a string",
	[SCHEMA_INT] = "a whole number",
	[SCHEMA_BOOL] = "true or false",
	[SCHEMA_ENUM] = "a string",
	[SCHEMA_TIME] = "a time such as 2026-01-31T12:00:00Z",
	[SCHEMA_DURATION] = "a duration such as PT5M",
	[SCHEMA_ADDRESS] = "HOST:PORT",
	[SCHEMA_ANY] = "JSON",
	[SCHEMA_OBJECT] = "an object",
	[SCHEMA_VARIANT] = "an object",
	[SCHEMA_ARRAY] = "an array",
	[SCHEMA_MAP] = "an object",
};

static jv
check_string(struct check *c, const struct schema *s, jv v)
{
	int len = jv_string_length_codepoints(jv_copy(v));
	const char *text = jv_string_value(v);
	struct fault f;

	if (s->max != 0 && (len < s->min || len > s->max))
		check_bad(c, "has %d characters; must have %lld to %lld", len,
		    (long long)s->min, (long long)s->max);
	else if ((int)strlen(text) != jv_string_length_bytes(jv_copy(v)))
		check_bad(c, "must not contain NUL");
	else if (s->check != NULL && s->check(text, &f) == -1)
		check_bad(c, "%s", f.text);
	else
		return v;
	jv_free(v);
	return jv_invalid();
}

const char *
check_next_value(const char *values, const char **from, size_t *from_len,
    const char **to, size_t *to_len)
{
	size_t len = strcspn(values, "|");
	const char *equals = memchr(values, '=', len);

	*from = *to = values;
	*from_len = *to_len = len;
	if (equals != NULL) {
		*from_len = (size_t)(equals - values);
		*to = equals + 1;
		*to_len = len - *from_len - 1;
	}
	return values[len] == '|' ? values + len + 1 : NULL;
}

static jv
check_enum(struct check *c, const struct schema *s, jv v)
{
	const char *text = jv_string_value(v), *p = s->values, *from, *to;
	size_t len = strlen(text), from_len, to_len;
	char q[QUOTE_MAX], list[160];
	struct buf b = { 0 };

	while (p != NULL) {
		p = check_next_value(p, &from, &from_len, &to, &to_len);
		if (from_len == len && strncasecmp(from, text, len) == 0) {
			jv_free(v);
			buf_free(&b);
			return jv_string_sized(to, (int)to_len);
		}
		if (from == to)
			buf_printf(&b, "%s%.*s", b.len == 0 ? "" : ", ",
			    (int)to_len, to);
	}
	quote(q, text, len);
	jv_free(v);
	snprintf(list, sizeof(list), "%.*s%s", (int)(b.len > 150 ? 150 : b.len),
	    buf_data(&b), b.len > 150 ? "..." : "");
	buf_free(&b);
	return check_bad(c, "'%.60s' is none of %s", q, list);
}

static bool
good_address(const char *text)
{
	struct address a;

	address_split(&a, text, strlen(text));
	return address_port(a.port, a.port_len) != -1;
}

static jv
check_text(struct check *c, const struct schema *s, jv v)
{
	const char *text = jv_string_value(v);
	size_t len = strlen(text);
	int64_t us;
	bool ok;

	if (s->type == SCHEMA_STRING)
		return check_string(c, s, v);
	if (s->type == SCHEMA_ENUM)
		return check_enum(c, s, v);
	if (s->type == SCHEMA_TIME)
		ok = clock_parse(text, len, &us) == 0;
	else if (s->type == SCHEMA_DURATION)
		ok = clock_duration(text, len, &us) == 0;
	else
		ok = good_address(text);
	if (ok)
		return v;
	jv_free(v);
	return check_bad(c, "must be %s", check_type_words[s->type]);
}

static jv
check_int(struct check *c, const struct schema *s, jv v)
{
	double n = jv_number_value(v);

	jv_free(v);
	if (n != floor(n))
		return check_bad(c, "must be a whole number");
	if (n < (double)s->min || n > (double)s->max)
		return check_bad(c, "%.17g is not in %lld..%lld", n,
		    (long long)s->min, (long long)s->max);
	return jv_number(n);
}

static jv
check_array(struct check *c, const struct schema *s, jv v)
{
	int n = jv_array_length(jv_copy(v));
	jv out = jv_array(), item;
	size_t level;

	if (s->max != 0 && (n < s->min || n > s->max)) {
		jv_free(v);
		jv_free(out);
		return check_bad(c,
		    "has %d elements; must have %lld to %lld", n,
		    (long long)s->min, (long long)s->max);
	}
	for (int i = 0; i < n; i++) {
		level = down_index(c, i);
		item = check_value(c, s->of, jv_array_get(jv_copy(v), i),
		    jv_invalid());
		if (!jv_is_valid(item)) {
			jv_free(out);
			out = item;
			break;
		}
		out = jv_array_append(out, item);
		check_up(c, level);
	}
	jv_free(v);
	return out;
}

static jv
check_map(struct check *c, const struct schema *s, jv v)
{
	jv out = jv_object(), item;
	size_t level;

	if (s->max != 0 && jv_object_length(jv_copy(v)) > s->max) {
		jv_free(v);
		jv_free(out);
		return check_bad(c, "has more than %lld members",
		    (long long)s->max);
	}
	jv_object_foreach(v, key, value) {
		if (!jv_is_valid(out)) {
			jv_free(key);
			jv_free(value);
			continue;
		}
		level = check_down(c, jv_string_value(key));
		item = check_value(c, s->of, value, jv_invalid());
		if (jv_is_valid(item)) {
			out = jv_object_set(out, key, item);
			check_up(c, level);
		} else {
			jv_free(key);
			jv_free(out);
			out = item;
		}
	}
	jv_free(v);
	return out;
}

static bool
check_known(struct check *c, const struct schema *list, jv v)
{
	bool ok = true;

	jv_object_foreach(v, key, value) {
		const char *name = jv_string_value(key);
		const struct schema *m = list;

		jv_free(value);
		while (m->name != NULL && strcmp(m->name, name) != 0)
			m++;
		if (ok && (m->name == NULL || m->flags & SCHEMA_TOLERATED)) {
			check_down(c, name);
			check_bad(c, "no such property");
			ok = false;
		}
		jv_free(key);
	}
	return ok;
}

/* Which of the variants: by the sibling "endpointType", already checked. */
static const struct schema *
variant(const struct schema *list, jv object)
{
	const char *type = jq_str(object, "endpointType");

	while (type != NULL && list->name != NULL &&
	    strcmp(list->name, type) != 0)
		list++;
	return list;
}

/* One member: what was given, or what was there, or the default. */
static jv
check_member(struct check *c, const struct schema *m, jv given, jv old)
{
	if (jv_get_kind(given) == JV_KIND_NULL) {
		jv_free(given);
		given = jv_invalid();
	}
	if (m->flags & SCHEMA_READONLY ||
	    (m->flags & SCHEMA_FIXED && !jv_is_valid(given))) {
		if (jv_is_valid(old)) {
			jv_free(given);
			return old;
		}
		if (m->flags & SCHEMA_READONLY) {
			jv_free(given);
			given = jv_invalid();
		}
	}
	/* it was not shown, so who changes the rest may not know it */
	if (!jv_is_valid(given) && m->flags & SCHEMA_SECRET &&
	    jv_is_valid(old)) {
		jv_free(given);
		given = jv_copy(old);
	}
	if (!jv_is_valid(given) && m->dflt != NULL) {
		jv_free(given);
		given = jv_parse(m->dflt);
	}
	if (!jv_is_valid(given)) {
		jv_free(given);
		jv_free(old);
		if (m->flags & SCHEMA_REQUIRED)
			return check_bad(c, "is required");
		return jv_null();
	}
	given = check_value(c, m, given, jv_copy(old));
	if (jv_is_valid(given) && m->flags & SCHEMA_FIXED &&
	    jv_is_valid(old) && !jv_equal(jv_copy(given), jv_copy(old))) {
		jv_free(given);
		given = check_bad(c, "cannot be changed after creation");
	}
	jv_free(old);
	return given;
}

static jv
old_member(jv old, const char *name)
{
	return jv_get_kind(old) == JV_KIND_OBJECT ?
	    jv_object_get(jv_copy(old), jv_string(name)) : jv_invalid();
}

static jv
check_object(struct check *c, const struct schema *s, jv v, jv old)
{
	jv out = jv_object(), item;
	struct schema chosen;
	size_t level;

	if (!check_known(c, s->of, v))
		goto fail;
	for (const struct schema *m = s->of; m->name != NULL; m++) {
		if (m->flags & SCHEMA_TOLERATED)
			continue;
		level = check_down(c, m->name);
		chosen = *m;
		if (m->type == SCHEMA_VARIANT) {
			chosen.of = variant(m->of, out)->of;
			chosen.type = SCHEMA_OBJECT;
		}
		item = check_member(c, &chosen,
		    jv_object_get(jv_copy(v), jv_string(m->name)),
		    old_member(old, m->name));
		if (!jv_is_valid(item))
			goto fail;
		if (jv_get_kind(item) != JV_KIND_NULL)
			out = jv_object_set(out, jv_string(m->name), item);
		check_up(c, level);
	}
	jv_free(old);
	jv_free(v);
	return out;

fail:
	jv_free(out);
	jv_free(old);
	jv_free(v);
	return jv_invalid();
}

static jv_kind
kind_of(enum schema_type type, jv v)
{
	switch (type) {
	case SCHEMA_INT:
		return JV_KIND_NUMBER;
	case SCHEMA_BOOL:
		return jv_get_kind(v) == JV_KIND_TRUE ? JV_KIND_TRUE :
		    JV_KIND_FALSE;
	case SCHEMA_OBJECT:
	case SCHEMA_VARIANT:
	case SCHEMA_MAP:
		return JV_KIND_OBJECT;
	case SCHEMA_ARRAY:
		return JV_KIND_ARRAY;
	case SCHEMA_ANY:
		return jv_get_kind(v);
	case SCHEMA_STRING:
	case SCHEMA_ENUM:
	case SCHEMA_TIME:
	case SCHEMA_DURATION:
	case SCHEMA_ADDRESS:
		break;
	}
	return JV_KIND_STRING;
}

jv
check_value(struct check *c, const struct schema *s, jv v, jv old)
{
	if (jv_get_kind(v) != kind_of(s->type, v)) {
		jv_free(v);
		jv_free(old);
		return check_bad(c, "must be %s", check_type_words[s->type]);
	}
	if (s->type == SCHEMA_OBJECT || s->type == SCHEMA_VARIANT) {
		v = check_object(c, s, v, old);
		return jv_is_valid(v) ? check_any(c, s, v) : v;
	}
	jv_free(old);
	switch (s->type) {
	case SCHEMA_INT:
		return check_int(c, s, v);
	case SCHEMA_ARRAY:
		return check_array(c, s, v);
	case SCHEMA_MAP:
		v = check_map(c, s, v);
		return jv_is_valid(v) ? check_any(c, s, v) : v;
	case SCHEMA_ANY:
		return check_any(c, s, v);
	case SCHEMA_BOOL:
	case SCHEMA_OBJECT:
	case SCHEMA_VARIANT:
		return v;
	case SCHEMA_STRING:
	case SCHEMA_ENUM:
	case SCHEMA_TIME:
	case SCHEMA_DURATION:
	case SCHEMA_ADDRESS:
		break;
	}
	return check_text(c, s, v);
}
