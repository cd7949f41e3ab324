#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "client.h"

#define MANY 400000 /* bytes, more than any socket buffer takes */

static struct client c;
static struct fault f;
static int peer;

static void
begin(void)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == -1)
		abort();
	c = (struct client){ .name = "topicd", .fd = sv[0] };
	peer = sv[1];
	f = (struct fault){ 0 };
}

static void
end(void)
{
	client_close(&c);
	close(peer);
}

static void
say(const char *text)
{
	size_t len = strlen(text);

	if (write(peer, text, len) != (ssize_t)len)
		abort();
}

static void
an_answer_comes_with_its_lines(void)
{
	const char *line;
	size_t len;

	begin();
	say("{\"ok\":true,\"count\":2}\none\n\n{\"ok\":true}\n");
	CHECK(client_answer(&c, &f) == 0 && client_number(&c, "count") == 2);
	CHECK(client_line(&c, &line, &len, &f) == 0 && len == 3 &&
	    memcmp(line, "one", 3) == 0);
	CHECK(client_line(&c, &line, &len, &f) == 0 && len == 0);
	CHECK(client_answer(&c, &f) == 0 && client_number(&c, "count") == 0);
	end();
}

static void
an_answer_may_come_in_pieces(void)
{
	const char *text = "{\"ok\":true,\"count\":1}\nabc\n", *line;
	size_t len;

	begin();
	if (fork() == 0) {
		for (; *text != '\0'; text++) {
			if (write(peer, text, 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	CHECK(client_answer(&c, &f) == 0);
	CHECK(client_line(&c, &line, &len, &f) == 0 && len == 3);
	wait(NULL);
	end();
}

static void
a_refusal_is_a_fault_and_the_connection_goes_on(void)
{
	begin();
	say("{\"ok\":false,\"error\":{\"code\":\"NotFound\","
	    "\"message\":\"topic 't':\\u001b[0m not found\"}}\n"
	    "{\"ok\":false}\n{\"ok\":true}\n");
	CHECK(client_answer(&c, &f) == -1 && f.code == FAULT_NOT_FOUND);
	CHECK(strcmp(f.text, "topic 't':?[0m not found") == 0);
	CHECK(client_answer(&c, &f) == -1 && f.code == FAULT_INTERNAL);
	CHECK(c.fd != -1 && client_answer(&c, &f) == 0);
	end();
}

static void
what_is_no_answer_ends_the_connection(void)
{
	static const char *const texts[] = { "\n", "[]\n", "{\"x\":1}\n",
		"{\"ok\":true\n", "HTTP/1.1 400\n" };
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		begin();
		say(texts[i]);
		CHECK(client_answer(&c, &f) == -1 && c.fd == -1);
		CHECK(f.code == FAULT_INTERNAL);
		end();
	}
}

static void
an_endless_line_is_cut_off(void)
{
	static char chunk[64 * 1024];

	begin();
	memset(chunk, 'x', sizeof(chunk));
	if (fork() == 0) {
		close(c.fd);
		while (send(peer, chunk, sizeof(chunk), MSG_NOSIGNAL) > 0)
			continue;
		_exit(0);
	}
	CHECK(client_answer(&c, &f) == -1 && f.code == FAULT_INTERNAL);
	CHECK(c.fd == -1 && c.in.cap <= 4 * CLIENT_LINE_MAX);
	wait(NULL);
	end();
}

static void
answers_given_before_the_end_are_taken(void)
{
	static char request[MANY];

	begin();
	memset(request, 'x', sizeof(request));
	say("{\"ok\":true,\"count\":7}\n");
	close(peer);
	client_add(&c, request, sizeof(request));
	CHECK(client_flush(&c, &f) == -1 && f.code == FAULT_UNAVAILABLE);
	CHECK(c.fd == -1);
	CHECK(client_answer(&c, &f) == 0 && client_number(&c, "count") == 7);
	CHECK(client_answer(&c, &f) == -1 && f.code == FAULT_UNAVAILABLE);
	client_add(&c, "x", 1);
	CHECK(client_flush(&c, &f) == -1);
	client_close(&c);
}

/* A peer that speaks before it listens must not stop us both. */
static void
flush_reads_meanwhile(void)
{
	static char text[MANY];
	size_t got = 0, i;
	const char *line;
	size_t len;
	ssize_t n;

	begin();
	memset(text, '\n', sizeof(text));
	if (fork() == 0) {
		close(c.fd);
		if (write(peer, text, sizeof(text)) != (ssize_t)sizeof(text))
			_exit(1);
		while (got < sizeof(text) &&
		    (n = read(peer, text, sizeof(text))) > 0)
			got += (size_t)n;
		_exit(got == sizeof(text) ? 0 : 1);
	}
	client_add(&c, text, sizeof(text));
	CHECK(client_flush(&c, &f) == 0);
	for (i = 0; i < sizeof(text); i++)
		CHECK(client_line(&c, &line, &len, &f) == 0 && len == 0);
	wait(NULL);
	end();
}

static void
a_loop_need_not_wait(void)
{
	begin();
	CHECK(!client_ready(&c));
	CHECK(client_move(&c, &f) == 0 && !client_ready(&c));
	say("{\"ok\":tr");
	CHECK(client_move(&c, &f) == 0 && !client_ready(&c));
	say("ue}\n{}");
	CHECK(client_move(&c, &f) == 0 && client_ready(&c));
	CHECK(client_answer(&c, &f) == 0 && !client_ready(&c));
	close(peer);
	CHECK(client_move(&c, &f) == -1 && f.code == FAULT_UNAVAILABLE);
	CHECK(!client_ready(&c));
	client_close(&c);
}

/* Serve one client of a spool with a greeting. */
static int
greeted(const struct spool *spool, int listener, const char *greeting)
{
	int rc, fd;

	f = (struct fault){ 0 };
	if (fork() == 0) {
		while ((fd = accept(listener, NULL, NULL)) == -1)
			continue; /* it does not block */
		_exit(write(fd, greeting, strlen(greeting)) == -1);
	}
	rc = client_open(&c, spool, "topicd", &f);
	wait(NULL);
	return rc;
}

static void
a_greeting_is_checked(void)
{
	char base[] = "/tmp/egns-client-XXXXXX";
	struct spool spool;
	int listener, fd;

	if (mkdtemp(base) == NULL || chdir(base) == -1 ||
	    spool_mkdir(AT_FDCWD, "namespace", 0755) == -1 ||
	    spool_mkdir(AT_FDCWD, "run", 0755) == -1 ||
	    (fd = open("namespace/changes.ndjson", O_CREAT, 0644)) == -1 ||
	    spool_open(&spool, base, &f) == -1)
		abort();
	close(fd);
	CHECK(client_open(&c, &spool, "topicd", &f) == -1);
	CHECK(f.code == FAULT_UNAVAILABLE && strstr(f.text, "egns-ctl up"));
	CHECK((listener = spool_listen(&spool, "topicd", &f)) != -1);
	CHECK(greeted(&spool, listener,
	    "{\"egns\":\"topicd\",\"version\":1}\n") == 0);
	client_close(&c);
	CHECK(greeted(&spool, listener,
	    "{\"egns\":\"topicd\",\"version\":2}\n") == -1);
	CHECK(f.code == FAULT_INTERNAL && strstr(f.text, "version") != NULL);
	CHECK(greeted(&spool, listener, "hello\n") == -1);
	CHECK(greeted(&spool, listener, "") == -1);
	CHECK(f.code == FAULT_UNAVAILABLE && c.fd == -1);
	close(listener);
	spool_close(&spool);
	CHECK(chdir("/") == 0 && spool_remove(AT_FDCWD, base) == 0);
}

int
main(void)
{
	alarm(60);
	RUN(an_answer_comes_with_its_lines);
	RUN(an_answer_may_come_in_pieces);
	RUN(a_refusal_is_a_fault_and_the_connection_goes_on);
	RUN(what_is_no_answer_ends_the_connection);
	RUN(an_endless_line_is_cut_off);
	RUN(answers_given_before_the_end_are_taken);
	RUN(flush_reads_meanwhile);
	RUN(a_loop_need_not_wait);
	RUN(a_greeting_is_checked);
	DONE();
}
