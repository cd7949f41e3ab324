#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "letter.h"
#include "quarantine.h"

/* Put it, or find it there: 1 when there is another one. */
static int
put(struct container *c, const char *name, const struct buf *text,
    struct fault *f)
{
	char etag[BLOB_ETAG], *there;
	size_t len;
	bool same;

	if (container_put(c, name, buf_data(text), text->len, f) == 0)
		return 0;
	if (f->code != FAULT_CONFLICT)
		return -1;
	there = container_get(c, name, LETTER_BLOB_MAX, &len, etag, f);
	if (there == NULL)
		return f->code == FAULT_TOO_LARGE ? 1 : -1;
	same = len == text->len && memcmp(there, buf_data(text), len) == 0;
	free(there);
	return same ? 0 : 1;
}

int
quarantine_put(struct container *c, const char *prefix, const char *blob,
    const struct buf *text, struct fault *f)
{
	char name[BLOB_NAME + 64], crc[CRC32C_TEXT];
	size_t stem = strlen(blob);
	int rc;

	snprintf(name, sizeof(name), "%s%s", prefix, blob);
	if ((rc = put(c, name, text, f)) != 1)
		return rc;
	if (stem > 5 && strcmp(blob + stem - 5, ".json") == 0)
		stem -= 5;
	crc32c_format(crc, crc32c(0, buf_data(text), text->len));
	snprintf(name, sizeof(name), "%s%.*s-%.*s%s", prefix, (int)stem, blob,
	    CRC32C_TEXT, crc, blob + stem);
	if ((rc = put(c, name, text, f)) == 1)
		return fault_set(f, FAULT_CONFLICT, "%.300s: there is another "
		    "one of that name", name);
	return rc;
}
