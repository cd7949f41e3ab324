#include "putter.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "clock.h"
#include "commit.h"
#include "quote.h"

#define SECONDS (BLOB_TIME / 1000)
#define TICK 1.0          /* seconds between looks at one that takes its time */
#define TICK_MOVABLE 0.05 /* with a clock that may be moved */

struct put {
	TAILQ_ENTRY(put) entry;
	blob_done *done; /* NULL: nobody waits for it any more */
	void *arg;
	size_t len;
	struct blob_answer answer;
	char *text, name[]; /* the text is behind the name */
};
TAILQ_HEAD(puts, put);

/*
 * The thread has, as long as commit_busy, dir, and of `now` what is neither done
 * nor arg.
 */
struct putter {
	TAILQ_ENTRY(putter) entry; /* of those that were left */
	struct container_dir dir;  /* a copy, with its own descriptor */
	struct ev_loop *loop;
	struct commit *thread;
	ev_timer tick;    /* runs while there is a put under way */
	struct puts queue;
	struct put *now;  /* under way; NULL: none is */
	int64_t begun;    /* clock_mono(): it was */
	bool left;        /* nobody has it: it goes when its put has ended */
};
TAILQ_HEAD(putters, putter);

/* What hangs, hangs until the process ends: they are the process's. */
static struct putters left = TAILQ_HEAD_INITIALIZER(left);

/* ---- the thread ---- */

static int
work(void *arg)
{
	struct putter *p = arg;
	struct put *u = p->now;

	u->answer.result = container_dir_put(&p->dir, u->name, u->text, u->len,
	    u->answer.etag, &u->answer.fault);
	return 0;
}

/* ---- the loop ---- */

static void
begin_next(struct putter *p)
{
	struct put *u = TAILQ_FIRST(&p->queue);

	if (p->now != NULL || u == NULL)
		return;
	TAILQ_REMOVE(&p->queue, u, entry);
	p->now = u;
	p->begun = clock_mono();
	ev_timer_again(p->loop, &p->tick);
	commit_start(p->thread, p);
}

static void
answer(struct put *u, const struct blob_answer *a)
{
	blob_done *done = u->done;

	u->done = NULL;
	if (done != NULL)
		done(a, u->arg);
}

static void
worked(void *arg, int error)
{
	struct putter *p = arg;
	struct put *u = p->now;

	(void)error;
	p->now = NULL;
	begin_next(p);
	if (p->now == NULL && !p->left)
		ev_timer_stop(p->loop, &p->tick);
	answer(u, &u->answer);
	free(u);
}

/* Those that their callbacks add have to wait for the next look. */
static void
answer_all(struct putter *p)
{
	struct blob_answer a = { .result = BLOB_LATER, .silent = true,
		.unsure = true };
	char q[QUOTE_MAX];
	struct put *u;
	size_t n = 0;

	fault_set(&a.fault, FAULT_UNAVAILABLE, "'%s' has not answered for %d "
	    "seconds", quote(q, p->dir.shown, strlen(p->dir.shown)), SECONDS);
	TAILQ_FOREACH(u, &p->queue, entry)
		n++;
	answer(p->now, &a);
	a.unsure = false; /* nothing of the others was done */
	for (; n > 0 && (u = TAILQ_FIRST(&p->queue)) != NULL; n--) {
		TAILQ_REMOVE(&p->queue, u, entry);
		answer(u, &a);
		free(u);
	}
}

static void
destroy(struct putter *p)
{
	ev_timer_stop(p->loop, &p->tick);
	commit_free(p->thread);
	if (p->dir.root >= 0)
		close(p->dir.root);
	free(p->dir.path);
	free(p->dir.shown);
	free(p);
}

static void
on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct putter *p = timer->data;

	(void)loop, (void)events;
	if (p->now == NULL) {
		TAILQ_REMOVE(&left, p, entry);
		destroy(p);
	} else if (clock_mono() - p->begun >= SECONDS * CLOCK_SECOND) {
		answer_all(p);
	}
}

/* ---- life ---- */

/* One that was left in the middle of a put there. */
static struct putter *
take_back(const struct container_dir *dir)
{
	struct putter *p;

	TAILQ_FOREACH(p, &left, entry)
		if (p->now != NULL && strcmp(p->dir.shown, dir->shown) == 0)
			break;
	if (p == NULL)
		return NULL;
	TAILQ_REMOVE(&left, p, entry);
	p->left = false;
	return p;
}

struct putter *
putter_new(struct ev_loop *loop, const struct container_dir *dir)
{
	struct putter *p = take_back(dir);

	if (p != NULL || (p = calloc(1, sizeof(*p))) == NULL)
		return p;
	TAILQ_INIT(&p->queue);
	p->loop = loop;
	ev_timer_init(&p->tick, on_tick, 0,
	    clock_movable() ? TICK_MOVABLE : TICK);
	p->tick.data = p;
	p->dir.path = strdup(dir->path);
	p->dir.shown = strdup(dir->shown);
	p->dir.root = dir->root == AT_FDCWD ? AT_FDCWD :
	    fcntl(dir->root, F_DUPFD_CLOEXEC, 0);
	if (p->dir.path != NULL && p->dir.shown != NULL && p->dir.root != -1 &&
	    (p->thread = commit_new(loop, work, worked)) != NULL)
		return p;
	destroy(p);
	return NULL;
}

int
putter_put(struct putter *p, const char *name, const void *text, size_t len,
    blob_done *done, void *arg)
{
	size_t size = strlen(name) + 1;
	struct put *u = calloc(1, sizeof(*u) + size + len);

	if (u == NULL)
		return -1;
	u->done = done;
	u->arg = arg;
	u->len = len;
	u->text = u->name + size;
	memcpy(u->name, name, size);
	if (len > 0)
		memcpy(u->text, text, len);
	TAILQ_INSERT_TAIL(&p->queue, u, entry);
	begin_next(p);
	return 0;
}

void
putter_free(struct putter *p)
{
	struct put *u;

	if (p == NULL)
		return;
	while ((u = TAILQ_FIRST(&p->queue)) != NULL) {
		TAILQ_REMOVE(&p->queue, u, entry);
		free(u);
	}
	if (p->now == NULL) {
		destroy(p);
		return;
	}
	p->now->done = NULL;
	p->left = true;
	TAILQ_INSERT_TAIL(&left, p, entry);
}
