#ifndef CREDENTIAL_H
#define CREDENTIAL_H

#include <jv.h>

#include <ev.h>

#include "fault.h"

/*
 * The bearer token of an endpoint, of the namespace's `endpoints`:
 *	{"file": PATH}        what the file holds when it is wanted
 *	{"command": COMMAND}  what the shell prints for it, kept for a while
 * without the white space around it. A relative path is below `dir`, which is
 * the spool's and outlives the credential.
 */
#define CREDENTIAL_MAX 16384   /* bytes of a token */
#define CREDENTIAL_LIMIT 5.0   /* seconds that a command may take */
#define CREDENTIAL_KEEP 300    /* seconds for which its answer is good */

struct credential;

/*
 * The settings are consumed; the loop is the default one, as only that can wait
 * for children. `ready` gets what a command has given: the token, or NULL and a
 * fault. It does not free the credential. NULL and a fault.
 */
struct credential *credential_new(struct ev_loop *, int dir, jv settings,
    void (*ready)(const char *token, const struct fault *, void *arg),
    void *arg, struct fault *);
/* A command that runs is killed. */
void credential_free(struct credential *);

enum credential_state {
	CREDENTIAL_HERE,
	CREDENTIAL_LATER, /* `ready` will be called */
	CREDENTIAL_NONE,  /* and a fault */
};
/* The token is the credential's, until the next call of any kind. */
enum credential_state credential_token(struct credential *, const char **token,
    struct fault *);

/* The endpoint did not like it: get another one next time. */
void credential_forget(struct credential *);

#endif
