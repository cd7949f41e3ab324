#ifndef CREDENTIAL_H
#define CREDENTIAL_H

#include <stdbool.h>

#include <ev.h>
#include <jv.h>

#include "buf.h"
#include "fault.h"
#include "fetch.h"

/*
 * What proves to an endpoint who we are, of the namespace's `endpoints`:
 *	{"file": PATH}        what the file holds when it is wanted
 *	{"command": COMMAND}  what the shell prints for it, kept for a while
 *	{"identity": NAME}    a token of the machine's identity, managed.h:
 *	    "SystemAssigned", or a resource id or client id of another one
 * Files and commands give a secret, without the white space around it; a
 * relative path is below the spool, where the command runs, too. Beside it "type"
 * says what it is, and so how it is sent: "bearer", which is also what none
 * means, as `Authorization: Bearer TOKEN`; "key" as `aeg-sas-key: KEY`; "sas" as
 * `aeg-sas-token: TOKEN`. A "connectionString" is not sent: who takes them makes
 * a proof of it (sas.h, blob_auth.h).
 */
#define CREDENTIAL_MAX 16384   /* bytes of a secret */
#define CREDENTIAL_LIMIT 5.0   /* seconds that a command may take */
#define CREDENTIAL_KEEP 300    /* seconds for which its answer is good */
/* An identity's token is renewed this long before its end, or at half its
 * time, and after a failure not at once again. */
#define CREDENTIAL_EARLY 300   /* seconds */
#define CREDENTIAL_AGAIN 30    /* seconds */

struct credential;

/* Where a credential is used; all of it outlives the credential. */
struct credential_use {
	struct ev_loop *loop; /* the default one: only that can wait for
	                       * children */
	int dir;              /* the spool's */
	struct fetcher *fetcher; /* asks for identities' tokens */
	const char *audience; /* whom these are for; NULL: no identities */
	bool connections;     /* are connection strings of any use? */
};

/*
 * The settings are consumed. `ready` gets what was waited for: the secret, or
 * NULL and a fault. It does not free the credential. NULL and a fault.
 */
struct credential *credential_new(const struct credential_use *, jv settings,
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

/* "bearer", "key", "sas" or "connectionString". */
const char *credential_type(const struct credential *);

/* Add the header that sends it: a line without its end, and a NUL. Not for a
 * connection string. */
void credential_header(const struct credential *, const char *token,
    struct buf *);

/* The endpoint did not like it: get another one next time. */
void credential_forget(struct credential *);

#endif
