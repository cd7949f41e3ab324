#ifndef BLOB_XML_H
#define BLOB_XML_H

#include <stddef.h>

#include "blob.h"
#include "fault.h"

/*
 * Answers of Blob Storage in XML, read by libexpat. Whatever they are, there is
 * no document type in them, so no entities but those of XML itself.
 */
#define BLOB_MARKER 4096 /* bytes of one, with a NUL */

/*
 * Call each with the blobs of a list in their order. What is no
 * name that a blob of ours can have, longer or not UTF-8, is not told of, nor
 * are directories. 0, or -1 and a fault: it is no list, or not whole; some may
 * have been told of by then.
 */
int blob_xml_list(const char *, size_t,
    void (*each)(const struct blob_entry *, void *arg), void *arg,
    char marker[BLOB_MARKER], struct fault *);

/* What an error says, as far as it is one; else empty. */
struct blob_error {
	char code[64];
	char message[256]; /* its first line, as it came */
};
void blob_xml_error(const char *, size_t, struct blob_error *);

#endif
