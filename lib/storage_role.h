#ifndef STORAGE_ROLE_H
#define STORAGE_ROLE_H

#include <jv.h>

#include "fault.h"
#include "registry.h"

/*
 * May who writes dead letters write them to a container of an account on this
 * machine? `identity` is the destination's, jv null for none; who is meant is
 * an identity that it names, else the namespace's own. Neither jv is consumed.
 * The role 'Storage Blob Data Contributor' on the account, the container
 * (ACCOUNT/blobServices/default/containers/NAME) or what is above them lets it;
 * it is assigned to a principalId or a resource id. 0, or -1 and a Forbidden
 * fault with the command that grants it.
 */
int storage_role_check(struct registry *, jv namespace, jv identity,
    const char *account, const char *container, struct fault *);

#endif
