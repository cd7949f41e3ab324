#ifndef SUPPLY_H
#define SUPPLY_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"
#include "intake.h"

/*
 * Where a lane's lines come from, and what is made of them. Lines have numbers,
 * which they keep for good within a run; a batch is some lines in their order.
 */
struct supply {
	const struct supply_calls *calls;
	uint64_t run; /* of all lines; 0: each batch tells its own */
};

struct supply_calls {
	/*
	 * The next lines, about so many bytes and files: 0 and a list, empty
	 * when there are none now; -1 and errno, EIO when nothing can be
	 * promised any more. This, `gather` and `done` run in the lane's
	 * thread, all else in the loop.
	 */
	int (*take)(struct supply *, size_t max_bytes, size_t max_files,
	    struct batch **list);
	/* While nothing can be taken: make what waits easier to take. More than
	 * 0 when there may be more to do; -1 as take. NULL: nothing is done. */
	int (*gather)(struct supply *, size_t max_bytes, size_t max_files);
	/* All of a batch has arrived. 0, or -1 and errno. */
	int (*done)(struct supply *, const struct batch *);
	/*
	 * Add the event of a line, which is without its newline: 1; 0 when
	 * there is none to be made of it; -1 and a fault (BadRequest,
	 * PayloadTooLarge).
	 */
	int (*event)(struct supply *, const struct batch *, uint64_t number,
	    const char *line, size_t, struct buf *, struct fault *);
	/* Of a supply with a run of its own, before the first take: the target
	 * has all lines up to this one; 0: it knows of none. */
	void (*begin)(struct supply *, uint64_t number);
	void (*free)(struct supply *);
};

#endif
