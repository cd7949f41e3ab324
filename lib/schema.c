#include "schema.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base64.h"
#include "cert.h"
#include "clock.h"
#include "endpoint.h"
#include "enrich.h"
#include "filter.h"
#include "jq.h"
#include "mapping.h"
#include "quote.h"
#include "uuid.h"

#define KEY_BYTES 32
#define ATTRIBUTES_MAX 4096 /* bytes of a client's attributes, as JSON */
#define TTL_STEP (60 * CLOCK_SECOND)
#define TOPICS_PER_UNIT 100
#define SUBSCRIPTIONS_PER_TOPIC 500
#define TOPICS_NAMED 8 /* of those that there are, in a fault */

static const char provider[] = "/providers/Microsoft.EventGrid/namespaces/";

/* ---- names and paths ---- */

const struct schema_noun *
schema_noun(const char *path)
{
	const char *slash = strchr(path, '/'), *next;
	const struct schema_noun *noun;
	size_t len;

	if (slash == NULL)
		return strcmp(path, "namespace") == 0 ?
		    &schema_nouns[SCHEMA_NAMESPACE] : NULL;
	if ((next = strchr(slash + 1, '/')) != NULL)
		return strncmp(path, "topics/", 7) == 0 &&
		    strncmp(next, "/eventSubscriptions/", 20) == 0 ?
		    &schema_nouns[SCHEMA_SUBSCRIPTION] : NULL;
	len = (size_t)(slash - path);
	for (int i = 0; i < SCHEMA_KINDS; i++) {
		noun = &schema_nouns[i];
		if (i != SCHEMA_NAMESPACE && i != SCHEMA_SUBSCRIPTION &&
		    strncmp(path, noun->collection, len) == 0 &&
		    noun->collection[len] == '\0')
			return noun;
	}
	return NULL;
}

static int
check_name(enum schema_kind kind, const char *name, struct fault *f)
{
	static const char *const reserved[] = {
		"Microsoft", "System", "EventGrid"
	};
	bool client = kind == SCHEMA_CLIENT;
	size_t len = strlen(name), min = client ? 1 : 3;
	size_t max = client ? 128 : 50;
	char q[QUOTE_MAX];

	if (len < min || len > max)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "name '%s': a name has %zu to %zu characters",
		    quote(q, name, len), min, max);
	for (const char *p = name; *p != '\0'; p++)
		if (!isascii((unsigned char)*p) ||
		    (!isalnum((unsigned char)*p) && *p != '-' &&
		    !(client && strchr(":._", *p) != NULL)))
			return fault_set(f, FAULT_BAD_REQUEST, "name '%s': "
			    "only letters, digits and %s", quote(q, name, len),
			    client ? "- : . _" : "-");
	for (int i = 0; kind == SCHEMA_NAMESPACE && i < 3; i++)
		if (strncasecmp(name, reserved[i], strlen(reserved[i])) == 0)
			return fault_set(f, FAULT_BAD_REQUEST,
			    "name '%s': must not begin with %s", name,
			    reserved[i]);
	return 0;
}

int
schema_path(char path[SCHEMA_PATH], const struct schema_noun *noun,
    const char *topic, const char *name, struct fault *f)
{
	if (check_name(noun->kind, name, f) == -1)
		return -1;
	if (noun->kind == SCHEMA_NAMESPACE)
		snprintf(path, SCHEMA_PATH, "namespace");
	else if (noun->kind != SCHEMA_SUBSCRIPTION)
		snprintf(path, SCHEMA_PATH, "%s/%s", noun->collection, name);
	else if (check_name(SCHEMA_TOPIC, topic, f) == -1)
		return -1;
	else
		snprintf(path, SCHEMA_PATH, "topics/%s/eventSubscriptions/%s",
		    topic, name);
	return 0;
}

const struct schema_noun *
schema_check_path(const char *path, struct fault *f)
{
	const struct schema_noun *noun = schema_noun(path);
	char topic[SCHEMA_PATH], again[SCHEMA_PATH], q[QUOTE_MAX];
	const char *name = strrchr(path, '/');
	size_t len = strlen(path);

	if (noun == NULL || len >= SCHEMA_PATH) {
		fault_set(f, FAULT_BAD_REQUEST, "path '%s': no such kind of "
		    "resource", quote(q, path, len));
		return NULL;
	}
	if (noun->kind == SCHEMA_NAMESPACE)
		return noun;
	len = noun->kind == SCHEMA_SUBSCRIPTION ? strcspn(path + 7, "/") : 0;
	snprintf(topic, sizeof(topic), "%.*s", (int)len, path + 7);
	return schema_path(again, noun, topic, name + 1, f) == -1 ? NULL : noun;
}

/* The collections of a path as we spell them; ids come in any case. */
static void
spell(char *path)
{
	static const char *const spelling[] = {
		"topics/", "clients/", "clientGroups/", "topicSpaces/",
		"permissionBindings/", "caCertificates/", "roleAssignments/",
	};
	char *slash;

	for (size_t i = 0; i < sizeof(spelling) / sizeof(spelling[0]); i++)
		if (strncasecmp(path, spelling[i], strlen(spelling[i])) == 0)
			memcpy(path, spelling[i], strlen(spelling[i]));
	slash = strchr(path, '/');
	slash = slash == NULL ? NULL : strchr(slash + 1, '/');
	if (slash != NULL &&
	    strncasecmp(slash, "/eventSubscriptions/", 20) == 0)
		memcpy(slash, "/eventSubscriptions/", 20);
	else if (slash != NULL && strncasecmp(slash, "/subscriptions/", 15) == 0
	    && strlen(path) + 6 < SCHEMA_PATH) {
		memmove(slash + 20, slash + 15, strlen(slash + 15) + 1);
		memcpy(slash, "/eventSubscriptions/", 20);
	}
}

int
schema_id_path(struct registry *r, const char *id, char path[SCHEMA_PATH],
    struct fault *f)
{
	const char *at = strcasestr(id, provider), *name;
	char q[QUOTE_MAX];
	jv namespace;
	size_t len;
	int rc = 0;

	if (id[0] != '/') {
		snprintf(path, SCHEMA_PATH, "%s", id);
		spell(path);
		return 0;
	}
	namespace = registry_get(r, "namespace");
	name = jq_str(namespace, "name");
	if (strncasecmp(id, "/subscriptions/", 15) != 0 || at == NULL ||
	    name == NULL)
		rc = -1;
	else {
		at += sizeof(provider) - 1;
		len = strlen(name);
		if (strncasecmp(at, name, len) != 0 ||
		    (at[len] != '/' && at[len] != '\0'))
			rc = -1;
		else
			snprintf(path, SCHEMA_PATH, "%s", at[len] == '\0' ?
			    "namespace" : at + len + 1);
	}
	jv_free(namespace);
	if (rc == -1)
		return fault_set(f, FAULT_NOT_FOUND,
		    "'%s' is not a resource of this namespace",
		    quote(q, id, strlen(id)));
	spell(path);
	return 0;
}

/* Names are the same when they are without case, hyphens and underscores. */
static bool
same_name(const char *camel, const char *name, size_t len)
{
	size_t i = 0;

	for (; i < len; i++) {
		if (name[i] == '-' || name[i] == '_')
			continue;
		if (tolower((unsigned char)*camel) !=
		    tolower((unsigned char)name[i]))
			return false;
		camel++;
	}
	return *camel == '\0';
}

static const struct schema *
member_of(const struct schema *list, const char *name, size_t len)
{
	for (; list != NULL && list->name != NULL; list++)
		if (same_name(list->name, name, len))
			return list;
	return NULL;
}

const struct schema *
schema_member(const struct schema *s, const char *name, size_t len)
{
	const struct schema *m;

	if (len == 0)
		return NULL;
	if (s->type == SCHEMA_OBJECT)
		return member_of(s->of, name, len);
	if (s->type != SCHEMA_VARIANT)
		return NULL;
	for (const struct schema *v = s->of; v->name != NULL; v++)
		if ((m = member_of(v->of, name, len)) != NULL)
			return m;
	return NULL;
}

/* ---- checking a value ---- */

/* Where in the resource a check is, for its fault. */
struct check {
	struct buf path;
	struct fault *fault;
};

static jv check_value(struct check *, const struct schema *, jv value, jv old);

static jv __attribute__((format(printf, 2, 3)))
bad(struct check *c, const char *fmt, ...)
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

/* Go one level down; returns what up() wants back. */
static size_t
down(struct check *c, const char *name)
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

static void
up(struct check *c, size_t len)
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
	return bad(c, "%s", f.text);
}

static const char *const type_words[] = {
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
		bad(c, "has %d characters; must have %lld to %lld", len,
		    (long long)s->min, (long long)s->max);
	else if ((int)strlen(text) != jv_string_length_bytes(jv_copy(v)))
		bad(c, "must not contain NUL");
	else if (s->check != NULL && s->check(text, &f) == -1)
		bad(c, "%s", f.text);
	else
		return v;
	jv_free(v);
	return jv_invalid();
}

/* The next of "A|B=C": what is written, and what it means. */
static const char *
next_value(const char *values, const char **from, size_t *from_len,
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
		p = next_value(p, &from, &from_len, &to, &to_len);
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
	return bad(c, "'%.60s' is none of %s", q, list);
}

static bool
good_address(const char *text)
{
	const char *colon = strrchr(text, ':');
	char *end;
	long port;

	if (colon == NULL || !isdigit((unsigned char)colon[1]))
		return false;
	port = strtol(colon + 1, &end, 10);
	return *end == '\0' && port <= 65535 && strlen(colon) <= 6;
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
	return bad(c, "must be %s", type_words[s->type]);
}

static jv
check_int(struct check *c, const struct schema *s, jv v)
{
	double n = jv_number_value(v);

	jv_free(v);
	if (n != floor(n))
		return bad(c, "must be a whole number");
	if (n < (double)s->min || n > (double)s->max)
		return bad(c, "%.17g is not in %lld..%lld", n,
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
		return bad(c, "has %d elements; must have %lld to %lld", n,
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
		up(c, level);
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
		return bad(c, "has more than %lld members",
		    (long long)s->max);
	}
	jv_object_foreach(v, key, value) {
		if (!jv_is_valid(out)) {
			jv_free(key);
			jv_free(value);
			continue;
		}
		level = down(c, jv_string_value(key));
		item = check_value(c, s->of, value, jv_invalid());
		if (jv_is_valid(item)) {
			out = jv_object_set(out, key, item);
			up(c, level);
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
			down(c, name);
			bad(c, "no such property");
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
			return bad(c, "is required");
		return jv_null();
	}
	given = check_value(c, m, given, jv_copy(old));
	if (jv_is_valid(given) && m->flags & SCHEMA_FIXED &&
	    jv_is_valid(old) && !jv_equal(jv_copy(given), jv_copy(old))) {
		jv_free(given);
		given = bad(c, "cannot be changed after creation");
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
		level = down(c, m->name);
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
		up(c, level);
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

static jv
check_value(struct check *c, const struct schema *s, jv v, jv old)
{
	if (jv_get_kind(v) != kind_of(s->type, v)) {
		jv_free(v);
		jv_free(old);
		return bad(c, "must be %s", type_words[s->type]);
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
		return check_map(c, s, v);
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

/* ---- shapes ---- */

jv
schema_hoist(jv resource)
{
	jv out = jv_object();

	if (jv_get_kind(resource) != JV_KIND_OBJECT) {
		jv_free(out);
		return resource;
	}
	jv_object_foreach(resource, key, value) {
		if (strcmp(jv_string_value(key), "properties") == 0 &&
		    jv_get_kind(value) == JV_KIND_OBJECT) {
			out = jv_object_merge(out, value);
			jv_free(key);
		} else
			out = jv_object_set(out, key, value);
	}
	jv_free(resource);
	return out;
}

static jv
hide(const struct schema *s, jv v)
{
	jv out;

	if (s->type == SCHEMA_ARRAY && jv_get_kind(v) == JV_KIND_ARRAY) {
		out = jv_array();
		jv_array_foreach(v, i, item)
			out = jv_array_append(out, hide(s->of, item));
		jv_free(v);
		return out;
	}
	if ((s->type != SCHEMA_OBJECT && s->type != SCHEMA_VARIANT) ||
	    jv_get_kind(v) != JV_KIND_OBJECT)
		return v;
	out = jv_object();
	jv_object_foreach(v, key, value) {
		const char *name = jv_string_value(key);
		const struct schema *m = schema_member(s, name, strlen(name));

		if (m != NULL && m->flags & SCHEMA_SECRET) {
			jv_free(key);
			jv_free(value);
		} else
			out = jv_object_set(out, key, m == NULL ? value :
			    hide(m, value));
	}
	/* a header's value that was declared secret */
	if (jv_get_kind(jq_get(v, "isSecret")) == JV_KIND_TRUE)
		out = jv_object_delete(out, jv_string("value"));
	jv_free(v);
	return out;
}

jv
schema_public(const struct schema_noun *noun, jv resource)
{
	jv properties = jv_object_get(jv_copy(resource),
	    jv_string("properties"));

	resource = jv_object_delete(resource, jv_string("keys"));
	if (!jv_is_valid(properties)) {
		jv_free(properties);
		return resource;
	}
	return jv_object_set(resource, jv_string("properties"),
	    hide(&noun->self, properties));
}

/* ---- identity of a resource ---- */

static jv
new_key(void)
{
	unsigned char bytes[KEY_BYTES];
	char text[BASE64_LEN(KEY_BYTES)];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		abort(); /* up to 256 bytes it never fails */
	base64_encode(text, bytes, sizeof(bytes));
	return jv_string_sized(text, sizeof(text));
}

jv
schema_keys(jv old, const char *name)
{
	if (jv_get_kind(old) == JV_KIND_OBJECT)
		return jv_object_set(old, jv_string(name), new_key());
	jv_free(old);
	return JV_OBJECT(jv_string("key1"), new_key(), jv_string("key2"),
	    new_key());
}

static bool
good_keys(jv keys)
{
	const char *k1 = jq_str(keys, "key1"), *k2 = jq_str(keys, "key2");

	return k1 != NULL && k2 != NULL &&
	    base64_decode(NULL, k1, strlen(k1)) > 0 &&
	    base64_decode(NULL, k2, strlen(k2)) > 0;
}

/* ---- rules between properties ---- */

/* What the rules look at. */
struct making {
	struct registry *registry;
	const char *path;
	jv namespace; /* while it is being made, what was asked for */
	const char *namespace_id; /* points into it */
	jv old;       /* invalid: creation */
	struct check check;
};

static int64_t
time_to_live(jv properties, const char *mode)
{
	char path[64];
	const char *text;
	int64_t us;

	snprintf(path, sizeof(path), "deliveryConfiguration.%s.eventTimeToLive",
	    mode);
	if ((text = jq_str(properties, path)) == NULL ||
	    clock_duration(text, strlen(text), &us) == -1)
		return 0;
	return us;
}

static int64_t
subscription_ttl(jv properties)
{
	int64_t us = time_to_live(properties, "queue");

	return us != 0 ? us : time_to_live(properties, "push");
}

/* {endpointType,StorageBlob:{..}} becomes {deadLetterDestination:{..}}. */
static jv
unfold(jv dl)
{
	jv type = jv_object_get(jv_copy(dl), jv_string("endpointType")), inner;
	const char *name;

	if (jv_get_kind(type) != JV_KIND_STRING) {
		jv_free(type);
		return dl;
	}
	name = strcasecmp(jv_string_value(type), "Directory") == 0 ?
	    "Directory" : "StorageBlob";
	inner = jv_object_get(jv_copy(dl), jv_string(name));
	dl = jv_object_delete(dl, jv_string("endpointType"));
	dl = jv_object_delete(dl, jv_string(name));
	return jv_object_set(dl, jv_string("deadLetterDestination"),
	    JV_OBJECT(jv_string("endpointType"), type, jv_string("properties"),
	    jv_is_valid(inner) ? inner : jv_null()));
}

/* The mode decides whether there is a queue or a push, before the check. */
static jv
subscription_shape(jv given)
{
	static const char dl[] = "deadLetterDestinationWithResourceIdentity";
	jv delivery = jq_get(given, "deliveryConfiguration"), part, d;
	const char *mode, *name;
	bool push;

	if (jv_get_kind(delivery) == JV_KIND_NULL) {
		jv_free(delivery);
		delivery = jv_object();
	}
	if (jv_get_kind(delivery) != JV_KIND_OBJECT) {
		jv_free(delivery);
		return given;
	}
	mode = jq_str(delivery, "deliveryMode");
	push = mode != NULL && strcasecmp(mode, "Push") == 0;
	name = push ? "push" : "queue";
	part = jq_get(delivery, name);
	if (jv_get_kind(part) == JV_KIND_NULL && !push) {
		jv_free(part);
		part = jv_object();
	}
	if (jv_get_kind(part) == JV_KIND_OBJECT) {
		d = jq_get(part, dl);
		if (jv_get_kind(d) == JV_KIND_OBJECT)
			part = jv_object_set(part, jv_string(dl), unfold(d));
		else
			jv_free(d);
	}
	delivery = jv_object_set(delivery, jv_string(name), part);
	return jv_object_set(given, jv_string("deliveryConfiguration"),
	    delivery);
}

/* The account that every namespace has of its own. */
static jv
local_account(const struct making *m)
{
	const char *id = m->namespace_id;
	const char *end = strstr(id, "/providers/");

	return jv_string_fmt("%.*s/providers/Microsoft.Storage/"
	    "storageAccounts/local", (int)(end - id), id);
}

static jv
default_dead_letter(const struct making *m)
{
	return JV_OBJECT(jv_string("deadLetterDestination"), JV_OBJECT(
	    jv_string("endpointType"), jv_string("StorageBlob"),
	    jv_string("properties"), JV_OBJECT(
	    jv_string("resourceId"), local_account(m),
	    jv_string("blobContainerName"), jv_string("deadletter"))),
	    jv_string("deliveryRetryPeriodInDays"), jv_number(2));
}

static bool
check_ttl(struct making *m, jv properties, const char *mode)
{
	int64_t us = time_to_live(properties, mode), retention;
	char topic[SCHEMA_PATH], days[32];
	jv t;

	if (us == 0 && jq_str(properties, !strcmp(mode, "queue") ?
	    "deliveryConfiguration.queue.eventTimeToLive" :
	    "deliveryConfiguration.push.eventTimeToLive") == NULL)
		return true;
	snprintf(topic, sizeof(topic), "%.*s",
	    (int)(strstr(m->path, "/eventSubscriptions/") - m->path), m->path);
	t = registry_get(m->registry, topic);
	retention = jq_int(jq_get(t, "properties.eventRetentionInDays"), 0);
	jv_free(t);
	snprintf(days, sizeof(days), "P%dD", (int)retention);
	down(&m->check, "deliveryConfiguration");
	down(&m->check, mode);
	down(&m->check, "eventTimeToLive");
	if (us < TTL_STEP || us % TTL_STEP != 0)
		bad(&m->check, "must be whole minutes, PT1M or more");
	else if (us > retention * CLOCK_DAY)
		bad(&m->check, "is more than the topic's retention, %s", days);
	else {
		up(&m->check, 0);
		return true;
	}
	return false;
}

#define PUSH "deliveryConfiguration.push"

/* Where a push subscription (not consumed) has its destination: NULL for
 * nowhere, or in both places. */
static const char *
destination_path(jv properties)
{
	static const char *const paths[] = { PUSH ".destination",
		PUSH ".deliveryWithResourceIdentity.destination" };
	const char *found = NULL;

	for (int i = 0; i < 2; i++) {
		jv v = jq_get(properties, paths[i]);
		bool there = jv_get_kind(v) == JV_KIND_OBJECT;

		jv_free(v);
		if (there && found != NULL)
			return NULL;
		if (there)
			found = paths[i];
	}
	return found;
}

jv
schema_destination(jv subscription)
{
	jv properties = jq_get(subscription, "properties");
	const char *path = destination_path(properties);
	jv v = path == NULL ? jv_null() : jq_get(properties, path);

	jv_free(properties);
	return v;
}

/* The path of a member of the destination's properties. */
static const char *
destination_member(char path[128], const char *destination, const char *name)
{
	snprintf(path, 128, "%s.properties.%s", destination, name);
	return path;
}

static bool
check_mappings(struct making *m, jv properties, const char *destination)
{
	char path[128];
	const char *type, *application;
	struct fault f;
	jv list;
	int rc;

	snprintf(path, sizeof(path), "%s.endpointType", destination);
	type = jq_str(properties, path);
	application = jq_str(properties, destination_member(path, destination,
	    "azureActiveDirectoryApplicationIdOrUri"));
	list = jq_get(properties, destination_member(path, destination,
	    "deliveryAttributeMappings"));
	rc = mappings_check(list, application != NULL ||
	    strcmp(type, "WebHook") != 0, &f);
	jv_free(list);
	if (rc == 0)
		return true;
	down(&m->check, path);
	bad(&m->check, "%s", f.text);
	return false;
}

static bool
check_batch(struct making *m, jv properties, const char *destination)
{
	const char *mode = jq_str(properties, PUSH ".contentMode");
	char path[128];

	destination_member(path, destination, "maxEventsPerBatch");
	if (strcmp(mode, "binary") != 0 ||
	    jq_int(jq_get(properties, path), 0) <= 1)
		return true;
	down(&m->check, path);
	bad(&m->check, "contentMode is binary, which has room for one event "
	    "only: no more than 1");
	return false;
}

static bool
check_push(struct making *m, jv properties)
{
	const char *destination = destination_path(properties);

	if (destination != NULL)
		return check_mappings(m, properties, destination) &&
		    check_batch(m, properties, destination);
	down(&m->check, PUSH);
	bad(&m->check, "needs either destination or "
	    "deliveryWithResourceIdentity");
	return false;
}

/* What of a webhook's URL may be shown. */
static jv
give_base_url(jv properties)
{
	const char *destination = destination_path(properties), *url;
	char path[128];
	jv base;

	if (destination == NULL || (url = jq_str(properties,
	    destination_member(path, destination, "endpointUrl"))) == NULL)
		return properties;
	base = jv_string_sized(url, (int)strcspn(url, "?#"));
	return jq_set(properties, destination_member(path, destination,
	    "endpointBaseUrl"), base);
}

static bool
check_filters(struct making *m, jv properties)
{
	struct filter *filter;
	struct fault f = { 0 };

	filter = filter_compile(jq_get(properties, "filtersConfiguration"),
	    &f);
	if (filter == NULL) {
		fault_set(m->check.fault, f.code, "filtersConfiguration.%s",
		    f.text);
		return false;
	}
	filter_free(filter);
	return true;
}

/* Every subscription has a dead-letter destination unless it says so. */
static jv
give_dead_letter(struct making *m, jv properties, const char *mode)
{
	jv none = jq_get(properties, "noDeadLetter"), there, allowed;
	bool without = jv_get_kind(none) == JV_KIND_TRUE, has, may;
	char path[96];

	snprintf(path, sizeof(path), "deliveryConfiguration.%s."
	    "deadLetterDestinationWithResourceIdentity", mode);
	there = jq_get(properties, path);
	has = jv_get_kind(there) == JV_KIND_OBJECT;
	allowed = jq_get(m->namespace, "properties.allowNoDeadLetter");
	may = jv_get_kind(allowed) != JV_KIND_FALSE;
	jv_free(none);
	jv_free(there);
	jv_free(allowed);
	if (!without)
		return has ? properties :
		    jq_set(properties, path, default_dead_letter(m));
	jv_free(properties);
	if (has) {
		down(&m->check, path);
		return bad(&m->check, "contradicts noDeadLetter");
	}
	down(&m->check, "noDeadLetter");
	if (!may)
		return bad(&m->check, "the namespace's allowNoDeadLetter is "
		    "false");
	return jv_null();
}

static jv
subscription_rules(struct making *m, jv properties)
{
	const char *mode = jq_str(properties,
	    "deliveryConfiguration.deliveryMode");
	bool push = strcmp(mode, "Push") == 0;
	const char *part = push ? "push" : "queue";
	const char *other = push ? "queue" : "push";
	jv delivery = jq_get(properties, "deliveryConfiguration"), v, copy;
	bool ok = true;

	v = jq_get(delivery, other);
	if (jv_get_kind(v) != JV_KIND_NULL) {
		down(&m->check, "deliveryConfiguration");
		down(&m->check, other);
		bad(&m->check, "deliveryMode is %s", mode);
		ok = false;
	}
	jv_free(v);
	jv_free(delivery);
	if (ok && push)
		ok = check_push(m, properties);
	if (!ok || !check_ttl(m, properties, part) ||
	    !check_filters(m, properties)) {
		jv_free(properties);
		return jv_invalid();
	}
	properties = give_base_url(properties);
	copy = jv_copy(properties);
	v = give_dead_letter(m, properties, part);
	if (jv_get_kind(v) != JV_KIND_NULL) {
		jv_free(copy);
		return v;
	}
	up(&m->check, 0);
	return copy;
}

struct retention {
	int64_t days;
	struct fault *fault;
};

static int
fits_retention(const char *path, jv subscription, void *arg)
{
	struct retention *r = arg;
	jv properties = jq_get(subscription, "properties");
	bool ok = subscription_ttl(properties) <= r->days * CLOCK_DAY;

	jv_free(properties);
	jv_free(subscription);
	if (ok)
		return 0;
	return fault_set(r->fault, FAULT_BAD_REQUEST, "eventRetentionInDays: "
	    "eventTimeToLive of %s is more", path);
}

static jv
topic_rules(struct making *m, jv properties)
{
	struct retention r = {
		jq_int(jq_get(properties, "eventRetentionInDays"), 0),
		m->check.fault
	};
	char prefix[SCHEMA_PATH + 1];

	snprintf(prefix, sizeof(prefix), "%s/", m->path);
	if (!jv_is_valid(m->old) || registry_each(m->registry, prefix,
	    fits_retention, &r) == 0)
		return properties;
	jv_free(properties);
	return jv_invalid();
}

static bool
good_attribute(jv v)
{
	double n;

	switch (jv_get_kind(v)) {
	case JV_KIND_STRING:
	case JV_KIND_TRUE:
	case JV_KIND_FALSE:
		return true;
	case JV_KIND_NUMBER:
		n = jv_number_value(v);
		return n == floor(n);
	case JV_KIND_ARRAY:
		jv_array_foreach(v, i, item) {
			bool ok = jv_get_kind(item) == JV_KIND_STRING;

			jv_free(item);
			if (!ok)
				return false;
		}
		return true;
	default:
		return false;
	}
}

static bool
check_attributes(struct making *m, jv attributes)
{
	struct check *c = &m->check;
	bool ok = true;
	jv text;

	if (jv_get_kind(attributes) != JV_KIND_OBJECT)
		return true;
	down(c, "attributes");
	jv_object_foreach(attributes, key, value) {
		const char *name = jv_string_value(key);
		size_t level = down(c, name);

		if (ok && (name[0] == '\0' || name[strspn(name, "abcdefgh"
		    "ijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")]
		    != '\0')) {
			bad(c, "a name has letters, digits and _ only");
			ok = false;
		} else if (ok && !good_attribute(value)) {
			bad(c, "must be a whole number, true, false, a string "
			    "or an array of strings");
			ok = false;
		}
		up(c, level);
		jv_free(key);
		jv_free(value);
	}
	text = jv_dump_string(jv_copy(attributes), 0);
	if (ok && jv_string_length_bytes(jv_copy(text)) >= ATTRIBUTES_MAX) {
		bad(c, "more than %d bytes in all", ATTRIBUTES_MAX);
		ok = false;
	}
	jv_free(text);
	up(c, 0);
	return ok;
}

static bool
check_thumbprints(struct making *m, jv properties)
{
	jv list = jq_get(properties,
	    "clientCertificateAuthentication.allowedThumbprints");
	const char *scheme = jq_str(properties,
	    "clientCertificateAuthentication.validationScheme");
	bool some = jv_get_kind(list) == JV_KIND_ARRAY &&
	    jv_array_length(jv_copy(list)) > 0;

	jv_free(list);
	if (some == (strcmp(scheme, "ThumbprintMatch") == 0))
		return true;
	down(&m->check, "clientCertificateAuthentication");
	down(&m->check, "allowedThumbprints");
	if (some)
		bad(&m->check, "only with ThumbprintMatch");
	else
		bad(&m->check, "ThumbprintMatch needs one or two");
	return false;
}

static jv
client_rules(struct making *m, jv properties)
{
	jv attributes = jq_get(properties, "attributes");
	bool ok = check_attributes(m, attributes) &&
	    check_thumbprints(m, properties);

	jv_free(attributes);
	if (ok)
		return properties;
	jv_free(properties);
	return jv_invalid();
}

/* How often is this the key of an enrichment? The list is not consumed. */
static int
count_keys(jv enrichments, const char *key)
{
	int n = 0;

	jv_array_foreach(enrichments, i, one) {
		n += strcmp(jq_str(one, "key"), key) == 0;
		jv_free(one);
	}
	return n;
}

/* Static and dynamic ones together: not too many, and no key twice. */
static bool
check_enrichments(struct making *m, jv p)
{
	static const char at[] = "topicSpacesConfiguration.routingEnrichments";
	jv fixed = jq_get(p, "topicSpacesConfiguration.routingEnrichments."
	    "static");
	jv all = jq_get(p, "topicSpacesConfiguration.routingEnrichments."
	    "dynamic");
	bool ok;

	all = jv_get_kind(all) == JV_KIND_ARRAY ? all : jv_array();
	if (jv_get_kind(fixed) == JV_KIND_ARRAY)
		all = jv_array_concat(all, fixed);
	if (!(ok = jv_array_length(jv_copy(all)) <= ENRICH_MAX)) {
		down(&m->check, at);
		bad(&m->check, "more than %d in all", ENRICH_MAX);
	}
	jv_array_foreach(all, i, one) {
		const char *key = jq_str(one, "key");

		if (ok && count_keys(all, key) > 1) {
			down(&m->check, at);
			bad(&m->check, "key '%s' is there twice", key);
			ok = false;
		}
		jv_free(one);
	}
	jv_free(all);
	return ok;
}

/* Identity and host names: made up, but always the same. */
static jv
namespace_identity(struct making *m, jv p)
{
	const char *name = jq_str(m->namespace, "name");
	const char *type = jq_str(p, "identity.type");
	const char *location = jq_str(p, "location");
	char uuid[UUID_SIZE], words[SCHEMA_PATH];
	bool system = strstr(type, "SystemAssigned") != NULL;
	jv host = jv_string_fmt("%s.%s-1.eventgrid.azure.net", name, location);
	jv mqtt = jv_string_fmt("%s.%s-1.ts.eventgrid.azure.net", name,
	    location);
	jv identity = jq_get(p, "identity");

	identity = jv_object_delete(identity, jv_string("principalId"));
	identity = jv_object_delete(identity, jv_string("tenantId"));
	if (system) {
		snprintf(words, sizeof(words), "principal %s", name);
		uuid_of(uuid, words);
		identity = jq_set(identity, "principalId", jv_string(uuid));
		uuid_of(uuid, "tenant");
		identity = jq_set(identity, "tenantId", jv_string(uuid));
	}
	p = jq_set(p, "identity", identity);
	p = jq_set(p, "topicsConfiguration.hostname", host);
	return jq_set(p, "topicSpacesConfiguration.hostname", mqtt);
}

/* A topic may be given by its name or path: kept is its resource id, and "" is
 * none. */
static jv
topic_id(struct making *m, jv p, const char *where)
{
	const char *given = jq_str(p, where);
	char path[SCHEMA_PATH];

	if (given == NULL || given[0] == '/')
		return p;
	if (given[0] == '\0')
		return jv_delpaths(p, JV_ARRAY(jv_string_split(
		    jv_string(where), jv_string("."))));
	if (strchr(given, '/') == NULL)
		snprintf(path, sizeof(path), "topics/%s", given);
	else
		schema_id_path(m->registry, given, path, NULL);
	return jq_set(p, where, jv_string_fmt("%s/%s", m->namespace_id, path));
}

static jv
namespace_rules(struct making *m, jv p)
{
	if (!check_enrichments(m, p)) {
		jv_free(p);
		return jv_invalid();
	}
	p = topic_id(m, p, "topicSpacesConfiguration.routeTopicResourceId");
	p = topic_id(m, p, "lifecycleTopicResourceId");
	return namespace_identity(m, p);
}

/* From when to when it is valid stands in the certificate itself. */
static jv
certificate_rules(struct making *m, jv p)
{
	char issued[CLOCK_TEXT + 1], expires[CLOCK_TEXT + 1];
	int64_t from, to;
	struct fault f;

	if (cert_authority(jq_str(p, "encodedCertificate"), &from, &to, &f)
	    == -1) {
		jv_free(p);
		down(&m->check, "encodedCertificate");
		return bad(&m->check, "%s", f.text);
	}
	clock_format(issued, from);
	clock_format(expires, to);
	p = jq_set(p, "issueTimeInUtc", jv_string(issued));
	return jq_set(p, "expiryTimeInUtc", jv_string(expires));
}

static const char *const principals[] = { "user:", "uid:", "group:" };

static bool
good_principal(const char *name)
{
	for (int i = 0; i < 3; i++) {
		size_t len = strlen(principals[i]);

		if (strncmp(name, principals[i], len) == 0)
			return name[len] != '\0' && (i != 1 ||
			    name[len + strspn(name + len, "0123456789")]
			    == '\0');
	}
	return strlen(name) == UUID_SIZE - 1 && strspn(name,
	    "0123456789abcdefABCDEF-") == UUID_SIZE - 1;
}

/* The scope becomes a full id; what is ours must exist. */
static jv
role_rules(struct making *m, jv p)
{
	const char *scope = jq_str(p, "scope"), *id = m->namespace_id;
	char path[SCHEMA_PATH], q[QUOTE_MAX];

	if (!good_principal(jq_str(p, "principalName"))) {
		jv_free(p);
		down(&m->check, "principalName");
		return bad(&m->check, "must be user:NAME, uid:N, group:NAME or "
		    "an identity's id");
	}
	if (scope[0] == '/' && strcasestr(scope, provider) == NULL)
		return p;
	if (schema_id_path(m->registry, scope, path, m->check.fault) == -1) {
		jv_free(p);
		return jv_invalid();
	}
	if (!registry_has(m->registry, path)) {
		quote(q, scope, strlen(scope));
		jv_free(p);
		down(&m->check, "scope");
		fault_set(m->check.fault, FAULT_NOT_FOUND,
		    "scope: there is no '%s'", q);
		return jv_invalid();
	}
	return jq_set(p, "scope", strcmp(path, "namespace") == 0 ?
	    jv_string(id) : jv_string_fmt("%s/%s", id, path));
}

static jv
apply_rules(struct making *m, const struct schema_noun *noun, jv properties)
{
	switch (noun->kind) {
	case SCHEMA_NAMESPACE:
		return namespace_rules(m, properties);
	case SCHEMA_TOPIC:
		return topic_rules(m, properties);
	case SCHEMA_SUBSCRIPTION:
		return subscription_rules(m, properties);
	case SCHEMA_CLIENT:
		return client_rules(m, properties);
	case SCHEMA_ROLE_ASSIGNMENT:
		return role_rules(m, properties);
	case SCHEMA_CA_CERTIFICATE:
		return certificate_rules(m, properties);
	case SCHEMA_CLIENT_GROUP:
	case SCHEMA_TOPIC_SPACE:
	case SCHEMA_PERMISSION_BINDING:
	case SCHEMA_KINDS:
		break;
	}
	return properties;
}

/* ---- making ---- */

/* What the caller may leave in: it is ours to say. */
static jv
strip(jv given)
{
	static const char *const ours[] = {
		"id", "name", "type", "uid", "systemData", "keys"
	};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		given = jv_object_delete(given, jv_string(ours[i]));
	return given;
}

static jv
system_data(jv old, const char *who)
{
	char now[CLOCK_TEXT + 1];

	clock_format(now, clock_now());
	if (jv_get_kind(old) != JV_KIND_OBJECT) {
		jv_free(old);
		old = JV_OBJECT(jv_string("createdBy"), jv_string(who),
		    jv_string("createdByType"), jv_string("User"),
		    jv_string("createdAt"), jv_string(now));
	}
	old = jv_object_set(old, jv_string("lastModifiedBy"), jv_string(who));
	old = jv_object_set(old, jv_string("lastModifiedByType"),
	    jv_string("User"));
	return jv_object_set(old, jv_string("lastModifiedAt"),
	    jv_string(now));
}

static jv
make_keys(jv given, jv old)
{
	jv keys = jq_get(given, "keys"), two;

	if (good_keys(keys)) {
		two = JV_OBJECT(jv_string("key1"), jq_get(keys, "key1"),
		    jv_string("key2"), jq_get(keys, "key2"));
		jv_free(keys);
		return two;
	}
	jv_free(keys);
	return jv_is_valid(old) ? jq_get(old, "keys") :
	    schema_keys(jv_null(), NULL);
}

/* Put the hoisted members where ARM has them, behind id and the like. */
static jv
assemble(const struct schema_noun *noun, jv out, jv checked)
{
	jv properties = jv_object(), value;

	for (const struct schema *m = noun->self.of; m->name != NULL; m++) {
		value = jv_object_get(jv_copy(checked), jv_string(m->name));
		if (!jv_is_valid(value))
			jv_free(value);
		else if (m->flags & SCHEMA_TOP)
			out = jv_object_set(out, jv_string(m->name), value);
		else
			properties = jv_object_set(properties,
			    jv_string(m->name), value);
	}
	jv_free(checked);
	return jv_object_set(out, jv_string("properties"), properties);
}

static jv
identify(const struct making *m, const struct schema_noun *noun)
{
	const char *name = strrchr(m->path, '/');
	jv id = noun->kind == SCHEMA_NAMESPACE ? jq_get(m->namespace, "id") :
	    jv_string_fmt("%s/%s", m->namespace_id, m->path);
	char uuid[UUID_SIZE];

	uuid_new(uuid);
	return JV_OBJECT(jv_string("id"), id, jv_string("name"),
	    noun->kind == SCHEMA_NAMESPACE ? jq_get(m->namespace, "name") :
	    jv_string(name + 1), jv_string("type"), jv_string(noun->type),
	    jv_string("uid"), jv_is_valid(m->old) ? jq_get(m->old, "uid") :
	    jv_string(uuid));
}

static jv
finish(struct making *m, const struct schema_noun *noun, jv given, jv checked,
    const char *who, bool *changed)
{
	jv out = assemble(noun, identify(m, noun), checked);

	if (noun->kind <= SCHEMA_TOPIC)
		out = jv_object_set(out, jv_string("keys"),
		    make_keys(given, m->old));
	jv_free(given);
	if (jv_is_valid(m->old)) {
		out = jv_object_set(out, jv_string("systemData"),
		    jq_get(m->old, "systemData"));
		*changed = !jv_equal(jv_copy(out), jv_copy(m->old));
		if (!*changed)
			return out;
	}
	*changed = true;
	return jv_object_set(out, jv_string("systemData"), system_data(
	    jv_is_valid(m->old) ? jq_get(m->old, "systemData") : jv_null(),
	    who));
}

/* A subscription's topic has to be there before the subscription. */
static bool
parent_exists(struct making *m, const struct schema_noun *noun)
{
	char topic[SCHEMA_PATH];

	if (noun->kind != SCHEMA_SUBSCRIPTION)
		return true;
	snprintf(topic, sizeof(topic), "%.*s",
	    (int)(strstr(m->path, "/eventSubscriptions/") - m->path), m->path);
	if (registry_has(m->registry, topic))
		return true;
	fault_set(m->check.fault, FAULT_NOT_FOUND, "%s: not found", topic);
	return false;
}

/* The secret value of a mapping of that name; invalid: there is none. */
static jv
secret_value(jv list, const char *name)
{
	jv value = jv_invalid();

	jv_array_foreach(list, i, one) {
		const char *its = jq_str(one, "name");
		jv secret = jq_get(one, "properties.isSecret");

		if (!jv_is_valid(value) && its != NULL && name != NULL &&
		    strcasecmp(its, name) == 0 &&
		    jv_get_kind(secret) == JV_KIND_TRUE)
			value = jq_get(one, "properties.value");
		jv_free(secret);
		jv_free(one);
	}
	return value;
}

/* Secret values were not shown: those that are missing are what they were. */
static jv
keep_values(jv list, jv old)
{
	jv out = jv_array(), secret, value, kept;

	jv_array_foreach(list, i, one) {
		secret = jq_get(one, "properties.isSecret");
		value = jq_get(one, "properties.value");
		kept = jv_get_kind(secret) == JV_KIND_TRUE &&
		    jv_get_kind(value) == JV_KIND_NULL ?
		    secret_value(old, jq_str(one, "name")) : jv_invalid();
		jv_free(secret);
		jv_free(value);
		if (jv_is_valid(kept))
			one = jq_set(one, "properties.value", kept);
		else
			jv_free(kept);
		out = jv_array_append(out, one);
	}
	jv_free(list);
	return out;
}

static jv
keep_secrets(struct making *m, jv given)
{
	const char *at = destination_path(given), *was;
	jv old = schema_hoist(jv_copy(m->old)), list, values;
	char path[128];

	was = destination_path(old);
	if (at == NULL || was == NULL) {
		jv_free(old);
		return given;
	}
	values = jq_get(old, destination_member(path, was,
	    "deliveryAttributeMappings"));
	list = jq_get(given, destination_member(path, at,
	    "deliveryAttributeMappings"));
	if (jv_get_kind(list) == JV_KIND_ARRAY &&
	    jv_get_kind(values) == JV_KIND_ARRAY)
		given = jq_set(given, path, keep_values(list, values));
	else
		jv_free(list);
	jv_free(values);
	jv_free(old);
	return given;
}

static jv
prepare(struct making *m, const struct schema_noun *noun, jv given)
{
	if (noun->kind == SCHEMA_SUBSCRIPTION && jv_is_valid(m->old))
		given = keep_secrets(m, given);
	if (noun->kind == SCHEMA_SUBSCRIPTION)
		return subscription_shape(given);
	if (noun->kind == SCHEMA_CLIENT && !jv_is_valid(m->old) &&
	    jq_str(given, "authenticationName") == NULL)
		return jv_object_set(given, jv_string("authenticationName"),
		    jv_string(strchr(m->path, '/') + 1));
	return given;
}

jv
schema_make(struct registry *r, const char *path, jv given, const char *who,
    bool *changed, struct fault *f)
{
	const struct schema_noun *noun = schema_noun(path);
	struct making m = { .registry = r, .path = path };
	jv checked, keep = jv_copy(given), out = jv_invalid();

	m.check.fault = f;
	m.old = r == NULL ? jv_invalid() : registry_get(r, path);
	m.namespace = noun->kind == SCHEMA_NAMESPACE && !jv_is_valid(m.old) ?
	    jv_copy(given) : registry_get(r, "namespace");
	m.namespace_id = jq_str(m.namespace, "id");
	if (m.namespace_id == NULL) {
		fault_set(f, FAULT_NOT_FOUND, "there is no namespace yet: "
		    "egns-ctl namespace create");
		jv_free(given);
	} else if (!parent_exists(&m, noun))
		jv_free(given);
	else {
		checked = check_value(&m.check, &noun->self,
		    prepare(&m, noun, strip(given)), jv_is_valid(m.old) ?
		    schema_hoist(jv_copy(m.old)) : jv_invalid());
		if (jv_is_valid(checked))
			checked = apply_rules(&m, noun, checked);
		if (jv_is_valid(checked))
			out = finish(&m, noun, jv_copy(keep), checked, who,
			    changed);
	}
	jv_free(keep);
	jv_free(m.old);
	jv_free(m.namespace);
	buf_free(&m.check.path);
	return out;
}

/* ---- names between resources ---- */

struct naming {
	struct buf list;
	int n;
};

static int
name_topic(const char *path, const char *text, size_t len, void *arg)
{
	struct naming *n = arg;
	const char *name = path + strlen("topics/");

	(void)text, (void)len;
	if (strchr(name, '/') != NULL)
		return 0;
	buf_printf(&n->list, "%s%s", n->n == 0 ? "; there is " : ", ",
	    n->n == TOPICS_NAMED ? "..." : name);
	return n->n++ == TOPICS_NAMED;
}

static int
no_such_topic(struct registry *r, const char *field, const char *what,
    struct fault *f)
{
	struct naming n = { .n = 0 };
	char q[QUOTE_MAX];
	int rc;

	registry_each_text(r, "topics/", name_topic, &n);
	rc = fault_set(f, FAULT_BAD_REQUEST,
	    "namespace: %s: there is no topic '%s'%.*s", field,
	    quote(q, what, strlen(what)), (int)n.list.len, n.list.len == 0 ?
	    "" : buf_data(&n.list));
	buf_free(&n.list);
	return rc;
}

static int
custom_link(jv namespace, const char *field, const char *id, struct fault *f)
{
	jv entry = endpoint_find(namespace, id);
	bool found = jv_get_kind(entry) != JV_KIND_NULL;
	const char *url = jq_str(entry, "url");
	bool good = url != NULL && endpoint_check_url(url, NULL) == 0;
	char q[QUOTE_MAX];

	jv_free(entry);
	if (good)
		return 0;
	return fault_set(f, FAULT_BAD_REQUEST, "namespace: %s: endpoints have "
	    "no %s for the custom topic '%s'", field,
	    found ? "https:// url" : "entry", quote(q, id, strlen(id)));
}

/*
 * A resource id that names a topic: of ours it must exist when it is set. It
 * may be deleted later: what goes there is dropped then, and recorded. Where a
 * custom topic is must be known as long as it is named.
 */
static int
topic_link(struct registry *r, jv namespace, jv before, const char *where,
    struct fault *f)
{
	const char *id = jq_str(namespace, where), *old = jq_str(before, where);
	const char *field = strrchr(where, '.') + 1;
	char path[SCHEMA_PATH];

	if (id == NULL)
		return 0;
	if (strcasestr(id, "/providers/Microsoft.EventGrid/topics/") != NULL)
		return custom_link(namespace, field, id, f);
	if (old != NULL && strcmp(id, old) == 0)
		return 0;
	if (schema_id_path(r, id, path, NULL) == -1 ||
	    strncmp(path, "topics/", 7) != 0)
		return no_such_topic(r, field, id, f);
	if (!registry_has(r, path))
		return no_such_topic(r, field, path + 7, f);
	return 0;
}

struct links {
	struct registry *registry;
	struct fault *fault;
	int64_t topics, subscriptions; /* of the latest topic */
};

static int
binding_link(const char *path, jv binding, void *arg)
{
	struct links *l = arg;
	const char *group = jq_str(binding, "properties.clientGroupName");
	const char *space = jq_str(binding, "properties.topicSpaceName");
	char target[SCHEMA_PATH], q[QUOTE_MAX];
	int rc = 0;

	snprintf(target, sizeof(target), "clientGroups/%s", group);
	if (strcmp(group, "$all") != 0 && !registry_has(l->registry, target))
		rc = fault_set(l->fault, FAULT_BAD_REQUEST,
		    "%s: clientGroupName: there is no client group '%s'", path,
		    quote(q, group, strlen(group)));
	snprintf(target, sizeof(target), "topicSpaces/%s", space);
	if (rc == 0 && !registry_has(l->registry, target))
		rc = fault_set(l->fault, FAULT_BAD_REQUEST,
		    "%s: topicSpaceName: there is no topic space '%s'", path,
		    quote(q, space, strlen(space)));
	jv_free(binding);
	return rc;
}

static int
count_topics(const char *path, jv resource, void *arg)
{
	struct links *l = arg;

	jv_free(resource);
	if (schema_noun(path)->kind == SCHEMA_TOPIC) {
		l->topics++;
		l->subscriptions = 0;
	} else if (++l->subscriptions > SUBSCRIPTIONS_PER_TOPIC)
		return fault_set(l->fault, FAULT_TOO_MANY,
		    "%s: a topic has at most %d subscriptions", path,
		    SUBSCRIPTIONS_PER_TOPIC);
	return 0;
}

/* Limits of a namespace, mqtt-broker reference 18. */
static const struct {
	const char *prefix;
	int max;
} limits[] = {
	{ "clientGroups/", 10 },
	{ "topicSpaces/", 10 },
	{ "permissionBindings/", 100 },
	{ "caCertificates/", 11 }, /* ten, and that of `cert issue` */
};

static int
count_one(const char *path, const char *text, size_t len, void *arg)
{
	int *n = arg;

	(void)path;
	(void)text;
	(void)len;
	++*n;
	return 0;
}

static int
within_limits(struct registry *r, struct fault *f)
{
	int n;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		n = 0;
		if (registry_each_text(r, limits[i].prefix, count_one, &n) ==
		    -1)
			return fault_set(f, FAULT_INTERNAL, "out of memory");
		if (n > limits[i].max)
			return fault_set(f, FAULT_TOO_MANY, "%.*s: a namespace "
			    "has at most %d", (int)strlen(limits[i].prefix) - 1,
			    limits[i].prefix, limits[i].max);
	}
	return 0;
}

/* No two clients have the same authentication name. */
static int
unique_names(struct registry *r, struct fault *f)
{
	jv one, other;

	if (!registry_twins(r, &one, &other))
		return 0;
	fault_set(f, FAULT_CONFLICT, "%s: authenticationName: %s has it; case "
	    "does not count", jv_string_value(one), jv_string_value(other));
	jv_free(one);
	jv_free(other);
	return -1;
}

int
schema_links(struct registry *r, struct fault *f)
{
	struct links l = { .registry = r, .fault = f };
	jv namespace = registry_get(r, "namespace");
	jv before = registry_stored(r, "namespace");
	int64_t units = jq_int(jq_get(namespace, "sku.capacity"), 0);
	int rc;

	rc = topic_link(r, namespace, before, SCHEMA_ROUTE, f);
	if (rc == 0)
		rc = topic_link(r, namespace, before, SCHEMA_LIFECYCLE, f);
	if (rc == 0)
		rc = registry_each(r, "permissionBindings/", binding_link, &l);
	if (rc == 0)
		rc = registry_each(r, "topics/", count_topics, &l);
	if (rc == 0)
		rc = unique_names(r, f);
	if (rc == 0)
		rc = within_limits(r, f);
	if (rc == 0 && l.topics > units * TOPICS_PER_UNIT)
		rc = fault_set(f, FAULT_TOO_MANY, "topics: at most %d a "
		    "throughput unit: raise sku.capacity", TOPICS_PER_UNIT);
	jv_free(namespace);
	jv_free(before);
	return rc;
}

/* ---- help ---- */

void
schema_describe(struct buf *b, const struct schema *m)
{
	static const char *const names[] = {
		[SCHEMA_STRING] = "string", [SCHEMA_INT] = "number",
		[SCHEMA_BOOL] = "true|false", [SCHEMA_ENUM] = "",
		[SCHEMA_TIME] = "time", [SCHEMA_DURATION] = "duration",
		[SCHEMA_ADDRESS] = "HOST:PORT", [SCHEMA_ANY] = "JSON",
		[SCHEMA_OBJECT] = "{...}", [SCHEMA_VARIANT] = "{...}",
		[SCHEMA_ARRAY] = "[...]", [SCHEMA_MAP] = "{NAME:VALUE,...}",
	};
	const char *p = m->values, *from, *to;
	size_t from_len, to_len;

	buf_str(b, names[m->type]);
	for (const char *sep = ""; m->type == SCHEMA_ENUM && p != NULL;) {
		p = next_value(p, &from, &from_len, &to, &to_len);
		if (from != to)
			continue;
		buf_printf(b, "%s%.*s", sep, (int)to_len, to);
		sep = "|";
	}
	if (m->type == SCHEMA_INT && m->max != 0)
		buf_printf(b, " %lld..%lld", (long long)m->min,
		    (long long)m->max);
	if (m->dflt != NULL && strcmp(m->dflt, "{}") != 0)
		buf_printf(b, " (%s)", m->dflt);
	if (m->flags & SCHEMA_REQUIRED)
		buf_str(b, ", required");
	if (m->flags & SCHEMA_FIXED)
		buf_str(b, ", fixed after creation");
	if (m->flags & SCHEMA_SECRET)
		buf_str(b, ", not shown");
	if (m->help != NULL)
		buf_printf(b, "; %s", m->help);
	buf_str(b, "\n");
}

static void
help_member(struct buf *b, const struct schema *m, const char *indent)
{
	buf_printf(b, "%s%s: ", indent, m->name);
	schema_describe(b, m);
}

static void
help_members(struct buf *b, const struct schema *list, const char *indent)
{
	for (; list->name != NULL; list++)
		if ((list->flags & (SCHEMA_READONLY | SCHEMA_TOLERATED)) == 0)
			help_member(b, list, indent);
}

void
schema_help(struct buf *b, const struct schema *s)
{
	if (s->type == SCHEMA_ARRAY) {
		buf_str(b, "an array; each element:\n");
		s = s->of;
	}
	if (s->type == SCHEMA_OBJECT)
		help_members(b, s->of, "  ");
	else if (s->type == SCHEMA_VARIANT)
		for (const struct schema *v = s->of; v->name != NULL; v++) {
			buf_printf(b, "  endpointType %s:\n", v->name);
			help_members(b, v->of, "    ");
		}
	else if (s->name != NULL)
		help_member(b, s, "  ");
	else
		buf_printf(b, "  %s\n", type_words[s->type]);
}
