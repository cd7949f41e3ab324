/* what the namespace says about the broker, and its changes */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker.h"
#include "client.h"
#include "control.h"
#include "expiry.h"
#include "jq.h"
#include "log.h"
#include "rate.h"
#include "registry.h"
#include "schema.h"

#define AUTHORITIES_MAX 64 /* the registry allows fewer */

static double
number(jv namespace, const char *path, double otherwise)
{
	jv v = jq_get(namespace, path);
	double n = jv_get_kind(v) == JV_KIND_NUMBER ? jv_number_value(v) :
	    otherwise;

	jv_free(v);
	return n;
}

static char *
copy(jv namespace, const char *path, const char *otherwise)
{
	const char *s = jq_str(namespace, path);

	return strdup(s == NULL ? otherwise : s);
}

#define SPACES "properties.topicSpacesConfiguration."

static bool
is_enabled(jv namespace)
{
	const char *state = jq_str(namespace, SPACES "state");

	return state != NULL && strcmp(state, "Enabled") == 0;
}

static int
read_namespace(struct settings *s, jv n, struct fault *f)
{
	const char *profile = jq_str(n, "properties.profile");
	const char *route = jq_str(n, SCHEMA_ROUTE);
	const char *lifecycle = jq_str(n, SCHEMA_LIFECYCLE);

	if (!is_enabled(n))
		return fault_set(f, FAULT_NOT_FOUND, "the namespace has no "
		    "broker: topicSpacesConfiguration.state is not Enabled; "
		    "egns-ctl namespace update --set "
		    "topicSpacesConfiguration.state=Enabled");
	s->name = copy(n, "name", "");
	s->azure = profile != NULL && strcasecmp(profile, "Azure") == 0;
	s->expiry_max = 3600 * (uint32_t)number(n,
	    SPACES "maximumSessionExpiryInHours", 1);
	s->sessions_per_name = (unsigned)number(n,
	    SPACES "maximumClientSessionsPerAuthenticationName", 1);
	s->queue_messages = (uint64_t)number(n,
	    SPACES "sessionQueue.maximumMessages", 100000);
	s->queue_bytes = (uint64_t)number(n,
	    SPACES "sessionQueue.maximumBytes", 67108864);
	s->units = (unsigned)number(n, "sku.capacity", 1);
	s->route = route != NULL && route[0] != '\0';
	s->route_bytes = (uint64_t)number(n,
	    SPACES "routingSpool.maximumBytes", 1073741824);
	s->lifecycle = lifecycle != NULL && lifecycle[0] != '\0';
	s->mqtts = copy(n, "properties.listeners.mqtts", "127.0.0.1:8883");
	s->wss = copy(n, "properties.listeners.wss", "127.0.0.1:8443");
	if (s->azure) {
		s->queue_messages = 100;
		s->queue_bytes = 1024 * 1024;
	}
	return s->name == NULL || s->mqtts == NULL || s->wss == NULL ?
	    fault_set(f, FAULT_INTERNAL, "out of memory") : 0;
}

struct authorities {
	char *pem[AUTHORITIES_MAX];
	size_t n;
};

static int
add_authority(const char *path, jv resource, void *arg)
{
	struct authorities *a = arg;
	const char *pem = jq_str(resource, "properties.encodedCertificate");

	(void)path;
	if (pem != NULL && a->n < AUTHORITIES_MAX &&
	    (a->pem[a->n] = strdup(pem)) != NULL)
		a->n++;
	jv_free(resource);
	return 0;
}

static int
read_tls(struct broker *b, struct settings *s, struct registry *r,
    struct fault *f)
{
	struct authorities a = { .n = 0 };

	registry_each(r, "caCertificates/", add_authority, &a);
	s->tls = tls_server_open(b->spool->fd, (const char *const *)a.pem, a.n,
	    f);
	while (a.n > 0)
		free(a.pem[--a.n]);
	return s->tls == NULL ? -1 : 0;
}

void
settings_free(struct settings *s)
{
	free(s->name);
	free(s->mqtts);
	free(s->wss);
	tls_server_free(s->tls);
	*s = (struct settings){ 0 };
}

static int
read_all(struct broker *b, struct registry *r, struct settings *s,
    struct fault *f)
{
	jv n = registry_get(r, "namespace");
	int rc = -1;

	if (!jv_is_valid(n))
		fault_set(f, FAULT_INTERNAL, "no namespace");
	else
		rc = read_namespace(s, n, f);
	jv_free(n);
	if (rc == 0)
		rc = read_tls(b, s, r, f);
	if (rc == -1)
		settings_free(s);
	return rc;
}

static void
expires(const char *where, const char *words, void *arg)
{
	(void)arg;
	log_warn("%s: %s", where, words);
}

int
settings_read(struct broker *b, struct fault *f)
{
	struct registry *r = registry_open(b->spool, false, f);
	int rc;

	if (r == NULL)
		return -1;
	rc = read_all(b, r, &b->settings, f);
	if (rc == 0)
		rc = auth_reload(b->auth, r, f);
	if (rc == 0)
		expiry_each(b->spool, r, expires, NULL);
	registry_close(r);
	return rc;
}

/* ---- what has changed ---- */

static void
recheck_client(struct broker *b, struct registry *r, struct client *c)
{
	struct fault f = { .code = FAULT_NONE };

	if (!auth_admits(b->auth, (const struct sockaddr *)&c->address, &f)) {
		client_end(c, END_IP, MQTT_NOT_AUTHORIZED, f.text);
		return;
	}
	switch (auth_recheck(b->auth, r, b->settings.tls, &c->who, &f)) {
	case AUTH_SAME:
		return;
	case AUTH_CHANGED:
		client_rights_changed(c);
		return;
	case AUTH_GONE:
		client_end(c, END_AUTHENTICATION, MQTT_NOT_AUTHORIZED, f.text);
		return;
	}
}

/* Sessions without a client lose what it may not see any more. */
static void
recheck_session(struct broker *b, struct registry *r, struct session *s)
{
	struct grants *grants;

	if (s->client != NULL || !s->registered || s->nsubscriptions == 0)
		return;
	grants = auth_grants(b->auth, r, s->name);
	session_check_rights(s, grants);
	grants_free(grants);
}

static void
recheck(struct broker *b, struct registry *r)
{
	struct client *c, *next;
	struct session *s, *following;

	for (c = b->clients; c != NULL; c = next) {
		next = c->next;
		if (c->state == CLIENT_CONNECTED ||
		    c->state == CLIENT_ACCEPTING)
			recheck_client(b, r, c);
	}
	for (s = b->sessions; s != NULL; s = following) {
		following = s->next;
		recheck_session(b, r, s);
	}
}

/* From the old settings to the new ones, which are the broker's then. */
static int
change(struct broker *b, struct registry *r, struct settings *new,
    struct fault *f)
{
	struct settings old = b->settings;

	/* what may fail comes before what clients are judged by */
	if (control_reload(b->control, r, f) == -1 ||
	    listen_change(b, new, f) == -1 || auth_reload(b->auth, r, f) == -1)
		return -1;
	b->settings = *new;
	*new = (struct settings){ 0 };
	settings_free(&old);
	retain_limit(b->retain, b->settings.units);
	rate_change(b);
	recheck(b, r);
	expiry_each(b->spool, r, expires, NULL);
	return 0;
}

/* Is there to be a broker still? What cannot be read is read_all's to say. */
static bool
wanted(struct registry *r)
{
	jv n = registry_get(r, "namespace");
	bool yes = !jv_is_valid(n) || is_enabled(n);

	jv_free(n);
	return yes;
}

int
broker_reload(struct broker *b, struct fault *f)
{
	struct registry *r = auth_look(b->auth, f);
	struct settings new = { 0 };
	int rc = -1;

	if (r != NULL) {
		if (!wanted(r))
			fault_set(f, FAULT_NOT_FOUND, "brokerd serves on as it "
			    "did until it is stopped: egns-ctl down, then up");
		else if (read_all(b, r, &new, f) == 0)
			rc = change(b, r, &new, f);
		settings_free(&new);
		auth_looked(b->auth);
	}
	if (rc == -1)
		log_warn("reload: %s; all is as it was", f->text);
	return rc;
}
