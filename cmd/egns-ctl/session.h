#ifndef SESSION_H
#define SESSION_H

#include "ctl.h"
#include "registry.h"
#include "spool.h"

/* A namespace, opened for a verb; zeros until session_open. */
struct session {
	struct spool spool;
	struct registry *registry;
	char who[64]; /* "user:ann" */
};

/* 0, or a status and the fault has been said (no spool, no namespace, a -g of
 * another resource group). */
int session_open(struct session *, struct ctl *, bool write);
void session_close(struct session *);

/* Is this the namespace's name (NULL: nobody asked)? 0, or a status. */
int session_is(struct session *, const char *name);

/* Commit, and tell the daemons; then nothing is left to do but print. */
int session_commit(struct session *);

/* Delete what is at a path, with what is below it and the roles on it. */
int session_delete(struct session *, const char *path, struct fault *);

void session_who(struct session *);

#endif
