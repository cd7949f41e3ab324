#ifndef DAYBOOK_H
#define DAYBOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A directory of the spool with a file of lines for each day, UTC:
 * DIR/YYYY-MM-DD.ndjson. Anybody may append, nobody changes what is there.
 */

/*
 * Append whole lines to the file of `now` and sync; the directory is made if
 * need be. A torn last line, which a crash left, is cut off first; writers
 * exclude each other by a lock. 0, or -1 and errno; in any thread.
 */
int daybook_append(int spool, const char *dir, int64_t now, const void *lines,
    size_t len);

/* Is this the name of such a file? */
bool daybook_is_name(const char *);

#endif
