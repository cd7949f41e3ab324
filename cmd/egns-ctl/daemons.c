/* up and down: the daemons of a namespace; and reload, for all other verbs */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "clock.h"
#include "ctl.h"
#include "daemons.h"
#include "jq.h"
#include "log.h"
#include "num.h"
#include "push.h"
#include "registry.h"
#include "schema.h"
#include "supervise.h"
#include "transit.h"

#define RELOAD_TIMEOUT 30 /* seconds */

/* seconds a daemon may take to stop, and all of them together */
#define STOP_LIMIT 30
#define DOWN_TIMEOUT 60

struct need { /* of a namespace */
	const struct spool *spool;
	struct registry *registry;
};

static bool
always(const struct need *n)
{
	(void)n;
	return true;
}

static bool
has_broker(const struct need *n)
{
	jv namespace = registry_get(n->registry, "namespace");
	const char *state = jq_str(namespace,
	    "properties.topicSpacesConfiguration.state");
	bool needed = state != NULL && strcmp(state, "Enabled") == 0;

	jv_free(namespace);
	return needed;
}

static bool
names_topic(jv namespace, const char *where)
{
	const char *id = jq_str(namespace, where);

	return id != NULL && id[0] != '\0';
}

static bool
has_route(const struct need *n)
{
	jv namespace = registry_get(n->registry, "namespace");
	bool needed = names_topic(namespace, SCHEMA_ROUTE) ||
	    names_topic(namespace, SCHEMA_LIFECYCLE);

	jv_free(namespace);
	return needed;
}

static int
find_push(const char *path, jv resource, void *arg)
{
	int found = push_is(resource);

	(void)path;
	(void)arg;
	jv_free(resource);
	return found;
}

static bool
has_push(const struct need *n)
{
	return registry_each(n->registry, "topics/", find_push, NULL) == 1;
}

static int
find_dead_letters(const char *path, jv resource, void *arg)
{
	jv to = jq_get(resource, push_is(resource) ?
	    "properties.deliveryConfiguration.push."
	    "deadLetterDestinationWithResourceIdentity" :
	    "properties.deliveryConfiguration.queue."
	    "deadLetterDestinationWithResourceIdentity");
	int found = jv_get_kind(to) == JV_KIND_OBJECT;

	(void)path;
	(void)arg;
	jv_free(to);
	jv_free(resource);
	return found;
}

/* What is on its way has its destination with it, when nobody else has. */
static bool
has_dead_letters(const struct need *n)
{
	return registry_each(n->registry, "topics/", find_dead_letters,
	    NULL) == 1 || transit_any(n->spool);
}

static const struct {
	const char *name;
	bool (*needed)(const struct need *);
} daemons[] = {
	{ "topicd", always },
	{ "brokerd", has_broker },
	{ "route", has_route },
	{ "push", has_push },
	{ "dlq", has_dead_letters },
};
#define COUNT (sizeof(daemons) / sizeof(daemons[0]))
_Static_assert(COUNT <= DAEMONS_MAX, "DAEMONS_MAX");

/* Those that the namespace needs, and with `running` those that run anyway. */
static int
choose(const struct spool *spool, bool running,
    const char *names[DAEMONS_MAX], struct fault *f)
{
	struct need need = { spool, registry_open(spool, false, f) };
	int n = 0;
	size_t i;

	if (need.registry == NULL)
		return -1;
	for (i = 0; i < COUNT; i++) {
		if (daemons[i].needed(&need) ||
		    (running && spool_holder(spool, daemons[i].name) != 0))
			names[n++] = daemons[i].name;
	}
	registry_close(need.registry);
	return n;
}

int
daemons_needed(const struct spool *spool, const char *names[DAEMONS_MAX],
    struct fault *f)
{
	return choose(spool, false, names, f);
}

int
daemons_shown(const struct spool *spool, const char *names[DAEMONS_MAX],
    struct fault *f)
{
	return choose(spool, true, names, f);
}

pid_t
daemons_running(const struct spool *spool, const char **name)
{
	pid_t pid;
	size_t i;

	for (i = 0; i < COUNT; i++) {
		*name = daemons[i].name;
		if ((pid = spool_holder(spool, *name)) != 0)
			return pid;
	}
	*name = "up";
	return spool_holder(spool, *name);
}

/* ---- reload ---- */

/* 0, or -1 and a fault; was that its answer? */
static int
ask_reload(const struct spool *spool, const char *name, bool *answered,
    struct fault *f)
{
	static const char request[] = "{\"op\":\"reload\"}\n";
	struct client c;
	int rc = -1;

	*answered = false;
	if (client_open(&c, spool, name, f) == -1)
		return -1;
	c.timeout_ms = RELOAD_TIMEOUT * 1000;
	client_add(&c, request, strlen(request));
	if (client_flush(&c, f) == 0)
		rc = client_answer(&c, f);
	*answered = c.fd != -1;
	client_close(&c);
	return rc;
}

/*
 * A daemon that holds its lock but does not listen yet is reading the registry
 * now, perhaps as it was: it has to answer before we may say that the change is
 * in force.
 */
static int
reload(const struct spool *spool, const char *name, struct fault *f)
{
	struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	int64_t end = clock_mono() + RELOAD_TIMEOUT * CLOCK_SECOND;
	struct fault why;
	bool answered;

	while (spool_holder(spool, name) != 0) {
		if (ask_reload(spool, name, &answered, &why) == 0)
			return 0;
		if (answered || why.code != FAULT_UNAVAILABLE ||
		    clock_mono() >= end)
			return fault_set(f, why.code, "the change is on disk, "
			    "but not in force: %s", why.text);
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* Does not every daemon run that the namespace needs? */
static bool
some_missing(const struct spool *spool)
{
	const char *names[DAEMONS_MAX];
	int i, n = daemons_needed(spool, names, NULL);

	for (i = 0; i < n; i++) {
		if (spool_holder(spool, names[i]) == 0)
			return true;
	}
	return false;
}

/* A change may have made a daemon necessary: up looks again on HUP. */
static int
tell_up(const struct spool *spool, struct fault *f)
{
	pid_t pid = spool_holder(spool, "up");
	int fd, rc = 0;

	if (pid == 0 || !some_missing(spool) ||
	    (fd = pidfd_open(pid, 0)) == -1)
		return 0;
	if (spool_holder(spool, "up") == pid &&
	    pidfd_send_signal(fd, SIGHUP, NULL, 0) == -1 && errno != ESRCH)
		rc = fault_errno(f, FAULT_FORBIDDEN, "the change is on disk, "
		    "but up, pid %ld, cannot be told", (long)pid);
	close(fd);
	return rc;
}

int
ctl_reload(const struct spool *spool, struct fault *f)
{
	size_t i;

	if (tell_up(spool, f) == -1)
		return -1;
	for (i = 0; i < COUNT; i++) {
		if (reload(spool, daemons[i].name, f) == -1)
			return -1;
	}
	return 0;
}

/* ---- up ---- */

struct up {
	bool detach;
	int ready; /* -r */
	int limit; /* --timeout */
};

static int
run(const struct ctl *ctl, const struct up *up)
{
	const char *names[DAEMONS_MAX];
	struct spool spool;
	struct fault f;
	int n, status;

	if (spool_open(&spool, ctl->spool, &f) == -1)
		return ctl_fault(&f);
	/* whoever sees the lock may send one; what it says is seen anyway */
	signal(SIGHUP, SIG_IGN);
	/* the lock is held until the process ends */
	if ((n = daemons_needed(&spool, names, &f)) == -1 ||
	    spool_lock(&spool, "up", &f) == -1)
		status = ctl_fault(&f);
	else
		status = supervise(&(struct supervise){
		    .spool = &spool, .names = names, .count = (size_t)n,
		    .detached = up->detach, .ready = up->ready,
		    .limit = up->limit });
	spool_close(&spool);
	return status;
}

/*
 * In the new process: nothing of the caller's stays open, so that nobody waits
 * for us by accident, but stderr until all daemons are ready. The caller's end
 * before that is ours, too.
 */
static void
leave(struct up *up, pid_t parent, int words, int ready)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(words, STDERR_FILENO);
	up->ready = STDERR_FILENO + 1;
	dup2(ready, up->ready);
	fcntl(up->ready, F_SETFD, FD_CLOEXEC);
	close_range((unsigned)up->ready + 1, UINT_MAX, 0);
}

/* Pass on what it says until it is ready or has ended. */
static int
await_ready(pid_t pid, int words, int ready)
{
	char text[4096];
	ssize_t n;
	int status;

	while ((n = read(words, text, sizeof(text))) > 0) {
		if (write(STDERR_FILENO, text, (size_t)n) == -1)
			break;
	}
	if (read(ready, text, 1) == 1)
		return 0;
	if (waitpid(pid, &status, 0) == -1 || !WIFEXITED(status) ||
	    WEXITSTATUS(status) == 0)
		return EX_UNAVAILABLE; /* somebody stopped it */
	return WEXITSTATUS(status);
}

static int
run_detached(const struct ctl *ctl, struct up *up)
{
	pid_t parent = getpid(), pid;
	int words[2], ready[2];

	if (pipe2(words, O_CLOEXEC) == -1 || pipe2(ready, O_CLOEXEC) == -1 ||
	    (pid = fork()) == -1) {
		log_warn("up: %s", strerror(errno));
		return EX_OSERR;
	}
	if (pid == 0) {
		leave(up, parent, words[1], ready[1]);
		return run(ctl, up);
	}
	close(words[1]);
	close(ready[1]);
	return await_ready(pid, words[0], ready[0]);
}

int
verb_up(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	struct up up = { .ready = -1, .limit = STOP_LIMIT };
	int i;

	for (i = 0; i < argc; i++) {
		if (strcmp(argv[i], "-d") == 0)
			up.detach = true;
		else if (strcmp(argv[i], "-r") == 0 && i + 1 < argc)
			up.ready = (int)num_option("-r", argv[++i], 0, INT_MAX);
		else if (strcmp(argv[i], "--timeout") == 0 && i + 1 < argc)
			up.limit = (int)num_option("--timeout", argv[++i], 0,
			    INT_MAX);
		else
			return ctl_usage(verb);
	}
	if (up.detach && up.ready != -1)
		return ctl_usage(verb);
	if (up.detach)
		return run_detached(ctl, &up);
	if (up.ready != -1)
		fcntl(up.ready, F_SETFD, FD_CLOEXEC);
	return run(ctl, &up);
}

/* ---- down ---- */

static int
nothing_to_stop(const struct spool *spool)
{
	int status = 0;
	pid_t pid;
	size_t i;

	for (i = 0; i < COUNT; i++) {
		if ((pid = spool_holder(spool, daemons[i].name)) == 0)
			continue;
		fprintf(stderr, "egns-ctl: %s: runs on its own, pid %ld: "
		    "left alone\n", daemons[i].name, (long)pid);
		status = EX_UNAVAILABLE;
	}
	if (status == 0)
		fprintf(stderr, "egns-ctl: %s: nothing runs\n", spool->path);
	return status;
}

static int
stop_failed(pid_t pid)
{
	int error = errno;

	if (error == ESRCH)
		return 0; /* it has just ended */
	fprintf(stderr, "egns-ctl: up: pid %ld: %s\n", (long)pid,
	    strerror(error));
	return error == EPERM ? EX_NOPERM : EX_OSERR;
}

/* TERM, and wait for its end; the descriptor keeps it this very process. */
static int
stop(const struct spool *spool, pid_t pid, int seconds)
{
	struct pollfd p = { .fd = pidfd_open(pid, 0), .events = POLLIN };
	int status = 0;

	if (p.fd == -1)
		return stop_failed(pid);
	if (spool_holder(spool, "up") == pid) {
		if (pidfd_send_signal(p.fd, SIGTERM, NULL, 0) == -1) {
			status = stop_failed(pid);
		} else if (poll(&p, 1, seconds * 1000) == 0) {
			fprintf(stderr, "egns-ctl: up: pid %ld: still stopping "
			    "after %d s\n", (long)pid, seconds);
			status = EX_TEMPFAIL;
		}
	}
	close(p.fd);
	return status;
}

int
verb_down(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	int seconds = DOWN_TIMEOUT, status, i;
	struct spool spool;
	struct fault f;
	pid_t pid;

	for (i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--timeout") != 0 || i + 1 == argc)
			return ctl_usage(verb);
		seconds = (int)num_option("--timeout", argv[++i], 0,
		    INT_MAX / 1000);
	}
	if (spool_open(&spool, ctl->spool, &f) == -1)
		return ctl_fault(&f);
	pid = spool_holder(&spool, "up");
	status = pid == 0 ? nothing_to_stop(&spool)
			  : stop(&spool, pid, seconds);
	spool_close(&spool);
	return status;
}
