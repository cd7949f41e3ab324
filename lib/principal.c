#include "principal.h"

#include <ctype.h>
#include <stdio.h>

#define WORDS_MAX 1024 /* of a longer id the rest does not count */

void
principal_of_namespace(char uuid[UUID_SIZE], const char *name)
{
	char words[WORDS_MAX];

	snprintf(words, sizeof(words), "principal %s", name);
	uuid_of(uuid, words);
}

void
principal_of_identity(char uuid[UUID_SIZE], const char *resource_id)
{
	char words[WORDS_MAX];

	snprintf(words, sizeof(words), "principal %s", resource_id);
	for (char *p = words; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	uuid_of(uuid, words);
}
