#ifndef ROLE_H
#define ROLE_H

#include <sys/types.h>

#include <jv.h>

#include "fault.h"

/*
 * Who may do what on the local sockets: role assignments, matched against the
 * uid and gid that the kernel names (SO_PEERCRED) and the groups of that user.
 * A scope is the namespace, a topic or a subscription, and covers what is below
 * it. The owner of the spool and the superuser are Contributor.
 */
enum role_right {
	ROLE_SEND = 1,    /* EventGrid Data Sender: publish */
	ROLE_RECEIVE = 2, /* EventGrid Data Receiver: receive, settle, peek */
	ROLE_MANAGE = 4,  /* EventGrid Contributor: these, stats and reload */
};

struct roles; /* all assignments of a namespace */

struct roles *roles_new(uid_t owner);
void roles_free(struct roles *);

/* Add the resource of a roleAssignments/R (consumed). 0, or -1 and a fault. */
int roles_add(struct roles *, jv resource, struct fault *);

/* A peer, with the groups of its user looked up once. */
struct role_peer {
	uid_t uid;
	gid_t gid;
	char name[64]; /* "user:ann", or "uid:1234" without a name: for people */
	gid_t *groups;
	int ngroups;
};
void role_peer_init(struct role_peer *, uid_t, gid_t);
void role_peer_free(struct role_peer *);

/*
 * May the peer do this on topic/subscription (either may be NULL)? The name of
 * the grant ("owner", "superuser" or the assignment's name), valid as long as
 * roles is; or NULL and a Forbidden fault that says which role on which scope
 * is missing and the command that grants it.
 */
const char *role_check(const struct roles *, const struct role_peer *,
    enum role_right, const char *topic, const char *subscription,
    struct fault *);

#endif
