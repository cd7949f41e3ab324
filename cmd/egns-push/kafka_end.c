/* the end of producers */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "producing.h"

#define EXIT_WAIT 1 /* seconds for producers that end with us */

/*
 * It waits for its threads, which may be waiting for a name server. So that is
 * done aside; and we do not end meanwhile, as OpenSSL would be gone below them.
 */
static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned n;
	bool at_exit;
} ending = { .mutex = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER };

static void
wait_for_ends(void)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += EXIT_WAIT;
	pthread_mutex_lock(&ending.mutex);
	while (ending.n > 0 && pthread_cond_timedwait(&ending.changed,
	    &ending.mutex, &end) == 0)
		;
	pthread_mutex_unlock(&ending.mutex);
}

void
producer_watch_exit(void)
{
	if (!ending.at_exit)
		atexit(wait_for_ends);
	ending.at_exit = true;
}

static void *
end_producer(void *arg)
{
	struct producer *p = arg;

	rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE |
	    RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
	rd_kafka_topic_destroy(p->topic);
	rd_kafka_queue_destroy(p->queue);
	rd_kafka_destroy(p->rk);
	close(p->readable.fd);
	free(p);
	pthread_mutex_lock(&ending.mutex);
	ending.n--;
	pthread_cond_signal(&ending.changed);
	pthread_mutex_unlock(&ending.mutex);
	return NULL;
}

/* Signals are for the loop. */
static int
start_thread(void *(*fn)(void *), void *arg)
{
	pthread_attr_t how;
	pthread_t thread;
	sigset_t all, old;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&how);
	pthread_attr_setdetachstate(&how, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &how, fn, arg);
	pthread_attr_destroy(&how);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
}

void
producer_bury(struct producer *p)
{
	pthread_mutex_lock(&ending.mutex);
	ending.n++;
	pthread_mutex_unlock(&ending.mutex);
	if (start_thread(end_producer, p) != 0)
		end_producer(p);
}

void
producer_retire(struct kafka *k)
{
	struct producer *p = k->producer;

	k->producer = NULL;
	if (p == NULL)
		return;
	ev_io_stop(k->loop, &p->readable);
	ev_timer_stop(k->loop, &k->nobody);
	p->over = true;
	if (!p->polling)
		producer_bury(p);
}
