#include "role.h"

#include <stdbool.h>
#include <string.h>

#include "check.h"

#define NS "/subscriptions/s/resourceGroups/g/providers/" \
	"Microsoft.EventGrid/namespaces/ns"

static int
add(struct roles *r, const char *name, const char *who, const char *role,
    const char *scope)
{
	return roles_add(r, JV_OBJECT(jv_string("name"), jv_string(name),
	    jv_string("properties"), JV_OBJECT(
	    jv_string("principalName"), jv_string(who),
	    jv_string("roleDefinitionName"), jv_string(role),
	    jv_string("scope"), jv_string(scope))), NULL);
}

static const char *
check(const struct roles *r, uid_t uid, gid_t gid, enum role_right right,
    const char *topic, const char *subscription, struct fault *f)
{
	struct role_peer peer;
	const char *grant;

	role_peer_init(&peer, uid, gid);
	grant = role_check(r, &peer, right, topic, subscription, f);
	role_peer_free(&peer);
	return grant;
}

static bool
is(const char *grant, const char *name)
{
	return grant != NULL && strcmp(grant, name) == 0;
}

static void
owner_and_superuser_may_do_everything(void)
{
	struct roles *r = roles_new(4321);

	CHECK(is(check(r, 4321, 1, ROLE_MANAGE, NULL, NULL, NULL), "owner"));
	CHECK(is(check(r, 0, 0, ROLE_SEND, "t", NULL, NULL), "superuser"));
	CHECK(check(r, 4322, 1, ROLE_SEND, "t", NULL, NULL) == NULL);
	roles_free(r);
}

static void
a_scope_covers_what_is_below_it(void)
{
	struct roles *r = roles_new(1);

	add(r, "ns", "uid:100001", "EventGrid Data Sender", NS);
	add(r, "topic", "uid:100002", "EventGrid Data Receiver",
	    NS "/topics/t1");
	add(r, "sub", "uid:100003", "EventGrid Data Receiver",
	    NS "/topics/t1/eventSubscriptions/s1");
	CHECK(is(check(r, 100001, 9, ROLE_SEND, "t9", NULL, NULL), "ns"));
	CHECK(is(check(r, 100002, 9, ROLE_RECEIVE, "t1", "s9", NULL),
	    "topic"));
	CHECK(check(r, 100002, 9, ROLE_RECEIVE, "t11", "s9", NULL) == NULL);
	CHECK(check(r, 100002, 9, ROLE_RECEIVE, NULL, NULL, NULL) == NULL);
	CHECK(is(check(r, 100003, 9, ROLE_RECEIVE, "t1", "s1", NULL), "sub"));
	CHECK(check(r, 100003, 9, ROLE_RECEIVE, "t1", "s11", NULL) == NULL);
	CHECK(check(r, 100003, 9, ROLE_RECEIVE, "t", "s1", NULL) == NULL);
	CHECK(check(r, 100003, 9, ROLE_RECEIVE, "t1", NULL, NULL) == NULL);
	roles_free(r);
}

static void
a_role_gives_its_rights_only(void)
{
	struct roles *r = roles_new(1);

	add(r, "c", "uid:100001", "EventGrid Contributor", NS);
	add(r, "d", "uid:100002", "EventGrid Data Contributor", NS);
	add(r, "s", "uid:100003", "EventGrid Data Sender", NS);
	add(r, "b", "uid:100004", "Storage Blob Data Contributor", NS);
	CHECK(is(check(r, 100001, 9, ROLE_SEND, "t", NULL, NULL), "c"));
	CHECK(is(check(r, 100001, 9, ROLE_MANAGE, NULL, NULL, NULL), "c"));
	CHECK(is(check(r, 100002, 9, ROLE_RECEIVE, "t", "s", NULL), "d"));
	CHECK(check(r, 100002, 9, ROLE_MANAGE, "t", "s", NULL) == NULL);
	CHECK(check(r, 100003, 9, ROLE_RECEIVE, "t", "s", NULL) == NULL);
	CHECK(check(r, 100004, 9, ROLE_SEND, "t", NULL, NULL) == NULL);
	roles_free(r);
}

static void
principals_are_users_uids_and_groups(void)
{
	struct roles *r = roles_new(1);

	/* Debian has them everywhere: nobody is 65534, daemon is group 1 */
	add(r, "u", "user:nobody", "EventGrid Data Sender", NS);
	add(r, "g", "group:daemon", "EventGrid Data Receiver", NS);
	CHECK(add(r, "x", "group:no-such-group", "EventGrid Data Sender", NS)
	    == 0);
	CHECK(add(r, "i", "00000000-0000-3000-8000-000000000000",
	    "EventGrid Data Sender", NS) == 0);
	CHECK(is(check(r, 65534, 9, ROLE_SEND, "t", NULL, NULL), "u"));
	CHECK(is(check(r, 100001, 1, ROLE_RECEIVE, "t", "s", NULL), "g"));
	CHECK(check(r, 100001, 9, ROLE_RECEIVE, "t", "s", NULL) == NULL);
	CHECK(roles_add(r, jv_object(), NULL) == -1);
	roles_free(r);
}

static void
a_refusal_says_what_to_do(void)
{
	struct roles *r = roles_new(1);
	struct fault f = { 0 };

	check(r, 100001, 9, ROLE_RECEIVE, "t1", "s1", &f);
	CHECK(f.code == FAULT_FORBIDDEN);
	CHECK(strcmp(f.text, "uid:100001 lacks 'EventGrid Data Receiver' on "
	    "topics/t1/eventSubscriptions/s1; to grant it: egns-ctl role "
	    "assignment create --assignee uid:100001 --role 'EventGrid Data "
	    "Receiver' --scope topics/t1/eventSubscriptions/s1") == 0);
	check(r, 100001, 9, ROLE_MANAGE, NULL, NULL, &f);
	CHECK(strstr(f.text, "'EventGrid Contributor' on namespace") != NULL);
	roles_free(r);
}

int
main(void)
{
	RUN(owner_and_superuser_may_do_everything);
	RUN(a_scope_covers_what_is_below_it);
	RUN(a_role_gives_its_rights_only);
	RUN(principals_are_users_uids_and_groups);
	RUN(a_refusal_says_what_to_do);
	DONE();
}
