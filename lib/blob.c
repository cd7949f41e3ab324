#include "blob.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hash.h>

#include "base64.h"
#include "blob_answer.h"
#include "blob_auth.h"
#include "blob_xml.h"
#include "credential.h"
#include "jq.h"
#include "quote.h"
#include "storage.h"
#include "utf8.h"

#define HEADERS_MAX 10
#define ERROR_MAX 65536   /* bytes of an answer that is none of our text */
#define PAGE "1000"       /* blobs of a page of a list, */
#define PAGE_MAX (8 << 20) /* each of which takes at most some 8 KiB */
#define MD5_LEN BASE64_LEN(WC_MD5_DIGEST_SIZE)

struct blob_request {
	TAILQ_ENTRY(blob_request) entry;
	struct requests *list; /* of its container, that it is in; or NULL */
	struct blob_container *container;
	struct blob_asked asked;
	struct blob_call call; /* its texts are these: */
	char *name, *if_match, *prefix, *marker;
	char md5[MD5_LEN + 1];
	struct buf text;       /* of a put */
	size_t max;            /* of a get */
	struct blob_proof proof;
	struct fetch *fetch;
	bool again;            /* with another token */
	unsigned forgotten;    /* the container's, when it was sent */
	void (*each)(const struct blob_entry *, void *);
	blob_done *done;
	void *arg;
	struct blob_answer answer; /* of one that ends without the service's */
};

TAILQ_HEAD(requests, blob_request);

struct blob_container {
	struct blob_use use;
	struct blob_account account;
	char *name, *url, *identity, *resource_id;
	struct credential *credential;
	unsigned forgotten;      /* tokens */
	struct requests waiting; /* for the token */
	struct requests sent;
	struct requests ended;   /* `soon` tells them */
	ev_timer soon;
};

static int
out_of_memory(struct fault *f)
{
	return fault_set(f, FAULT_INTERNAL, "out of memory");
}

/* ---- a request ---- */

static void
move(struct blob_request *r, struct requests *to)
{
	if (r->list != NULL)
		TAILQ_REMOVE(r->list, r, entry);
	r->list = to;
	if (to != NULL)
		TAILQ_INSERT_TAIL(to, r, entry);
}

static void
request_free(struct blob_request *r)
{
	fetch_drop(r->fetch);
	blob_proof_free(&r->proof);
	buf_free(&r->text);
	free(r->name);
	free(r->if_match);
	free(r->prefix);
	free(r->marker);
	free(r);
}

/* Whoever is told may drop all others, and close the container. */
static void
finish(struct blob_request *r, const struct blob_answer *a)
{
	move(r, NULL);
	r->done(a, r->arg);
	request_free(r);
}

/* It ends without an answer, by the loop. */
static void
end(struct blob_request *r, enum blob_result result, const struct fault *f)
{
	struct blob_container *c = r->container;

	r->answer.result = result;
	r->answer.fault = *f;
	move(r, &c->ended);
	if (!ev_is_active(&c->soon))
		ev_timer_start(c->use.loop, &c->soon);
}

/* There is no token, or no memory. */
static void
end_unmade(struct blob_request *r, const struct fault *why)
{
	struct fault f = *why;

	if (r->again)
		fault_set(&f, FAULT_UNAVAILABLE,
		    "status 401 or 403, and another token: %s", why->text);
	if (f.code != FAULT_INTERNAL)
		f.code = FAULT_UNAVAILABLE;
	end(r, BLOB_LATER, &f);
}

/* One at a time: the container may be gone then. */
static void
on_soon(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct blob_container *c = timer->data;
	struct blob_request *r = TAILQ_FIRST(&c->ended);

	(void)events;
	if (r == NULL) /* it was dropped */
		return;
	if (TAILQ_NEXT(r, entry) != NULL)
		ev_timer_start(loop, timer);
	finish(r, &r->answer);
}

static void begin(struct blob_request *);

/* A token may have been taken back since we got it. Of many requests that it
 * was sent with, the first whose answer says so forgets it. */
static void
begin_again(struct blob_request *r)
{
	struct blob_container *c = r->container;

	if (r->forgotten == c->forgotten) {
		credential_forget(c->credential);
		c->forgotten++;
	}
	r->again = true;
	begin(r);
}

static void
read_page(const struct blob_request *r, struct blob_answer *b,
    const char *text, size_t len, char marker[BLOB_MARKER])
{
	if (blob_xml_list(text, len, r->each, r->arg, marker, &b->fault) ==
	    -1) {
		b->result = BLOB_LATER;
		return;
	}
	b->text = marker;
	b->len = strlen(marker);
}

static void
take_etag(struct blob_answer *b, const struct fetch_answer *a)
{
	const char *etag = fetch_header(a, "ETag");

	if (etag != NULL && strlen(etag) < sizeof(b->etag))
		memcpy(b->etag, etag, strlen(etag) + 1);
}

static void
on_answer(const struct fetch_answer *a, void *arg)
{
	struct blob_request *r = arg;
	struct blob_answer b = { .text = "" };
	struct blob_error e = { .code = "" };
	char marker[BLOB_MARKER];

	r->fetch = NULL; /* it ends by itself */
	if (a->status >= 300)
		blob_answer_error(a, &e);
	if (!r->again && blob_answer_disbelieves(a, &e)) {
		begin_again(r);
		return;
	}
	blob_answer_read(&b, &r->asked, a, &e);
	if (b.result == BLOB_DONE) {
		take_etag(&b, a);
		if (r->asked.what == BLOB_GET) {
			b.text = a->body;
			b.len = a->body_len;
		} else if (r->asked.what == BLOB_LIST) {
			read_page(r, &b, a->body, a->body_len, marker);
		}
	}
	finish(r, &b);
}

static size_t
answer_max(const struct blob_request *r)
{
	if (r->asked.what == BLOB_LIST)
		return PAGE_MAX;
	return r->asked.what == BLOB_GET ? r->max : ERROR_MAX;
}

static int
send_request(struct blob_request *r, const char *url, struct buf *head,
    struct fault *f)
{
	const char *headers[HEADERS_MAX + 1];
	const char *p = buf_data(head), *last = p + head->len;
	struct fetch_request q = {
		.method = r->call.method,
		.url = url,
		.headers = headers,
		.lent = true,
		.timeout_ms = BLOB_TIME,
		.answer_max = answer_max(r),
	};
	size_t n = 0;

	for (; p < last; p += strlen(p) + 1)
		headers[n++] = p;
	headers[n] = NULL;
	if (r->call.put) {
		q.body = r->text.len > 0 ? buf_data(&r->text) : "";
		q.body_len = r->text.len;
	}
	r->fetch = fetch_start(r->container->use.fetcher, &q, on_answer, r, f);
	return r->fetch == NULL ? -1 : 0;
}

/* The service compares the date with its clock, and refuses what is a quarter
 * of an hour off: it is the machine's, whatever EGNS_CLOCK adds for us. */
static void
start(struct blob_request *r, const char *token)
{
	struct blob_container *c = r->container;
	struct buf url = { 0 }, head = { 0 };
	struct fault f;

	r->forgotten = c->forgotten;
	blob_proof_free(&r->proof);
	if (blob_proof_init(&r->proof, &c->account,
	    credential_type(c->credential), token, &f) == -1 ||
	    blob_call_sign(&r->call, &r->proof, time(NULL), &url, &head,
	    &f) == -1 || send_request(r, buf_data(&url), &head, &f) == -1)
		end_unmade(r, &f);
	else
		move(r, &c->sent);
	buf_wipe(&url);
	buf_wipe(&head);
}

static void
begin(struct blob_request *r)
{
	struct blob_container *c = r->container;
	const char *token;
	struct fault f;

	switch (credential_token(c->credential, &token, &f)) {
	case CREDENTIAL_HERE:
		start(r, token);
		break;
	case CREDENTIAL_LATER:
		move(r, &c->waiting);
		break;
	case CREDENTIAL_NONE:
		end_unmade(r, &f);
		break;
	}
}

/* The token is there, or will not be. */
static void
on_token(const char *token, const struct fault *why, void *arg)
{
	struct blob_container *c = arg;
	struct blob_request *r;

	while ((r = TAILQ_FIRST(&c->waiting)) != NULL)
		if (token == NULL)
			end_unmade(r, why);
		else
			start(r, token);
}

/* ---- a container ---- */

static int
make_credential(struct blob_container *c, jv endpoint, const char *identity,
    struct fault *f)
{
	struct credential_use use = {
		.loop = c->use.loop,
		.dir = c->use.dir,
		.fetcher = c->use.fetcher,
		.audience = BLOB_AUDIENCE,
		.connections = true,
	};
	jv settings = jq_get(endpoint, "credential");
	const char *named;

	if (jv_get_kind(settings) == JV_KIND_NULL)
		settings = JV_OBJECT(jv_string("identity"), jv_string(
		    identity != NULL ? identity : "SystemAssigned"));
	named = jq_str(settings, "identity");
	if (named != NULL && (c->identity = strdup(named)) == NULL) {
		jv_free(settings);
		return out_of_memory(f);
	}
	c->credential = credential_new(&use, settings, on_token, c, f);
	return c->credential == NULL ? -1 : 0;
}

static int
set_up(struct blob_container *c, jv endpoint, const char *identity,
    const char *container, struct fault *f)
{
	const char *id = jq_str(endpoint, "resourceId");
	struct buf url = { 0 };
	struct fault why;
	char q[QUOTE_MAX];

	if (storage_check_container(container, &why) == -1)
		return fault_set(f, why.code, "'%s' %s", quote(q, container,
		    strlen(container)), why.text);
	if (blob_account_init(&c->account, endpoint, f) == -1)
		return -1;
	buf_printf(&url, "%s/%s%c", c->account.url, container, '\0');
	c->url = url.bad ? NULL : strdup(buf_data(&url));
	buf_free(&url);
	c->name = strdup(container);
	c->resource_id = id != NULL ? strdup(id) : NULL;
	if (c->url == NULL || c->name == NULL ||
	    (id != NULL && c->resource_id == NULL))
		return out_of_memory(f);
	return make_credential(c, endpoint, identity, f);
}

struct blob_container *
blob_open(const struct blob_use *use, jv endpoint, const char *identity,
    const char *container, struct fault *f)
{
	struct blob_container *c = calloc(1, sizeof(*c));

	if (c != NULL) {
		c->use = *use;
		TAILQ_INIT(&c->waiting);
		TAILQ_INIT(&c->sent);
		TAILQ_INIT(&c->ended);
		ev_timer_init(&c->soon, on_soon, 0, 0);
		c->soon.data = c;
		if (set_up(c, endpoint, identity, container, f) == -1) {
			blob_close(c);
			c = NULL;
		}
	} else {
		out_of_memory(f);
	}
	jv_free(endpoint);
	return c;
}

void
blob_close(struct blob_container *c)
{
	struct blob_request *r;

	if (c == NULL)
		return;
	while ((r = TAILQ_FIRST(&c->waiting)) != NULL ||
	    (r = TAILQ_FIRST(&c->sent)) != NULL ||
	    (r = TAILQ_FIRST(&c->ended)) != NULL)
		blob_drop(r); /* NOLINT(*-unix.Malloc) */
	ev_timer_stop(c->use.loop, &c->soon);
	credential_free(c->credential);
	blob_account_free(&c->account);
	free(c->name);
	free(c->url);
	free(c->identity);
	free(c->resource_id);
	free(c);
}

const char *
blob_url(const struct blob_container *c)
{
	return c->url;
}

/* ---- requests ---- */

/* A copy of what may be NULL; false without memory. */
static bool
copy(char **to, const char *text)
{
	*to = text != NULL ? strdup(text) : NULL;
	return text == NULL || *to != NULL;
}

static struct blob_request *
request_new(struct blob_container *c, const char *name, const char *if_match,
    blob_done *done, void *arg)
{
	struct blob_request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->container = c;
	r->done = done;
	r->arg = arg;
	r->answer.text = "";
	if (!copy(&r->name, name) || !copy(&r->if_match, if_match)) {
		request_free(r);
		return NULL;
	}
	r->asked = (struct blob_asked){ .container = c->name,
		.proof = &r->proof, .resource_id = c->resource_id,
		.identity = c->identity };
	r->call = (struct blob_call){ .container = c->name, .name = r->name,
		.if_match = r->if_match };
	return r;
}

/* A part "." or ".." is not what it says in a URL. */
static bool
has_dots(const char *name)
{
	size_t len;

	for (;; name += len + 1) {
		len = strcspn(name, "/");
		if ((len == 1 || len == 2) && strspn(name, ".") == len)
			return true;
		if (name[len] == '\0')
			return false;
	}
}

/* Off with it, unless it cannot be asked for at all: a name that is empty would
 * be the container's own, and a condition that is empty none. */
static struct blob_request *
launch(struct blob_request *r)
{
	const char *name = r->name;
	struct fault f;

	if (name != NULL && (*name == '\0' || strlen(name) > BLOB_NAME ||
	    !utf8_text(name, strlen(name)) || has_dots(name))) {
		fault_set(&f, FAULT_BAD_REQUEST, "no blob can have this name: "
		    "it is UTF-8, 1 to %d bytes, without a part that is . or "
		    "..", BLOB_NAME);
		end(r, BLOB_REFUSED, &f);
	} else if (r->if_match != NULL && *r->if_match == '\0') {
		fault_set(&f, FAULT_BAD_REQUEST, "the blob's ETag is not "
		    "known, so it is left as it is");
		end(r, BLOB_REFUSED, &f);
	} else {
		begin(r);
	}
	return r;
}

struct blob_request *
blob_put(struct blob_container *c, const char *name, const void *text,
    size_t len, const char *if_match, blob_done *done, void *arg)
{
	struct blob_request *r = request_new(c, name, if_match, done, arg);
	uint8_t md5[WC_MD5_DIGEST_SIZE];

	if (r == NULL)
		return NULL;
	buf_add(&r->text, text, len);
	if (r->text.bad || wc_Md5Hash(text, (word32)len, md5) != 0) {
		request_free(r);
		return NULL;
	}
	base64_encode(r->md5, md5, sizeof(md5));
	r->asked.what = BLOB_PUT;
	r->asked.if_absent = if_match == NULL;
	r->call.method = "PUT";
	r->call.put = true;
	r->call.length = len;
	r->call.content_type = "application/json";
	r->call.content_md5 = r->md5; /* what is damaged is refused */
	r->call.if_none_match = if_match == NULL ? "*" : NULL;
	return launch(r);
}

struct blob_request *
blob_get(struct blob_container *c, const char *name, size_t max,
    blob_done *done, void *arg)
{
	struct blob_request *r = request_new(c, name, NULL, done, arg);

	if (r == NULL)
		return NULL;
	r->asked.what = BLOB_GET;
	r->call.method = "GET";
	r->max = max;
	return launch(r);
}

struct blob_request *
blob_delete(struct blob_container *c, const char *name, const char *if_match,
    blob_done *done, void *arg)
{
	struct blob_request *r = request_new(c, name, if_match, done, arg);

	if (r == NULL)
		return NULL;
	r->asked.what = BLOB_DELETE;
	r->call.method = "DELETE";
	return launch(r);
}

struct blob_request *
blob_list(struct blob_container *c, const char *prefix, const char *marker,
    void (*each)(const struct blob_entry *, void *), blob_done *done,
    void *arg)
{
	struct blob_request *r = request_new(c, NULL, NULL, done, arg);
	struct blob_param *p;

	if (r == NULL)
		return NULL;
	if (!copy(&r->prefix, prefix) || !copy(&r->marker, marker)) {
		request_free(r);
		return NULL;
	}
	r->asked.what = BLOB_LIST;
	r->call.method = "GET";
	r->each = each;
	p = r->call.params;
	*p++ = (struct blob_param){ "comp", "list" };
	if (marker != NULL)
		*p++ = (struct blob_param){ "marker", r->marker };
	*p++ = (struct blob_param){ "maxresults", PAGE };
	if (prefix != NULL && *prefix != '\0')
		*p++ = (struct blob_param){ "prefix", r->prefix };
	*p = (struct blob_param){ "restype", "container" };
	return launch(r);
}

void
blob_drop(struct blob_request *r)
{
	if (r == NULL)
		return;
	move(r, NULL);
	request_free(r);
}
