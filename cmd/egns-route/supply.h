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
 * take, done and drop run in the lane's thread, one at a time; all else in the
 * loop.
 */
struct supply {
	const struct supply_calls *calls;
};

struct supply_calls {
	/*
	 * The next lines, about max bytes of them: 0 and a list, empty when there
	 * are none now; -1 and errno.
	 */
	int (*take)(struct supply *, size_t max, struct batch **list);
	/* All of a batch has arrived. 0, or -1 and errno. */
	int (*done)(struct supply *, const struct batch *);
	/*
	 * Add the event of a line (which is without its newline): 1; 0 when there
	 * is none to be made of it; -1 and a fault (BadRequest,
	 * PayloadTooLarge: of the line; else of ours).
	 */
	int (*event)(struct supply *, const struct batch *, uint32_t number,
	    const char *line, size_t, struct buf *, struct fault *);
	/* How far the target has come in a run; nothing of it is under way. */
	void (*position)(struct supply *, uint64_t run, uint64_t number);
	void (*close)(struct supply *);
};

#endif
