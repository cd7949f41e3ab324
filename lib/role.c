#include "role.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "jq.h"
#include "quote.h"

struct grant {
	char *name; /* of the assignment */
	char *user; /* NULL: uid or gid */
	bool group; /* `id` is a gid */
	unsigned id;
	unsigned rights;
	char *scope; /* "" the namespace, "t" a topic, "t/s" a subscription */
};

struct roles {
	uid_t owner;
	struct grant *grants;
	size_t n;
};

static const struct {
	const char *name;
	unsigned rights;
} role_names[] = {
	{ "EventGrid Data Sender", ROLE_SEND },
	{ "EventGrid Data Receiver", ROLE_RECEIVE },
	{ "EventGrid Data Contributor", ROLE_SEND | ROLE_RECEIVE },
	{ "EventGrid Contributor", ROLE_SEND | ROLE_RECEIVE | ROLE_MANAGE },
};
#define ROLE_NAMES (sizeof(role_names) / sizeof(role_names[0]))

struct roles *
roles_new(uid_t owner)
{
	struct roles *r = calloc(1, sizeof(*r));

	if (r != NULL)
		r->owner = owner;
	return r;
}

static void
grant_free(struct grant *g)
{
	free(g->name);
	free(g->user);
	free(g->scope);
}

void
roles_free(struct roles *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++)
		grant_free(&r->grants[i]);
	free(r->grants);
	free(r);
}

static unsigned
rights_of(const char *role)
{
	for (size_t i = 0; i < ROLE_NAMES; i++)
		if (strcasecmp(role, role_names[i].name) == 0)
			return role_names[i].rights;
	return 0;
}

/*
 * The scope as we compare it, from the id of the namespace or of something in
 * it. NULL: it is about something else, and grants nothing here.
 */
static char *
scope_of(const char *id)
{
	static const char provider[] = "/Microsoft.EventGrid/namespaces/";
	static const char below[] = "/eventSubscriptions/";
	const char *rest = strcasestr(id, provider), *sub;
	char *scope;

	if (rest == NULL)
		return NULL;
	rest += sizeof(provider) - 1;
	rest += strcspn(rest, "/");
	if (*rest == '\0')
		return strdup("");
	if (strncasecmp(rest, "/topics/", 8) != 0)
		return NULL;
	rest += 8;
	if ((sub = strchr(rest, '/')) == NULL)
		return strdup(rest);
	if (strncasecmp(sub, below, sizeof(below) - 1) != 0 ||
	    asprintf(&scope, "%.*s/%s", (int)(sub - rest), rest,
	    sub + sizeof(below) - 1) == -1)
		return NULL;
	return scope;
}

/* "user:ann", "uid:7", "group:staff"; anything else is nobody local. */
static bool
principal_of(struct grant *g, const char *name)
{
	struct group *group;

	if (strncmp(name, "user:", 5) == 0)
		return (g->user = strdup(name + 5)) != NULL;
	if (strncmp(name, "uid:", 4) == 0) {
		g->id = (unsigned)strtoul(name + 4, NULL, 10);
		return true;
	}
	if (strncmp(name, "group:", 6) != 0 ||
	    (group = getgrnam(name + 6)) == NULL)
		return false;
	g->group = true;
	g->id = group->gr_gid;
	return true;
}

int
roles_add(struct roles *r, jv resource, struct fault *f)
{
	const char *name = jq_str(resource, "name");
	const char *principal = jq_str(resource, "properties.principalName");
	const char *role = jq_str(resource, "properties.roleDefinitionName");
	const char *scope = jq_str(resource, "properties.scope");
	struct grant g = { 0 }, *more;
	int rc = 0;

	if (name == NULL || principal == NULL || role == NULL || scope == NULL)
		rc = fault_set(f, FAULT_INTERNAL,
		    "a role assignment without its properties");
	else if ((g.rights = rights_of(role)) == 0 ||
	    !principal_of(&g, principal) ||
	    (g.scope = scope_of(scope)) == NULL)
		grant_free(&g); /* it grants nothing on a local socket */
	else if ((g.name = strdup(name)) == NULL ||
	    (more = reallocarray(r->grants, r->n + 1, sizeof(*more))) == NULL) {
		grant_free(&g);
		rc = fault_set(f, FAULT_INTERNAL, "out of memory");
	} else {
		r->grants = more;
		r->grants[r->n++] = g;
	}
	jv_free(resource);
	return rc;
}

void
role_peer_init(struct role_peer *p, uid_t uid, gid_t gid)
{
	struct passwd *pw = getpwuid(uid);
	int n = 0;

	memset(p, 0, sizeof(*p));
	p->uid = uid;
	p->gid = gid;
	if (pw == NULL) {
		snprintf(p->name, sizeof(p->name), "uid:%u", (unsigned)uid);
		return;
	}
	snprintf(p->name, sizeof(p->name), "user:%s", pw->pw_name);
	getgrouplist(pw->pw_name, gid, NULL, &n);
	if (n > 0 && (p->groups = calloc((size_t)n, sizeof(gid_t))) != NULL &&
	    getgrouplist(pw->pw_name, gid, p->groups, &n) != -1)
		p->ngroups = n;
}

void
role_peer_free(struct role_peer *p)
{
	free(p->groups);
	p->groups = NULL;
	p->ngroups = 0;
}

static bool
is_principal(const struct grant *g, const struct role_peer *p)
{
	if (g->user != NULL)
		return strncmp(p->name, "user:", 5) == 0 &&
		    strcmp(p->name + 5, g->user) == 0;
	if (!g->group)
		return p->uid == g->id;
	for (int i = 0; i < p->ngroups; i++)
		if (p->groups[i] == g->id)
			return true;
	return p->gid == g->id;
}

static bool
covers(const char *scope, const char *topic, const char *subscription)
{
	size_t len = strlen(scope);
	const char *slash = strchr(scope, '/');

	if (len == 0)
		return true;
	if (topic == NULL)
		return false;
	if (slash == NULL)
		return strcmp(scope, topic) == 0;
	return subscription != NULL && strlen(topic) == (size_t)(slash - scope)
	    && strncmp(scope, topic, strlen(topic)) == 0 &&
	    strcmp(slash + 1, subscription) == 0;
}

/* The words of a refusal name what would have to be granted, and how. */
static void
refuse(const struct role_peer *p, enum role_right right, const char *topic,
    const char *subscription, struct fault *f)
{
	const char *role = right == ROLE_SEND ? role_names[0].name :
	    right == ROLE_RECEIVE ? role_names[1].name : role_names[3].name;
	char scope[QUOTE_MAX + 32], q[QUOTE_MAX];

	if (topic == NULL)
		snprintf(scope, sizeof(scope), "namespace");
	else if (subscription == NULL)
		snprintf(scope, sizeof(scope), "topics/%.100s",
		    quote(q, topic, strlen(topic)));
	else {
		snprintf(scope, sizeof(scope), "topics/%.100s",
		    quote(q, topic, strlen(topic)));
		snprintf(scope + strlen(scope), sizeof(scope) - strlen(scope),
		    "/eventSubscriptions/%.100s",
		    quote(q, subscription, strlen(subscription)));
	}
	fault_set(f, FAULT_FORBIDDEN, "%s lacks '%s' on %s; to grant it: "
	    "egns-ctl role assignment create --assignee %s --role '%s' "
	    "--scope %s", p->name, role, scope, p->name, role, scope);
}

const char *
role_check(const struct roles *r, const struct role_peer *p,
    enum role_right right, const char *topic, const char *subscription,
    struct fault *f)
{
	if (p->uid == r->owner)
		return "owner";
	if (p->uid == 0)
		return "superuser";
	for (size_t i = 0; i < r->n; i++)
		if ((r->grants[i].rights & right) != 0 &&
		    covers(r->grants[i].scope, topic, subscription) &&
		    is_principal(&r->grants[i], p))
			return r->grants[i].name;
	refuse(p, right, topic, subscription, f);
	return NULL;
}
