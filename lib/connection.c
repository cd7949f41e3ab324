#include "connection.h"

#include <string.h>
#include <strings.h>

/* Is the part NAME=..., whose name is compared without case? Then its value. */
static char *
value_of(char *part, const char *name)
{
	size_t len = strlen(name);

	if (strncasecmp(part, name, len) != 0 || part[len] != '=')
		return NULL;
	return part + len + 1;
}

int
connection_parse(char *text, const struct connection_part *parts, size_t n,
    struct fault *f)
{
	char *part, *value;

	for (size_t i = 0; i < n; i++)
		*parts[i].value = NULL;
	while ((part = strsep(&text, ";")) != NULL)
		for (size_t i = 0; i < n; i++) {
			if ((value = value_of(part, parts[i].name)) == NULL)
				continue;
			if (*parts[i].value != NULL)
				return fault_set(f, FAULT_BAD_REQUEST,
				    "the connection string has a part twice");
			*parts[i].value = value;
		}
	return 0;
}
