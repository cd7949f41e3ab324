#ifndef AUTHORITY_H
#define AUTHORITY_H

#include "fault.h"
#include "session.h"

/*
 * The local authority of a namespace, and the certificate of its server: the
 * files of namespace/tls/, egns-spool(5).
 */

/* Make what is not there, and put the authority into the transaction. The
 * namespace is not consumed. 0, or -1 and a fault. */
int authority_make(struct session *, jv namespace, struct fault *);

#endif
