#ifndef JOB_H
#define JOB_H

#include <signal.h>
#include <sys/types.h>

#include "pull.h"

/* An event that is locked for us. */
struct event {
	struct event *next;
	char *line; /* as topicd sent it */
	size_t start, end; /* of the event in it */
	char *token;
	int64_t deliveries;
	int64_t renew_at; /* microseconds, by clock_now */
	bool lost;        /* the lock could not be renewed */
};

/* From a line of an answer, which is copied. NULL when it is none. */
struct event *event_new(const char *line, size_t);
void event_free(struct event *);

/* Its id as text that can be shown; out holds QUOTE_MAX bytes. */
const char *event_id(const struct event *, char *out);

/* A command that runs, and the events it works on; pid 0: free. */
struct job {
	pid_t pid;
	struct event *events;
	size_t n;
};

/*
 * Run argv with the job's events on standard input, in a process group of its
 * own and with this signal mask. 0, or -1 and errno.
 */
int job_start(struct job *, const struct options *, char *argv[],
    const sigset_t *);

/* Can this command be found? 0, or -1 and errno. */
int job_find(const char *command);

#endif
