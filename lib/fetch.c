#include "fetch.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "quote.h"

struct fetcher {
	struct ev_loop *loop;
	CURLM *multi;
	ev_timer timer;
	char *authorities;
	struct fetch *fetches; /* under way */
};

struct fetch {
	struct fetcher *fetcher;
	struct fetch *next, **link; /* link: what points here */
	CURL *easy;
	struct curl_slist *headers;
	char *host;
	struct buf body;
	size_t max, headers_len;
	bool too_long;
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
	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	if (strchr("\r\n", line[0]) != NULL && status >= 200 &&
	    f->limit_s > 0 && !ev_is_active(&f->limit)) {
		ev_timer_set(&f->limit, f->limit_s, 0);
		ev_timer_start(f->fetcher->loop, &f->limit);
	}
	return n;
}

static void
fetch_free(struct fetch *f)
{
	ev_timer_stop(f->fetcher->loop, &f->limit);
	if (f->link != NULL) {
		curl_multi_remove_handle(f->fetcher->multi, f->easy);
		*f->link = f->next;
		if (f->next != NULL)
			f->next->link = f->link;
	}
	if (f->easy != NULL)
		curl_easy_cleanup(f->easy);
	curl_slist_free_all(f->headers);
	curl_free(f->host);
	buf_free(&f->body);
	free(f);
}

/* Words that say which host it was about, and nothing else of the URL. */
static void
explain(const struct fetch *f, CURLcode result, char *text, size_t len)
{
	const char *why = f->error;
	char limit[64], host[QUOTE_MAX], q[QUOTE_MAX];

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
	if (strstr(why, f->host) != NULL)
		snprintf(text, len, "%s", q);
	else
		snprintf(text, len, "%s: %s",
		    quote(host, f->host, strlen(f->host)), q);
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

	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &a->status);
	if (a->status < 200)
		a->status = 0; /* there was more to come */
	curl_easy_getinfo(f->easy, CURLINFO_CONTENT_TYPE, &type);
	a->content_type = type;
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
	answer.body_len = f->body.len;
	if (f->body.len > 0)
		answer.body = buf_data(&f->body);
	f->done(&answer, f->arg);
	fetch_free(f);
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
	CURLMsg *m;
	int n;

	curl_multi_socket_action(r->multi, fd, events, &n);
	while ((m = curl_multi_info_read(r->multi, &n)) != NULL) {
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &f);
		complete(f, m->data.result);
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

static int
on_timeout(CURLM *multi, long ms, void *arg)
{
	struct fetcher *r = arg;

	(void)multi;
	ev_timer_stop(r->loop, &r->timer);
	if (ms >= 0) {
		ev_timer_set(&r->timer, (double)ms / 1000, 0);
		ev_timer_start(r->loop, &r->timer);
	}
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

struct fetcher *
fetcher_new(struct ev_loop *loop, const char *authorities, struct fault *f)
{
	struct fetcher *r = calloc(1, sizeof(*r));

	if (r == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		goto fail;
	r->loop = loop;
	ev_init(&r->timer, on_timer);
	r->timer.data = r;
	r->multi = curl_multi_init();
	if (authorities != NULL)
		r->authorities = strdup(authorities);
	if (r->multi == NULL || (authorities != NULL && r->authorities == NULL))
		goto fail;
	curl_multi_setopt(r->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
	    (long)FETCH_CONNECTIONS);
	curl_multi_setopt(r->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(r->multi, CURLMOPT_SOCKETDATA, r);
	curl_multi_setopt(r->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	curl_multi_setopt(r->multi, CURLMOPT_TIMERDATA, r);
	return r;
fail:
	fault_set(f, FAULT_INTERNAL, "out of memory");
	if (r != NULL)
		fetcher_free(r);
	return NULL;
}

void
fetcher_free(struct fetcher *r)
{
	if (r == NULL)
		return;
	while (r->fetches != NULL)
		fetch_free(r->fetches);
	if (r->multi != NULL)
		curl_multi_cleanup(r->multi);
	if (r->loop != NULL)
		ev_timer_stop(r->loop, &r->timer);
	free(r->authorities);
	curl_global_cleanup();
	free(r);
}

/* http or https, and whose host it is. */
static int
check_url(struct fetch *f, const char *url, struct fault *fault)
{
	CURLU *u = curl_url();
	CURLUcode code = CURLUE_OUT_OF_MEMORY;
	char *scheme = NULL;
	int rc = 0;

	if (u != NULL)
		code = curl_url_set(u, CURLUPART_URL, url, 0);
	if (code == CURLUE_OK)
		code = curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
	if (code == CURLUE_OK && strcmp(scheme, "http") != 0 &&
	    strcmp(scheme, "https") != 0)
		rc = fault_set(fault, FAULT_BAD_REQUEST, "a URL with %s is "
		    "neither https nor http", scheme);
	else if (code == CURLUE_OK)
		code = curl_url_get(u, CURLUPART_HOST, &f->host, 0);
	if (code != CURLUE_OK)
		rc = fault_set(fault, FAULT_BAD_REQUEST, "not a URL: %s",
		    curl_url_strerror(code));
	curl_free(scheme);
	curl_url_cleanup(u);
	return rc;
}

static int
add_header(struct fetch *f, const char *header, struct fault *fault)
{
	struct curl_slist *list;
	size_t name = strcspn(header, ":");
	char q[QUOTE_MAX];

	/* another line would be another header */
	if (header[strcspn(header, "\r\n")] != '\0')
		return fault_set(fault, FAULT_BAD_REQUEST,
		    "header '%s' has a line end in it",
		    quote(q, header, name));
	if ((list = curl_slist_append(f->headers, header)) == NULL)
		return fault_set(fault, FAULT_INTERNAL, "out of memory");
	f->headers = list;
	return 0;
}

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

static int
set_up(struct fetch *f, const struct fetch_request *q, struct fault *fault)
{
	CURL *e = f->easy;
	CURLcode rc;

	rc = curl_easy_setopt(e, CURLOPT_URL, q->url);
	if (q->body != NULL && rc == CURLE_OK) {
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)q->body_len);
		rc = curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, q->body);
	}
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, q->method);
	if (strcmp(q->method, "HEAD") == 0)
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
	if (rc == CURLE_OK)
		rc = set_authorities(e, f->fetcher->authorities);
	if (q->direct)
		curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, q->timeout_ms);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, f->headers);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, f);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, f->error);
	curl_easy_setopt(e, CURLOPT_PRIVATE, f);
	if (rc == CURLE_OK)
		return 0;
	return fault_set(fault, FAULT_INTERNAL, "%s", curl_easy_strerror(rc));
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
	struct fetch *f = calloc(1, sizeof(*f));
	CURLMcode rc = CURLM_OK;
	int bad;

	if (f == NULL || (f->easy = curl_easy_init()) == NULL) {
		free(f);
		fault_set(fault, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	f->fetcher = r;
	f->max = q->answer_max;
	f->limit_s = (double)q->body_ms / 1000;
	ev_init(&f->limit, on_limit);
	f->limit.data = f;
	f->done = done;
	f->arg = arg;
	/* do not wait for "100 Continue" before a long body */
	bad = check_url(f, q->url, fault) || add_header(f, "Expect:", fault);
	for (size_t i = 0; !bad && q->headers != NULL && q->headers[i]; i++)
		bad = add_header(f, q->headers[i], fault);
	bad = bad || set_up(f, q, fault);
	if (!bad && (rc = curl_multi_add_handle(r->multi, f->easy)) !=
	    CURLM_OK)
		bad = fault_set(fault, FAULT_INTERNAL, "%s",
		    curl_multi_strerror(rc));
	if (bad) {
		fetch_free(f);
		return NULL;
	}
	f->next = r->fetches;
	f->link = &r->fetches;
	if (f->next != NULL)
		f->next->link = &f->next;
	r->fetches = f;
	return f;
}

void
fetch_drop(struct fetch *f)
{
	if (f != NULL)
		fetch_free(f);
}
