#ifndef LOCAL_H
#define LOCAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker.h"
#include "store.h"

/* What store.c and recover.c share: the store in memory. */
#define STORE_STATE "state.ndjson"
#define STORE_NAME 32 /* bytes of a segment's name, NUL included */

struct segment_info {
	uint32_t number; /* from 1 */
	uint64_t size;
	uint64_t live; /* bytes of lines whose message somebody holds */
	struct message *first, *last; /* these messages */
};

/* A message whose line is in a window that is not on disk yet. */
struct placed {
	struct message *message;
	uint64_t at; /* in the window's lines; then in the segment */
	uint32_t length;
	bool again; /* cleaning: it has been on disk before */
};

struct store {
	int dir;
	int state_fd, segment_fd;
	uint64_t state_size, state_base;
	struct segment_info *segments; /* the last one is written to */
	size_t nsegments, cap;
	uint64_t total, live; /* bytes of all segments */
	uint64_t next_message;
	/* numbers of connections: the highest one given; the highest that may
	 * be given before more are set aside; and of these what is on disk */
	uint64_t connections, reserved, safe;
	struct placed *placed, *committing;
	size_t nplaced, placed_cap, ncommitting;
	struct session *settling; /* with settled messages to tell */
	bool cleaning;            /* some of it is in a window */
	uint32_t stuck;           /* a segment that cannot be read */
	TCMAP *by_number;         /* number -> struct session * */
};

void store_segment_name(char name[STORE_NAME], uint32_t number);
struct segment_info *store_add_segment(struct store *, uint32_t number);
int store_was_also(struct message *, uint64_t session, uint64_t sequence,
    const char *line, size_t len);
void store_enter(struct store *, struct message *, struct segment_info *,
    uint64_t offset, uint32_t length);
struct session *store_session_of(struct store *, uint64_t number);

#endif
