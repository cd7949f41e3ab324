#include "session.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <tcutil.h>
#include <unistd.h>

#include "jq.h"
#include "quote.h"
#include "role.h"
#include "schema.h"

void
session_who(struct session *s)
{
	struct role_peer peer;

	role_peer_init(&peer, getuid(), getgid());
	snprintf(s->who, sizeof(s->who), "%s", peer.name);
	role_peer_free(&peer);
}

/* -g is right when the namespace's id names that group. */
static int
check_group(struct session *s, const char *group)
{
	jv namespace = registry_get(s->registry, "namespace");
	const char *id = jq_str(namespace, "id"), *own = NULL;
	char q[QUOTE_MAX];
	struct fault f = { 0 };
	size_t len = 0;

	if (id == NULL)
		fault_set(&f, FAULT_NOT_FOUND, "%s: holds no namespace: "
		    "egns-ctl namespace create", s->spool.path);
	else {
		own = strstr(id, "/resourceGroups/") + 16;
		len = strcspn(own, "/");
	}
	if (id != NULL && group != NULL && (strlen(group) != len ||
	    strncasecmp(group, own, len) != 0))
		fault_set(&f, FAULT_NOT_FOUND, "resource group '%s': this "
		    "namespace is in '%.*s'", quote(q, group, strlen(group)),
		    (int)len, own);
	jv_free(namespace);
	return f.code == FAULT_NONE ? 0 : ctl_fault(&f);
}

int
session_open(struct session *s, struct ctl *ctl, bool write)
{
	struct fault f;
	int rc;

	if (spool_open(&s->spool, ctl->spool, &f) == -1)
		return ctl_fault(&f);
	session_who(s);
	s->registry = registry_open(&s->spool, write, &f);
	rc = s->registry == NULL ? ctl_fault(&f) : check_group(s, ctl->group);
	if (rc != 0)
		session_close(s);
	return rc;
}

void
session_close(struct session *s)
{
	registry_close(s->registry);
	s->registry = NULL;
	if (s->spool.path != NULL)
		spool_close(&s->spool);
	memset(&s->spool, 0, sizeof(s->spool));
}

int
session_is(struct session *s, const char *name)
{
	jv namespace;
	const char *own;
	char q[QUOTE_MAX];
	struct fault f = { 0 };

	if (name == NULL)
		return 0;
	namespace = registry_get(s->registry, "namespace");
	own = jq_str(namespace, "name");
	if (strcasecmp(own, name) != 0)
		fault_set(&f, FAULT_NOT_FOUND, "namespace '%s': this one is "
		    "'%s'", quote(q, name, strlen(name)), own);
	jv_free(namespace);
	return f.code == FAULT_NONE ? 0 : ctl_fault(&f);
}

/* Is the topic deleted now that the namespace names there? */
static bool
loses(struct session *s, jv namespace, const char *where)
{
	const char *id = jq_str(namespace, where);
	char path[SCHEMA_PATH];
	bool lost;
	jv v;

	if (id == NULL || schema_id_path(s->registry, id, path, NULL) == -1 ||
	    registry_has(s->registry, path))
		return false;
	v = registry_stored(s->registry, path);
	lost = jv_is_valid(v);
	jv_free(v);
	return lost;
}

/* What follows from a deletion, and what to do. */
static void
warn_lost(const char *where, const char *what)
{
	const char *property = where + strlen("properties.");

	fprintf(stderr, "egns-ctl: %s names the topic that is gone: %s are "
	    "dropped, with a record in dropped/, until it is changed: "
	    "egns-ctl namespace update --set %s=TOPIC\n", property, what,
	    property);
}

int
session_commit(struct session *s)
{
	jv namespace = registry_get(s->registry, "namespace");
	bool route = loses(s, namespace, SCHEMA_ROUTE);
	bool lifecycle = loses(s, namespace, SCHEMA_LIFECYCLE);
	struct fault f;

	jv_free(namespace);
	if (registry_commit(s->registry, s->who, &f) == -1)
		return ctl_fault(&f);
	if (route)
		warn_lost(SCHEMA_ROUTE, "MQTT messages");
	if (lifecycle)
		warn_lost(SCHEMA_LIFECYCLE, "life-cycle events");
	/* the daemons read it now */
	registry_close(s->registry);
	s->registry = NULL;
	if (ctl_reload(&s->spool, &f) == -1)
		return ctl_fault(&f);
	s->registry = registry_open(&s->spool, true, &f);
	return s->registry == NULL ? ctl_fault(&f) : 0;
}

struct scoped {
	jv id;
	TCLIST *paths;
};

static int
collect_scoped(const char *path, jv role, void *arg)
{
	struct scoped *sc = arg;
	const char *scope = jq_str(role, "properties.scope");
	size_t len = strlen(jv_string_value(sc->id));

	if (scope != NULL &&
	    strncasecmp(scope, jv_string_value(sc->id), len) == 0 &&
	    (scope[len] == '/' || scope[len] == '\0'))
		tclistpush2(sc->paths, path);
	jv_free(role);
	return 0;
}

int
session_delete(struct session *s, const char *path, struct fault *f)
{
	jv v = registry_get(s->registry, path);
	struct scoped sc = { jq_get(v, "id"), tclistnew() };
	int rc = 0;

	/* a namesake made later must not inherit what was granted; only topics
	 * and what is below them are scopes that can go */
	if (jv_get_kind(sc.id) == JV_KIND_STRING &&
	    strncmp(path, "topics/", strlen("topics/")) == 0)
		registry_each(s->registry, "roleAssignments/", collect_scoped,
		    &sc);
	for (int i = 0; rc == 0 && i < tclistnum(sc.paths); i++)
		rc = registry_delete(s->registry, tclistval2(sc.paths, i), f);
	tclistdel(sc.paths);
	jv_free(sc.id);
	jv_free(v);
	return rc == 0 && registry_has(s->registry, path) ?
	    registry_delete(s->registry, path, f) : rc;
}
