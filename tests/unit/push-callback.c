#include "../../cmd/egns-push/callback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "fetch.h"
#include "jq.h"

static char dir[] = "/tmp/egns-callback-XXXXXX";
static struct spool spool;
static struct ev_loop *loop;
static struct callback *callback;
static struct fetcher *fetcher;
static time_t ahead;

/* The loop's clock, too: ten seconds are over when we say so. */
int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	ts->tv_sec += ahead;
	return rc;
}

static struct buf
read_file(const char *path)
{
	struct buf b = { 0 };
	FILE *f = fopen(path, "r");

	CHECK(f != NULL);
	if (f != NULL) {
		buf_grew(&b, fread(buf_room(&b, 65536), 1, 65535, f));
		fclose(f);
	}
	buf_add(&b, "", 1);
	return b;
}

static void
copy(const char *from, const char *to)
{
	struct buf b = read_file(from);

	CHECK(spool_replace(spool.fd, to, buf_data(&b), b.len - 1, false) == 0);
	buf_free(&b);
}

static jv
namespace(const char *address)
{
	jv v = jv_object_set(jv_object(), jv_string("callback"),
	    jv_string(address));

	v = jv_object_set(jv_object(), jv_string("listeners"), v);
	return jv_object_set(jv_object(), jv_string("properties"), v);
}

static struct callback *
open_at(const char *address, struct fault *f)
{
	jv v = namespace(address);
	struct callback *cb = callback_open(loop, &spool, v, f);

	jv_free(v);
	return cb;
}

/* What came of one wait, and of one request. */
static struct {
	unsigned grants;
	long rate;
	struct callback_wait *forget;
	bool close;
} got;

static void
granted(long rate, void *arg)
{
	(void)arg;
	got.grants++;
	got.rate = rate;
	callback_forget(got.forget);
	got.forget = NULL;
	if (got.close)
		callback_close(callback);
}

static struct {
	bool done;
	long status;
	char allow[64], connection[64], body[512];
	char error[256];
} answer;

static void
on_answer(const struct fetch_answer *a, void *arg)
{
	const char *allow = fetch_header(a, "Allow");
	const char *connection = fetch_header(a, "Connection");

	(void)arg;
	answer.done = true;
	answer.status = a->status;
	snprintf(answer.allow, sizeof(answer.allow), "%s",
	    allow == NULL ? "" : allow);
	snprintf(answer.connection, sizeof(answer.connection), "%s",
	    connection == NULL ? "" : connection);
	snprintf(answer.body, sizeof(answer.body), "%.*s", (int)a->body_len,
	    a->body_len == 0 ? "" : a->body);
	snprintf(answer.error, sizeof(answer.error), "%s",
	    a->error == NULL ? "" : a->error);
}

static void
ask_with(const char *method, const char *url, const char *header,
    const char *body)
{
	const char *const headers[] = { header, NULL };
	struct fetch_request r = { .method = method, .url = url,
		.headers = headers, .body = body, .timeout_ms = 8000,
		.answer_max = 65536, .direct = true,
		.body_len = body == NULL ? 0 : strlen(body) };
	struct fault f = { .text = "" };

	memset(&answer, 0, sizeof(answer));
	CHECK(fetch_start(fetcher, &r, on_answer, NULL, &f) != NULL);
	while (*f.text == '\0' && !answer.done)
		ev_run(loop, EVRUN_ONCE);
	if (*f.text != '\0' || *answer.error != '\0')
		printf("# %s%s\n", f.text, answer.error);
	CHECK(answer.status == 0 || strcmp(answer.connection, "close") == 0);
}

static void
ask(const char *method, const char *url, const char *header)
{
	ask_with(method, url, header, NULL);
}

/* A wait with its URL, and `more` behind. */
static struct callback_wait *
begin(const char *more, struct buf *url)
{
	char key[CALLBACK_KEY + 1] = "";
	struct callback_wait *w = callback_wait(callback, key, granted, NULL);

	memset(&got, 0, sizeof(got));
	CHECK(w != NULL && strlen(key) == CALLBACK_KEY &&
	    strspn(key, "0123456789abcdef") == CALLBACK_KEY);
	buf_reset(url, 65536);
	callback_url(w, url);
	buf_add(url, more, strlen(more) + 1);
	CHECK(strstr(buf_data(url), key) != NULL);
	return w;
}

static void
endpoints_say_yes(void)
{
	static const struct {
		const char *method, *more, *header;
		long rate;
		const char *words;
	} rows[] = {
		{ "GET", "", NULL, 0, "granted: events will be delivered\n" },
		{ "POST", "", NULL, 0, "granted: events will be delivered\n" },
		{ "GET", "", "WebHook-Allowed-Rate: 120", 120, "granted: "
		    "events will be delivered, in at most 120 requests a "
		    "minute\n" },
		{ "POST", "", "webhook-allowed-rate: *", -1, "granted: events "
		    "will be delivered, at any rate\n" },
		{ "GET", "?webhook-allowed-rate=7", NULL, 7, "7 requests" },
		{ "GET", "?a=b&WebHook-Allowed-Rate=2147483647&", NULL,
		    2147483647, "2147483647 requests" },
		{ "GET", "?WebHook-Allowed-Rate=%2a", NULL, -1, "any rate" },
		{ "GET", "?WebHook-Allowed-Rate=*", NULL, -1, "any rate" },
		{ "GET", "?WebHook-Allowed-Rate=7", "WebHook-Allowed-Rate: 9",
		    9, "9 requests" },
		{ "GET", "?xWebHook-Allowed-Rate=7", NULL, 0, "granted" },
		{ "GET", "?", NULL, 0, "granted" },
	};
	struct buf url = { 0 };
	struct callback_wait *w;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		w = begin(rows[i].more, &url);
		ask(rows[i].method, buf_data(&url), rows[i].header);
		CHECK(answer.status == 200);
		CHECK(strstr(answer.body, rows[i].words) != NULL);
		CHECK(got.grants == 1 && got.rate == rows[i].rate);
		/* once */
		ask(rows[i].method, buf_data(&url), rows[i].header);
		CHECK(answer.status == 404 && got.grants == 1);
		callback_forget(w);
	}
	buf_free(&url);
}

static void
a_post_may_have_a_body(void)
{
	char *body = malloc(100001);
	struct buf url = { 0 };
	struct callback_wait *w = begin("", &url);

	memset(body, 'x', 100000);
	body[100000] = '\0';
	ask_with("POST", buf_data(&url), "WebHook-Allowed-Rate: 5", "{}");
	CHECK(answer.status == 200 && got.rate == 5);
	callback_forget(w);
	w = begin("", &url);
	ask_with("POST", buf_data(&url), NULL, body);
	CHECK(answer.status == 200 && got.grants == 1);
	callback_forget(w);
	free(body);
	buf_free(&url);
}

static void
others_are_refused(void)
{
	static const char *const rates[] = { "0", "-1", "1.5", "x", "**",
		"2147483648", "12345678901234567890", "1 2" };
	static const char *const methods[] = { "PUT", "DELETE", "OPTIONS",
		"PATCH" };
	struct buf url = { 0 };
	struct callback_wait *w = begin("", &url);
	char text[256], *key = strrchr(buf_data(&url), '/') + 1, was;

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		ask(methods[i], buf_data(&url), NULL);
		CHECK(answer.status == 405);
		CHECK(strcmp(answer.allow, "GET, POST") == 0);
	}
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		snprintf(text, sizeof(text), "WebHook-Allowed-Rate: %s",
		    rates[i]);
		ask("GET", buf_data(&url), text);
		CHECK(answer.status == 400);
		CHECK(strstr(answer.body, "one whole number") != NULL);
	}
	snprintf(text, sizeof(text), "%s?WebHook-Allowed-Rate=",
	    buf_data(&url));
	ask("GET", text, NULL);
	CHECK(answer.status == 400);
	strcat(text, "5&WebHook-Allowed-Rate=5");
	ask("GET", text, NULL);
	CHECK(answer.status == 400);

	for (int i = 0; i < CALLBACK_KEY; i += CALLBACK_KEY - 1) {
		was = key[i];
		key[i] = was == '0' ? '1' : '0';
		ask("GET", buf_data(&url), NULL);
		CHECK(answer.status == 404);
		key[i] = was;
	}
	snprintf(text, sizeof(text), "%s0", buf_data(&url));
	ask("GET", text, NULL);
	CHECK(answer.status == 404);
	snprintf(text, sizeof(text), "%s/", buf_data(&url));
	ask("GET", text, NULL);
	CHECK(answer.status == 404);
	*key = '\0';
	ask("GET", buf_data(&url), NULL);
	CHECK(answer.status == 404 &&
	    strcmp(answer.body, "nothing waits for this\n") == 0);
	CHECK(got.grants == 0);
	callback_forget(w);
	buf_free(&url);
}

static void
a_long_request_is_refused(void)
{
	static char header[9000] = "X: ";
	struct buf url = { 0 };
	struct callback_wait *w = begin("", &url);

	memset(header + 3, 'x', sizeof(header) - 4);
	ask("GET", buf_data(&url), header);
	CHECK(answer.status == 431 && got.grants == 0);
	callback_forget(w);
	buf_free(&url);
}

static void
keys_outlive_us(void)
{
	char key[CALLBACK_KEY + 1] = "0123456789abcdef0123456789abcdef";
	struct callback_wait *w = callback_wait(callback, key, granted, NULL);
	struct buf url = { 0 };
	struct callback_wait *other = begin("", &url);

	CHECK(strcmp(key, "0123456789abcdef0123456789abcdef") == 0);
	buf_reset(&url, 65536);
	callback_url(w, &url);
	buf_add(&url, "", 1);
	CHECK(strstr(buf_data(&url), key) != NULL);
	ask("GET", buf_data(&url), NULL);
	CHECK(answer.status == 200 && got.grants == 1);
	callback_forget(other);
	/* what nobody waits for any more */
	callback_forget(w);
	w = begin("", &url);
	callback_forget(w);
	ask("GET", buf_data(&url), NULL);
	CHECK(answer.status == 404 && got.grants == 0);
	callback_forget(NULL);
	buf_free(&url);
}

/* With another certificate, which the client here does not trust. */
static void
certificates_are_renewed(void)
{
	struct buf url = { 0 };
	struct callback_wait *w = begin("", &url);
	struct fault f;

	copy("tests/certs/tls/leaf.pem", "namespace/tls/server.pem");
	CHECK(callback_reload(callback, &spool, &f) == -1);
	CHECK(f.code == FAULT_BAD_REQUEST);
	copy("tests/certs/tls/device.key", "namespace/tls/server.key");
	CHECK(callback_reload(callback, &spool, &f) == 0);
	ask("GET", buf_data(&url), NULL);
	CHECK(answer.status == 0 && strstr(answer.error, "ertificate") != NULL);
	copy("tests/certs/tls/server.pem", "namespace/tls/server.pem");
	copy("tests/certs/tls/server.key", "namespace/tls/server.key");
	CHECK(callback_reload(callback, &spool, &f) == 0);
	ask("GET", buf_data(&url), NULL);
	CHECK(answer.status == 200 && got.grants == 1);
	callback_forget(w);
	buf_free(&url);
}

/* ---- those who mean no good ---- */

static int
dial(void)
{
	struct buf url = { 0 };
	struct callback_wait *w = begin("", &url);
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	in.sin_port = htons((uint16_t)atoi(strrchr(buf_data(&url), ':') + 1));
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) == -1)
		CHECK(errno == EINPROGRESS);
	callback_forget(w);
	buf_free(&url);
	return fd;
}

/* Run the loop until the other side has ended; the bytes that came. */
static size_t
drain(int fd)
{
	char bytes[4096];
	size_t len = 0;
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), 0)) != 0) {
		if (n == -1 && errno != EAGAIN)
			break;
		len += n > 0 ? (size_t)n : 0;
		ev_run(loop, EVRUN_NOWAIT);
	}
	return len;
}

static bool
is_open(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK) == -1 && errno == EAGAIN;
}

static void
noise_is_answered_with_an_alert(void)
{
	static const char *const noise[] = { "GET / HTTP/1.1\r\n\r\n",
		"\x16\x03\x01\xff\xff garbage", "\x80" };
	static char big[65536] = { 22, 3, 1, 64, 0, 1 };
	size_t sent = 0;
	ssize_t n = 0;
	int fd;

	for (size_t i = 0; i < 3; i++) {
		fd = dial();
		ev_run(loop, EVRUN_ONCE);
		CHECK(send(fd, noise[i], strlen(noise[i]), 0) > 0);
		if (i != 0)
			shutdown(fd, SHUT_WR);
		CHECK(drain(fd) <= 7);
		close(fd);
	}
	/* without end: what the kernel takes of it is a few megabytes */
	fd = dial();
	while ((n != -1 || errno == EAGAIN) && sent < 64 << 20) {
		ev_run(loop, EVRUN_NOWAIT);
		n = send(fd, big, sizeof(big), MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
	}
	CHECK(sent < 64 << 20);
	close(fd);
}

/* Who says nothing goes after ten seconds. */
static void
time_is_bounded(void)
{
	struct buf url = { 0 };
	struct callback_wait *w;
	int fd = dial();

	w = begin("", &url);
	ask("GET", buf_data(&url), NULL); /* so it was accepted before */
	CHECK(answer.status == 200);
	ahead += 9;
	ev_run(loop, EVRUN_NOWAIT);
	CHECK(is_open(fd));
	ahead += 2;
	ev_run(loop, EVRUN_NOWAIT);
	CHECK(!is_open(fd));
	close(fd);
	callback_forget(w);
	buf_free(&url);
}

/* Those who come and stay make room for who comes later. */
static void
many_shut_out_nobody(void)
{
	struct buf url = { 0 };
	struct callback_wait *w;
	int fd[64];

	for (int i = 0; i < 64; i++)
		fd[i] = dial();
	w = begin("", &url);
	ask("GET", buf_data(&url), NULL);
	CHECK(answer.status == 200 && got.grants == 1);
	CHECK(!is_open(fd[0]) && is_open(fd[1]) && is_open(fd[63]));
	for (int i = 0; i < 64; i++)
		close(fd[i]);
	callback_forget(w);
	buf_free(&url);
}

/* ---- its own end ---- */

static void
whoever_is_told_may_end_it(void)
{
	struct buf url = { 0 };
	struct callback_wait *w, *other, *third;

	w = begin("", &url);
	got.forget = w;
	ask("GET", buf_data(&url), NULL);
	CHECK(answer.status == 200 && got.grants == 1);

	third = callback_wait(callback, (char [CALLBACK_KEY + 1]){ "" },
	    granted, NULL);
	other = callback_wait(callback, (char [CALLBACK_KEY + 1]){ "" },
	    granted, NULL);
	w = begin("", &url);
	got.forget = w;
	got.close = true;
	ask("GET", buf_data(&url), NULL);
	CHECK(got.grants == 1);
	callback = NULL;
	/* these wait for nothing */
	buf_reset(&url, 0);
	callback_url(other, &url);
	CHECK(url.len == 0);
	callback_forget(other);
	callback_forget(third);
	buf_free(&url);
}

static void
where_there_is_none(void)
{
	struct fault f = { .code = FAULT_INTERNAL };
	struct buf url = { 0 };
	struct callback *other;
	char address[64];

	CHECK(callback_open(loop, &spool, jv_null(), &f) == NULL &&
	    f.code == FAULT_NONE);
	f.code = FAULT_INTERNAL;
	CHECK(open_at("", &f) == NULL && f.code == FAULT_NONE);
	CHECK(open_at("no such host:0", &f) == NULL &&
	    f.code == FAULT_BAD_REQUEST);
	callback = open_at("127.0.0.1:0", &f);
	callback_forget(begin("", &url));
	CHECK(strncmp(buf_data(&url), "https://127.0.0.1:", 18) == 0);
	snprintf(address, sizeof(address), "127.0.0.1:%d",
	    atoi(buf_data(&url) + 18));
	CHECK(open_at(address, &f) == NULL && f.code == FAULT_UNAVAILABLE);
	callback_close(callback);
	/* all addresses have the host's own name */
	CHECK(gethostname(address, sizeof(address)) == 0);
	CHECK((callback = open_at("0.0.0.0:0", &f)) != NULL);
	callback_forget(begin("", &url));
	CHECK(strncmp(buf_data(&url) + 8, address, strlen(address)) == 0);
	callback_close(callback);

	CHECK(unlinkat(spool.fd, "namespace/tls/server.key", 0) == 0);
	other = open_at("127.0.0.1:0", &f);
	CHECK(other == NULL && f.code == FAULT_NOT_FOUND);
	callback_close(NULL);
	buf_free(&url);
}

int
main(void)
{
	struct buf authority = read_file("tests/certs/tls/server.pem");
	struct fault f = { .text = "" };

	loop = ev_default_loop(0);
	if (mkdtemp(dir) == NULL ||
	    (spool.fd = open(dir, O_PATH | O_DIRECTORY)) == -1 ||
	    spool_mkdir(spool.fd, "namespace/tls", 0700) == -1)
		return 1;
	copy("tests/certs/tls/server.pem", "namespace/tls/server.pem");
	copy("tests/certs/tls/server.key", "namespace/tls/server.key");
	fetcher = fetcher_new(loop, buf_data(&authority), &f);
	callback = open_at("localhost:0", &f);
	if (fetcher == NULL || callback == NULL) {
		printf("# %s\n", f.text);
		return 1;
	}
	RUN(endpoints_say_yes);
	RUN(a_post_may_have_a_body);
	RUN(others_are_refused);
	RUN(a_long_request_is_refused);
	RUN(keys_outlive_us);
	RUN(certificates_are_renewed);
	RUN(noise_is_answered_with_an_alert);
	RUN(time_is_bounded);
	RUN(many_shut_out_nobody);
	RUN(whoever_is_told_may_end_it);
	RUN(where_there_is_none);
	fetcher_free(fetcher);
	buf_free(&authority);
	CHECK(spool_remove(AT_FDCWD, dir) == 0);
	DONE();
}
