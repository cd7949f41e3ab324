#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "credential.h"
#include "file.h"

static struct ev_loop *loop;
static char dir_name[] = "/tmp/egns-credential.XXXXXX";
static int dir;
static struct credential_use use;

static struct {
	unsigned calls;
	char token[64];
	struct fault fault;
} got;

static void
on_ready(const char *token, const struct fault *f, void *arg)
{
	(void)arg;
	got.calls++;
	got.fault = *f;
	snprintf(got.token, sizeof(got.token), "%s",
	    token != NULL ? token : "none");
	ev_break(loop, EVBREAK_ONE);
}

static struct credential *
with(const char *name, const char *value, struct fault *f)
{
	return credential_new(&use,
	    jv_object_set(jv_object(), jv_string(name), jv_string(value)),
	    on_ready, NULL, f);
}

static void
put(const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(file_pwrite(fd, text, strlen(text), 0) == 0);
	CHECK(close(fd) == 0);
}

/* What the file's text gives: the token, or the fault's words. */
static const char *
from_file(const char *text)
{
	static char out[1024];
	struct fault f = { 0 };
	struct credential *c = with("file", "token", &f);
	const char *token;

	put("token", text);
	if (credential_token(c, &token, &f) == CREDENTIAL_HERE)
		snprintf(out, sizeof(out), "%s", token);
	else
		snprintf(out, sizeof(out), "%s", f.text);
	credential_free(c);
	return out;
}

static void
test_file(void)
{
	CHECK(strcmp(from_file("abc.def"), "abc.def") == 0);
	CHECK(strcmp(from_file(" \r\n abc=\n\n"), "abc=") == 0);
	CHECK(strstr(from_file(" \n"), "has no token") != NULL);
	CHECK(strstr(from_file("a b"), "is not one token") != NULL);
	CHECK(strstr(from_file("a\r\nX-Header: b"), "is not one") != NULL);
	CHECK(strstr(from_file("\xc3\xa4"), "is not one token") != NULL);
	CHECK(strstr(from_file("secret two"), "secret") == NULL);
}

/* What a file of this type gives: its token, or the fault's words. */
static const char *
of_type(const char *type, const char *text)
{
	static char out[1024];
	struct fault f = { 0 };
	struct credential *c = credential_new(&use,
	    JV_OBJECT(jv_string("file"), jv_string("token"),
	    jv_string("type"), jv_string(type)), on_ready, NULL, &f);
	const char *token;

	put("token", text);
	if (c != NULL && strcmp(credential_type(c), type) != 0)
		snprintf(out, sizeof(out), "%s", credential_type(c));
	else if (c != NULL && credential_token(c, &token, &f) ==
	    CREDENTIAL_HERE)
		snprintf(out, sizeof(out), "%s", token);
	else
		snprintf(out, sizeof(out), "%s", f.text);
	credential_free(c);
	return out;
}

static void
test_types(void)
{
	CHECK(strcmp(of_type("bearer", "a"), "a") == 0);
	CHECK(strcmp(of_type("key", "a\n"), "a") == 0);
	CHECK(strstr(of_type("bearer", "a b"), "not one token") != NULL);
	CHECK(strstr(of_type("key", "a b"), "not one token") != NULL);
	CHECK(strcmp(of_type("sas", " SharedAccessSignature sr=x&sig=y \n"),
	    "SharedAccessSignature sr=x&sig=y") == 0);
	CHECK(strstr(of_type("sas", "a\r\nX: b"), "not one token") != NULL);
	CHECK(strstr(of_type("sas", "a\tb"), "not one token") != NULL);
	CHECK(strstr(of_type("sas", "a\x7f" "b"), "not one token") != NULL);
	CHECK(strstr(of_type("connectionString", "a"),
	    "a connection string is for event hubs and "
	    "storage accounts only") != NULL);
	use.connections = true;
	CHECK(strcmp(of_type("connectionString", "Endpoint=sb://h/;Shared "
	    "x=y\n"), "Endpoint=sb://h/;Shared x=y") == 0);
	CHECK(strstr(of_type("connectionString", "a\nb"), "not one token") !=
	    NULL);
	use.connections = false;
}

static void
test_file_that_changes(void)
{
	struct fault f;
	struct credential *c = with("file", "token", &f);
	const char *token;

	put("token", "one\n");
	CHECK(credential_token(c, &token, &f) == CREDENTIAL_HERE);
	CHECK(strcmp(token, "one") == 0);
	put("token", "two\n");
	CHECK(credential_token(c, &token, &f) == CREDENTIAL_HERE);
	CHECK(strcmp(token, "two") == 0);
	CHECK(unlinkat(dir, "token", 0) == 0);
	CHECK(credential_token(c, &token, &f) == CREDENTIAL_NONE);
	CHECK(strcmp(f.text, "the credential's file 'token': "
	    "No such file or directory") == 0);
	/* a pipe that nobody writes to would be waited for */
	CHECK(mkfifoat(dir, "token", 0600) == 0);
	CHECK(credential_token(c, &token, &f) == CREDENTIAL_NONE);
	CHECK(strstr(f.text, "'token': Invalid argument") != NULL);
	CHECK(unlinkat(dir, "token", 0) == 0);
	credential_free(c);
}

/* Run a command to its end. */
static struct credential *
from_command(const char *command)
{
	struct fault f;
	struct credential *c = with("command", command, &f);
	const char *token;

	CHECK(credential_token(c, &token, &f) == CREDENTIAL_LATER);
	/* asked again meanwhile: it is the same one */
	CHECK(credential_token(c, &token, &f) == CREDENTIAL_LATER);
	got.calls = 0;
	ev_run(loop, 0);
	CHECK(got.calls == 1);
	return c;
}

static void
test_command(void)
{
	struct credential *c = from_command("echo ' abc '; cat");
	struct fault f;
	const char *token;

	CHECK(strcmp(got.token, "abc") == 0 && got.fault.code == FAULT_NONE);
	CHECK(credential_token(c, &token, &f) == CREDENTIAL_HERE);
	CHECK(strcmp(token, "abc") == 0);
	credential_forget(c);
	CHECK(credential_token(c, &token, &f) == CREDENTIAL_LATER);
	credential_free(c);
}

static void
test_commands_that_fail(void)
{
	static const struct {
		const char *command, *words;
	} rows[] = {
		{ "echo abc; exit 3", "command ended with status 3" },
		{ "echo abc; kill -9 $$", "command ended with signal 9" },
		{ "true", "command has no token" },
		{ "echo a b", "command is not one token" },
		{ "exec yes", "has more than 16384 bytes" },
		{ "exec sleep 60", "took more than" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		credential_free(from_command(rows[i].command));
		CHECK(strcmp(got.token, "none") == 0);
		CHECK(strstr(got.fault.text, rows[i].words) != NULL);
	}
}

static void
test_freed_command_is_killed(void)
{
	struct fault f;
	struct credential *c;
	const char *token;
	char pid[16] = "";
	int fd;

	CHECK(mkfifoat(dir, "fifo", 0600) == 0);
	CHECK(fchdir(dir) == 0);
	c = with("command", "echo $$ >fifo; sleep 60", &f);
	CHECK(credential_token(c, &token, &f) == CREDENTIAL_LATER);
	fd = open("fifo", O_RDONLY);
	CHECK(read(fd, pid, sizeof(pid) - 1) > 0);
	close(fd);
	credential_free(c);
	while (kill(atoi(pid), 0) == 0)
		ev_run(loop, EVRUN_NOWAIT);
	CHECK(errno == ESRCH);
	CHECK(unlinkat(dir, "fifo", 0) == 0);
}

static void
test_settings(void)
{
	struct fault f;

	CHECK(with("identity", "x", &f) == NULL);
	CHECK(strstr(f.text, "nobody is known whom") != NULL);
	CHECK(with("type", "key", &f) == NULL);
	CHECK(strstr(f.text, "is wanted") != NULL);
	CHECK(credential_new(&use, jv_null(), on_ready, NULL, &f) == NULL);
	credential_free(NULL);
}

int
main(void)
{
	loop = ev_default_loop(0);
	if (mkdtemp(dir_name) == NULL ||
	    (dir = open(dir_name, O_RDONLY | O_DIRECTORY)) == -1)
		return 1;
	use.loop = loop;
	use.dir = dir;
	RUN(test_file);
	RUN(test_types);
	RUN(test_file_that_changes);
	RUN(test_command);
	RUN(test_commands_that_fail);
	RUN(test_freed_command_is_killed);
	RUN(test_settings);
	rmdir(dir_name);
	DONE();
}
