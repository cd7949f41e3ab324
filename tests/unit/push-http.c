#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "../../cmd/egns-push/http.h"
#include "check.h"
#include "clock.h"
#include "http.h"

#define WAIT 10000 /* milliseconds; a test that waits so long has failed */

static char dir[] = "/tmp/egns-push-http.XXXXXX";
static struct spool spool;
static struct target_use use;
static struct http *h;
static char url[128];

static struct {
	unsigned calls;
	struct outcome outcome;
	bool answered;
} got;

static void
on_done(const struct outcome *o, const struct fetch_answer *a, void *arg)
{
	got.outcome = *o;
	got.answered = a != NULL;
	(void)arg;
	got.calls++;
	ev_break(use.loop, EVBREAK_ONE); /* before it waits */
}

/* A file of the spool. */
static void
put(const char *name, const char *text)
{
	int fd = openat(spool.fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	CHECK(close(fd) == 0);
}

static void
begin_with(const char *credential, long timeout_ms, http_proof *proof)
{
	struct http_settings s = { .timeout_ms = timeout_ms, .proof = proof,
		.connections = 8, .credential = credential == NULL ?
		jv_null() : jv_parse(credential) };
	struct fault f = { 0 };

	http_reset();
	memset(&got, 0, sizeof(got));
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/hook?code=s3cret",
	    http.port);
	h = http_new(&use, &s, &f);
	if (h == NULL) {
		printf("# %s\n", f.text);
		exit(1);
	}
	CHECK(jv_get_kind(s.credential) == JV_KIND_NULL);
}

static void
begin(const char *credential)
{
	begin_with(credential, WAIT, NULL);
}

static struct http_exchange *
post(const char *body)
{
	struct http_request q = { .method = "POST", .url = url };
	struct http_exchange *x;

	buf_add(&q.head, "X-A: 1\0X-B: 2", 14);
	buf_str(&q.body, body);
	x = http_send(h, &q, on_done, NULL);
	CHECK(q.head.mem == NULL && q.body.mem == NULL);
	return x;
}

static void
wait_for(unsigned calls)
{
	while (got.calls < calls)
		ev_run(use.loop, EVRUN_ONCE);
	CHECK(got.calls == calls);
}

static struct outcome *
deliver(const char *body)
{
	unsigned before = got.calls;

	post(body);
	CHECK(got.calls == before); /* the loop tells */
	wait_for(before + 1);
	CHECK(strstr(got.outcome.words, "s3cret") == NULL);
	return &got.outcome;
}

static bool
asked(unsigned n, const char *words)
{
	if (strstr(http_asked(n), words) != NULL)
		return true;
	printf("# asked %u: %s\n", n, http_asked(n));
	return false;
}

static void
a_request_is_what_it_was(void)
{
	unsigned connections = http.connections;

	begin(NULL);
	http_say("204 No Content", "");
	http_say("200 OK", "thanks");
	CHECK(deliver("{\"a\":1}")->verdict == VERDICT_DELIVERED);
	CHECK(got.answered && got.outcome.status == 204);
	CHECK(asked(0, "POST /hook?code=s3cret HTTP/1.1\r\n"));
	CHECK(asked(0, "\r\nX-A: 1\r\nX-B: 2\r\n"));
	CHECK(asked(0, "\r\nContent-Length: 7\r\n"));
	CHECK(asked(0, "\r\n\r\n{\"a\":1}"));
	CHECK(deliver("")->verdict == VERDICT_DELIVERED);
	CHECK(asked(1, "\r\nContent-Length: 0\r\n"));
	CHECK(http.connections == connections + 1);
	http_free(h);
}

/* Whatever an endpoint answers has an outcome. */
static void
answers(void)
{
	static char long_body[HTTP_ANSWER + 2], long_head[FETCH_HEADERS_MAX +
	    64];
	static const struct {
		const char *raw; /* NULL: hang up */
		enum verdict verdict;
		enum dl_result result;
		const char *words;
		int retry;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		    VERDICT_DELIVERED, 0, "", 0 },
		{ "HTTP/1.1 202 OK\r\nContent-Length: 9\r\n\r\nabc",
		    VERDICT_DELIVERED, 0, "", 0 }, /* the rest never comes */
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz",
		    VERDICT_DELIVERED, 0, "", 0 },
		{ long_body, VERDICT_DELIVERED, 0, "", 0 },
		{ long_head, VERDICT_DELIVERED, 0, "", 0 },
		{ NULL, VERDICT_LATER, DL_SOCKET_ERROR, "127.0.0.1", 0 },
		{ "rubbish\r\n\r\n", VERDICT_LATER, DL_SOCKET_ERROR,
		    "127.0.0.1", 0 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		    VERDICT_DELIVERED, 0, "", 0 },
		{ "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n"
		    "Content-Length: 0\r\n\r\n",
		    VERDICT_LATER, DL_BUSY, "status 503", 7 },
		{ "HTTP/1.1 429 No\r\nRetry-After: 9999999\r\n"
		    "Content-Length: 0\r\n\r\n",
		    VERDICT_LATER, DL_BUSY, "status 429", 3600 },
		{ "HTTP/1.1 429 No\r\nRetry-After: soon\r\n"
		    "Content-Length: 0\r\n\r\n",
		    VERDICT_LATER, DL_BUSY, "status 429", 0 },
		{ "HTTP/1.1 307 There\r\nLocation: /hook\r\n"
		    "Content-Length: 0\r\n\r\n", VERDICT_LATER, DL_ABORTED,
		    "status 307, and redirects are not followed", 0 },
		{ "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",
		    VERDICT_FINAL, DL_NOT_FOUND, "status 410", 0 },
		{ "HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic\r\n"
		    "Content-Length: 0\r\n\r\n",
		    VERDICT_FINAL, DL_RESULT_UNAUTHORIZED, "status 401", 0 },
	};
	int n;

	n = snprintf(long_body, sizeof(long_body), "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 1000000000\r\n\r\n");
	memset(long_body + n, 'x', sizeof(long_body) - 1 - (size_t)n);
	n = snprintf(long_head, sizeof(long_head), "HTTP/1.1 200 OK\r\n");
	for (; (size_t)n < sizeof(long_head) - 8; n += 6)
		snprintf(long_head + n, 7, "a: b\r\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome *o = &got.outcome;

		begin(NULL);
		if (rows[i].raw != NULL)
			http_say_raw(rows[i].raw);
		else
			http_say(NULL, "");
		deliver("{}");
		if (o->verdict != rows[i].verdict ||
		    strstr(o->words, rows[i].words) == NULL)
			printf("# %zu: %d %s\n", i, o->verdict, o->words);
		CHECK(o->verdict == rows[i].verdict);
		CHECK(o->result == rows[i].result);
		CHECK(strstr(o->words, rows[i].words) != NULL);
		if (o->retry_after != rows[i].retry * CLOCK_SECOND)
			printf("# %zu %ld\n", i, (long)o->retry_after);
		CHECK(o->retry_after == rows[i].retry * CLOCK_SECOND);
		http_free(h);
	}
}

static void
no_answer_in_time(void)
{
	begin_with(NULL, 50, NULL);
	http_say_raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2");
	deliver("{}");
	CHECK(got.outcome.verdict == VERDICT_LATER);
	CHECK(got.outcome.result == DL_TIMED_OUT);
	http_free(h);
}

static void
nobody_there(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0); /* does not listen */

	begin(NULL);
	CHECK(bind(fd, (struct sockaddr *)&in, len) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&in, &len) == 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/?s3cret",
	    ntohs(in.sin_port));
	deliver("{}");
	CHECK(got.outcome.verdict == VERDICT_LATER);
	CHECK(got.outcome.result == DL_SOCKET_ERROR && got.answered);
	close(fd);
	snprintf(url, sizeof(url), "http://nobody.invalid/?s3cret");
	deliver("{}");
	CHECK(got.outcome.verdict == VERDICT_LATER);
	CHECK(got.outcome.result == DL_RESOLUTION_ERROR);
	CHECK(strstr(got.outcome.words, "nobody.invalid") != NULL);
	http_free(h);
}

/* Such an event must come to an end, but not as a final failure. */
static void
what_cannot_be_sent(void)
{
	struct http_request q = { .method = "POST", .url = url };

	begin(NULL);
	for (int i = 0; i < 1000; i++)
		buf_add(&q.head, "X: y", 5);
	http_send(h, &q, on_done, NULL);
	wait_for(1);
	CHECK(got.outcome.verdict == VERDICT_LATER && !got.answered);
	CHECK(got.outcome.result == DL_RESULT_PAYLOAD_TOO_LARGE);
	buf_add(&q.head, "X: y\r\nEvil: z", 14);
	http_send(h, &q, on_done, NULL);
	wait_for(2);
	CHECK(got.outcome.verdict == VERDICT_LATER);
	CHECK(got.outcome.result == DL_BAD_REQUEST);
	q.body.bad = true;
	http_send(h, &q, on_done, NULL);
	wait_for(3);
	CHECK(got.outcome.verdict == VERDICT_UNMADE);
	CHECK(strcmp(got.outcome.words, "out of memory") == 0);
	CHECK(*http_asked(0) == '\0');
	http_free(h);
}

#define COUNT "{\"command\":\"echo x >>runs; wc -l <runs\"}"

static void
many_wait_for_one_token(void)
{
	put("runs", "");
	begin(COUNT);
	for (int i = 0; i < 5; i++)
		http_say("200 OK", "");
	post("0");
	post("1");
	http_drop(post("dropped"));
	post("2");
	wait_for(3);
	for (unsigned i = 0; i < 3; i++)
		CHECK(asked(i, "\r\nAuthorization: Bearer 1\r\n"));
	CHECK(*http_asked(3) == '\0');
	CHECK(deliver("3")->verdict == VERDICT_DELIVERED);
	CHECK(asked(3, "\r\nAuthorization: Bearer 1\r\n"));
	http_free(h);
}

/* Is the n-th request one with this token? */
static unsigned
with_token(unsigned n, const char *token)
{
	char line[64];
	unsigned found = 0;

	snprintf(line, sizeof(line), "Bearer %s\r\n", token);
	for (unsigned i = 0; i < n; i++)
		found += strstr(http_asked(i), line) != NULL;
	return found;
}

static void
a_refused_token_is_replaced_once(void)
{
	put("runs", "");
	begin(COUNT);
	/* three have the first token; only one of them forgets it */
	http_hold(3);
	for (int i = 0; i < 3; i++)
		http_say("401 Unauthorized", "");
	for (int i = 0; i < 3; i++)
		http_say("200 OK", "");
	for (int i = 0; i < 3; i++)
		post("");
	wait_for(3);
	CHECK(got.outcome.verdict == VERDICT_DELIVERED);
	CHECK(with_token(6, "1") == 3 && with_token(6, "2") == 3);

	/* twice is final */
	http_say("401 Unauthorized", "");
	http_say("401 Unauthorized", "");
	CHECK(deliver("")->verdict == VERDICT_FINAL);
	CHECK(got.outcome.reason == DL_UNAUTHORIZED);
	CHECK(with_token(8, "2") == 4 && with_token(8, "3") == 1);
	CHECK(*http_asked(8) == '\0');

	/* and 403 needs no second time */
	http_say("403 Forbidden", "");
	CHECK(deliver("")->result == DL_FORBIDDEN);
	CHECK(*http_asked(9) == '\0');
	http_free(h);
}

/* The next request to a socket; the connection. */
static int
next_request(int listening, char *text, size_t size)
{
	struct pollfd p = { .fd = listening, .events = POLLIN };
	ssize_t n;
	int fd;

	while (poll(&p, 1, 10) == 0)
		ev_run(use.loop, EVRUN_NOWAIT);
	p.fd = fd = accept(listening, NULL, NULL);
	while (poll(&p, 1, 10) == 0)
		ev_run(use.loop, EVRUN_NOWAIT);
	n = read(fd, text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	return fd;
}

static void
a_late_refusal_is_of_the_old_token(void)
{
	static const char no[] = "HTTP/1.1 401 No\r\nContent-Length: 0\r\n"
	    "Connection: close\r\n\r\n";
	char text[1024], old[sizeof(url)];
	struct http_request q = { .method = "POST", .url = old };
	int listening, fd;

	put("runs", "");
	begin(COUNT);
	http_say("200 OK", "");
	http_say("401 Unauthorized", "");
	http_say("200 OK", "");
	deliver("");
	snprintf(old, sizeof(old), "%s", url);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/",
	    http_silence(&listening));
	post("");
	fd = next_request(listening, text, sizeof(text));
	CHECK(strstr(text, "Bearer 1\r\n") != NULL);
	/* another is refused meanwhile, and gets the second token */
	http_send(h, &q, on_done, NULL);
	wait_for(2);
	CHECK(got.outcome.verdict == VERDICT_DELIVERED);
	CHECK(write(fd, no, sizeof(no) - 1) == sizeof(no) - 1);
	close(fd);
	fd = next_request(listening, text, sizeof(text));
	CHECK(strstr(text, "Bearer 2\r\n") != NULL);
	close(fd);
	close(listening);
	http_free(h);
}

static void
without_a_token_nothing_is_sent(void)
{
	begin("{\"file\":\"none\"}");
	deliver("");
	CHECK(got.outcome.verdict == VERDICT_UNMADE && !got.answered);
	CHECK(strstr(got.outcome.words, "the credential's file 'none'") !=
	    NULL);
	CHECK(*http_asked(0) == '\0');
	http_free(h);

	begin("{\"command\":\"exit 3\"}");
	post("");
	post("");
	wait_for(2);
	CHECK(got.outcome.verdict == VERDICT_UNMADE);
	CHECK(strstr(got.outcome.words, "ended with status 3") != NULL);
	http_free(h);

	/* what has been sent before was an attempt */
	put("runs", "");
	begin("{\"command\":\"echo x >>runs; test $(wc -l <runs) = 1 && "
	    "echo t0ken\"}");
	http_say("401 Unauthorized", "");
	deliver("");
	CHECK(got.outcome.verdict == VERDICT_LATER);
	CHECK(got.outcome.result == DL_RESULT_UNAUTHORIZED);
	CHECK(got.outcome.status == 401);
	CHECK(strstr(got.outcome.words, "status 401, and another token: the "
	    "credential's command") == got.outcome.words);
	http_free(h);
}

static struct http_exchange *other;

static void
on_done_drop(const struct outcome *o, const struct fetch_answer *a, void *arg)
{
	on_done(o, a, arg);
	http_drop_all(h);
}

static void
dropped_is_not_told(void)
{
	static const char *const credentials[] = { NULL,
		"{\"command\":\"sleep 60\"}", "{\"file\":\"none\"}" };
	struct http_request q = { .method = "POST", .url = url };
	int fd;
	unsigned silence = http_silence(&fd);

	for (size_t i = 0; i < 3; i++) {
		begin(credentials[i]);
		snprintf(url, sizeof(url), "http://127.0.0.1:%u/", silence);
		post("");
		other = post("");
		http_drop(other);
		if (i == 0)
			ev_run(use.loop, EVRUN_NOWAIT);
		http_drop_all(h);
		ev_run(use.loop, EVRUN_NOWAIT);
		CHECK(got.calls == 0);
		post("");
		http_free(h);
	}
	http_drop(NULL);

	close(fd);

	/* who is told may drop all others, those that failed with it, too */
	begin("{\"file\":\"none\"}");
	http_send(h, &q, on_done_drop, NULL);
	post("");
	post("");
	wait_for(1);
	ev_run(use.loop, EVRUN_NOWAIT);
	CHECK(got.calls == 1);
	http_free(h);
}

static int
sign(const struct credential *c, const char *token, const char *to, void *arg,
    struct buf *head, struct fault *f)
{
	(void)c, (void)arg;
	CHECK(strcmp(to, url) == 0);
	if (strcmp(token, "***") == 0)
		return fault_set(f, FAULT_BAD_REQUEST, "no connection string");
	buf_printf(head, "Authorization: Signed %s%c", token, '\0');
	return 0;
}

static void
proofs_may_be_made(void)
{
	put("secret", "k3y\n");
	begin_with("{\"file\":\"secret\"}", WAIT, sign);
	http_say("200 OK", "");
	CHECK(deliver("")->verdict == VERDICT_DELIVERED);
	CHECK(asked(0, "\r\nAuthorization: Signed k3y\r\n"));
	put("secret", "***\n");
	CHECK(deliver("")->verdict == VERDICT_UNMADE);
	CHECK(strcmp(got.outcome.words, "no connection string") == 0);
	http_free(h);
}

/* What a request of these heads and body looks like. */
static bool
shows(const char *head, size_t n, const char *body, const char *words)
{
	struct http_request q = { .method = "POST",
		.url = "https://example.org/hook?code=s3cret" };
	struct buf b = { 0 };
	bool same;

	buf_add(&q.head, head, n);
	buf_add(&q.secret, "Authorization\0X-KEY", 20);
	buf_str(&q.body, body);
	http_show(h, &q, &b);
	buf_add(&b, "", 1);
	same = strcmp(buf_data(&b), words) == 0;
	if (!same)
		printf("# %s\n", buf_data(&b));
	buf_free(&b);
	buf_free(&q.head);
	buf_free(&q.secret);
	buf_free(&q.body);
	return same;
}

static void
show(void)
{
	static const char head[] = "X-Key: s3cret\0X-Keys: open\0"
	    "authorization: Basic s3cret\0Content-Type:";

	begin(NULL);
	CHECK(shows(head, sizeof(head), "{}", "POST https://example.org/hook?"
	    "***\nX-Key: ***\nX-Keys: open\nauthorization: ***\n\n{}\n"));
	CHECK(shows("", 0, "\x1b[31m", "POST https://example.org/hook?***\n\n"
	    "(5 bytes)\n"));
	CHECK(shows("", 0, "", "POST https://example.org/hook?***\n\n\n"));
	http_free(h);
	begin("{\"file\":\"secret\",\"type\":\"key\"}");
	CHECK(shows("", 0, "", "POST https://example.org/hook?***\n"
	    "aeg-sas-key: ***\n\n\n"));
	http_free(h);
	snprintf(url, sizeof(url), "https://example.org/hook?code=s3cret");
	begin_with("{\"file\":\"secret\"}", WAIT, sign);
	snprintf(url, sizeof(url), "https://example.org/hook?code=s3cret");
	CHECK(shows("", 0, "", "POST https://example.org/hook?***\n"
	    "Authorization: ***\n\n\n"));
	http_free(h);
}

static void
settings(void)
{
	struct http_settings s = { .credential = jv_parse("{\"key\":\"x\"}"),
		.timeout_ms = 1, .connections = 1 };
	struct fault f;

	CHECK(http_new(&use, &s, &f) == NULL);
	CHECK(strstr(f.text, "\"key\" is no member") != NULL);
	s.credential = jv_null();
	s.minimum_tls = "7";
	CHECK(http_new(&use, &s, &f) == NULL);
	CHECK(strcmp(f.text, "no version of TLS") == 0);
	s.minimum_tls = "1.3";
	h = http_new(&use, &s, &f);
	CHECK(h != NULL);
	http_free(h);
	http_free(NULL);
}

int
main(void)
{
	use.loop = ev_default_loop(0);
	use.spool = &spool;
	use.namespace = jv_object();
	if (mkdtemp(dir) == NULL ||
	    (spool.fd = open(dir, O_PATH | O_DIRECTORY)) == -1 ||
	    chdir(dir) == -1) /* where commands run */
		return 1;
	http_start();
	RUN(a_request_is_what_it_was);
	RUN(answers);
	RUN(no_answer_in_time);
	RUN(nobody_there);
	RUN(what_cannot_be_sent);
	RUN(many_wait_for_one_token);
	RUN(a_refused_token_is_replaced_once);
	RUN(a_late_refusal_is_of_the_old_token);
	RUN(without_a_token_nothing_is_sent);
	RUN(dropped_is_not_told);
	RUN(proofs_may_be_made);
	RUN(show);
	RUN(settings);
	jv_free(use.namespace);
	unlinkat(spool.fd, "secret", 0);
	unlinkat(spool.fd, "runs", 0);
	rmdir(dir);
	DONE();
}
