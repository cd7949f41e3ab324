#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "file.h"
#include "job.h"
#include "quote.h"

/* A longer fact is left out: Linux refuses a string of more than 128 KiB in an
 * environment, and the event is there in full on standard input. */
#define FACT_MAX (32 * 1024)

/* Where the parts of a line {"brokerProperties":{...},"event":{...}} are. */
static int
dissect(struct event *e, const struct json *j)
{
	uint32_t facts = json_member(j, 0, "brokerProperties", 16), t;
	struct buf token = { 0 };

	if (facts == 0 || (t = json_member(j, 0, "event", 5)) == 0)
		return -1;
	e->start = j->tok[t].start;
	e->end = j->tok[t].end;
	t = json_member(j, facts, "deliveryCount", 13);
	if (t == 0 || !json_int64(j, t, &e->deliveries))
		return -1;
	e->token = strdup(request_string(j, facts, "lockToken", &token));
	buf_free(&token);
	return e->token != NULL && *e->token != '\0' ? 0 : -1;
}

struct event *
event_new(const char *line, size_t len)
{
	struct event *e = calloc(1, sizeof(*e));
	struct json j = { 0 };

	if (e == NULL)
		return NULL;
	e->line = malloc(len + 1);
	if (e->line != NULL) {
		memcpy(e->line, line, len);
		e->line[len] = '\0';
	}
	if (e->line == NULL || json_scan(&j, e->line, len, NULL) == -1 ||
	    dissect(e, &j) == -1) {
		event_free(e);
		e = NULL;
	}
	json_free(&j);
	return e;
}

void
event_free(struct event *e)
{
	free(e->line);
	free(e->token);
	free(e);
}

const char *
event_id(const struct event *e, char *out)
{
	struct json j = { 0 };
	struct buf id = { 0 };

	*out = '\0';
	if (json_scan(&j, e->line + e->start, e->end - e->start, NULL) == 0) {
		request_string(&j, 0, "id", &id);
		if (id.len > 0)
			quote(out, buf_data(&id), id.len - 1);
	}
	buf_free(&id);
	json_free(&j);
	return out;
}

/* What the command is to read, as a file, so that it need not read it. */
static int
input(const struct job *job)
{
	int fd = memfd_create("events", MFD_CLOEXEC);
	const struct event *e;
	off_t at = 0;
	size_t len;

	if (fd == -1)
		return -1;
	for (e = job->events; e != NULL; e = e->next, at += (off_t)len + 1) {
		len = e->end - e->start;
		if (file_pwrite(fd, e->line + e->start, len, at) == -1 ||
		    file_pwrite(fd, "\n", 1, at + (off_t)len) == -1)
			return file_close(fd, -1);
	}
	return fd;
}

static int
fact(const char *name, const char *value)
{
	if (*value == '\0' || strlen(value) > FACT_MAX)
		return unsetenv(name);
	return setenv(name, value, 1);
}

static int
fact_number(const char *name, int64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)n);
	return fact(name, text);
}

/* The facts of a single event; none of them for a batch. */
static int
event_facts(const struct event *e)
{
	static const char *const names[][2] = {
		{ "EGNS_EVENT_ID", "id" },
		{ "EGNS_EVENT_TYPE", "type" },
		{ "EGNS_EVENT_SOURCE", "source" },
		{ "EGNS_EVENT_SUBJECT", "subject" },
	};
	struct json j = { 0 };
	struct buf b = { 0 };
	int rc = 0;
	size_t i;

	if (json_scan(&j, e->line + e->start, e->end - e->start, NULL) == -1)
		rc = -1;
	for (i = 0; rc == 0 && i < sizeof(names) / sizeof(names[0]); i++)
		rc = fact(names[i][0], request_string(&j, 0, names[i][1], &b));
	if (rc == 0)
		rc = fact("EGNS_LOCK_TOKEN", e->token);
	if (rc == 0)
		rc = fact_number("EGNS_DELIVERY_COUNT", e->deliveries);
	buf_free(&b);
	json_free(&j);
	return rc;
}

static int
facts(const struct job *job, const struct options *opt)
{
	if (fact("EGNS_TOPIC", opt->topic) == -1 ||
	    fact("EGNS_SUBSCRIPTION", opt->subscription) == -1 ||
	    fact_number("EGNS_COUNT", (int64_t)job->n) == -1)
		return -1;
	return opt->batch == 0 ? event_facts(job->events) : 0;
}

int
job_start(struct job *job, const struct options *opt, char *argv[],
    const sigset_t *mask)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t dflt;
	int fd, error;

	if (facts(job, opt) == -1 || (fd = input(job)) == -1)
		return -1;
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, fd, STDIN_FILENO);
	posix_spawnattr_init(&how);
	/* ^C on a terminal is for us; running commands are to finish. */
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP |
	    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&how, mask);
	/* what spool_open() ignores is for us, too */
	sigemptyset(&dflt);
	sigaddset(&dflt, SIGXFSZ);
	posix_spawnattr_setsigdefault(&how, &dflt);
	error = posix_spawnp(&job->pid, argv[0], &files, &how, argv, environ);
	posix_spawnattr_destroy(&how);
	posix_spawn_file_actions_destroy(&files);
	close(fd);
	if (error == 0)
		return 0;
	job->pid = 0;
	errno = error;
	return -1;
}

int
job_find(const char *command)
{
	const char *dir = getenv("PATH"), *end;
	char path[4096];

	if (strchr(command, '/') != NULL || dir == NULL)
		return access(command, X_OK);
	for (;; dir = end + 1) {
		end = strchrnul(dir, ':');
		snprintf(path, sizeof(path), "%.*s%s%s", (int)(end - dir), dir,
		    end == dir ? "" : "/", command);
		if (access(path, X_OK) == 0)
			return 0;
		if (*end == '\0')
			break;
	}
	errno = ENOENT;
	return -1;
}
