#ifndef PRINCIPAL_H
#define PRINCIPAL_H

#include "uuid.h"

/*
 * The ids that identities have in role assignments: made up, but always the
 * same.
 */

/* Of a namespace's own identity. */
void principal_of_namespace(char uuid[UUID_SIZE], const char *name);

/* Of another one, by its resource id, in any case of letters. */
void principal_of_identity(char uuid[UUID_SIZE], const char *resource_id);

#endif
