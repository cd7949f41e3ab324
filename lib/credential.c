#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "credential.h"
#include "endpoint.h"
#include "jq.h"
#include "managed.h"
#include "quote.h"
#include "spool.h"

struct credential {
	struct ev_loop *loop;
	int dir;
	char *file, *command, *identity; /* one of them */
	enum { BEARER, KEY, SAS, CONNECTION } type;
	void (*ready)(const char *, const struct fault *, void *);
	void *arg;
	char *token;
	int64_t until; /* clock_mono(): the token is good */
	/* of an identity */
	struct fetcher *fetcher;
	const char *audience;
	struct managed *asked; /* NULL: nobody is */
	bool waiting;          /* for the answer, to call ready */
	int64_t renew;         /* clock_mono(): ask while the token is good */
	/* of a command */
	struct fault fault;
	pid_t pid;     /* 0: none runs */
	int fd;        /* what it prints */
	struct buf said;
	ev_child ended;
	ev_io output;
	ev_timer limit;
};

static const char *const types[] = {
	[BEARER] = "bearer",
	[KEY] = "key",
	[SAS] = "sas",
	[CONNECTION] = "connectionString",
};

/* Text without the white space around it, as the token; a header's value. */
static int
take_token(struct credential *c, const char *text, size_t n, const char *whose,
    struct fault *f)
{
	while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL)
		n--;
	while (n > 0 && strchr(" \t\r\n", text[0]) != NULL)
		text++, n--;
	if (n == 0)
		return fault_set(f, FAULT_UNAVAILABLE,
		    "the credential's %s has no token", whose);
	if (n > CREDENTIAL_MAX)
		return fault_set(f, FAULT_UNAVAILABLE,
		    "the credential's %s has more than %d bytes", whose,
		    CREDENTIAL_MAX);
	for (size_t i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] > '~' ||
		    (text[i] == ' ' && c->type != SAS && c->type != CONNECTION))
			return fault_set(f, FAULT_UNAVAILABLE,
			    "the credential's %s is not one token", whose);
	credential_forget(c);
	if ((c->token = strndup(text, n)) == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	return 0;
}

static int
read_file(struct credential *c, struct fault *f)
{
	char path[QUOTE_MAX], whose[QUOTE_MAX + 8];
	size_t len;
	/* and some room for the white space */
	char *text = spool_read_regular(c->dir, c->file, CREDENTIAL_MAX + 1024,
	    &len);
	int rc;

	if (text == NULL)
		return fault_errno(f, FAULT_UNAVAILABLE,
		    "the credential's file '%s'",
		    quote(path, c->file, strlen(c->file)));
	snprintf(whose, sizeof(whose), "file '%s'",
	    quote(path, c->file, strlen(c->file)));
	rc = take_token(c, text, len, whose, f);
	free(text);
	return rc;
}

/* ---- a command ---- */

static void
watch_none(struct credential *c)
{
	ev_child_stop(c->loop, &c->ended);
	ev_io_stop(c->loop, &c->output);
	ev_timer_stop(c->loop, &c->limit);
	close(c->fd);
	c->pid = 0;
}

/* The whole group: the shell may have started others. */
static void
stop_command(struct credential *c)
{
	kill(-c->pid, SIGKILL);
}

/* False: there is nothing more for now, or at all. */
static bool
read_output(struct credential *c)
{
	char piece[4096];
	ssize_t n = read(c->fd, piece, sizeof(piece));

	if (n > 0)
		buf_add(&c->said, piece, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		ev_io_stop(c->loop, &c->output);
	if (c->said.len > 2 * CREDENTIAL_MAX) {
		stop_command(c);
		return false;
	}
	return n > 0;
}

static void
on_output(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop, (void)events;
	read_output(w->data);
}

static void
on_limit(struct ev_loop *loop, ev_timer *w, int events)
{
	struct credential *c = w->data;

	(void)loop, (void)events;
	fault_set(&c->fault, FAULT_UNAVAILABLE,
	    "the credential's command took more than %g s", CREDENTIAL_LIMIT);
	stop_command(c);
}

/* What it printed counts when it ended well. */
static void
take_output(struct credential *c, int status)
{
	if (c->fault.code != FAULT_NONE)
		return;
	if (c->said.bad) {
		fault_set(&c->fault, FAULT_INTERNAL, "out of memory");
	} else if (c->said.len <= 2 * CREDENTIAL_MAX && status != 0) {
		fault_set(&c->fault, FAULT_UNAVAILABLE,
		    "the credential's command ended with %s %d%s",
		    WIFSIGNALED(status) ? "signal" : "status",
		    WIFSIGNALED(status) ? WTERMSIG(status) :
		    WEXITSTATUS(status), WIFEXITED(status) &&
		    WEXITSTATUS(status) == 127 ?
		    ": the shell found no such command" : "");
	} else if (take_token(c, buf_data(&c->said), c->said.len, "command",
	    &c->fault) == 0) {
		c->until = clock_mono() + CREDENTIAL_KEEP * CLOCK_SECOND;
	}
}

static void
on_ended(struct ev_loop *loop, ev_child *w, int events)
{
	struct credential *c = w->data;

	(void)loop, (void)events;
	while (read_output(c))
		;
	watch_none(c);
	take_output(c, w->rstatus);
	buf_free(&c->said);
	c->ready(c->token, &c->fault, c->arg);
}

static int
spawn(struct credential *c, int out)
{
	char sh[] = "sh", flag[] = "-c";
	char *argv[] = { sh, flag, c->command, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t none, dflt;
	int error;

	sigemptyset(&none);
	sigemptyset(&dflt);
	sigaddset(&dflt, SIGPIPE);
	sigaddset(&dflt, SIGXFSZ);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null",
	    O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_addfchdir_np(&files, c->dir);
	posix_spawnattr_init(&how);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP |
	    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&how, &none);
	posix_spawnattr_setsigdefault(&how, &dflt);
	error = posix_spawn(&c->pid, "/bin/sh", &files, &how, argv, environ);
	posix_spawnattr_destroy(&how);
	posix_spawn_file_actions_destroy(&files);
	return error;
}

static int
run_command(struct credential *c, struct fault *f)
{
	int fds[2], error;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return fault_errno(f, FAULT_UNAVAILABLE, "pipe");
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	error = spawn(c, fds[1]);
	close(fds[1]);
	if (error != 0) {
		close(fds[0]);
		c->pid = 0;
		return fault_set(f, FAULT_UNAVAILABLE,
		    "the credential's command: %s", strerror(error));
	}
	c->fd = fds[0];
	c->fault.code = FAULT_NONE;
	credential_forget(c);
	ev_child_set(&c->ended, c->pid, 0);
	ev_io_set(&c->output, c->fd, EV_READ);
	ev_timer_set(&c->limit, CREDENTIAL_LIMIT, 0);
	ev_child_start(c->loop, &c->ended);
	ev_io_start(c->loop, &c->output);
	ev_timer_start(c->loop, &c->limit);
	return 0;
}

/* ---- an identity ---- */

static void
on_managed(const char *token, int64_t good_for, const struct fault *f,
    void *arg)
{
	struct credential *c = arg;
	struct fault why = *f;
	int64_t now = clock_mono(), early = CREDENTIAL_EARLY * CLOCK_SECOND;
	bool waiting = c->waiting;

	c->asked = NULL;
	c->waiting = false;
	if (token == NULL ||
	    take_token(c, token, strlen(token), "identity", &why) == -1) {
		c->renew = now + CREDENTIAL_AGAIN * CLOCK_SECOND;
	} else {
		if (early > good_for / 2)
			early = good_for / 2;
		c->renew = now + good_for - early;
		/* it may be under way for a while before it is looked at */
		c->until = now + good_for - early / 10;
	}
	if (waiting)
		c->ready(why.code == FAULT_NONE ? c->token : NULL, &why,
		    c->arg);
}

static int
ask_identity(struct credential *c, struct fault *f)
{
	if (c->asked == NULL)
		c->asked = managed_start(c->fetcher,
		    strcasecmp(c->identity, "SystemAssigned") == 0 ? NULL :
		    c->identity, c->audience, on_managed, c, f);
	return c->asked == NULL ? -1 : 0;
}

static enum credential_state
identity_token(struct credential *c, struct fault *f)
{
	int64_t now = clock_mono();

	if (c->token == NULL || now >= c->until) {
		if (ask_identity(c, f) == -1)
			return CREDENTIAL_NONE;
		c->waiting = true;
		return CREDENTIAL_LATER;
	}
	if (now >= c->renew && ask_identity(c, NULL) == -1)
		c->renew = now + CREDENTIAL_AGAIN * CLOCK_SECOND;
	return CREDENTIAL_HERE;
}

/* ---- */

static char *
copy_of(const char *text)
{
	return text == NULL ? NULL : strdup(text);
}

static void
set_type(struct credential *c, const char *type)
{
	c->type = BEARER;
	for (unsigned i = 0; type != NULL &&
	    i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(type, types[i]) == 0)
			c->type = i;
}

static int
copy_settings(struct credential *c, jv settings, bool connections,
    struct fault *f)
{
	struct fault why;

	if (endpoint_check_credential(settings, &why) == -1)
		return fault_set(f, why.code, "credential: %s", why.text);
	c->file = copy_of(jq_str(settings, "file"));
	c->command = copy_of(jq_str(settings, "command"));
	c->identity = copy_of(jq_str(settings, "identity"));
	set_type(c, jq_str(settings, "type"));
	if (c->type == CONNECTION && !connections)
		return fault_set(f, FAULT_BAD_REQUEST, "credential: a "
		    "connection string is for event hubs and storage "
		    "accounts only");
	if (c->file == NULL && c->command == NULL && c->identity == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	if (c->identity != NULL && c->audience == NULL)
		return fault_set(f, FAULT_BAD_REQUEST, "credential: nobody is "
		    "known whom an identity's token would be for");
	return 0;
}

struct credential *
credential_new(const struct credential_use *use, jv settings,
    void (*ready)(const char *, const struct fault *, void *), void *arg,
    struct fault *f)
{
	struct credential *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
	} else {
		c->loop = use->loop;
		c->dir = use->dir;
		c->fetcher = use->fetcher;
		c->audience = use->audience;
		c->ready = ready;
		c->arg = arg;
		ev_child_init(&c->ended, on_ended, 0, 0);
		ev_io_init(&c->output, on_output, -1, EV_READ);
		ev_timer_init(&c->limit, on_limit, 0, 0);
		c->ended.data = c->output.data = c->limit.data = c;
		if (copy_settings(c, settings, use->connections, f) == -1) {
			credential_free(c);
			c = NULL;
		}
	}
	jv_free(settings);
	return c;
}

void
credential_free(struct credential *c)
{
	if (c == NULL)
		return;
	if (c->pid != 0) {
		stop_command(c);
		watch_none(c);
	}
	managed_drop(c->asked);
	credential_forget(c);
	buf_free(&c->said);
	free(c->file);
	free(c->command);
	free(c->identity);
	free(c);
}

enum credential_state
credential_token(struct credential *c, const char **token, struct fault *f)
{
	enum credential_state state = CREDENTIAL_HERE;

	if (c->file != NULL) {
		if (read_file(c, f) == -1)
			return CREDENTIAL_NONE;
	} else if (c->identity != NULL) {
		state = identity_token(c, f);
	} else if (c->token == NULL || clock_mono() >= c->until) {
		if (c->pid == 0 && run_command(c, f) == -1)
			return CREDENTIAL_NONE;
		return CREDENTIAL_LATER;
	}
	*token = c->token;
	return state;
}

const char *
credential_type(const struct credential *c)
{
	return types[c->type];
}

void
credential_header(const struct credential *c, const char *token, struct buf *b)
{
	static const char *const headers[] = {
		[BEARER] = "Authorization: Bearer ",
		[KEY] = "aeg-sas-key: ",
		[SAS] = "aeg-sas-token: ",
	};

	if (c->type == CONNECTION)
		abort();
	buf_printf(b, "%s%s%c", headers[c->type], token, '\0');
}

void
credential_forget(struct credential *c)
{
	if (c->token != NULL)
		explicit_bzero(c->token, strlen(c->token));
	free(c->token);
	c->token = NULL;
}
