#ifndef PLAIN_H
#define PLAIN_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "json.h"

/* Text from blobs, added to a buffer, that commands no terminal. */

/* As quote() does it, in full. */
void plain_text(struct buf *, const char *, size_t);

/* JSON, of one meaning with what it was: control characters, which stand in
 * strings alone, are escaped, and white space is blanks: it is one line. */
void plain_json(struct buf *, const char *, size_t);

/* A value for eyes, `indent` blanks before each line but the first; scalars are
 * as they stand. */
void plain_value(struct buf *, const struct json *, uint32_t token,
    unsigned indent);

#endif
