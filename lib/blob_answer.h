#ifndef BLOB_ANSWER_H
#define BLOB_ANSWER_H

#include <stdbool.h>

#include "blob.h"
#include "blob_auth.h"
#include "blob_xml.h"
#include "fetch.h"

/* What an answer of Blob Storage means, and what it says to people. */
struct blob_asked {
	enum { BLOB_PUT, BLOB_GET, BLOB_DELETE, BLOB_LIST } what;
	bool if_absent;           /* a put: it was to be a new one */
	const char *container;
	const struct blob_proof *proof;
	const char *resource_id;  /* of the account; NULL: not known */
	const char *identity;     /* whose token it is; NULL: not known */
};

/* Read the code of an error, which is in a header, and what else is said. */
void blob_answer_error(const struct fetch_answer *, struct blob_error *);

/* Is the answer that we are not who we say? Another token may be better. */
bool blob_answer_disbelieves(const struct fetch_answer *,
    const struct blob_error *);

/* Fill in result, unsure, silent and, unless it is BLOB_DONE, fault; nothing in it
 * is a secret of the proof. */
void blob_answer_read(struct blob_answer *, const struct blob_asked *,
    const struct fetch_answer *, const struct blob_error *);

#endif
