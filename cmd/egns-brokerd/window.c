/* group commit: what has to be on disk before others are told */
#include "window.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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
#include "notice.h"
#include "store.h"

/* Memory of ops comes in pieces of this size, and larger ones. */
#define ARENA_PIECE 65536
#define ARENA_WORK 128 /* bytes of it that are a piece of work */

/* Lines that nobody waits for go with others, or after this time. */
#define LAZY (CLOCK_SECOND / 10)

/* After a failure, lines that must be written are tried again so often. */
#define RETRY (CLOCK_SECOND / 10)

/* What waits in a stage is counted anew so often, once it is half of the
 * cap. */
#define COUNT_PERIOD CLOCK_SECOND

/*
 * Bytes of a file in route/, about. A window has more when wills of many
 * clients come at once, and egns-route takes a file of up to INTAKE_FILE_MAX.
 */
#define ROUTE_FILE (16 * 1024 * 1024)

/* Life-cycle events may come one at a time; a file has a block of the disk. */
#define LIFECYCLE_FILE 4096

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
	uint64_t told; /* lines that are in lifecycle/ now */
	bool fatal;   /* a sync has failed: nothing can be promised any more */
	bool dropped; /* what is for dropped/ is there */
};

/* What waits for egns-route; the thread counts. */
struct stage {
	const char *path;
	uint64_t least; /* bytes that a file counts */
	_Atomic uint64_t waits; /* bytes in it */
	int64_t counted; /* clock_mono() */
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
	bool adopt;         /* NOTICE_LOST is to move */
	struct stage route, lifecycle;
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
	g->told = 0;
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

static uint64_t
file_bytes(const struct stage *s, uint64_t bytes)
{
	return bytes > s->least ? bytes : s->least;
}

/* Bytes that wait in a stage: names tell them. */
static uint64_t
count_stage(int spool, const struct stage *s)
{
	static const char *const dirs[] = { "new", "cur" };
	char path[64];
	struct maildir_name name;
	uint64_t n = 0;

	for (int i = 0; i < 2; i++) {
		struct dirent *e;
		DIR *d;

		snprintf(path, sizeof(path), "%s/%s", s->path, dirs[i]);
		d = file_opendir(spool, path, 0);
		while (d != NULL && (e = readdir(d)) != NULL)
			if (maildir_parse(e->d_name, &name))
				n += file_bytes(s, name.bytes);
		if (d != NULL)
			closedir(d);
	}
	return n;
}

static void
count_again(int spool, struct stage *s, uint64_t cap)
{
	int64_t now = clock_mono();

	if (s->waits <= cap / 2 || now - s->counted < COUNT_PERIOD)
		return;
	s->counted = now;
	s->waits = count_stage(spool, s);
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

/* Whole lines off the front, for one file. */
static size_t
route_file(const char *p, size_t len)
{
	if (len <= ROUTE_FILE)
		return len;
	return (size_t)((const char *)memchr(p + ROUTE_FILE - 1, '\n',
	    len - ROUTE_FILE + 1) - p) + 1;
}

static int
write_route(struct broker *b, const struct gather *g)
{
	const struct buf *lines = &g->lines[WINDOW_ROUTE];
	const char *p = buf_data(lines), *end = p + lines->len;

	for (size_t n; p < end; p += n) {
		n = route_file(p, (size_t)(end - p));
		if (maildir_write(b->spool->fd, "route", p, n) == -1)
			return errno;
	}
	return 0;
}

/* Want of room is nobody's but these lines': they wait. */
static int
write_lifecycle(struct broker *b, struct gather *g)
{
	const struct buf *lines = &g->lines[WINDOW_LIFECYCLE];
	struct stage *s = &b->window->lifecycle;

	if (lines->len == 0)
		return 0;
	if (maildir_write(b->spool->fd, s->path, buf_data(lines),
	    lines->len) == -1)
		return file_no_room(errno) ? 0 : errno;
	g->told = maildir_lines(buf_data(lines), lines->len);
	s->waits += file_bytes(s, lines->len);
	return 0;
}

/* Sessions that were cut off are offline, on disk: nobody tells it again. */
static int
adopt(struct broker *b)
{
	struct stage *s = &b->window->lifecycle;

	if (!b->window->adopt)
		return 0;
	if (maildir_adopt(b->spool->fd, s->path, NOTICE_LOST) == -1 &&
	    errno != ENOENT)
		return file_no_room(errno) ? 0 : errno;
	b->window->adopt = false;
	s->waits = count_stage(b->spool->fd, s);
	return 0;
}

/*
 * A record in dropped/ is there before the store forgets the message; a file in
 * route/ is whole and safe before the store's sync, which is the last: what
 * fails before it can be undone, but for a message that is routed twice. The
 * end of a session is told before the store knows it, rather twice than never.
 */
static int
work(void *arg)
{
	struct broker *b = arg;
	struct window *w = b->window;
	struct gather *g = w->under_way;
	int error;

	if ((error = write_dropped(b, g)) == 0 &&
	    (error = store_write(b, &w->store)) == 0 &&
	    (error = write_route(b, g)) != 0)
		store_undo(b, &w->store);
	if (error == 0 && (error = write_lifecycle(b, g)) == 0 &&
	    (error = store_sync(b, &w->store)) == 0)
		error = adopt(b);
	if (error != 0 && (w->store.fatal || !file_no_room(error)))
		g->fatal = true;
	if (error == 0)
		w->route.waits += g->lines[WINDOW_ROUTE].len;
	count_again(b->spool->fd, &w->route, g->route_bytes);
	count_again(b->spool->fd, &w->lifecycle, WINDOW_LIFECYCLE_WAITS);
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
carry_lines(struct gather *from, struct gather *to, enum window_lines which)
{
	struct buf *old = &from->lines[which], *new = &to->lines[which];
	struct buf all = *old;

	if (old->len == 0)
		return;
	*old = (struct buf){ 0 };
	if (new->len > 0)
		buf_add(&all, buf_data(new), new->len);
	all.bad |= new->bad;
	buf_free(new);
	*new = all;
}

static void
carry(struct gather *from, struct gather *to)
{
	carry_lines(from, to, WINDOW_STATE_MUST);
	carry_lines(from, to, WINDOW_MESSAGES_MUST);
	if (!from->dropped)
		carry_lines(from, to, WINDOW_DROPPED_MUST);
}

/* What was not told is told later, but for a broker that ends. */
static void
count_told(struct broker *b, struct gather *g)
{
	uint64_t n;

	b->stats.notices += g->told;
	if (g->told > 0)
		return;
	if (!b->stopping) {
		carry_lines(g, b->window->open, WINDOW_LIFECYCLE);
		return;
	}
	n = maildir_lines(buf_data(&g->lines[WINDOW_LIFECYCLE]),
	    g->lines[WINDOW_LIFECYCLE].len);
	b->stats.lost_notices += n;
	if (n > 0)
		log_warn("lifecycle/: no room for %ju life-cycle events; they "
		    "are lost", (uintmax_t)n);
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
	count_told(b, g);
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

static int
open_stage(struct broker *b, struct stage *s, struct fault *f)
{
	if (maildir_begin(b->spool->fd, s->path) == -1)
		return fault_errno(f, FAULT_INTERNAL, "%s", s->path);
	s->waits = count_stage(b->spool->fd, s);
	return 0;
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
	w->route.path = "route";
	w->lifecycle.path = "lifecycle";
	w->lifecycle.least = LIFECYCLE_FILE;
	if (open_stage(b, &w->route, f) == -1 ||
	    open_stage(b, &w->lifecycle, f) == -1) {
		free(w);
		return -1;
	}
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

	return w->route.waits + w->open->lines[WINDOW_ROUTE].len <
	    b->settings.route_bytes;
}

bool
window_lifecycle_room(const struct broker *b)
{
	const struct window *w = b->window;
	size_t lines = w->open->lines[WINDOW_LIFECYCLE].len;

	if (w->under_way != NULL)
		lines += w->under_way->lines[WINDOW_LIFECYCLE].len;
	return lines < WINDOW_LIFECYCLE_LINES &&
	    w->lifecycle.waits + lines < WINDOW_LIFECYCLE_WAITS;
}

void
window_adopt(struct broker *b)
{
	b->window->adopt = true;
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

/* Nothing is added to what is full, so nothing but this looks whether it has
 * room again. */
static bool
to_count(const struct broker *b)
{
	const struct window *w = b->window;
	int64_t due = clock_mono() - COUNT_PERIOD;

	return (!window_route_room(b) && w->route.counted <= due) ||
	    (w->lifecycle.waits >= WINDOW_LIFECYCLE_WAITS &&
	    w->lifecycle.counted <= due);
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
		if (has_lines(g) || to_count(b) || w->adopt) {
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
