#ifndef ENDPOINT_H
#define ENDPOINT_H

#include <jv.h>

#include "fault.h"

/*
 * The namespace's `endpoints`: what resource ids of other services mean. An
 * entry is {"resourceId","url","credential"}; credentials are in credential.h.
 */

/* Is this a URL to send to: https://, or http:// on this machine, without a
 * password? 0, or -1 and a fault, which has nothing of the URL. */
int endpoint_check_url(const char *, struct fault *);

/* Is this (not consumed) a credential? 0, or -1 and a fault, which has none of
 * its values. */
int endpoint_check_credential(jv, struct fault *);

/* The entry of a resource id, in any case of letters, of a namespace's
 * resource (not consumed); jv null when there is none. */
jv endpoint_find(jv namespace, const char *resource_id);

#endif
