#include "mapping.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "binding.h"
#include "jq.h"
#include "quote.h"

/* One of them: either a value or a field is there. */
struct mapping {
	char *name, *value, *field;
	bool secret;
};

struct mappings {
	size_t n;
	struct mapping of[MAPPINGS_MAX];
};

/* RFC 9110, 5.6.2 */
static bool
is_token(const char *s)
{
	static const char chars[] = "!#$%&'*+-.^_`|~0123456789"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	return *s != '\0' && s[strspn(s, chars)] == '\0';
}

/* Does who makes the request, or the message, need the name for itself? */
static bool
is_taken(const char *name)
{
	static const char *const prefixes[] = { "aeg-", "ce-", "ce_",
		"WebHook-" };
	/* the others besides are none that HTTP/2 would take */
	static const char *const names[] = { "Host", "Content-Length",
		"Content-Type", "Transfer-Encoding", "Connection", "Expect",
		"Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade" };

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncasecmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

/* UTF-8 that may be the value of a header. */
static bool
is_value(const char *s, size_t n)
{
	if (n > MAPPINGS_VALUE)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		/* U+0080 to U+009F are controls, too */
		if (c < ' ' || c == 0x7f || (c == 0xc2 && i + 1 < n &&
		    (unsigned char)s[i + 1] < 0xa0))
			return false;
	}
	return true;
}

/* A string member by path, NULL when there is none; valid while v is. */
static const char *
string(jv v, const char *path, size_t *len)
{
	jv member = jq_get(v, path);

	*len = jv_get_kind(member) != JV_KIND_STRING ? 0 :
	    (size_t)jv_string_length_bytes(jv_copy(member));
	jv_free(member);
	return jq_str(v, path);
}

/* HTTP has no spaces around a value, and HTTP/2 takes none. */
static const char *
trim(const char *s, size_t *n)
{
	for (; *n > 0 && *s == ' '; (*n)--)
		s++;
	while (*n > 0 && s[*n - 1] == ' ')
		(*n)--;
	return s;
}

static bool
is_dynamic(jv mapping)
{
	const char *type = jq_str(mapping, "type");

	return type != NULL && strcasecmp(type, "Dynamic") == 0;
}

static int
refuse(struct fault *f, const char *name, const char *why)
{
	char q[QUOTE_MAX];

	return fault_set(f, FAULT_BAD_REQUEST, "delivery attribute '%s': %s",
	    quote(q, name, strlen(name)), why);
}

static int
check_name(jv mapping, unsigned own, struct fault *f)
{
	size_t len;
	const char *name = string(mapping, "name", &len);

	if (name == NULL)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "a delivery attribute has no name");
	if (strlen(name) != len || !is_token(name))
		return refuse(f, name, "is no name of a header");
	if (is_taken(name) ||
	    (own & MAPPINGS_ORIGIN && strcasecmp(name, "Origin") == 0))
		return refuse(f, name, "the name is in use by the delivery");
	if (strcasecmp(name, "Authorization") != 0)
		return 0;
	if (is_dynamic(mapping))
		return refuse(f, name, "must be static");
	return own & MAPPINGS_TOKEN ? refuse(f, name,
	    "the delivery has a credential of its own") : 0;
}

static int
check_value(jv mapping, struct fault *f)
{
	const char *name = jq_str(mapping, "name"), *s;
	bool dynamic = is_dynamic(mapping);
	size_t len;

	s = string(mapping, dynamic ? "properties.sourceField" :
	    "properties.value", &len);
	if (s == NULL || (dynamic && len == 0))
		return refuse(f, name, dynamic ?
		    "a dynamic one needs a sourceField" :
		    "a static one needs a value");
	if (!is_value(s, len))
		return refuse(f, name, len > MAPPINGS_VALUE ?
		    "is over 4096 bytes" : "has control characters");
	return 0;
}

/* Is the name of the n-th one of those before it? */
static bool
is_again(jv list, int n, const char *name)
{
	bool again = false;

	for (int i = 0; i < n && !again; i++) {
		jv other = jv_array_get(jv_copy(list), i);

		again = strcasecmp(jq_str(other, "name"), name) == 0;
		jv_free(other);
	}
	return again;
}

static int
check_one(jv list, int i, jv mapping, unsigned own, struct fault *f)
{
	const char *name;

	if (check_name(mapping, own, f) == -1)
		return -1;
	name = jq_str(mapping, "name");
	if (is_again(list, i, name))
		return refuse(f, name, "is there twice");
	return check_value(mapping, f);
}

int
mappings_check(jv list, unsigned own, struct fault *f)
{
	int n, rc = 0;

	if (jv_get_kind(list) == JV_KIND_NULL)
		return 0;
	if (jv_get_kind(list) != JV_KIND_ARRAY)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "delivery attributes must be an array");
	n = jv_array_length(jv_copy(list));
	if (n > MAPPINGS_MAX)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "more than %d delivery attributes", MAPPINGS_MAX);
	for (int i = 0; i < n && rc == 0; i++) {
		jv mapping = jv_array_get(jv_copy(list), i);

		rc = check_one(list, i, mapping, own, f);
		jv_free(mapping);
	}
	return rc;
}

static bool
read_one(struct mapping *to, jv mapping)
{
	const char *name = jq_str(mapping, "name"), *value;
	jv secret = jq_get(mapping, "properties.isSecret");
	size_t n;

	to->secret = jv_get_kind(secret) == JV_KIND_TRUE;
	jv_free(secret);
	to->name = strdup(name);
	if (is_dynamic(mapping)) {
		to->field = strdup(jq_str(mapping, "properties.sourceField"));
	} else {
		value = trim(string(mapping, "properties.value", &n), &n);
		to->value = strndup(value, n);
	}
	return to->name != NULL && (to->field != NULL || to->value != NULL);
}

struct mappings *
mappings_new(jv list, struct fault *f)
{
	struct mappings *m;
	bool good = true;
	int n;

	if (mappings_check(list, 0, f) == -1)
		return NULL;
	m = calloc(1, sizeof(*m));
	n = jv_get_kind(list) == JV_KIND_NULL ? 0 :
	    jv_array_length(jv_copy(list));
	for (int i = 0; m != NULL && i < n; i++) {
		jv mapping = jv_array_get(jv_copy(list), i);

		good &= read_one(&m->of[m->n++], mapping);
		jv_free(mapping);
	}
	if (m != NULL && good)
		return m;
	mappings_free(m);
	fault_set(f, FAULT_INTERNAL, "out of memory");
	return NULL;
}

void
mappings_free(struct mappings *m)
{
	for (size_t i = 0; m != NULL && i < m->n; i++) {
		struct mapping *one = &m->of[i];

		if (one->value != NULL)
			explicit_bzero(one->value, strlen(one->value));
		free(one->name);
		free(one->value);
		free(one->field);
	}
	free(m);
}

bool
mappings_dynamic(const struct mappings *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->of[i].field != NULL)
			return true;
	return false;
}

/* A value of the event that is malformed is left out, like one that is not
 * there: the delivery is worth more than its header. */
static const char *
value_of(const struct mapping *m, const struct event *ev, struct buf *b)
{
	size_t n;

	if (m->value != NULL)
		return m->value;
	buf_reset(b, EVENT_MAX);
	if (ev == NULL || binding_field(ev, m->field, b) == -1 ||
	    !is_value(buf_data(b), b->len))
		return NULL;
	n = b->len;
	buf_take(b, (size_t)(trim(buf_data(b), &n) - buf_data(b)));
	b->len = n;
	buf_add(b, "", 1);
	return b->bad ? NULL : buf_data(b);
}

int
mappings_each(const struct mappings *m, const struct event *ev,
    int (*fn)(const char *, const char *, bool, void *), void *arg)
{
	struct buf b = { 0 };
	int rc = 0;

	for (size_t i = 0; i < m->n && rc == 0; i++) {
		const struct mapping *one = &m->of[i];
		const char *value = value_of(one, ev, &b);

		if (b.bad)
			rc = -1;
		else if (value != NULL)
			rc = fn(one->name, value, one->secret, arg);
	}
	buf_free(&b);
	return rc;
}
