#ifndef STORAGE_H
#define STORAGE_H

#include <jv.h>

#include "fault.h"

/*
 * The words in which dead-letter destinations are named. Checks: 0, or -1 and a
 * fault.
 */

/* Is it the resource id of a storage account? */
int storage_check_account(const char *id, struct fault *);
/* The account's name, in small letters, as URLs and containers/ have it, though
 * ids are the same in any case. 0, or -1: it
 * is the id of none, and name is as it was. */
#define STORAGE_ACCOUNT 25 /* bytes of it, with a NUL */
int storage_account(char name[STORAGE_ACCOUNT], const char *id);
/* The id of the one that every namespace has of its own on this machine. */
jv storage_local_account(const char *namespace_id);
/* The name of what a resource id is of, which it ends with. */
const char *storage_name(const char *id);

/* Is it a name that a container of Blob Storage can have? */
int storage_check_container(const char *name, struct fault *);

/* Is it the path of a directory, whose parts are all below the one before, so
 * that a relative one is below the spool, and is it none that the spool has for
 * something else? */
int storage_check_path(const char *path, struct fault *);

#endif
