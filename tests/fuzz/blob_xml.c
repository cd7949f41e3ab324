/*
 * Any text as what Blob Storage answers: a list, and an error. What is told of
 * it can be a blob's.
 */
#include "blob_xml.h"

#include <stdlib.h>
#include <string.h>

#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(const struct blob_entry *e, void *arg)
{
	size_t len = strlen(e->name);

	(void)arg;
	if (len == 0 || len > BLOB_NAME || !utf8_text(e->name, len) ||
	    strlen(e->etag) >= BLOB_ETAG || e->modified < 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	char marker[BLOB_MARKER];
	struct blob_error error;
	struct fault f = { .code = FAULT_NONE };
	int rc = blob_xml_list(text, size, check, NULL, marker, &f);

	if ((rc == -1) != (f.code == FAULT_UNAVAILABLE) ||
	    strlen(marker) >= sizeof(marker))
		abort();
	blob_xml_error(text, size, &error);
	if (strlen(error.code) >= sizeof(error.code) ||
	    strlen(error.message) >= sizeof(error.message))
		abort();
	return 0;
}
