#include "managed.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "clock.h"
#include "endpoint.h"
#include "json.h"
#include "num.h"
#include "quote.h"
#include "secret.h"
#include "spool.h"

#define IMDS_HOST "http://169.254.169.254"
#define IMDS_PATH "/metadata/identity/oauth2/token"
#define AUTHORITY_HOST "https://login.microsoftonline.com"
#define ARC_KEY_MAX 4096
#define ASSERTION_MAX 16384

const char *managed_arc_keys = "/var/opt/azcmagent/tokens";

enum source { APP_SERVICE, ARC, WORKLOAD, IMDS };

struct managed {
	struct fetcher *fetcher;
	struct fetch *fetch;
	enum source source;
	struct buf url;    /* with its NUL */
	struct buf header; /* the one with a secret in it; or empty */
	struct buf body;   /* of workload identity */
	bool challenged;   /* Arc has named its key */
	void (*done)(const char *, int64_t, const struct fault *, void *);
	void *arg;
};

static const char *
variable(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && *value != '\0' ? value : NULL;
}

static enum source
find_source(void)
{
	if (variable("IDENTITY_ENDPOINT") && variable("IDENTITY_HEADER"))
		return APP_SERVICE;
	if (variable("IDENTITY_ENDPOINT") && variable("IMDS_ENDPOINT"))
		return ARC;
	return variable("AZURE_FEDERATED_TOKEN_FILE") ? WORKLOAD : IMDS;
}

static void
add_parameter(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "&%s=", name);
	buf_uri(b, value, "");
}

static void
add_identity(struct buf *b, const char *identity, const char *resource_id)
{
	if (identity != NULL)
		add_parameter(b, identity[0] == '/' ? resource_id :
		    "client_id", identity);
}

static int
ask_app_service(struct managed *m, const char *identity, const char *audience)
{
	buf_printf(&m->url, "%s?api-version=2019-08-01",
	    variable("IDENTITY_ENDPOINT"));
	add_parameter(&m->url, "resource", audience);
	add_identity(&m->url, identity, "mi_res_id");
	buf_printf(&m->header, "X-IDENTITY-HEADER: %s",
	    variable("IDENTITY_HEADER"));
	buf_add(&m->header, "", 1);
	return 0;
}

static int
ask_arc(struct managed *m, const char *identity, const char *audience,
    struct fault *f)
{
	if (identity != NULL)
		return fault_set(f, FAULT_UNAVAILABLE, "a machine managed by "
		    "Arc has no identity but its own, SystemAssigned");
	buf_printf(&m->url, "%s?api-version=2020-06-01",
	    variable("IDENTITY_ENDPOINT"));
	add_parameter(&m->url, "resource", audience);
	return 0;
}

static int
ask_imds(struct managed *m, const char *identity, const char *audience)
{
	const char *host = variable("AZURE_POD_IDENTITY_AUTHORITY_HOST");

	buf_printf(&m->url, "%s" IMDS_PATH "?api-version=2018-02-01",
	    host != NULL ? host : IMDS_HOST);
	add_parameter(&m->url, "resource", audience);
	add_identity(&m->url, identity, "msi_res_id");
	return 0;
}

/* The federated token goes into the body; its file changes now and then. */
static int
add_assertion(struct managed *m, struct fault *f)
{
	const char *path = variable("AZURE_FEDERATED_TOKEN_FILE");
	char q[QUOTE_MAX];
	size_t len;
	char *text = spool_read_regular(AT_FDCWD, path, ASSERTION_MAX, &len);

	if (text == NULL)
		return fault_errno(f, FAULT_UNAVAILABLE,
		    "AZURE_FEDERATED_TOKEN_FILE '%s'",
		    quote(q, path, strlen(path)));
	text[strcspn(text, " \t\r\n")] = '\0';
	add_parameter(&m->body, "client_assertion", text);
	explicit_bzero(text, len);
	free(text);
	return 0;
}

static int
ask_workload(struct managed *m, const char *identity, const char *audience,
    struct fault *f)
{
	const char *host = variable("AZURE_AUTHORITY_HOST");
	const char *tenant = variable("AZURE_TENANT_ID");
	struct buf scope = { 0 };
	struct fault why;

	if (identity == NULL)
		identity = variable("AZURE_CLIENT_ID");
	if (tenant == NULL || identity == NULL || identity[0] == '/')
		return fault_set(f, FAULT_UNAVAILABLE, "workload identity "
		    "wants AZURE_TENANT_ID, and AZURE_CLIENT_ID or a client "
		    "id");
	if (host == NULL)
		host = AUTHORITY_HOST;
	if (endpoint_check_url(host, &why) == -1)
		return fault_set(f, FAULT_UNAVAILABLE, "AZURE_AUTHORITY_HOST: "
		    "%s", why.text);
	buf_printf(&m->url, "%.*s/%s/oauth2/v2.0/token", (int)(strlen(host) -
	    (host[strlen(host) - 1] == '/')), host, tenant);
	buf_str(&m->body, "grant_type=client_credentials");
	add_parameter(&m->body, "client_id", identity);
	buf_printf(&scope, "%s/.default%c", audience, '\0');
	add_parameter(&m->body, "scope", scope.bad ? "" : buf_data(&scope));
	m->body.bad |= scope.bad;
	buf_free(&scope);
	add_parameter(&m->body, "client_assertion_type",
	    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
	return add_assertion(m, f);
}

static int
ask(struct managed *m, const char *identity, const char *audience,
    struct fault *f)
{
	m->source = find_source();
	switch (m->source) {
	case APP_SERVICE:
		return ask_app_service(m, identity, audience);
	case ARC:
		return ask_arc(m, identity, audience, f);
	case WORKLOAD:
		return ask_workload(m, identity, audience, f);
	case IMDS:
		return ask_imds(m, identity, audience);
	}
	abort();
}

/* ---- the answer ---- */

/* A fault of ours: which endpoint it was, and what it did. */
static int
bad(const struct managed *m, struct fault *f, const char *what)
{
	const char *url = buf_data(&m->url);
	char q[QUOTE_MAX];

	return fault_set(f, FAULT_UNAVAILABLE, "identity endpoint %s: %s",
	    quote(q, url, strcspn(url, "?")), what);
}

/* Is the secret that it was sent in there? That is behind the last blank of the
 * header, or is the last parameter of the body. */
static bool
tells(const struct managed *m, const struct buf *text)
{
	const struct buf *in = m->header.len > 0 ? &m->header : &m->body;
	const char *p = buf_data(in), *end = p + in->len, *secret = end;

	if (in == &m->header)
		end = --secret; /* its NUL */
	while (secret > p && strchr(" =", secret[-1]) == NULL)
		secret--;
	return secret_told(buf_data(text), text->len, secret,
	    (size_t)(end - secret));
}

/* Add a string member, fit for people; nothing when there is none. */
static void
add_word(struct buf *b, const struct managed *m, const struct json *j,
    const char *name)
{
	uint32_t t = json_member(j, 0, name, strlen(name));
	struct buf text = { 0 };
	char q[QUOTE_MAX];

	if (t == 0 || j->tok[t].type != JSON_STRING)
		return;
	json_string(j, t, &text);
	if (text.len > 0)
		buf_printf(b, ": %s", tells(m, &text) ? "***" :
		    quote(q, buf_data(&text), text.len));
	buf_free(&text);
}

/* {"error","error_description"}, as all of them have it. */
static int
read_refusal(const struct managed *m, const struct fetch_answer *a,
    struct fault *f)
{
	struct json j = { 0 };
	struct buf words = { 0 };
	int rc;

	buf_printf(&words, "status %ld", a->status);
	if (json_scan(&j, a->body, a->body_len, NULL) == 0 &&
	    j.tok[0].type == JSON_OBJECT) {
		add_word(&words, m, &j, "error");
		add_word(&words, m, &j, "error_description");
	}
	buf_add(&words, "", 1);
	rc = bad(m, f, words.bad ? "out of memory" : buf_data(&words));
	buf_free(&words);
	json_free(&j);
	return rc;
}

/* A number of seconds, which most of them write as a string. */
static bool
seconds(const struct json *j, const char *name, int64_t *n)
{
	uint32_t t = json_member(j, 0, name, strlen(name));
	struct buf text = { 0 };
	bool ok = false;

	if (t == 0)
		return false;
	if (j->tok[t].type == JSON_NUMBER)
		return json_int64(j, t, n) && *n >= 0 &&
		    *n < INT64_MAX / CLOCK_SECOND;
	if (j->tok[t].type != JSON_STRING)
		return false;
	json_string(j, t, &text);
	buf_add(&text, "", 1);
	ok = !text.bad && num_parse(name, buf_data(&text), 0,
	    INT64_MAX / CLOCK_SECOND, n, NULL) == 0;
	buf_free(&text);
	return ok;
}

/*
 * expires_on first: an endpoint may hand out a token that it has had for a
 * while, and expires_in counts from when that was issued.
 */
static bool
read_expiry(const struct json *j, int64_t *good_for)
{
	int64_t n;

	if (seconds(j, "expires_on", &n))
		*good_for = n * CLOCK_SECOND - clock_now();
	else if (seconds(j, "expires_in", &n))
		*good_for = n * CLOCK_SECOND;
	else
		return false;
	return *good_for > 0;
}

static int
read_token(const struct managed *m, const struct fetch_answer *a,
    struct buf *token, int64_t *good_for, struct fault *f)
{
	struct json j = { 0 };
	uint32_t t = 0;
	int rc = 0;

	if (json_scan(&j, a->body, a->body_len, NULL) == 0 &&
	    j.tok[0].type == JSON_OBJECT)
		t = json_member(&j, 0, "access_token", 12);
	if (t == 0 || j.tok[t].type != JSON_STRING)
		rc = bad(m, f, "its answer has no \"access_token\"");
	else if (!read_expiry(&j, good_for))
		rc = bad(m, f, "its token has expired, or does not say when "
		    "it will");
	else
		json_string(&j, t, token);
	buf_add(token, "", 1);
	if (rc == 0 && token->bad)
		rc = fault_set(f, FAULT_INTERNAL, "out of memory");
	json_free(&j);
	return rc;
}

/* ---- Arc's challenge ---- */

/*
 * The path of the key in `Basic realm=PATH`; NULL when it is not one of Arc's
 * own keys: a false endpoint must not make us send it other files.
 */
static const char *
key_path(const char *challenge)
{
	static const char scheme[] = "Basic realm=";
	size_t dir = strlen(managed_arc_keys), len;
	const char *path;

	if (challenge == NULL ||
	    strncasecmp(challenge, scheme, sizeof(scheme) - 1) != 0)
		return NULL;
	path = challenge + sizeof(scheme) - 1;
	len = strlen(path);
	if (strncmp(path, managed_arc_keys, dir) != 0 || path[dir] != '/' ||
	    strchr(path + dir + 1, '/') != NULL || len < dir + 6 ||
	    strcmp(path + len - 4, ".key") != 0)
		return NULL;
	return path;
}

static void on_answer(const struct fetch_answer *, void *);

static int
send_question(struct managed *m, struct fault *f)
{
	const char *const headers[] = { "Accept: application/json",
		m->source == WORKLOAD ?
		"Content-Type: application/x-www-form-urlencoded" :
		"Metadata: true",
		m->header.len > 0 ? buf_data(&m->header) : NULL, NULL };
	struct fetch_request q = {
		.method = m->source == WORKLOAD ? "POST" : "GET",
		.url = buf_data(&m->url),
		.headers = headers,
		.body = m->source == WORKLOAD ? buf_data(&m->body) : NULL,
		.body_len = m->body.len,
		.timeout_ms = MANAGED_TIME,
		.answer_max = MANAGED_MAX,
		.direct = m->source != WORKLOAD,
	};

	m->fetch = fetch_start(m->fetcher, &q, on_answer, m, f);
	return m->fetch == NULL ? -1 : 0;
}

static int
answer_challenge(struct managed *m, const char *challenge, struct fault *f)
{
	const char *path = key_path(challenge);
	size_t len;
	char *key;

	if (path == NULL)
		return bad(m, f, "it asks for a key that is not one of Arc's");
	key = spool_read_regular(AT_FDCWD, path, ARC_KEY_MAX, &len);
	if (key == NULL)
		return bad(m, f, "the key that it asks for cannot be read");
	m->challenged = true;
	key[strcspn(key, "\r\n")] = '\0';
	buf_printf(&m->header, "Authorization: Basic %s%c", key, '\0');
	explicit_bzero(key, len);
	free(key);
	if (m->header.bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	return send_question(m, f);
}

/* ---- */

static void
on_answer(const struct fetch_answer *a, void *arg)
{
	struct managed *m = arg;
	struct buf token = { 0 };
	struct fault f = { 0 };
	int64_t good_for = 0;
	int rc;

	m->fetch = NULL;
	if (a->failure != FETCH_WHOLE)
		rc = bad(m, &f, a->error);
	else if (m->source == ARC && a->status == 401 && !m->challenged) {
		if (answer_challenge(m, fetch_header(a, "WWW-Authenticate"),
		    &f) == 0)
			return;
		rc = -1;
	} else if (a->status != 200)
		rc = read_refusal(m, a, &f);
	else
		rc = read_token(m, a, &token, &good_for, &f);
	m->done(rc == 0 ? buf_data(&token) : NULL, good_for, &f, m->arg);
	buf_wipe(&token);
	managed_drop(m);
}

struct managed *
managed_start(struct fetcher *r, const char *identity, const char *audience,
    void (*done)(const char *, int64_t, const struct fault *, void *),
    void *arg, struct fault *f)
{
	struct managed *m = calloc(1, sizeof(*m));
	int rc;

	if (m == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	m->fetcher = r;
	m->done = done;
	m->arg = arg;
	rc = ask(m, identity, audience, f);
	buf_add(&m->url, "", 1);
	if (rc == 0 && (m->url.bad || m->header.bad || m->body.bad))
		rc = fault_set(f, FAULT_INTERNAL, "out of memory");
	if (rc == -1 || send_question(m, f) == -1) {
		managed_drop(m);
		return NULL;
	}
	return m;
}

void
managed_drop(struct managed *m)
{
	if (m == NULL)
		return;
	fetch_drop(m->fetch);
	buf_free(&m->url);
	buf_wipe(&m->header);
	buf_wipe(&m->body);
	free(m);
}
