#ifndef CHANGES_H
#define CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"
#include "json.h"

/*
 * The text of namespace/changes.ndjson, the truth of the registry: a line per
 * change of a resource,
 *
 *	{"time":"...Z","crc32c":"8 hex digits","who":"user:ann","transaction":T,
 *	"change":1,"of":N,"op":"put","path":"topics/t","resource":{...}}
 *
 * ("op":"delete" has no resource; that of a client says "authenticationName",
 * which nothing else tells any more). The checksum is CRC-32C over the line
 * without its newline and without the eight digits. The N lines of a
 * transaction stand together, and count only together; transactions are
 * numbered from 1 without gaps.
 */
#define CHANGES_CRC_AT 48 /* bytes before the eight digits: time is fixed */

struct change {
	uint64_t transaction;
	uint32_t number, of;
	const char *path; /* into the line, not NUL-terminated */
	size_t path_len;
	const char *resource; /* NULL: deleted */
	size_t resource_len;
	/* to be written: the name of a client that is deleted, or NULL */
	const char *name;
	size_t name_len;
};

/* How far somebody has come: all zeros is the beginning. */
struct changes_mark {
	uint64_t offset;      /* behind the last line taken */
	uint64_t transaction; /* of that line */
	uint64_t line;        /* where it begins */
	char crc[9];          /* its eight digits */
};

/* Add a line, newline included. */
void changes_format(struct buf *, const struct change *, int64_t time,
    const char *who);

/*
 * Take one line without its newline apart, which must outlive the change;
 * `json` has its tokens afterwards. false: it is none of ours.
 */
bool changes_parse(struct json *, const char *line, size_t, struct change *);

/*
 * Go on from a mark through text, which is the file from its first byte.
 * `change` is called for every change of every whole transaction, and the mark
 * moves behind each of them; what is behind the mark in the end is the torn
 * front of a transaction that nobody was promised. `change` may be NULL. 0; its
 * non-zero; -1 and a fault when a whole line is not what changes_format writes.
 */
int changes_walk(const char *text, size_t len, struct changes_mark *,
    int (*change)(const struct change *, void *), void *arg, struct fault *);

#endif
