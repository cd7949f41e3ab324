#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>

#include "commit.h"

/*
 * A window goes to the thread with `todo` and comes back with `finished`: between
 * the two it, and error, are the thread's alone.
 */
struct commit {
	struct ev_loop *loop;
	ev_async woken;
	int (*work)(void *);
	void (*done)(void *, int);
	bool busy; /* the loop's view: from commit_start to done() */

	pthread_t thread;
	sem_t todo, finished;
	void *window;
	int error;
	bool ending; /* the thread has to go */
};

static void
take(sem_t *s)
{
	while (sem_wait(s) == -1)
		; /* EINTR */
}

static void *
thread_main(void *arg)
{
	struct commit *c = arg;

	for (;;) {
		take(&c->todo);
		if (c->ending)
			return NULL;
		c->error = c->work(c->window);
		sem_post(&c->finished);
		ev_async_send(c->loop, &c->woken);
	}
}

/* The thread has given the window back. */
static void
finish(struct commit *c)
{
	c->busy = false;
	ev_unref(c->loop);
	c->done(c->window, c->error);
}

static void
on_woken(struct ev_loop *loop, ev_async *w, int events)
{
	struct commit *c = w->data;

	(void)loop;
	(void)events;
	if (sem_trywait(&c->finished) == 0)
		finish(c);
}

/* The loop's thread is the one to take signals. */
static int
start_thread(struct commit *c)
{
	sigset_t all, old;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&c->thread, NULL, thread_main, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
}

struct commit *
commit_new(struct ev_loop *loop, int (*work)(void *), void (*done)(void *, int))
{
	struct commit *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->loop = loop;
	c->work = work;
	c->done = done;
	sem_init(&c->todo, 0, 0);
	sem_init(&c->finished, 0, 0);
	ev_async_init(&c->woken, on_woken);
	c->woken.data = c;
	ev_async_start(loop, &c->woken);
	ev_unref(loop);
	if (start_thread(c) != 0) {
		ev_ref(loop);
		ev_async_stop(loop, &c->woken);
		free(c);
		return NULL;
	}
	return c;
}

bool
commit_busy(const struct commit *c)
{
	return c->busy;
}

void
commit_start(struct commit *c, void *window)
{
	c->busy = true;
	ev_ref(c->loop);
	c->window = window;
	sem_post(&c->todo);
}

void
commit_free(struct commit *c)
{
	if (c == NULL)
		return;
	while (c->busy) { /* done() may well start the next window */
		take(&c->finished);
		finish(c);
	}
	c->ending = true;
	sem_post(&c->todo);
	pthread_join(c->thread, NULL);
	ev_ref(c->loop);
	ev_async_stop(c->loop, &c->woken);
	sem_destroy(&c->todo);
	sem_destroy(&c->finished);
	free(c);
}
