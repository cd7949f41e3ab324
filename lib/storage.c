#include "storage.h"

#include <ctype.h>
#include <string.h>

#include "spool.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define ACCOUNTS "/providers/Microsoft.Storage/storageAccounts/"

const char *
storage_name(const char *id)
{
	const char *slash = strrchr(id, '/');

	return slash == NULL ? id : slash + 1;
}

int
storage_account(char name[STORAGE_ACCOUNT], const char *id)
{
	const char *at = id[0] == '/' ? strcasestr(id, ACCOUNTS) : NULL;
	size_t len;

	if (at == NULL)
		return -1;
	at += sizeof(ACCOUNTS) - 1;
	len = strlen(at);
	if (len < 3 || len >= STORAGE_ACCOUNT ||
	    strspn(at, LETTERS CAPITALS DIGITS) != len)
		return -1;
	for (size_t i = 0; i <= len; i++)
		name[i] = (char)tolower((unsigned char)at[i]);
	return 0;
}

int
storage_check_account(const char *id, struct fault *f)
{
	char name[STORAGE_ACCOUNT];

	if (storage_account(name, id) == 0)
		return 0;
	return fault_set(f, FAULT_BAD_REQUEST, "must be the id of a storage "
	    "account, .../resourceGroups/GROUP" ACCOUNTS "NAME");
}

jv
storage_local_account(const char *id)
{
	return jv_string_fmt("%.*s" ACCOUNTS "local",
	    (int)(strstr(id, "/providers/") - id), id);
}

int
storage_check_container(const char *name, struct fault *f)
{
	size_t len = strlen(name);

	if (len >= 3 && len <= 63 &&
	    strspn(name, LETTERS DIGITS "-") == len && name[0] != '-' &&
	    name[len - 1] != '-' && strstr(name, "--") == NULL)
		return 0;
	return fault_set(f, FAULT_BAD_REQUEST, "must be the name of a "
	    "container: 3 to 63 lower-case letters, digits and single hyphens, "
	    "which are between others");
}

/* The first part of a relative path that leads on, and its length, or 0. */
static const char *
first_part(const char *path, size_t *len)
{
	for (;; path += *len) {
		path += strspn(path, "/");
		*len = strcspn(path, "/");
		if (*len != 1 || *path != '.')
			return path;
	}
}

/* Who looks for blobs there, to remove them say, would take all for one. */
static int
check_below_spool(const char *path, struct fault *f)
{
	size_t len;
	const char *part = first_part(path, &len);
	const char *const *own = spool_parts;

	if (len == 0)
		return fault_set(f, FAULT_BAD_REQUEST, "must be below the "
		    "spool, and not the spool itself");
	for (; *own != NULL; own++)
		if (strcmp(*own, SPOOL_CONTAINERS) != 0 &&
		    strlen(*own) == len && memcmp(*own, part, len) == 0)
			return fault_set(f, FAULT_BAD_REQUEST, "must not be "
			    "in %s/, which the spool has for other things",
			    *own);
	return 0;
}

int
storage_check_path(const char *path, struct fault *f)
{
	if (*path == '\0')
		return fault_set(f, FAULT_BAD_REQUEST,
		    "must be the path of a directory");
	for (const char *p = path; p != NULL; p = strchr(p, '/')) {
		p += strspn(p, "/");
		if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == '\0'))
			return fault_set(f, FAULT_BAD_REQUEST, "must have no "
			    ".. in it; a path is absolute, or below the spool");
	}
	return *path == '/' ? 0 : check_below_spool(path, f);
}
