/* The verbs on resources: create, show, list, update, delete, wait, keys. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "authority.h"
#include "buf.h"
#include "ctl.h"
#include "daemons.h"
#include "jq.h"
#include "maildir.h"
#include "odata.h"
#include "principal.h"
#include "query.h"
#include "request.h"
#include "session.h"
#include "storage.h"
#include "uuid.h"

/* ---- one resource ---- */

static jv
public(const struct schema_noun *noun, jv resource)
{
	return schema_hoist(schema_public(noun, resource));
}

/* The path that the flags, or one of --ids, name. 0, or a status. */
static int
target(struct request *r, struct session *s, const char *id,
    char path[SCHEMA_PATH])
{
	const struct schema_noun *noun;
	struct fault f;

	if (id != NULL) {
		if (schema_id_path(s->registry, id, path, &f) == -1 ||
		    (noun = schema_check_path(path, &f)) == NULL)
			return ctl_fault(&f);
		return noun == r->noun ? 0 : ctl_bad_usage(r->verb,
		    "'%s' is no %s", path, strrchr(r->noun->words, ' ') + 1);
	}
	if (r->noun->kind == SCHEMA_NAMESPACE) {
		strcpy(path, "namespace");
		return 0;
	}
	if (r->name == NULL)
		return ctl_bad_usage(r->verb, "--name is missing");
	if (r->noun->kind == SCHEMA_SUBSCRIPTION && r->topic == NULL)
		return ctl_bad_usage(r->verb, "--topic-name is missing");
	if (schema_path(path, r->noun, r->topic, r->name, &f) == -1)
		return ctl_fault(&f);
	return 0;
}

/* -g and --namespace-name (or the namespace's -n) must be this namespace's. */
static int
check_namespace(const struct request *r, struct session *s)
{
	return session_is(s, r->noun->kind == SCHEMA_NAMESPACE &&
	    r->namespace == NULL ? r->name : r->namespace);
}

static int
begin(struct request *r, struct session *s, bool write, struct ctl *ctl,
    const struct verb *verb, int argc, char *argv[])
{
	int rc = request_parse(r, ctl, verb, argc, argv);

	if (rc == 0)
		rc = session_open(s, ctl, write);
	if (rc == 0 && (rc = check_namespace(r, s)) != 0)
		session_close(s);
	return rc;
}

/* What is there, or a fault and a status. */
static jv
get(struct session *s, const char *path, int *status)
{
	jv v = registry_get(s->registry, path);
	struct fault f;

	if (jv_is_valid(v))
		return v;
	fault_set(&f, FAULT_NOT_FOUND, "%s: not found", path);
	*status = ctl_fault(&f);
	return v;
}

/*
 * Put what was asked for, and commit. What then is there is returned; invalid
 * and a status after a fault.
 */
static jv
put(struct session *s, const char *path, jv given, int *status)
{
	struct fault f = { 0 };
	bool changed = false;
	jv v = schema_make(s->registry, path, given, s->who, &changed, &f);

	if (!jv_is_valid(v)) {
		*status = ctl_fault(&f);
		return v;
	}
	if (changed && (registry_put(s->registry, path, jv_copy(v), &f) == -1 ||
	    schema_links(s->registry, &f) == -1))
		*status = ctl_fault(&f);
	else if (changed)
		*status = session_commit(s);
	if (*status == 0)
		return v;
	jv_free(v);
	return jv_invalid();
}

/* ---- create ---- */

/* An assignment is named by what it says, so that it exists once. */
static void
name_assignment(struct request *r, struct session *s, jv given,
    char name[UUID_SIZE])
{
	const char *who = jq_str(given, "principalName");
	const char *role = jq_str(given, "roleDefinitionName");
	const char *scope = jq_str(given, "scope");
	char words[1024], path[SCHEMA_PATH];

	if (r->name != NULL || who == NULL || role == NULL || scope == NULL)
		return;
	if (schema_id_path(s->registry, scope, path, NULL) == 0)
		scope = path;
	snprintf(words, sizeof(words), "%s %s %s", who, role, scope);
	for (char *p = words; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	uuid_of(name, words);
	r->name = name;
}

static int
create(struct request *r, struct session *s)
{
	char path[SCHEMA_PATH], name[UUID_SIZE];
	struct fault f;
	int status = 0;
	jv given = request_apply(r, jv_object(), &status), v;

	if (!jv_is_valid(given))
		return status;
	if (r->noun->kind == SCHEMA_ROLE_ASSIGNMENT) {
		name_assignment(r, s, given, name);
		if (r->name == NULL)
			r->name = "new";
	}
	if ((status = target(r, s, NULL, path)) != 0) {
		jv_free(given);
		return status;
	}
	if (registry_has(s->registry, path)) {
		jv_free(given);
		fault_set(&f, FAULT_CONFLICT, "%s exists already%s", path,
		    r->noun->kind == SCHEMA_ROLE_ASSIGNMENT ? "" :
		    "; update changes it");
		return ctl_fault(&f);
	}
	v = put(s, path, given, &status);
	return jv_is_valid(v) ? ctl_print(r->ctl, public(r->noun, v)) : status;
}

static int
cannot_make(const char *name, struct fault *f)
{
	return fault_errno(f, errno == EACCES ? FAULT_FORBIDDEN :
	    FAULT_INTERNAL, "%s", name);
}

/* Everything of DESIGN's tree that is there from the beginning. */
static int
make_skeleton(int dir, struct fault *f)
{
	static const char *const names[] = {
		"run", "topics", "dropped", "sessions",
		"containers/local/deadletter", "replay", "metrics",
	};
	static const char *const maildirs[] = {
		"route", "lifecycle", "deadletter",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (spool_mkdir(dir, names[i], 0755) == -1)
			return cannot_make(names[i], f);
	for (size_t i = 0; i < sizeof(maildirs) / sizeof(maildirs[0]); i++)
		if (maildir_make(dir, maildirs[i]) == -1)
			return cannot_make(maildirs[i], f);
	return 0;
}

/* The namespace's own identity may write to its own account. */
static int
grant_local(struct session *s, jv namespace, struct fault *f)
{
	char uuid[UUID_SIZE], path[SCHEMA_PATH];
	bool changed;
	jv v;

	principal_of_namespace(uuid, jq_str(namespace, "name"));
	v = JV_OBJECT(jv_string("principalName"), jv_string(uuid),
	    jv_string("roleDefinitionName"),
	    jv_string("Storage Blob Data Contributor"), jv_string("scope"),
	    storage_local_account(jq_str(namespace, "id")));
	uuid_of(uuid, "local dead letters");
	snprintf(path, sizeof(path), "roleAssignments/%s", uuid);
	v = schema_make(s->registry, path, v, s->who, &changed, f);
	return jv_is_valid(v) ? registry_put(s->registry, path, v, f) : -1;
}

static int
write_namespace(struct session *s, const char *dir, jv v, struct fault *f)
{
	int fd, rc;

	if (spool_mkdir(AT_FDCWD, dir, 0755) == -1 ||
	    (fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return cannot_make(dir, f);
	rc = make_skeleton(fd, f);
	if (rc == 0)
		rc = registry_create(fd, f);
	close(fd);
	if (rc == 0 && spool_open(&s->spool, dir, f) == 0) {
		if ((s->registry = registry_open(&s->spool, true, f)) == NULL)
			return -1;
		if (registry_has(s->registry, "namespace"))
			return fault_set(f, FAULT_CONFLICT,
			    "%s holds a namespace already", dir);
		if (registry_put(s->registry, "namespace", jv_copy(v), f) == 0
		    && schema_links(s->registry, f) == 0 &&
		    grant_local(s, v, f) == 0 && authority_make(s, v, f) == 0)
			return registry_commit(s->registry, s->who, f);
	}
	return -1;
}

/* The last part of a path, when it can be a namespace's name. */
static const char *
default_name(const char *dir, char name[64])
{
	const char *end = dir + strlen(dir), *start;
	char path[SCHEMA_PATH];

	while (end > dir && end[-1] == '/')
		end--;
	for (start = end; start > dir && start[-1] != '/'; start--)
		;
	snprintf(name, 64, "%.*s", (int)(end - start), start);
	return schema_path(path, &schema_nouns[SCHEMA_NAMESPACE], NULL, name,
	    NULL) == 0 ? name : "egns";
}

static bool
holds_namespace(const char *dir)
{
	struct session s = { 0 };
	bool holds = false;

	if (spool_open(&s.spool, dir, NULL) == -1)
		return false;
	s.registry = registry_open(&s.spool, false, NULL);
	if (s.registry != NULL)
		holds = registry_has(s.registry, "namespace");
	registry_close(s.registry);
	spool_close(&s.spool);
	return holds;
}

/* Azure's subscription of this machine: any, but always the same. */
static jv
namespace_identity(const struct request *r, const char *name, jv given)
{
	const char *group = r->ctl->group != NULL ? r->ctl->group : "egns";
	const char *subscription = r->ctl->subscription;
	char uuid[UUID_SIZE];

	if (subscription == NULL) {
		uuid_of(uuid, "subscription");
		subscription = uuid;
	}
	given = jv_object_set(given, jv_string("name"), jv_string(name));
	return jv_object_set(given, jv_string("id"), jv_string_fmt(
	    "/subscriptions/%s/resourceGroups/%s/providers/"
	    "Microsoft.EventGrid/namespaces/%s", subscription, group, name));
}

static int
create_namespace(struct request *r)
{
	struct session s = { 0 };
	const char *dir = r->ctl->spool, *name = r->name;
	char path[SCHEMA_PATH], buffer[64];
	struct fault f = { 0 };
	int status = 0;
	bool changed;
	jv given, v;

	if (dir == NULL && ((dir = getenv("EGNS_SPOOL")) == NULL || !*dir))
		dir = "spool";
	if (name == NULL)
		name = default_name(dir, buffer);
	given = request_apply(r, jv_object(), &status);
	if (!jv_is_valid(given))
		return status;
	session_who(&s);
	if ((r->ctl->group != NULL && (strchr(r->ctl->group, '/') != NULL ||
	    strlen(r->ctl->group) > 90)) || (r->ctl->subscription != NULL &&
	    (strchr(r->ctl->subscription, '/') != NULL ||
	    strlen(r->ctl->subscription) > 90))) {
		jv_free(given);
		return ctl_bad_usage(r->verb, "-g and --subscription are names "
		    "of at most 90 characters without /");
	}
	if (schema_path(path, r->noun, NULL, name, &f) == -1) {
		jv_free(given);
		return ctl_fault(&f);
	}
	v = schema_make(NULL, path, namespace_identity(r, name, given),
	    s.who, &changed, &f);
	if (!jv_is_valid(v))
		return ctl_fault(&f);
	if (holds_namespace(dir))
		status = fault_set(&f, FAULT_CONFLICT,
		    "%s holds a namespace already", dir);
	else
		status = write_namespace(&s, dir, v, &f);
	session_close(&s);
	if (status == 0)
		return ctl_print(r->ctl, public(r->noun, v));
	jv_free(v);
	return ctl_fault(&f);
}

int
verb_create(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	struct session s = { 0 };
	struct request r;
	int rc = request_parse(&r, ctl, verb, argc, argv);

	if (rc != 0)
		return rc;
	if (r.noun->kind == SCHEMA_NAMESPACE)
		return create_namespace(&r);
	if ((rc = session_open(&s, ctl, true)) != 0)
		return rc;
	if ((rc = check_namespace(&r, &s)) == 0)
		rc = create(&r, &s);
	session_close(&s);
	return rc;
}

/* ---- show, update, delete, keys: for one, or for each of --ids ---- */

/* Do it for every target; the results are printed as one, or as a list. */
static int
each_target(struct request *r, struct session *s,
    int (*one)(struct request *, struct session *, const char *path, jv *out))
{
	char path[SCHEMA_PATH];
	jv list = jv_array(), v = jv_invalid();
	int rc = 0, n = r->nids > 0 ? r->nids : 1;

	for (int i = 0; rc == 0 && i < n; i++) {
		v = jv_invalid();
		rc = target(r, s, r->nids > 0 ? r->ids[i] : NULL, path);
		if (rc == 0)
			rc = one(r, s, path, &v);
		if (rc == 0 && jv_is_valid(v))
			list = jv_array_append(list, v);
	}
	if (rc != 0 || jv_array_length(jv_copy(list)) == 0) {
		jv_free(list);
		return rc;
	}
	return ctl_print(r->ctl, n > 1 ? list : jv_array_get(list, 0));
}

static int
show(struct request *r, struct session *s, const char *path, jv *out)
{
	int status = 0;
	jv v = get(s, path, &status);

	if (jv_is_valid(v))
		*out = public(r->noun, v);
	return status;
}

static int
update(struct request *r, struct session *s, const char *path, jv *out)
{
	int status = 0;
	jv v = get(s, path, &status);

	if (jv_is_valid(v))
		v = request_apply(r, schema_hoist(v), &status);
	if (jv_is_valid(v))
		v = put(s, path, v, &status);
	if (jv_is_valid(v))
		*out = public(r->noun, v);
	return status;
}

int
verb_update(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	struct session s = { 0 };
	struct request r;
	int rc = begin(&r, &s, true, ctl, verb, argc, argv);

	if (rc == 0) {
		rc = each_target(&r, &s, update);
		session_close(&s);
	}
	return rc;
}

static int
list_key(struct request *r, struct session *s, const char *path, jv *out)
{
	int status = 0;
	jv v = get(s, path, &status);

	(void)r;
	if (jv_is_valid(v))
		*out = jq_get(v, "keys");
	jv_free(v);
	return status;
}

/* A fault of a subscription that has no such thing. */
static int
has_none(const char *path, const char *what)
{
	struct fault f;

	fault_set(&f, FAULT_BAD_REQUEST, "%s: %s", path, what);
	return ctl_fault(&f);
}

static int
full_url(struct request *r, struct session *s, const char *path, jv *out)
{
	int status = 0;
	jv v = get(s, path, &status), destination, url;

	(void)r;
	if (!jv_is_valid(v))
		return status;
	destination = schema_destination(v);
	url = jq_get(destination, "properties.endpointUrl");
	if (jv_get_kind(url) == JV_KIND_STRING)
		*out = JV_OBJECT(jv_string("endpointUrl"), jv_copy(url));
	else
		status = has_none(path, "its destination is no webhook");
	jv_free(url);
	jv_free(destination);
	jv_free(v);
	return status;
}

static int
attributes(struct request *r, struct session *s, const char *path, jv *out)
{
	int status = 0;
	jv v = get(s, path, &status), destination, list;

	(void)r;
	if (!jv_is_valid(v))
		return status;
	destination = schema_destination(v);
	list = jq_get(destination, "properties.deliveryAttributeMappings");
	if (jv_get_kind(destination) == JV_KIND_NULL)
		status = has_none(path, "its deliveryMode is not Push");
	else
		*out = JV_OBJECT(jv_string("value"), jv_get_kind(list) ==
		    JV_KIND_ARRAY ? jv_copy(list) : jv_array());
	jv_free(list);
	jv_free(destination);
	jv_free(v);
	return status;
}

/* A verb that changes nothing, for one or for each. */
static int
look_at(struct ctl *ctl, const struct verb *verb, int argc, char *argv[],
    int (*one)(struct request *, struct session *, const char *path, jv *out))
{
	struct session s = { 0 };
	struct request r;
	int rc = begin(&r, &s, false, ctl, verb, argc, argv);

	if (rc == 0) {
		rc = each_target(&r, &s, one);
		session_close(&s);
	}
	return rc;
}

int
verb_show(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	return look_at(ctl, verb, argc, argv, show);
}

int
verb_list_key(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	return look_at(ctl, verb, argc, argv, list_key);
}

int
verb_get_full_url(struct ctl *ctl, const struct verb *verb, int argc,
    char *argv[])
{
	return look_at(ctl, verb, argc, argv, full_url);
}

int
verb_get_attributes(struct ctl *ctl, const struct verb *verb, int argc,
    char *argv[])
{
	return look_at(ctl, verb, argc, argv, attributes);
}

static int
regenerate_key(struct request *r, struct session *s, const char *path, jv *out)
{
	int status = 0;
	jv v = get(s, path, &status), keys;

	if (!jv_is_valid(v))
		return status;
	keys = schema_keys(jq_get(v, "keys"), r->key_name);
	v = put(s, path, jv_object_set(schema_hoist(v), jv_string("keys"),
	    jv_copy(keys)), &status);
	jv_free(v);
	if (status == 0)
		*out = keys;
	else
		jv_free(keys);
	return status;
}

int
verb_regenerate_key(struct ctl *ctl, const struct verb *verb, int argc,
    char *argv[])
{
	struct session s = { 0 };
	struct request r;
	int rc = request_parse(&r, ctl, verb, argc, argv);

	if (rc == 0 && (r.key_name == NULL ||
	    (strcmp(r.key_name, "key1") != 0 &&
	    strcmp(r.key_name, "key2") != 0)))
		rc = ctl_bad_usage(verb, "--key-name is key1 or key2");
	if (rc == 0)
		rc = begin(&r, &s, true, ctl, verb, argc, argv);
	if (rc == 0) {
		rc = each_target(&r, &s, regenerate_key);
		session_close(&s);
	}
	return rc;
}

/* ---- delete ---- */

static int
delete(struct request *r, struct session *s, const char *path, jv *out)
{
	struct fault f = { 0 };

	(void)r;
	(void)out;
	if (!registry_has(s->registry, path))
		return 0;
	if (session_delete(s, path, &f) == -1)
		return ctl_fault(&f);
	if (schema_links(s->registry, &f) == -1) {
		f.code = FAULT_CONFLICT;
		return ctl_fault(&f);
	}
	return session_commit(s);
}

/* Everything, with all events. Nothing counts once the registry is gone. */
static int
delete_namespace(struct session *s)
{
	const char *daemon;
	struct fault f;
	pid_t pid;

	if ((pid = daemons_running(&s->spool, &daemon)) != 0) {
		fault_set(&f, FAULT_CONFLICT, "%s runs (process %d): "
		    "egns-ctl down first", daemon, (int)pid);
		return ctl_fault(&f);
	}
	/* the first of them is what makes it a spool */
	for (const char *const *part = spool_parts; *part != NULL; part++)
		if (spool_remove(s->spool.fd, *part) == -1) {
			fault_errno(&f, FAULT_INTERNAL, "%s", *part);
			return ctl_fault(&f);
		}
	rmdir(s->spool.path); /* unless there is something of others in it */
	return 0;
}

int
verb_delete(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	struct session s = { 0 };
	struct request r;
	int rc = request_parse(&r, ctl, verb, argc, argv);

	if (rc == 0 && !r.yes)
		rc = ctl_bad_usage(verb, "deletes for good: say --yes");
	if (rc == 0)
		rc = begin(&r, &s, true, ctl, verb, argc, argv);
	if (rc != 0)
		return rc;
	if (r.noun->kind == SCHEMA_NAMESPACE)
		rc = delete_namespace(&s);
	else
		rc = each_target(&r, &s, delete);
	session_close(&s);
	return rc;
}

/* ---- list ---- */

struct listing {
	const struct request *request;
	struct odata *filter;
	jv wanted; /* of the flags that are properties */
	jv out;
	int64_t n;
};

/* Has it everything that was asked for, as far as it was? */
static bool
is_wanted(jv resource, jv wanted)
{
	bool ok = true;

	jv_object_foreach(wanted, key, value) {
		jv have = jv_object_get(jv_copy(resource), key);
		const char *a = jv_get_kind(have) == JV_KIND_STRING ?
		    jv_string_value(have) : "";
		const char *b = jv_string_value(value), *tail;
		size_t la = strlen(a), lb = strlen(b);

		/* a scope may be written as a path */
		tail = la > lb && a[la - lb - 1] == '/' ? a + la - lb : a;
		ok = ok && strcasecmp(tail, b) == 0;
		jv_free(have);
		jv_free(value);
	}
	return ok;
}

static int
list_one(const char *path, jv v, void *arg)
{
	struct listing *l = arg;
	const struct request *r = l->request;

	if (schema_noun(path) != r->noun || (l->filter != NULL &&
	    !odata_matches(l->filter, jq_str(v, "name")))) {
		jv_free(v);
		return 0;
	}
	v = public(r->noun, v);
	if (!is_wanted(v, l->wanted)) {
		jv_free(v);
		return 0;
	}
	l->out = jv_array_append(l->out, v);
	return ++l->n == r->top;
}

static int
list(struct request *r, struct session *s)
{
	struct listing l = { .request = r };
	char prefix[SCHEMA_PATH + 32];
	struct fault f;
	int status = 0;

	if (r->noun->kind == SCHEMA_SUBSCRIPTION && r->topic == NULL)
		return ctl_bad_usage(r->verb, "--topic-name is missing");
	if (r->filter != NULL &&
	    (l.filter = odata_compile(r->filter, &f)) == NULL)
		return ctl_fault(&f);
	if (r->noun->kind == SCHEMA_SUBSCRIPTION)
		snprintf(prefix, sizeof(prefix), "topics/%.100s", r->topic);
	if (r->noun->kind == SCHEMA_SUBSCRIPTION &&
	    !registry_has(s->registry, prefix)) {
		odata_free(l.filter);
		fault_set(&f, FAULT_NOT_FOUND, "%s: not found", prefix);
		return ctl_fault(&f);
	}
	if (r->noun->kind == SCHEMA_SUBSCRIPTION)
		strcat(prefix, "/eventSubscriptions/");
	else
		snprintf(prefix, sizeof(prefix), "%s%s", r->noun->collection,
		    r->noun->kind == SCHEMA_NAMESPACE ? "" : "/");
	l.wanted = request_apply(r, jv_object(), &status);
	if (jv_is_valid(l.wanted)) {
		l.out = jv_array();
		registry_each(s->registry, prefix, list_one, &l);
		status = ctl_print(r->ctl, l.out);
	}
	jv_free(l.wanted);
	odata_free(l.filter);
	return status;
}

int
verb_list(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	struct session s = { 0 };
	struct request r;
	int rc = begin(&r, &s, false, ctl, verb, argc, argv);

	if (rc == 0) {
		rc = list(&r, &s);
		session_close(&s);
	}
	return rc;
}

/* ---- wait ---- */

static void
note(jv v, void *arg)
{
	jv_kind kind = jv_get_kind(v);

	*(bool *)arg = kind != JV_KIND_NULL && kind != JV_KIND_FALSE;
	jv_free(v);
}

/* Is the condition true now? -1 and a fault. */
static int
condition(const struct request *r, struct jq_program *custom, jv v,
    struct fault *f)
{
	bool yes = false;

	if (r->deleted || !jv_is_valid(v)) {
		yes = r->deleted && !jv_is_valid(v);
		jv_free(v);
		return yes;
	}
	if (custom == NULL) {
		jv_free(v);
		return 1;
	}
	return jq_run(custom, public(r->noun, v), note, &yes, f) == -1 ? -1 :
	    yes;
}

/* One look at the registry, which is not held while we wait. */
static int
look(struct request *r, struct jq_program *custom, bool *yes)
{
	struct session s = { 0 };
	char path[SCHEMA_PATH];
	struct fault f;
	int rc = session_open(&s, r->ctl, false);

	if (rc == 0 && (rc = check_namespace(r, &s)) == 0 &&
	    (rc = target(r, &s, r->nids > 0 ? r->ids[0] : NULL, path)) == 0) {
		int is = condition(r, custom, registry_get(s.registry, path),
		    &f);

		*yes = is == 1;
		if (is == -1)
			rc = ctl_fault(&f);
	}
	session_close(&s);
	return rc;
}

static struct jq_program *
compile_custom(const char *text, struct fault *f)
{
	struct jq_program *program = NULL;
	struct buf b = { 0 };

	if (query_translate(&b, text, f) == 0) {
		buf_add(&b, "", 1);
		program = jq_compile(buf_data(&b), f);
	}
	buf_free(&b);
	return program;
}

int
verb_wait(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	struct jq_program *custom = NULL;
	struct request r;
	struct fault f;
	struct timespec start, now;
	bool yes = false;
	int rc = request_parse(&r, ctl, verb, argc, argv);

	if (rc == 0 && !r.created && !r.updated && !r.deleted && !r.exists &&
	    r.custom == NULL)
		rc = ctl_bad_usage(verb, "for what? --created, --deleted, "
		    "--exists, or --custom QUERY");
	if (rc == 0 && r.custom != NULL &&
	    (custom = compile_custom(r.custom, &f)) == NULL)
		rc = ctl_fault(&f);
	clock_gettime(CLOCK_MONOTONIC, &start);
	while (rc == 0 && (rc = look(&r, custom, &yes)) == 0 && !yes) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - start.tv_sec >= r.timeout) {
			fprintf(stderr, "egns-ctl: %s: not so after %lld s\n",
			    verb->words, (long long)r.timeout);
			rc = EX_TEMPFAIL;
		} else
			sleep((unsigned)r.interval);
	}
	jq_free(custom);
	return rc;
}
