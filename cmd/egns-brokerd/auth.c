/* who connects, and who stays */
#include "auth.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "iprange.h"
#include "jq.h"
#include "jwt.h"
#include "quote.h"
#include "utf8.h"
#include "webhook.h"

#define METHOD_JWT "CUSTOM-JWT"
#define METHOD_ENTRA "OAUTH2-JWT"
#define NAME_CHARACTERS 128 /* of an authentication name */
#define RANGES 16           /* inboundIpRules of a namespace */
#define AUTHENTICATION \
	"properties.topicSpacesConfiguration.clientAuthentication."

/* What the registry said when it was last read. */
struct rules {
	struct access *access;
	struct identity_sources sources;
	struct jwt_issuer *issuer; /* NULL: no tokens */
	struct webhook *webhook;   /* NULL: none */
	bool azure;                /* profile */
	bool private;              /* no public network access */
	struct iprange ranges[RANGES];
	size_t nranges;
};

struct auth {
	struct ev_loop *loop;
	const struct spool *spool;
	struct rules rules;
	struct webhook **retired; /* replaced, but still asked something */
	size_t nretired;
	struct registry *registry; /* at rest between looks; NULL: not open */
	unsigned looks; /* under way, one in the other */
};

struct auth_pending {
	struct auth *auth;
	struct webhook_ask *ask;
	char *again; /* re-authentication: the name it has been */
	void (*done)(struct auth_answer *, void *arg);
	void *arg;
};

static int
no_memory(struct fault *f)
{
	return fault_set(f, FAULT_INTERNAL, "out of memory");
}

static bool
is(struct mqtt_str s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

void
principal_free(struct principal *p)
{
	free(p->name);
	free(p->client);
	free(p->attributes);
	free(p->uid);
	grants_free(p->grants);
	memset(p, 0, sizeof(*p));
}

/* ---- settings ---- */

static int
read_ranges(struct rules *r, jv ns, struct fault *f)
{
	jv list = jq_get(ns, "properties.inboundIpRules");
	int n = jv_get_kind(list) == JV_KIND_ARRAY ?
	    jv_array_length(jv_copy(list)) : 0;
	int rc = 0;

	if (n > RANGES)
		rc = fault_set(f, FAULT_BAD_REQUEST,
		    "inboundIpRules: more than %d", RANGES);
	for (int i = 0; rc == 0 && i < n; i++) {
		jv rule = jv_array_get(jv_copy(list), i);
		const char *mask = jq_str(rule, "ipMask");

		rc = iprange_parse(&r->ranges[r->nranges++],
		    mask == NULL ? "" : mask, f);
		jv_free(rule);
	}
	jv_free(list);
	return rc;
}

/* Tokens are meant for one of the broker's names; they are the strings' of
 * `ns`. The caller frees the list. */
static const char **
host_names(jv ns, jv domains, size_t *n)
{
	int max = jv_get_kind(domains) == JV_KIND_ARRAY ?
	    jv_array_length(jv_copy(domains)) : 0;
	const char **hosts = calloc((size_t)max + 1, sizeof(*hosts));

	*n = 0;
	if (hosts == NULL)
		return NULL;
	hosts[0] = jq_str(ns, "properties.topicSpacesConfiguration.hostname");
	*n = hosts[0] != NULL;
	for (int i = 0; i < max; i++) {
		jv domain = jv_array_get(jv_copy(domains), i);

		hosts[*n] = jq_str(domain, "fullyQualifiedDomainName");
		*n += hosts[*n] != NULL;
		jv_free(domain);
	}
	return hosts;
}

static int
read_issuer(struct rules *r, jv ns, struct fault *f)
{
	jv settings = jq_get(ns, AUTHENTICATION "customJwtAuthentication");
	jv domains = jq_get(ns,
	    "properties.topicSpacesConfiguration.customDomains");
	const char **hosts = NULL;
	struct fault why;
	size_t n;
	int rc = 0;

	if (jv_get_kind(settings) == JV_KIND_OBJECT &&
	    jv_object_length(jv_copy(settings)) > 0) {
		if ((hosts = host_names(ns, domains, &n)) == NULL)
			rc = no_memory(f);
		else if ((r->issuer = jwt_issuer_new(jv_copy(settings), hosts,
		    n, &why)) == NULL)
			rc = fault_set(f, why.code,
			    "customJwtAuthentication: %s", why.text);
	}
	free(hosts);
	jv_free(settings);
	jv_free(domains);
	return rc;
}

static int
read_rules(struct rules *r, struct auth *a, struct registry *registry, jv ns,
    struct fault *f)
{
	const char *profile = jq_str(ns, "properties.profile");
	const char *network = jq_str(ns, "properties.publicNetworkAccess");

	r->azure = profile != NULL && strcmp(profile, "Azure") == 0;
	r->private = network != NULL && strcmp(network, "Enabled") != 0;
	if (identity_sources(&r->sources, jq_get(ns,
	    AUTHENTICATION "alternativeAuthenticationNameSources")) == -1)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "alternativeAuthenticationNameSources: not known");
	if (read_ranges(r, ns, f) == -1 || read_issuer(r, ns, f) == -1 ||
	    (r->access = access_load(registry, f)) == NULL)
		return -1;
	return webhook_new(&r->webhook, a->rules.webhook, a->loop, a->spool,
	    ns, f);
}

/* All but the webhook, which may be needed longer. */
static void
rules_free(struct rules *r)
{
	access_free(r->access);
	jwt_issuer_free(r->issuer);
}

/* Those replaced ones that nobody waits for any more. */
static void
free_retired(struct auth *a, bool all)
{
	size_t kept = 0;

	for (size_t i = 0; i < a->nretired; i++) {
		if (!all && webhook_busy(a->retired[i]))
			a->retired[kept++] = a->retired[i];
		else
			webhook_free(a->retired[i]);
	}
	a->nretired = kept;
}

/* Room for one more that is replaced. */
static int
reserve_retired(struct auth *a, struct fault *f)
{
	struct webhook **list;

	free_retired(a, false);
	list = reallocarray(a->retired, a->nretired + 1, sizeof(*list));
	if (list == NULL)
		return no_memory(f);
	a->retired = list;
	return 0;
}

struct registry *
auth_look(struct auth *a, struct fault *f)
{
	if (a->registry == NULL)
		a->registry = registry_open(a->spool, false, f);
	else if (a->looks == 0 && registry_resume(a->registry, f) == -1) {
		registry_close(a->registry);
		a->registry = NULL;
	}
	if (a->registry != NULL)
		a->looks++;
	return a->registry;
}

void
auth_looked(struct auth *a)
{
	if (--a->looks == 0)
		registry_rest(a->registry);
}

int
auth_reload(struct auth *a, struct registry *registry, struct fault *f)
{
	struct webhook *old = a->rules.webhook;
	struct rules r = { 0 };
	jv ns = registry_get(registry, "namespace");
	int rc = reserve_retired(a, f);

	if (rc == 0 && !jv_is_valid(ns))
		rc = fault_set(f, FAULT_NOT_FOUND, "there is no namespace");
	if (rc == 0)
		rc = read_rules(&r, a, registry, ns, f);
	jv_free(ns);
	if (rc == -1) {
		rules_free(&r);
		return -1;
	}
	rules_free(&a->rules);
	a->rules = r;
	if (old != NULL && old != r.webhook)
		a->retired[a->nretired++] = old;
	free_retired(a, false);
	return 0;
}

struct auth *
auth_new(struct ev_loop *loop, const struct spool *spool, struct fault *f)
{
	struct auth *a = calloc(1, sizeof(*a));
	struct registry *registry;
	int rc;

	if (a == NULL) {
		no_memory(f);
		return NULL;
	}
	a->loop = loop;
	a->spool = spool;
	if ((registry = registry_open(spool, false, f)) != NULL) {
		rc = auth_reload(a, registry, f);
		registry_close(registry);
		if (rc == 0)
			return a;
	}
	auth_free(a);
	return NULL;
}

void
auth_free(struct auth *a)
{
	if (a == NULL)
		return;
	free_retired(a, true);
	free(a->retired);
	webhook_free(a->rules.webhook);
	rules_free(&a->rules);
	registry_close(a->registry);
	free(a);
}

/* ---- what a client may do ---- */

/* A client as access.h wants it. */
struct view {
	struct buf text;
	struct json json;
	struct access_client client;
};

static int
view_init(struct view *v, const char *name, const char *attributes)
{
	*v = (struct view){
		.client = { .name = name, .name_len = strlen(name),
		    .json = &v->json, .attributes = 1 },
	};
	/* token 0 stands for no attributes, so theirs is another */
	buf_str(&v->text, "[");
	buf_str(&v->text, attributes);
	buf_str(&v->text, "]");
	if (v->text.bad)
		return -1;
	return json_scan(&v->json, buf_data(&v->text), v->text.len, NULL);
}

static void
view_free(struct view *v)
{
	json_free(&v->json);
	buf_free(&v->text);
}

static struct grants *
make_grants(const struct auth *a, const char *name, const char *attributes)
{
	struct grants *g = NULL;
	struct view v;

	if (view_init(&v, name, attributes) == 0)
		g = access_grants(a->rules.access, &v.client);
	view_free(&v);
	return g;
}

void
auth_explain(struct auth *a, const struct principal *p, enum access_right right,
    const char *topic, size_t len, struct access_reason *reason)
{
	struct view v;

	if (view_init(&v, p->name, p->attributes) == 0) {
		access_explain(a->rules.access, &v.client, right, topic, len,
		    reason);
	} else {
		*reason = (struct access_reason){ .allowed = false };
		buf_str(&reason->words, "out of memory");
	}
	view_free(&v);
}

/* ---- answers ---- */

/* What the client is told, and what it counts as. */
static void
classify(struct auth_answer *answer)
{
	switch (answer->why.code) {
	case FAULT_NONE:
		answer->reason = MQTT_SUCCESS;
		return;
	case FAULT_UNAUTHORIZED:
	case FAULT_NOT_FOUND:
		answer->reason = MQTT_NOT_AUTHORIZED;
		answer->error = "AuthenticationError";
		return;
	case FAULT_FORBIDDEN:
		answer->reason = MQTT_NOT_AUTHORIZED;
		answer->error = "AuthorizationError";
		return;
	case FAULT_BAD_REQUEST:
		answer->reason = MQTT_BAD_METHOD;
		answer->error = "ClientError";
		return;
	case FAULT_TOO_MANY:
		answer->reason = MQTT_BUSY;
		answer->error = "QuotaExceeded";
		return;
	default:
		answer->reason = MQTT_UNAVAILABLE;
		answer->error = "ServiceError";
	}
}

/* The default profile turns away who could do nothing anyway. */
static int
check_grants(struct auth *a, const struct principal *p, struct fault *f)
{
	struct access_reason publish, subscribe;
	char q[QUOTE_MAX];

	if (p->grants == NULL)
		return no_memory(f);
	if (a->rules.azure || grants_some(p->grants))
		return 0;
	auth_explain(a, p, ACCESS_PUBLISH, "", 0, &publish);
	auth_explain(a, p, ACCESS_SUBSCRIBE, "", 0, &subscribe);
	fault_set(f, FAULT_FORBIDDEN,
	    "client '%s' may neither publish (%.*s) nor subscribe (%.*s)",
	    quote(q, p->name, strlen(p->name)),
	    (int)publish.words.len, buf_data(&publish.words),
	    (int)subscribe.words.len, buf_data(&subscribe.words));
	access_reason_free(&publish);
	access_reason_free(&subscribe);
	return -1;
}

/* Complete an answer and give it. */
static void
reply(struct auth *a, struct auth_answer *answer,
    void (*done)(struct auth_answer *, void *), void *arg)
{
	struct principal *p = &answer->principal;

	if (p->name != NULL && answer->why.code == FAULT_NONE) {
		p->grants = make_grants(a, p->name, p->attributes);
		check_grants(a, p, &answer->why);
	}
	classify(answer);
	if (answer->reason != MQTT_SUCCESS)
		principal_free(p);
	done(answer, arg);
}

/* ---- from where ---- */

/*
 * Ranges are IPv4, and a list of what is allowed: when there is one, other
 * addresses are not. They count as long as there is public access; without it
 * only this machine may connect, which is what a private endpoint is here.
 */
static int
check_peer(const struct rules *r, const struct sockaddr *peer, struct fault *f)
{
	static const struct iprange machine = {
		.net = INADDR_LOOPBACK & IN_CLASSA_NET, .mask = IN_CLASSA_NET
	};

	if (r->private) {
		if (iprange_has(&machine, peer))
			return 0;
		return fault_set(f, FAULT_FORBIDDEN,
		    "IpForbidden: the namespace has no public network access");
	}
	for (size_t i = 0; i < r->nranges; i++)
		if (iprange_has(&r->ranges[i], peer))
			return 0;
	if (r->nranges == 0)
		return 0;
	return fault_set(f, FAULT_FORBIDDEN,
	    "IpForbidden: no inboundIpRules of the namespace has the address");
}

/* ---- by a certificate ---- */

/* The registry's client of a name. It is looked up each time, so memory grows
 * with connections, not with clients. */
static int
find_client(struct auth *a, const char *name, size_t len, struct identity *id,
    struct fault *f)
{
	struct registry *r = auth_look(a, f);
	int rc = -1;

	if (r != NULL) {
		rc = identity_find(r, name, len, id, f);
		auth_looked(a);
	}
	if (rc == -1 && f->code != FAULT_NOT_FOUND)
		f->code = FAULT_UNAVAILABLE;
	return rc;
}

static int
check_enabled(const struct identity *id, struct fault *f)
{
	char q[QUOTE_MAX];

	if (!id->disabled)
		return 0;
	return fault_set(f, FAULT_UNAUTHORIZED, "client '%s' is disabled",
	    quote(q, id->name, strlen(id->name)));
}

static int
check_certificate(const struct identity *id, const struct tls_certificate *c,
    struct fault *f)
{
	char q[QUOTE_MAX];
	struct fault why;

	if (identity_check(id, c, &why) == 0)
		return 0;
	return fault_set(f, why.code, "client '%s': %s",
	    quote(q, id->name, strlen(id->name)), why.text);
}

/* The client takes over what is known of it. */
static void
take_identity(struct principal *p, struct identity *id,
    const struct tls_certificate *c)
{
	p->name = id->name;
	p->client = id->client;
	p->attributes = id->attributes;
	p->uid = id->uid;
	id->name = id->client = id->attributes = id->uid = NULL;
	p->scheme = id->scheme;
	p->how = id->scheme == IDENTITY_THUMBPRINT ? AUTH_THUMBPRINT : AUTH_CA;
	p->expires = p->how == AUTH_CA ? c->trusted_until : c->ends;
	memcpy(p->sha1, c->sha1, sizeof(p->sha1));
	memcpy(p->sha256, c->sha256, sizeof(p->sha256));
	if (p->how == AUTH_CA)
		memcpy(p->anchor, c->anchor, sizeof(p->anchor));
}

static int
no_name(const struct rules *r, const struct tls_certificate *c,
    struct fault *f)
{
	if (c == NULL)
		return fault_set(f, FAULT_UNAUTHORIZED,
		    "neither a User Name nor a certificate");
	if (r->sources.n == 0)
		return fault_set(f, FAULT_UNAUTHORIZED, "no User Name, and the "
		    "namespace has no alternativeAuthenticationNameSources");
	return fault_set(f, FAULT_UNAUTHORIZED, "no User Name, and the "
	    "certificate has none of the namespace's "
	    "alternativeAuthenticationNameSources");
}

/* An empty User Name is none: some clients always send one. */
static int
by_certificate(struct auth *a, const struct auth_request *q,
    struct auth_answer *answer)
{
	struct mqtt_str user = q->connect->user;
	char name[IDENTITY_NAME_MAX + 1];
	struct fault *f = &answer->why;
	struct identity id = { 0 };
	int rc;

	answer->principal.user_name = user.len > 0;
	if (user.len == 0) {
		user.p = name;
		user.len = identity_name(&a->rules.sources, q->certificate,
		    name);
	}
	if (user.len == 0)
		return no_name(&a->rules, q->certificate, f);
	rc = find_client(a, user.p, user.len, &id, f);
	if (rc == 0)
		rc = check_enabled(&id, f);
	if (rc == 0)
		rc = check_certificate(&id, q->certificate, f);
	if (rc == 0)
		take_identity(&answer->principal, &id, q->certificate);
	identity_free(&id);
	return rc;
}

/* ---- by somebody else's word: a token, the webhook ---- */

static int
check_name(const char *name, size_t len, struct fault *f)
{
	size_t n, i, characters = 0;

	for (i = 0; i < len; i += n, characters++)
		if (name[i] == '\0' ||
		    (n = utf8_char(name + i, len - i)) == 0)
			break;
	if (len > 0 && i == len && characters <= NAME_CHARACTERS)
		return 0;
	return fault_set(f, FAULT_UNAUTHORIZED,
	    "the name that was given has not 1 to %d characters",
	    NAME_CHARACTERS);
}

/*
 * The principal has got name, attributes and expiry. When the registry has a
 * client of the name, too, its spelling counts, and whether it is enabled. A
 * new login of a connection is for the same name.
 */
static int
check_named(struct auth *a, struct principal *p, const char *again,
    struct fault *f)
{
	char q[QUOTE_MAX], was[QUOTE_MAX];
	struct identity id = { 0 };
	struct fault why;
	int rc;

	if (find_client(a, p->name, strlen(p->name), &id, &why) == 0) {
		rc = check_enabled(&id, f);
		free(p->name);
		p->name = id.name;
		id.name = NULL;
		identity_free(&id);
		if (rc == -1)
			return -1;
	} else if (why.code != FAULT_NOT_FOUND) {
		*f = why;
		return -1;
	}
	if (again == NULL || strcmp(again, p->name) == 0)
		return 0;
	return fault_set(f, FAULT_UNAUTHORIZED,
	    "client '%s' is logged in; the new login is of '%s'",
	    quote(was, again, strlen(again)),
	    quote(q, p->name, strlen(p->name)));
}

static char *
take_text(const struct buf *b)
{
	return b->bad ? NULL : strndup(b->len > 0 ? buf_data(b) : "", b->len);
}

static int
by_token(struct auth *a, const struct auth_request *q, struct principal *p,
    struct fault *f)
{
	struct jwt_claims claims = { 0 };
	int rc;

	if (q->data.len == 0 || q->data.len > JWT_MAX)
		return fault_set(f, FAULT_UNAUTHORIZED,
		    "a token of 1 to %d bytes is wanted, there are %zu",
		    JWT_MAX, q->data.len);
	rc = jwt_check(a->rules.issuer, q->data.p, q->data.len, &claims, f);
	if (rc == 0)
		rc = check_name(buf_data(&claims.subject), claims.subject.len,
		    f);
	if (rc == 0) {
		p->name = take_text(&claims.subject);
		p->attributes = take_text(&claims.attributes);
		p->how = AUTH_TOKEN;
		p->user_name = true;
		p->expires = claims.expires;
		rc = p->name == NULL || p->attributes == NULL ?
		    no_memory(f) : check_named(a, p,
		    q->again != NULL ? q->again->name : NULL, f);
	}
	jwt_claims_free(&claims);
	return rc;
}

static void
pending_free(struct auth_pending *p)
{
	free(p->again);
	free(p);
}

static void
on_webhook(struct webhook_answer *got, void *arg)
{
	struct auth_pending *pending = arg;
	struct auth_answer answer = { .why = got->why };
	struct principal *p = &answer.principal;

	if (answer.why.code == FAULT_NONE) {
		p->name = got->name;
		p->attributes = got->attributes;
		got->name = got->attributes = NULL;
		p->how = AUTH_WEBHOOK;
		p->user_name = true;
		p->expires = got->expires;
		if (check_name(p->name, strlen(p->name), &answer.why) == 0)
			check_named(pending->auth, p, pending->again,
			    &answer.why);
	}
	reply(pending->auth, &answer, pending->done, pending->arg);
	pending_free(pending);
}

static struct auth_pending *
ask_webhook(struct auth *a, const struct auth_request *q, struct fault *f,
    void (*done)(struct auth_answer *, void *), void *arg)
{
	struct auth_pending *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		no_memory(f);
		return NULL;
	}
	p->auth = a;
	p->done = done;
	p->arg = arg;
	if (q->again != NULL && (p->again = strdup(q->again->name)) == NULL)
		no_memory(f);
	else
		p->ask = webhook_ask(a->rules.webhook, q, on_webhook, p, f);
	if (p->ask != NULL)
		return p;
	pending_free(p);
	return NULL;
}

/* ---- which of them ---- */

static int
no_method(struct mqtt_str method, struct fault *f)
{
	char q[QUOTE_MAX];

	if (is(method, METHOD_JWT))
		return fault_set(f, FAULT_BAD_REQUEST, "method '" METHOD_JWT
		    "': the namespace has no customJwtAuthentication");
	if (is(method, METHOD_ENTRA))
		return fault_set(f, FAULT_BAD_REQUEST, "method '" METHOD_ENTRA
		    "': Entra tokens cannot be checked here; use " METHOD_JWT);
	return fault_set(f, FAULT_BAD_REQUEST, "method '%s' is not known",
	    quote(q, method.p, method.len));
}

/* A connection keeps to the way it was made. */
static bool
same_way(const struct auth_request *q, enum auth_how how)
{
	return q->again == NULL || q->again->how == how;
}

/*
 * Where a login goes. The webhook is one of the ways to log in, not a second
 * opinion: clients of the registry whose certificate fits need none, and tokens
 * that the namespace can check itself do not go there. It gets all others,
 * those with a method that nobody else knows among them.
 */
enum way { WAY_DONE, WAY_WEBHOOK };

static enum way
try_ways(struct auth *a, const struct auth_request *q,
    struct auth_answer *answer)
{
	struct fault *f = &answer->why;

	if (check_peer(&a->rules, q->peer, f) == -1)
		return WAY_DONE;
	if (q->method.p != NULL) {
		if (is(q->method, METHOD_JWT) && a->rules.issuer != NULL &&
		    same_way(q, AUTH_TOKEN))
			by_token(a, q, &answer->principal, f);
		else if (a->rules.webhook != NULL && same_way(q, AUTH_WEBHOOK))
			return WAY_WEBHOOK;
		else
			no_method(q->method, f);
		return WAY_DONE;
	}
	if (q->data.p != NULL || q->connect == NULL) {
		fault_set(f, FAULT_UNAUTHORIZED,
		    "authentication data without a method");
		return WAY_DONE;
	}
	if (by_certificate(a, q, answer) == 0 || a->rules.webhook == NULL)
		return WAY_DONE;
	return WAY_WEBHOOK;
}

struct auth_pending *
auth_ask(struct auth *a, const struct auth_request *q,
    void (*done)(struct auth_answer *, void *), void *arg)
{
	struct auth_answer answer = { .reason = MQTT_SUCCESS };
	struct auth_pending *p;

	if (try_ways(a, q, &answer) == WAY_WEBHOOK &&
	    (p = ask_webhook(a, q, &answer.why, done, arg)) != NULL)
		return p;
	reply(a, &answer, done, arg);
	return NULL;
}

void
auth_drop(struct auth_pending *p)
{
	webhook_drop(p->ask);
	pending_free(p);
}

/* ---- who stays ---- */

static int
gone(struct fault *f, const struct principal *p, const char *what)
{
	char q[QUOTE_MAX];

	return fault_set(f, FAULT_UNAUTHORIZED, "client '%s': %s",
	    quote(q, p->name, strlen(p->name)), what);
}

/* Would its certificate still do? It is not there any more, but what it was
 * accepted by is. */
static int
recheck_certificate(const struct identity *id, const struct tls_server *tls,
    const struct principal *p, struct fault *f)
{
	struct tls_certificate c = { .n = 1, .ends = INT64_MAX };
	struct fault ignored;

	if (strcmp(id->uid, p->uid) != 0)
		return gone(f, p, "was deleted and made anew");
	if (id->scheme != p->scheme)
		return gone(f, p, "has another validation scheme now");
	if (p->how == AUTH_CA && !tls_has_authority(tls, p->anchor))
		return gone(f, p, "the authority of its certificate was "
		    "removed");
	memcpy(c.sha1, p->sha1, sizeof(c.sha1));
	memcpy(c.sha256, p->sha256, sizeof(c.sha256));
	if (p->how == AUTH_THUMBPRINT && identity_check(id, &c, &ignored) == -1)
		return gone(f, p, "its certificate's thumbprint was removed");
	return 0;
}

/* 0 and the attributes that it has now; the principal's stay its own. */
static int
recheck(struct auth *a, struct registry *r, const struct tls_server *tls,
    const struct principal *p, char **attributes, struct fault *f)
{
	struct identity id = { 0 };
	int rc;

	if (p->how == AUTH_TOKEN && a->rules.issuer == NULL)
		return gone(f, p, "there is no customJwtAuthentication any "
		    "more");
	if (p->how == AUTH_WEBHOOK && a->rules.webhook == NULL)
		return gone(f, p, "there is no webhookAuthentication any more");
	if (identity_find(r, p->name, strlen(p->name), &id, f) == -1) {
		if (p->client != NULL && f->code == FAULT_NOT_FOUND)
			return gone(f, p, "was deleted");
		/* who never was one stays; so do all if it cannot be read */
		return 0;
	}
	rc = check_enabled(&id, f);
	if (rc == 0 && p->client != NULL) {
		rc = recheck_certificate(&id, tls, p, f);
		*attributes = id.attributes;
		id.attributes = NULL;
	}
	identity_free(&id);
	return rc;
}

enum auth_still
auth_recheck(struct auth *a, struct registry *r, const struct tls_server *tls,
    struct principal *p, struct fault *f)
{
	enum auth_still still = AUTH_SAME;
	char *attributes = NULL;
	struct grants *grants;

	if (recheck(a, r, tls, p, &attributes, f) == -1) {
		free(attributes);
		return AUTH_GONE;
	}
	if (attributes != NULL && strcmp(attributes, p->attributes) != 0)
		still = AUTH_CHANGED;
	if (attributes != NULL) {
		free(p->attributes);
		p->attributes = attributes;
	}
	/* always the new ones: they share memory with other clients' */
	grants = make_grants(a, p->name, p->attributes);
	if (grants == NULL) {
		no_memory(f);
		return AUTH_GONE;
	}
	if (!grants_equal(grants, p->grants))
		still = AUTH_CHANGED;
	grants_free(p->grants);
	p->grants = grants;
	return still;
}

bool
auth_admits(const struct auth *a, const struct sockaddr *peer, struct fault *f)
{
	return check_peer(&a->rules, peer, f) == 0;
}

struct grants *
auth_grants(struct auth *a, struct registry *r, const char *name)
{
	struct identity id = { 0 };
	struct grants *g = NULL;

	if (identity_find(r, name, strlen(name), &id, NULL) == 0 &&
	    !id.disabled)
		g = make_grants(a, id.name, id.attributes);
	identity_free(&id);
	return g;
}

bool
auth_may_publish(struct auth *a, const char *name, const char *topic,
    size_t len)
{
	struct registry *r = auth_look(a, NULL);
	struct grants *g = NULL;
	bool ok;

	if (r != NULL) {
		g = auth_grants(a, r, name);
		auth_looked(a);
	}
	ok = g != NULL && grants_publish(g, topic, len);
	grants_free(g);
	return ok;
}
