#include "schema.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base64.h"
#include "clock.h"
#include "jq.h"
#include "quote.h"
#include "schema_rules.h"
#include "uuid.h"

#define KEY_BYTES 32

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
	const char *at = strcasestr(id, SCHEMA_PROVIDER), *name;
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
		at += strlen(SCHEMA_PROVIDER);
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
		    rules_prepare(&m, noun, strip(given)), jv_is_valid(m.old) ?
		    schema_hoist(jv_copy(m.old)) : jv_invalid());
		if (jv_is_valid(checked))
			checked = rules_apply(&m, noun, checked);
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
