#ifndef CARGO_H
#define CARGO_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "deadletter.h"
#include "fault.h"
#include "json.h"
#include "parcel.h"

/* What a parcel becomes: the text of a blob, and what is to be remembered of
 * it. All zeros is empty. */
struct cargo {
	struct buf text;
	struct buf offsets;      /* numbers, a comma between them */
	uint64_t letters;
	uint64_t reason[DL_REASONS + 1]; /* the last: none of ours */
	struct buf spoilt;       /* lines of dropped/, of those that no blob can
	                          * have: somebody, or the disk, has changed
	                          * them */
	struct json json;
};

/* Of a parcel's records. 0, or -1 and a fault: without memory. */
int cargo_load(struct cargo *, const struct parcel *, const char *records,
    size_t len, struct fault *);
void cargo_free(struct cargo *);

/* Its line for deadletter/written/: where it is now. */
void cargo_line(const struct cargo *, const struct parcel *,
    const char *container, const char *blob, struct buf *);

/* The lines of dropped/ for records that are given up, and why. */
void cargo_drop(struct cargo *, const struct parcel *, const char *records,
    size_t len, const char *error, struct buf *lines);

/* The name of reason[i]; "Unknown" for the last. */
const char *cargo_reason(int i);

#endif
