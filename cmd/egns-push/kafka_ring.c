/* rings of attempts under way */
#include <stdlib.h>

#include "producing.h"

void
ring_init(struct flight *ring)
{
	ring->next = ring->prev = ring;
}

bool
ring_empty(const struct flight *ring)
{
	return ring->next == ring;
}

void
ring_leave(struct flight *fl)
{
	fl->prev->next = fl->next;
	fl->next->prev = fl->prev;
}

void
ring_join(struct flight *ring, struct flight *fl)
{
	fl->next = ring;
	fl->prev = ring->prev;
	ring->prev->next = fl;
	ring->prev = fl;
}

struct flight *
ring_pop(struct flight *ring)
{
	struct flight *fl = ring->next;

	if (fl == ring)
		return NULL;
	ring->next = fl->next;
	fl->next->prev = ring;
	ring_init(fl);
	return fl;
}

void
ring_move(struct flight *from, struct flight *to)
{
	if (ring_empty(from))
		return;
	from->prev->next = to->next;
	to->next->prev = from->prev;
	to->next = from->next;
	from->next->prev = to;
	ring_init(from);
}

void
ring_free(struct flight *ring)
{
	struct flight *fl;

	while ((fl = ring_pop(ring)) != NULL)
		free(fl);
}
