#ifndef MANAGED_H
#define MANAGED_H

#include <stdint.h>

#include "fault.h"
#include "fetch.h"

/*
 * A bearer token of an identity that the machine has been given, asked for
 * where the environment says:
 *	IDENTITY_ENDPOINT, IDENTITY_HEADER     App Service and its like
 *	IDENTITY_ENDPOINT, IMDS_ENDPOINT       a machine managed by Arc
 *	AZURE_FEDERATED_TOKEN_FILE, AZURE_TENANT_ID, AZURE_CLIENT_ID
 *	    [, AZURE_AUTHORITY_HOST]           workload identity
 *	none of these                          a virtual machine: IMDS, at
 *	    AZURE_POD_IDENTITY_AUTHORITY_HOST or http://169.254.169.254
 * One question, one answer; it is for the caller to keep the token, and to ask
 * again.
 */
#define MANAGED_TIME 10000  /* milliseconds for an answer */
#define MANAGED_MAX 65536   /* bytes of one */

/* The directory that keys of Arc are in; tests have their own. */
extern const char *managed_arc_keys;

struct managed;

/*
 * `identity` is NULL for the machine's own, a resource id (which begins with a
 * slash) or a client id. `audience` is whom the token is for,
 * "https://eventgrid.azure.net". `done` gets the token and for how many
 * microseconds it is good, or NULL and a fault that says which endpoint said
 * what; the question is gone then. NULL and a fault when there is nobody to
 * ask.
 */
struct managed *managed_start(struct fetcher *, const char *identity,
    const char *audience, void (*done)(const char *token, int64_t good_for,
    const struct fault *, void *arg), void *arg, struct fault *);
/* Before the fetcher; `done` is not called. NULL is nothing. */
void managed_drop(struct managed *);

#endif
