#ifndef WORK_H
#define WORK_H

/*
 * The work that is measured, the same for every system: each of egns.c, redis.c
 * and nats.c says how it talks and has work_main() do the rest.
 */
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EVENT 300 /* bytes, and a newline behind */
#define BATCH_MAX 1000

/* Each call ends the program when it fails. */
struct system {
	const char *name;
	void *(*open)(const char *address);
	/* n events of EVENT + 1 bytes each; returns when all are safe. */
	void (*publish)(void *, const char *events, size_t n);
	/* Up to n events, waiting for the first one. */
	size_t (*receive)(void *, size_t n);
	/* Acknowledge what came last. Unless `wait` the answer may be taken by the
	 * next receive, whose request can travel along. */
	void (*settle)(void *, bool wait);
};

static const char *work_address;
static const struct system *work_system;

static double
work_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* An event whose id is made of who and n; data.n goes round 0 to 9. */
static void
work_event(char *at, unsigned who, unsigned n)
{
	int len = snprintf(at, EVENT + 1, "{\"specversion\":\"1.0\",\"id\":"
	    "\"%04x-%08x\",\"source\":\"/bench/plant-1\",\"type\":\"reading\","
	    "\"subject\":\"sensor-%02u\",\"time\":\"2026-01-31T12:00:00Z\","
	    "\"datacontenttype\":\"application/json\","
	    "\"data\":{\"n\":%u,\"unit\":\"C\",\"note\":\"", who, n, n % 100,
	    n % 10);

	memset(at + len, 'x', (size_t)(EVENT - 3 - len));
	memcpy(at + EVENT - 3, "\"}}\n", 4);
}

/* A publisher: its share of the events in batches. */
struct work_publisher {
	pthread_t thread;
	unsigned who;
	size_t events, batch;
	void *connection;
};

static void *
work_publish(void *arg)
{
	struct work_publisher *p = arg;
	char *mem = malloc(p->batch * (EVENT + 1));
	size_t i, n;
	unsigned id = 0;

	if (mem == NULL)
		err(1, "malloc");
	for (; p->events > 0; p->events -= n) {
		n = p->events < p->batch ? p->events : p->batch;
		for (i = 0; i < n; i++)
			work_event(mem + i * (EVENT + 1), p->who, id++);
		work_system->publish(p->connection, mem, n);
	}
	free(mem);
	return NULL;
}

static void
publish(size_t connections, size_t batch, size_t events)
{
	struct work_publisher p[64];
	double start;
	size_t i;

	for (i = 0; i < connections; i++)
		p[i] = (struct work_publisher){ .who = (unsigned)i,
			.events = events / connections, .batch = batch,
			.connection = work_system->open(work_address) };
	start = work_seconds();
	for (i = 0; i < connections; i++)
		if (pthread_create(&p[i].thread, NULL, work_publish, &p[i]))
			errx(1, "no thread");
	for (i = 0; i < connections; i++)
		pthread_join(p[i].thread, NULL);
	printf("%.0f\n", (double)(events / connections * connections) /
	    (work_seconds() - start));
}

static void
consume(size_t batch, size_t events)
{
	void *connection = work_system->open(work_address);
	double start = work_seconds();
	size_t n = 0;

	while (n < events) {
		n += work_system->receive(connection,
		    events - n < batch ? events - n : batch);
		work_system->settle(connection, n == events);
	}
	printf("%.0f\n", (double)n / (work_seconds() - start));
}

/* A consumer that waits for one event a time. */
struct work_waiter {
	pthread_t thread;
	size_t samples;
	double arrived;
	sem_t got, next;
	void *connection;
};

static void *
work_wait(void *arg)
{
	struct work_waiter *w = arg;

	for (; w->samples > 0; w->samples--) {
		work_system->receive(w->connection, 1);
		w->arrived = work_seconds();
		work_system->settle(w->connection, true);
		sem_post(&w->got);
		sem_wait(&w->next);
	}
	return NULL;
}

static int
work_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* From the publish call to the return of a receive that waits. */
static void
latency(size_t samples)
{
	struct work_waiter w = { .samples = samples,
		.connection = work_system->open(work_address) };
	void *connection = work_system->open(work_address);
	double *took = malloc(samples * sizeof(*took)), start;
	char event[EVENT + 1];
	size_t i;

	if (took == NULL || sem_init(&w.got, 0, 0) || sem_init(&w.next, 0, 0) ||
	    pthread_create(&w.thread, NULL, work_wait, &w))
		errx(1, "no memory or thread");
	for (i = 0; i < samples; i++) {
		/* The receive is to be waiting, and the system idle. */
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
		work_event(event, 0xffff, (unsigned)i);
		start = work_seconds();
		work_system->publish(connection, event, 1);
		sem_wait(&w.got);
		took[i] = w.arrived - start;
		sem_post(&w.next);
	}
	pthread_join(w.thread, NULL);
	qsort(took, samples, sizeof(*took), work_compare);
	printf("%.3f %.3f\n", took[samples / 2] * 1e3,
	    took[samples * 99 / 100] * 1e3);
	free(took);
}

/* What the machine gives at best to who must be safe before an answer: append
 * and fdatasync, one at a time. */
static void
raw(const char *file, size_t bytes, size_t count)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_APPEND, 0666);
	char *mem = calloc(1, bytes);
	double start = work_seconds();
	size_t i;

	for (i = 0; i < count; i++)
		if (mem == NULL || write(fd, mem, bytes) != (ssize_t)bytes ||
		    fdatasync(fd) == -1)
			err(1, "%s", file);
	printf("%.0f\n", (double)count / (work_seconds() - start));
	close(fd);
	free(mem);
}

/*
 * ADDRESS publish CONNECTIONS BATCH EVENTS  prints events a second
 * ADDRESS consume BATCH EVENTS              prints events a second
 * ADDRESS latency SAMPLES                   prints p50 and p99, milliseconds
 * FILE raw BYTES COUNT                      prints appends a second
 */
static int
work_main(const struct system *s, int argc, char *argv[])
{
	size_t n[3] = { 0 };
	int i;

	for (i = 3; i < argc && i < 6; i++)
		n[i - 3] = strtoul(argv[i], NULL, 10);
	work_system = s;
	work_address = argc > 1 ? argv[1] : NULL;
	if (argc == 6 && strcmp(argv[2], "publish") == 0 && n[0] > 0 &&
	    n[0] <= 64 && n[1] > 0 && n[1] <= BATCH_MAX)
		publish(n[0], n[1], n[2]);
	else if (argc == 5 && strcmp(argv[2], "consume") == 0 && n[0] > 0 &&
	    n[0] <= BATCH_MAX)
		consume(n[0], n[1]);
	else if (argc == 4 && strcmp(argv[2], "latency") == 0 && n[0] > 0)
		latency(n[0]);
	else if (argc == 5 && strcmp(argv[2], "raw") == 0)
		raw(argv[1], n[0], n[1]);
	else
		errx(64, "usage: %s ADDRESS publish CONNECTIONS BATCH EVENTS | "
		    "consume BATCH EVENTS | latency SAMPLES | raw BYTES COUNT", s->name);
	return 0;
}

#endif
