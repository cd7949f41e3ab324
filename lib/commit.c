#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "commit.h"

enum state {
	IDLE,    /* no window */
	WORKING, /* the thread has it */
	DONE,    /* the loop may have it back */
	ENDING,  /* the thread has to go */
};

struct commit {
	struct ev_loop *loop;
	ev_async woken;
	int (*work)(void *);
	void (*done)(void *, int);
	bool busy; /* the loop's view: from commit_start to done() */

	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	enum state state;
	void *window;
	int error;
};

static void *
thread_main(void *arg)
{
	struct commit *c = arg;
	int error;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		while (c->state == IDLE || c->state == DONE)
			pthread_cond_wait(&c->changed, &c->lock);
		if (c->state == ENDING)
			break;
		pthread_mutex_unlock(&c->lock);
		error = c->work(c->window);
		pthread_mutex_lock(&c->lock);
		c->error = error;
		c->state = DONE;
		pthread_cond_broadcast(&c->changed);
		ev_async_send(c->loop, &c->woken);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* Give the window back to the loop, if the thread is done with it. */
static void
finish(struct commit *c)
{
	void *window = NULL;
	bool finished;
	int error = 0;

	pthread_mutex_lock(&c->lock);
	if ((finished = c->state == DONE)) {
		window = c->window;
		error = c->error;
		c->state = IDLE;
	}
	pthread_mutex_unlock(&c->lock);
	if (!finished)
		return;
	c->busy = false;
	ev_unref(c->loop);
	c->done(window, error);
}

static void
on_woken(struct ev_loop *loop, ev_async *w, int events)
{
	(void)loop;
	(void)events;
	finish(w->data);
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
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
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
	pthread_mutex_lock(&c->lock);
	c->window = window;
	c->state = WORKING;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

void
commit_free(struct commit *c)
{
	if (c == NULL)
		return;
	/* done() may well start the next window */
	while (c->busy) {
		pthread_mutex_lock(&c->lock);
		while (c->state == WORKING)
			pthread_cond_wait(&c->changed, &c->lock);
		pthread_mutex_unlock(&c->lock);
		finish(c);
	}
	pthread_mutex_lock(&c->lock);
	c->state = ENDING;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	ev_ref(c->loop);
	ev_async_stop(c->loop, &c->woken);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
