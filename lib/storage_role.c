#include "storage_role.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "jq.h"
#include "principal.h"
#include "quote.h"
#include "storage.h"

#define ROLE "Storage Blob Data Contributor"

struct writer {
	char principal[UUID_SIZE];
	const char *id;     /* the resource id of an identity; NULL: ours */
	const char *target; /* the id of the container */
};

/* Scopes are above what they cover, in any case of letters. */
static bool
covers(const char *scope, const char *target)
{
	size_t len = strlen(scope);

	while (len > 0 && scope[len - 1] == '/')
		len--;
	return scope[0] == '/' && strncasecmp(scope, target, len) == 0 &&
	    (target[len] == '/' || target[len] == '\0');
}

/* 1: it is this assignment that lets it. */
static int
grants(const char *path, jv assignment, void *arg)
{
	const struct writer *w = arg;
	const char *who = jq_str(assignment, "properties.principalName");
	const char *role = jq_str(assignment, "properties.roleDefinitionName");
	const char *scope = jq_str(assignment, "properties.scope");
	int yes;

	(void)path;
	yes = who != NULL && role != NULL && scope != NULL &&
	    strcasecmp(role, ROLE) == 0 && covers(scope, w->target) &&
	    (strcasecmp(who, w->principal) == 0 ||
	    (w->id != NULL && strcasecmp(who, w->id) == 0));
	jv_free(assignment);
	return yes;
}

/* Who writes; -1 and a fault: it is not said. */
static int
writer_of(struct writer *w, jv namespace, jv identity, struct fault *f)
{
	const char *type = jq_str(identity, "type");
	const char *own = jq_str(namespace, "identity.principalId");
	const char *name = jq_str(namespace, "name");

	if (type != NULL && strcasecmp(type, "UserAssigned") == 0) {
		w->id = jq_str(identity, "userAssignedIdentity");
		if (w->id == NULL)
			return fault_set(f, FAULT_BAD_REQUEST, "identity: it "
			    "is UserAssigned, and userAssignedIdentity is "
			    "missing");
		principal_of_identity(w->principal, w->id);
	} else if (own != NULL)
		snprintf(w->principal, sizeof(w->principal), "%s", own);
	else
		principal_of_namespace(w->principal, name != NULL ? name : "");
	return 0;
}

static int
refuse(const struct writer *w, const char *account, struct fault *f)
{
	const char *name = w->id != NULL ? storage_name(w->id) : "";
	char who[96] = "the namespace's identity", q[QUOTE_MAX];

	/* a fault has room for one resource id, but not for two */
	if (w->id != NULL)
		snprintf(who, sizeof(who), "identity '%.80s'",
		    quote(q, name, strlen(name)));
	return fault_set(f, FAULT_FORBIDDEN, "%s lacks '" ROLE "' on the "
	    "storage account; to grant it: egns-ctl role assignment create "
	    "--assignee %s --role '" ROLE "' --scope '%s'", who, w->principal,
	    quote(q, account, strlen(account)));
}

int
storage_role_check(struct registry *r, jv namespace, jv identity,
    const char *account, const char *container, struct fault *f)
{
	struct writer w = { .id = NULL };
	char *target;
	int yes;

	if (writer_of(&w, namespace, identity, f) == -1)
		return -1;
	if (asprintf(&target, "%s/blobServices/default/containers/%s", account,
	    container) == -1)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	w.target = target;
	yes = registry_each(r, "roleAssignments/", grants, &w);
	free(target);
	if (yes == -1)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	return yes == 1 ? 0 : refuse(&w, account, f);
}
