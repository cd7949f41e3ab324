/* group commit: what has to be on disk before others are told */
#include "window.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "clock.h"
#include "commit.h"
#include "deadletter.h"
#include "file.h"
#include "log.h"
#include "maildir.h"
#include "client.h"
#include "store.h"

/* Memory of ops comes in pieces of this size, and larger ones. */
#define ARENA_PIECE 65536
#define ARENA_WORK 128 /* bytes of it that are a piece of work */

/* Lines that nobody waits for go with others, or after this time. */
#define LAZY (CLOCK_SECOND / 10)

/* After a failure, lines that must be written are tried again so often. */
#define RETRY (CLOCK_SECOND / 10)

/* What waits in route/ is counted anew so often, once it is half of the cap. */
#define COUNT_PERIOD CLOCK_SECOND

struct piece {
	struct piece *next;
	size_t used, size;
	_Alignas(16) char mem[];
};

struct gather {
	struct buf lines[WINDOW_LINES];
	struct op *ops, **tail;
	struct piece *arena;
	size_t work;
	int64_t now;  /* day of dropped/ */
	uint64_t route_bytes; /* that may wait in route/ */
	bool fatal;   /* a sync has failed: nothing can be promised any more */
	bool dropped; /* what is for dropped/ is there */
};

struct window {
	struct commit *commit;
	ev_timer again; /* those that waited go on in the next turn */
	struct gather gathers[2];
	struct gather *open, *under_way;
	struct store_commit store;
	int64_t lazy_since; /* clock_mono() of the oldest line that waits */
	int64_t retry_at;   /* clock_mono() */
	bool no_room;       /* of the disk, and it was logged */
	_Atomic uint64_t route_waits; /* bytes in route/ */
	int64_t counted;      /* clock_mono() */
};

static void
gather_reset(struct gather *g)
{
	struct piece *p;

	for (int i = 0; i < WINDOW_LINES; i++)
		buf_reset(&g->lines[i], 1024 * 1024);
	while ((p = g->arena) != NULL && p->next != NULL) {
		g->arena = p->next;
		free(p);
	}
	if (g->arena != NULL)
		g->arena->used = 0;
	g->ops = NULL;
	g->tail = &g->ops;
	g->work = 0;
	g->fatal = g->dropped = false;
}

static bool
has_lines(const struct gather *g)
{
	for (int i = 0; i < WINDOW_LINES; i++)
		if (g->lines[i].len > 0)
			return true;
	return false;
}

/* ---- the thread ---- */

/* Bytes that wait in route/: names tell them. */
static uint64_t
count_route(int spool)
{
	static const char *const dirs[] = { "route/new", "route/cur" };
	struct maildir_name name;
	uint64_t n = 0;

	for (int i = 0; i < 2; i++) {
		DIR *d = file_opendir(spool, dirs[i], 0);
		struct dirent *e;

		while (d != NULL && (e = readdir(d)) != NULL)
			if (maildir_parse(e->d_name, &name))
				n += name.bytes;
		if (d != NULL)
			closedir(d);
	}
	return n;
}

static int
write_dropped(struct broker *b, struct gather *g)
{
	static const enum window_lines both[] = {
		WINDOW_DROPPED_MUST, WINDOW_DROPPED
	};

	for (int i = 0; i < 2; i++) {
		const struct buf *lines = &g->lines[both[i]];

		if (lines->len > 0 && dropped_append(b->spool->fd, g->now,
		    buf_data(lines), lines->len) == -1)
			return errno;
		g->dropped = true;
	}
	return 0;
}

static uint64_t
count_lines(const struct buf *b)
{
	const char *p = buf_data(b), *end = p + b->len;
	uint64_t n = 0;

	while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		n++;
		p++;
	}
	return n;
}

static int
write_route(struct broker *b, const struct gather *g)
{
	const struct buf *lines = &g->lines[WINDOW_ROUTE];

	if (lines->len > 0 && maildir_write(b->spool->fd, "route",
	    buf_data(lines), lines->len, count_lines(lines)) == -1)
		return errno;
	return 0;
}

/*
 * A record in dropped/ is there before the store forgets the message; a file in
 * route/ is whole and safe before the store's sync, which is the last: what
 * fails before it can be undone, but for a message that is routed twice.
 */
static int
work(void *arg)
{
	struct broker *b = arg;
	struct window *w = b->window;
	struct gather *g = w->under_way;
	int64_t now = clock_mono();
	int error;

	if ((error = write_dropped(b, g)) == 0 &&
	    (error = store_write(b, &w->store)) == 0 &&
	    (error = write_route(b, g)) != 0)
		store_undo(b, &w->store);
	if (error == 0)
		error = store_sync(b, &w->store);
	if (error != 0 && (w->store.fatal || !file_no_room(error)))
		g->fatal = true;
	if (error == 0)
		w->route_waits += g->lines[WINDOW_ROUTE].len;
	if (w->route_waits > g->route_bytes / 2 &&
	    now - w->counted >= COUNT_PERIOD) {
		w->counted = now;
		w->route_waits = count_route(b->spool->fd);
	}
	return error;
}

/* ---- the loop ---- */

static void
run_ops(struct broker *b, struct gather *g, int error)
{
	struct op *op, *next;

	for (op = g->ops; op != NULL; op = next) {
		next = op->next;
		op->done(b, op, error);
	}
}

/* What must be written goes in front of what has come since. */
static void
carry(struct gather *from, struct gather *to)
{
	static const enum window_lines must[] = {
		WINDOW_STATE_MUST, WINDOW_MESSAGES_MUST, WINDOW_DROPPED_MUST
	};
	struct buf all;

	for (size_t i = 0; i < sizeof(must) / sizeof(must[0]); i++) {
		struct buf *old = &from->lines[must[i]];
		struct buf *new = &to->lines[must[i]];

		if (old->len == 0 ||
		    (must[i] == WINDOW_DROPPED_MUST && from->dropped))
			continue;
		all = *old;
		*old = (struct buf){ 0 };
		if (new->len > 0)
			buf_add(&all, buf_data(new), new->len);
		all.bad |= new->bad;
		buf_free(new);
		*new = all;
	}
}

/* Once when it begins, and once when it is over. */
static void
tell_room(struct window *w, int error)
{
	if (error != 0 && !w->no_room)
		log_warn("no room on disk: %s: what clients publish is refused",
		    strerror(error));
	else if (error == 0 && w->no_room)
		log_warn("there is room on disk again");
	w->no_room = error != 0;
}

static void
done(void *arg, int error)
{
	struct broker *b = arg;
	struct window *w = b->window;
	struct gather *g = w->under_way;

	if (g->fatal)
		log_fatal(EX_IOERR, "a commit failed: %s; what was not "
		    "acknowledged may be lost", strerror(error));
	store_committed(b, &w->store, error);
	w->under_way = NULL;
	tell_room(w, error);
	if (error != 0) {
		w->retry_at = clock_mono() + RETRY;
		if (!b->stopping)
			carry(g, w->open);
	}
	run_ops(b, g, error);
	gather_reset(g);
	clients_unblock(b);
}

static void
on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	clients_unblock(timer->data);
}

int
window_open(struct broker *b, struct fault *f)
{
	struct window *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	gather_reset(&w->gathers[0]);
	gather_reset(&w->gathers[1]);
	w->open = &w->gathers[0];
	ev_timer_init(&w->again, on_again, 0, 0);
	w->again.data = b;
	if (maildir_make(b->spool->fd, "route") == -1) {
		fault_errno(f, FAULT_INTERNAL, "route");
		free(w);
		return -1;
	}
	w->route_waits = count_route(b->spool->fd);
	if ((w->commit = commit_new(b->loop, work, done)) == NULL) {
		free(w);
		return fault_set(f, FAULT_INTERNAL, "no committer thread");
	}
	b->window = w;
	return 0;
}

void
window_close(struct broker *b)
{
	struct window *w = b->window;

	commit_free(w->commit);
	ev_timer_stop(b->loop, &w->again);
	for (int i = 0; i < 2; i++) {
		gather_reset(&w->gathers[i]);
		free(w->gathers[i].arena);
		for (int j = 0; j < WINDOW_LINES; j++)
			buf_free(&w->gathers[i].lines[j]);
	}
	free(w);
	b->window = NULL;
}

void *
window_alloc(struct broker *b, size_t n)
{
	struct gather *g = b->window->open;
	struct piece *p = g->arena;
	size_t size;

	n = (n + 15) & ~(size_t)15;
	if (p == NULL || n > p->size - p->used) {
		size = n > ARENA_PIECE ? n : ARENA_PIECE;
		if ((p = malloc(sizeof(*p) + size)) == NULL)
			return NULL;
		p->used = 0;
		p->size = size;
		p->next = g->arena;
		g->arena = p;
	}
	p->used += n;
	g->work += n / ARENA_WORK;
	return p->mem + p->used - n;
}

void
window_work(struct broker *b, size_t n)
{
	b->window->open->work += n;
}

void
window_op(struct broker *b, struct op *op)
{
	struct gather *g = b->window->open;

	op->next = NULL;
	*g->tail = op;
	g->tail = &op->next;
}

struct buf *
window_lines(struct broker *b, enum window_lines which)
{
	return &b->window->open->lines[which];
}

bool
window_full(const struct broker *b)
{
	const struct gather *g = b->window->open;

	return g->work > WINDOW_WORK ||
	    g->lines[WINDOW_MESSAGES].len + g->lines[WINDOW_ROUTE].len +
	    g->lines[WINDOW_STATE].len + g->lines[WINDOW_DROPPED].len >
	    WINDOW_BYTES;
}

bool
window_idle(const struct broker *b)
{
	const struct gather *g = b->window->open;

	return b->window->under_way == NULL && g->ops == NULL && !has_lines(g);
}

bool
window_route_room(const struct broker *b)
{
	const struct window *w = b->window;

	return w->route_waits + w->open->lines[WINDOW_ROUTE].len <
	    b->settings.route_bytes;
}

/* Is it time for the open window? Lines that nobody waits for may wait. */
static bool
due(struct broker *b)
{
	struct window *w = b->window;
	int64_t now = clock_mono();

	if (b->stopping || window_full(b))
		return true;
	/* what is never refused would be tried without a pause */
	if (now < w->retry_at)
		return false;
	if (w->open->ops != NULL)
		return true;
	if (w->lazy_since == 0)
		w->lazy_since = now;
	return now - w->lazy_since >= LAZY;
}

static void
seal(struct broker *b)
{
	struct window *w = b->window;
	struct gather *g = w->open;

	w->store = (struct store_commit){
		.state = &g->lines[WINDOW_STATE],
		.state_must = &g->lines[WINDOW_STATE_MUST],
		.messages = &g->lines[WINDOW_MESSAGES],
		.messages_must = &g->lines[WINDOW_MESSAGES_MUST],
		.moved = &g->lines[WINDOW_MOVED],
	};
	store_seal(b, &w->store);
	g->now = clock_now();
	g->route_bytes = b->settings.route_bytes;
	w->lazy_since = 0;
	w->under_way = g;
	w->open = g == &w->gathers[0] ? &w->gathers[1] : &w->gathers[0];
	commit_start(w->commit, b);
}

/* Nobody can publish, so nothing but this looks whether route/ has room again. */
static bool
route_to_count(const struct broker *b)
{
	return !window_route_room(b) &&
	    clock_mono() - b->window->counted >= COUNT_PERIOD;
}

void
window_turn(struct broker *b)
{
	struct window *w = b->window;
	struct gather *g;

	while (w->under_way == NULL) {
		store_turn(b);
		g = w->open;
		for (int i = 0; i < WINDOW_LINES; i++)
			if (g->lines[i].bad)
				log_fatal(EX_OSERR, "out of memory");
		if (has_lines(g) || route_to_count(b)) {
			if (due(b))
				seal(b);
			return;
		}
		if (g->ops == NULL) {
			if (g->work > 0)
				ev_timer_start(b->loop, &w->again);
			g->work = 0;
			return;
		}
		/* ops of ops go into the other one */
		w->open = g == &w->gathers[0] ? &w->gathers[1] :
		    &w->gathers[0];
		run_ops(b, g, 0);
		gather_reset(g);
		ev_timer_start(b->loop, &w->again);
	}
}
