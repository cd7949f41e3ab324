#include "fetch.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "buf.h"
#include "quote.h"

#define IDLE_TIME 60     /* seconds until what is kept is given back */
#define BUFFER_KEPT 4096 /* bytes of a buffer that wait for the next request */
#define SILENCE_MAX 30000 /* ms: data that nobody takes end a connection */

struct fetcher {
	struct ev_loop *loop;
	CURLM *multi; /* NULL: none is needed now */
	unsigned connections;
	long tls;           /* CURL_SSLVERSION */
	bool direct;        /* the environment has no proxy */
	ev_prepare soon;    /* curl wants to be called at once, */
	bool acting_soon;
	ev_timer timer;     /* or later */
	ev_timer idle;
	bool used;          /* since `idle` was started */
	bool silent;        /* a request got no answer */
	char *authorities;
	struct fetch *fetches; /* under way */
	int under_way;         /* how many */
	struct fetch *spare;   /* to be used again */
};

/*
 * To make a curl handle and to tell it everything costs more than to send a
 * request, so that it is kept, and told what differs from the last one.
 */
struct fetch {
	struct fetcher *fetcher;
	struct fetch *next, **link; /* link: what points here; NULL: spare */
	CURL *easy;
	CURLU *url;
	char *url_text, *method;    /* NULL: none yet */
	bool direct;
	struct buf headers;         /* their text, each with a NUL */
	struct curl_slist *list;    /* nodes that point into it */
	size_t list_cap;
	struct buf sent;            /* the body, unless it was lent */
	struct buf body;            /* of the answer */
	size_t max, headers_len;
	bool too_long;
	long timeout_ms;
	bool again;     /* it was sent a second time */
	ev_timer limit; /* of the body */
	double limit_s; /* 0: there is none */
	char error[CURL_ERROR_SIZE];
	void (*done)(const struct fetch_answer *, void *arg);
	void *arg;
};

struct watch {
	ev_io io;
	struct fetcher *fetcher;
};

static size_t
on_body(char *data, size_t one, size_t n, void *arg)
{
	struct fetch *f = arg;
	size_t room = f->max - f->body.len;

	(void)one;
	f->too_long = n > room;
	buf_add(&f->body, data, f->too_long ? room : n);
	return f->body.bad || f->too_long ? 0 : n;
}

/* A line; the empty one behind the last begins the body. */
static size_t
on_header(char *line, size_t one, size_t n, void *arg)
{
	struct fetch *f = arg;
	long status = 0;

	(void)one;
	f->too_long = n > FETCH_HEADERS_MAX - f->headers_len;
	if (f->too_long)
		return 0;
	f->headers_len += n;
	if (f->limit_s <= 0 || strchr("\r\n", line[0]) == NULL)
		return n;
	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && !ev_is_active(&f->limit)) {
		ev_timer_set(&f->limit, f->limit_s, 0);
		ev_timer_start(f->fetcher->loop, &f->limit);
	}
	return n;
}

static void
fetch_free(struct fetch *f)
{
	curl_easy_cleanup(f->easy);
	curl_url_cleanup(f->url);
	free(f->url_text);
	free(f->method);
	free(f->list);
	buf_free(&f->headers);
	buf_free(&f->sent);
	buf_free(&f->body);
	free(f);
}

/*
 * libcurl before 8.1 remembers the last header of an answer when its memory is
 * gone, and writes to it when the headers of the next one begin with a blank. A
 * copy, which is soon made, remembers nothing. False without memory.
 */
static bool
forget_headers(struct fetch *f)
{
	CURL *copy;

	if (f->headers_len == 0)
		return true;
	if ((copy = curl_easy_duphandle(f->easy)) == NULL)
		return false;
	curl_easy_cleanup(f->easy);
	f->easy = copy;
	return true;
}

/* It is over: keep what the next one can use. */
static void
fetch_end(struct fetch *f)
{
	struct fetcher *r = f->fetcher;

	ev_timer_stop(r->loop, &f->limit);
	if (f->link != NULL) {
		curl_multi_remove_handle(r->multi, f->easy);
		r->under_way--;
		*f->link = f->next;
		if (f->next != NULL)
			f->next->link = f->link;
		f->link = NULL;
	}
	if (!forget_headers(f)) {
		fetch_free(f);
		return;
	}
	buf_reset(&f->headers, BUFFER_KEPT);
	buf_reset(&f->sent, BUFFER_KEPT);
	buf_reset(&f->body, BUFFER_KEPT);
	f->next = r->spare;
	r->spare = f;
	if (!ev_is_active(&r->idle)) {
		ev_timer_again(r->loop, &r->idle);
		ev_unref(r->loop); /* no loop runs on for it */
	}
}

/* Words that say which host it was about, and nothing else of the URL. */
static void
explain(const struct fetch *f, CURLcode result, char *text, size_t len)
{
	const char *why = f->error;
	char limit[64], name[QUOTE_MAX], q[QUOTE_MAX], *host = NULL;

	if (f->too_long) {
		snprintf(limit, sizeof(limit), "the answer has more than %zu "
		    "bytes", f->body.len > 0 ? f->max :
		    (size_t)FETCH_HEADERS_MAX);
		why = limit;
	} else if (f->body.bad)
		why = "out of memory";
	else if (*why == '\0')
		why = curl_easy_strerror(result);
	quote(q, why, strlen(why));
	curl_url_get(f->url, CURLUPART_HOST, &host, 0);
	if (host == NULL || strstr(why, host) != NULL)
		snprintf(text, len, "%s", q);
	else
		snprintf(text, len, "%s: %s",
		    quote(name, host, strlen(host)), q);
	curl_free(host);
}

static enum fetch_failure
failure(const struct fetch *f, CURLcode result)
{
	switch (result) {
	case CURLE_OK:
		return FETCH_WHOLE;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return FETCH_RESOLVE;
	case CURLE_COULDNT_CONNECT:
		return FETCH_CONNECT;
	case CURLE_OPERATION_TIMEDOUT:
		return FETCH_TIMEOUT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
		return FETCH_TLS;
	default:
		return f->too_long ? FETCH_TOO_LONG : FETCH_BROKEN;
	}
}

static void
read_status(struct fetch *f, struct fetch_answer *a)
{
	curl_off_t seconds = 0;
	char *type = NULL;
	long sent = 0;

	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &a->status);
	if (a->status < 200)
		a->status = 0; /* there was more to come */
	curl_easy_getinfo(f->easy, CURLINFO_CONTENT_TYPE, &type);
	a->content_type = type;
	curl_easy_getinfo(f->easy, CURLINFO_REQUEST_SIZE, &sent);
	a->sent = sent > 0;
	/* a date is told from the time as it is: the other side does not know
	 * of EGNS_CLOCK */
	curl_easy_getinfo(f->easy, CURLINFO_RETRY_AFTER, &seconds);
	if (seconds > FETCH_RETRY_MAX / 1000000)
		a->retry_after = FETCH_RETRY_MAX;
	else if (seconds > 0)
		a->retry_after = (int64_t)seconds * 1000000;
}

static void
complete(struct fetch *f, CURLcode result)
{
	struct fetch_answer answer = { .body = "", .fetch = f };
	char error[2 * QUOTE_MAX + 4];

	answer.failure = failure(f, result);
	if (answer.failure != FETCH_WHOLE) {
		explain(f, result, error, sizeof(error));
		answer.error = error;
	}
	read_status(f, &answer);
	f->fetcher->silent |= answer.failure == FETCH_TIMEOUT &&
	    answer.status == 0;
	answer.body_len = f->body.len;
	if (f->body.len > 0)
		answer.body = buf_data(&f->body);
	f->done(&answer, f->arg);
	fetch_end(f);
}

/*
 * A connection that was kept may have been closed when the request came. curl
 * sends it by another one, but not if it was busy with the body, nor always in
 * HTTP/2.
 */
static bool
send_again(struct fetch *f, CURLcode result)
{
	CURLM *m = f->fetcher->multi;
	curl_off_t us = 0;
	long connects = 0, status = 0, ms;

	if (f->again || (result != CURLE_SEND_ERROR &&
	    result != CURLE_RECV_ERROR && result != CURLE_HTTP2 &&
	    result != CURLE_HTTP2_STREAM))
		return false;
	curl_easy_getinfo(f->easy, CURLINFO_NUM_CONNECTS, &connects);
	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(f->easy, CURLINFO_TOTAL_TIME_T, &us);
	ms = f->timeout_ms - (long)(us / 1000);
	if (connects > 0 || status != 0 || ms <= 0)
		return false;
	f->again = true;
	curl_multi_remove_handle(m, f->easy);
	curl_easy_setopt(f->easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(f->easy, CURLOPT_TIMEOUT_MS, ms);
	return curl_multi_add_handle(m, f->easy) == CURLM_OK;
}

/* The body takes too long. */
static void
on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	complete(timer->data, CURLE_OPERATION_TIMEDOUT);
}

static void
act(struct fetcher *r, curl_socket_t fd, int events)
{
	struct fetch *f;
	CURLcode result;
	CURLMsg *m;
	int n;

	curl_multi_socket_action(r->multi, fd, events, &n);
	while ((m = curl_multi_info_read(r->multi, &n)) != NULL) {
		if (m->msg != CURLMSG_DONE)
			continue;
		result = m->data.result; /* it goes with the handle */
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &f);
		if (!send_again(f, result))
			complete(f, result);
	}
}

static void
on_ready(struct ev_loop *loop, ev_io *io, int events)
{
	struct watch *w = (struct watch *)io;

	(void)loop;
	act(w->fetcher, io->fd, (events & EV_READ ? CURL_CSELECT_IN : 0) |
	    (events & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

/* curl puts it off with each answer; a timer that comes too early is told when
 * to come again. */
static void
start_timer(struct fetcher *r, double s)
{
	if (ev_is_active(&r->timer)) {
		if (ev_timer_remaining(r->loop, &r->timer) <= s)
			return;
		ev_timer_stop(r->loop, &r->timer);
	}
	ev_timer_set(&r->timer, s, 0);
	ev_timer_start(r->loop, &r->timer);
}

/*
 * Before the loop waits: requests that were started go out together. What has
 * ended already is told by the timer: callbacks may start such watchers, too,
 * for which it is too late here.
 */
static void
on_soon(struct ev_loop *loop, ev_prepare *soon, int events)
{
	struct fetcher *r = soon->data;
	int n;

	(void)events;
	ev_prepare_stop(loop, soon);
	r->acting_soon = true;
	curl_multi_socket_action(r->multi, CURL_SOCKET_TIMEOUT, 0, &n);
	r->acting_soon = false;
	if (n < r->under_way)
		start_timer(r, 0);
}

static int
on_timeout(CURLM *multi, long ms, void *arg)
{
	struct fetcher *r = arg;

	(void)multi;
	ev_prepare_stop(r->loop, &r->soon);
	if (ms < 0)
		ev_timer_stop(r->loop, &r->timer);
	else if (ms == 0 && !r->acting_soon)
		ev_prepare_start(r->loop, &r->soon);
	else
		start_timer(r, (double)ms / 1000);
	return 0;
}

/* curl keeps a socket's watcher for us. */
static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *watcher)
{
	struct fetcher *r = arg;
	struct watch *w = watcher;

	(void)easy;
	if (w != NULL)
		ev_io_stop(r->loop, &w->io);
	if (what == CURL_POLL_REMOVE) {
		free(w);
		return 0;
	}
	if (w == NULL) {
		if ((w = malloc(sizeof(*w))) == NULL)
			return -1;
		w->fetcher = r;
		curl_multi_assign(r->multi, fd, w);
	}
	ev_io_init(&w->io, on_ready, fd,
	    (what & CURL_POLL_IN ? EV_READ : 0) |
	    (what & CURL_POLL_OUT ? EV_WRITE : 0));
	ev_io_start(r->loop, &w->io);
	return 0;
}

/* Connections and handles that nobody uses. */
static void
give_back(struct fetcher *r)
{
	struct fetch *f;

	while ((f = r->spare) != NULL) {
		r->spare = f->next;
		fetch_free(f);
	}
	if (r->multi != NULL)
		curl_multi_cleanup(r->multi);
	r->multi = NULL;
	r->silent = false;
}

static void
stop_idle(struct fetcher *r)
{
	if (ev_is_active(&r->idle)) {
		ev_ref(r->loop);
		ev_timer_stop(r->loop, &r->idle);
	}
}

static void
on_idle(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct fetcher *r = timer->data;

	(void)loop;
	(void)events;
	if (!r->used && r->fetches == NULL) {
		stop_idle(r);
		give_back(r);
	}
	r->used = false;
}

/* To look for it each time takes as long as all that is done here. */
static bool
has_proxy(void)
{
	static const char *const names[] = { "http_proxy", "https_proxy",
		"HTTPS_PROXY", "all_proxy", "ALL_PROXY" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (getenv(names[i]) != NULL)
			return true;
	return false;
}

static int
make_multi(struct fetcher *r)
{
	CURLM *m = curl_multi_init();

	if (m == NULL)
		return -1;
	curl_multi_setopt(m, CURLMOPT_MAX_TOTAL_CONNECTIONS,
	    (long)r->connections);
	/* if not told, it closes them when there are few requests */
	curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, (long)r->connections);
	curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(m, CURLMOPT_SOCKETDATA, r);
	curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, on_timeout);
	curl_multi_setopt(m, CURLMOPT_TIMERDATA, r);
	r->multi = m;
	r->direct = !has_proxy();
	return 0;
}

struct fetcher *
fetcher_new(struct ev_loop *loop, const char *authorities, struct fault *f)
{
	struct fetcher *r = calloc(1, sizeof(*r));

	if (r == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		goto fail;
	r->loop = loop;
	r->connections = FETCH_CONNECTIONS;
	r->tls = CURL_SSLVERSION_TLSv1_2;
	ev_prepare_init(&r->soon, on_soon);
	ev_init(&r->timer, on_timer);
	ev_init(&r->idle, on_idle);
	r->idle.repeat = IDLE_TIME;
	r->soon.data = r->timer.data = r->idle.data = r;
	if (authorities == NULL ||
	    (r->authorities = strdup(authorities)) != NULL)
		return r;
	curl_global_cleanup();
fail:
	fault_set(f, FAULT_INTERNAL, "out of memory");
	free(r);
	return NULL;
}

void
fetcher_connections(struct fetcher *r, unsigned n)
{
	r->connections = n;
}

int
fetcher_minimum_tls(struct fetcher *r, const char *version)
{
	static const char *const known[] = { "1.0", "1.1", "1.2", "1.3" };
	size_t i = 0;

	if (version == NULL)
		version = "1.2";
	while (i < 4 && strcmp(version, known[i]) != 0)
		i++;
	if (i == 4)
		return -1;
	r->tls = i == 3 ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2;
	return 0;
}

void
fetcher_free(struct fetcher *r)
{
	if (r == NULL)
		return;
	while (r->fetches != NULL)
		fetch_end(r->fetches); /* NOLINT(*-unix.Malloc) */
	give_back(r);
	ev_prepare_stop(r->loop, &r->soon);
	ev_timer_stop(r->loop, &r->timer);
	stop_idle(r);
	free(r->authorities);
	curl_global_cleanup();
	free(r);
}

/* ---- a request ---- */

static int
out_of_memory(struct fault *fault)
{
	return fault_set(fault, FAULT_INTERNAL, "out of memory");
}

/* http or https; curl then uses what was parsed here. */
static int
set_url(struct fetch *f, const char *url, struct fault *fault)
{
	CURLUcode code;
	char *scheme = NULL;
	int rc = 0;

	free(f->url_text);
	f->url_text = NULL;
	/* a URL is relative to the one before */
	curl_url_set(f->url, CURLUPART_URL, NULL, 0);
	code = curl_url_set(f->url, CURLUPART_URL, url, 0);
	if (code == CURLUE_OK)
		code = curl_url_get(f->url, CURLUPART_SCHEME, &scheme, 0);
	if (code != CURLUE_OK)
		return fault_set(fault, FAULT_BAD_REQUEST, "not a URL: %s",
		    curl_url_strerror(code));
	if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		rc = fault_set(fault, FAULT_BAD_REQUEST, "a URL with %s is "
		    "neither https nor http", scheme);
	else if ((f->url_text = strdup(url)) == NULL)
		rc = out_of_memory(fault);
	/* who speaks HTTP/2 needs one connection, not one for each request
	 * that is there before it is known */
	curl_easy_setopt(f->easy, CURLOPT_PIPEWAIT,
	    (long)(strcmp(scheme, "https") == 0));
	curl_easy_setopt(f->easy, CURLOPT_URL, NULL); /* it remembers */
	curl_easy_setopt(f->easy, CURLOPT_CURLU, f->url);
	curl_free(scheme);
	return rc;
}

static int
set_method(struct fetch *f, const char *method)
{
	free(f->method);
	f->method = strdup(method);
	if (f->method == NULL || curl_easy_setopt(f->easy,
	    CURLOPT_CUSTOMREQUEST, method) != CURLE_OK)
		return -1;
	return 0;
}

static int
check_header(const char *header, struct fault *fault)
{
	size_t name = strcspn(header, ":");
	char q[QUOTE_MAX];

	/* another line would be another header */
	if (header[strcspn(header, "\r\n")] != '\0')
		return fault_set(fault, FAULT_BAD_REQUEST,
		    "header '%s' has a line end in it",
		    quote(q, header, name));
	return 0;
}

/* curl's list, in one piece. */
static int
set_headers(struct fetch *f, const char *const *headers, struct fault *fault)
{
	/* do not wait for "100 Continue" before a long body */
	static const char expect[] = "Expect:";
	size_t n = 0;
	char *text;

	buf_add(&f->headers, expect, sizeof(expect));
	for (; headers != NULL && headers[n] != NULL; n++) {
		if (check_header(headers[n], fault) != 0)
			return -1;
		buf_add(&f->headers, headers[n], strlen(headers[n]) + 1);
	}
	n++;
	if (f->headers.bad)
		return out_of_memory(fault);
	if (n > f->list_cap) {
		free(f->list);
		f->list_cap = 0;
		if ((f->list = calloc(n, sizeof(*f->list))) == NULL)
			return out_of_memory(fault);
		f->list_cap = n;
	}
	text = buf_data(&f->headers);
	for (size_t i = 0; i < n; i++) {
		f->list[i].data = text;
		f->list[i].next = i + 1 < n ? &f->list[i + 1] : NULL;
		text += strlen(text) + 1;
	}
	curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->list);
	return 0;
}

static int
set_body(struct fetch *f, const struct fetch_request *q)
{
	const void *body = q->body;

	curl_easy_setopt(f->easy, CURLOPT_HTTPGET, 1L); /* as if new */
	if (strcmp(q->method, "HEAD") == 0)
		curl_easy_setopt(f->easy, CURLOPT_NOBODY, 1L);
	if (body == NULL)
		return 0;
	if (!q->lent) {
		buf_add(&f->sent, body, q->body_len);
		body = q->body_len > 0 ? buf_data(&f->sent) : "";
	}
	curl_easy_setopt(f->easy, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(f->easy, CURLOPT_POSTFIELDSIZE_LARGE,
	    (curl_off_t)q->body_len);
	return f->sent.bad ? -1 : 0;
}

static int
set_up(struct fetch *f, const struct fetch_request *q, struct fault *fault)
{
	bool direct = q->direct || f->fetcher->direct;

	if ((f->url_text == NULL || strcmp(f->url_text, q->url) != 0) &&
	    set_url(f, q->url, fault) != 0)
		return -1;
	if (set_headers(f, q->headers, fault) != 0)
		return -1;
	if ((f->method == NULL || strcmp(f->method, q->method) != 0) &&
	    set_method(f, q->method) != 0)
		return out_of_memory(fault);
	if (set_body(f, q) != 0)
		return out_of_memory(fault);
	if (f->direct != direct) {
		curl_easy_setopt(f->easy, CURLOPT_PROXY, direct ? "" : NULL);
		curl_easy_setopt(f->easy, CURLOPT_NOPROXY, direct ? "" : NULL);
		f->direct = direct;
	}
	if (f->again)
		curl_easy_setopt(f->easy, CURLOPT_FRESH_CONNECT, 0L);
	curl_easy_setopt(f->easy, CURLOPT_TIMEOUT_MS, q->timeout_ms);
	f->timeout_ms = q->timeout_ms;
	f->max = q->answer_max;
	f->headers_len = 0;
	f->too_long = f->again = false;
	f->limit_s = (double)q->body_ms / 1000;
	return 0;
}

/* ---- what all requests of a fetcher have in common ---- */

static CURLcode
set_authorities(CURL *e, char *authorities)
{
	struct curl_blob blob = {
		.data = authorities,
		.len = authorities != NULL ? strlen(authorities) : 0,
		.flags = CURL_BLOB_NOCOPY,
	};

	/*
	 * The system's are a directory and a bundle of all. From the directory
	 * OpenSSL reads only what it needs; to read the bundle would hold up
	 * the loop for 25 ms with each connection.
	 */
	if (curl_version_info(CURLVERSION_NOW)->capath != NULL)
		curl_easy_setopt(e, CURLOPT_CAINFO, NULL);
	return blob.len == 0 ? CURLE_OK :
	    curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &blob);
}

/* The other side may be gone without a word: that is not to take as long as
 * TCP has patience. */
static int
on_connection(void *arg, curl_socket_t fd, curlsocktype type)
{
	unsigned ms = SILENCE_MAX;

	(void)arg;
	(void)type;
	/* a credential's command would keep it open */
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	return CURL_SOCKOPT_OK;
}

static int
set_constants(struct fetch *f)
{
	CURL *e = f->easy;

	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	/* do not wait for threads that ask a name server that is silent */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, f->fetcher->tls);
	curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, on_connection);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, f);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, f->error);
	curl_easy_setopt(e, CURLOPT_PRIVATE, f);
	if (curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") !=
	    CURLE_OK ||
	    set_authorities(e, f->fetcher->authorities) != CURLE_OK)
		return -1;
	return 0;
}

static struct fetch *
fetch_new(struct fetcher *r)
{
	struct fetch *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->fetcher = r;
	ev_init(&f->limit, on_limit);
	f->limit.data = f;
	f->easy = curl_easy_init();
	f->url = curl_url();
	if (f->easy != NULL && f->url != NULL && set_constants(f) == 0)
		return f;
	fetch_free(f);
	return NULL;
}

const char *
fetch_header(const struct fetch_answer *a, const char *name)
{
	struct curl_header *h;

	if (curl_easy_header(a->fetch->easy, name, 0, CURLH_HEADER, -1, &h) !=
	    CURLHE_OK)
		return NULL;
	return h->value;
}

struct fetch *
fetch_start(struct fetcher *r, const struct fetch_request *q,
    void (*done)(const struct fetch_answer *, void *arg), void *arg,
    struct fault *fault)
{
	struct fetch *f;
	CURLMcode rc;

	/* In HTTP/1 a request that times out closes its connection, but not in
	 * HTTP/2, where others use it, too: were it dead, it would be so for all
	 * that come. */
	if (r->silent && r->fetches == NULL)
		give_back(r);
	f = r->spare;
	if (r->multi == NULL && make_multi(r) != 0)
		f = NULL;
	else if (f != NULL)
		r->spare = f->next;
	else
		f = fetch_new(r);
	if (f == NULL) {
		out_of_memory(fault);
		return NULL;
	}
	r->used = true;
	f->done = done;
	f->arg = arg;
	if (set_up(f, q, fault) != 0) {
		fetch_end(f);
		return NULL;
	}
	if ((rc = curl_multi_add_handle(r->multi, f->easy)) != CURLM_OK) {
		fault_set(fault, FAULT_INTERNAL, "%s", curl_multi_strerror(rc));
		fetch_end(f);
		return NULL;
	}
	f->next = r->fetches;
	f->link = &r->fetches;
	if (f->next != NULL)
		f->next->link = &f->next;
	r->fetches = f;
	r->under_way++;
	return f;
}

void
fetch_drop(struct fetch *f)
{
	if (f != NULL)
		fetch_end(f);
}
