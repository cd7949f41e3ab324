/* the settings of a producer of Kafka */
#include "kafka_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "endpoint.h"
#include "jq.h"
#include "kafka_properties.h"
#include "quote.h"

#define PROPAGATION 5000 /* milliseconds for which a topic may be unknown */
#define BUNDLE (8 << 20) /* bytes of the system's authorities */

/* Ours, before the subscription's. */
static const struct {
	const char *name, *value;
} defaults[] = {
	{ "client.id", "egns-push" },
	/* an event of EVENT_MAX, whose attributes are headers, too, with
	 * mappings of 10 * 4 KiB */
	{ "message.max.bytes", "2200000" },
	/* A broker refuses a batch that is too big as a whole, and then it
	 * looks as if each of its events were. So it is far below what any
	 * broker takes. */
	{ "batch.size", "131072" },
	{ "linger.ms", "2" },
	{ "queue.buffering.max.messages", "20000" },
	{ "queue.buffering.max.kbytes", "65536" },
	/* event hubs close what is idle for 240 s */
	{ "metadata.max.age.ms", "180000" },
	{ "topic.metadata.refresh.interval.ms", "90000" },
	{ "connections.max.idle.ms", "180000" },
	{ "socket.keepalive.enable", "true" },
	{ "log.queue", "true" },
	{ "log.connection.close", "false" },
};

/* A property's value, which is valid as long as they are; NULL: none. */
static const char *
property(jv properties, const char *name)
{
	jv v = jv_object_get(jv_copy(properties), jv_string(name));
	const char *text = NULL;

	if (jv_get_kind(v) == JV_KIND_STRING)
		text = jv_string_value(v);
	jv_free(v);
	return text;
}

/* ---- login ---- */

/* The one of these words that it is, in our own spelling. */
static const char *
one_of(const char *text, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcasecmp(text, *words) == 0)
			return *words;
	return NULL;
}

static int
take_mechanism(struct kafka_conf *c, struct fault *f)
{
	static const char *const words[] = { "PLAIN", "SCRAM-SHA-256",
		"SCRAM-SHA-512", "OAUTHBEARER", NULL };
	const char *text = property(c->properties, "sasl.mechanism");

	if (text == NULL)
		text = property(c->properties, "sasl.mechanisms");
	if (text == NULL)
		return 0;
	if (jv_get_kind(c->credential) == JV_KIND_NULL)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "properties: 'sasl.mechanism' needs a credential");
	c->mechanism = one_of(text, words);
	return c->mechanism != NULL ? 0 : fault_set(f, FAULT_BAD_REQUEST,
	    "properties: 'sasl.mechanism' must be PLAIN, SCRAM-SHA-256, "
	    "SCRAM-SHA-512 or OAUTHBEARER");
}

/* A credential without a type is a token, unless there is a user. */
static int
take_login(struct kafka_conf *c, bool hub, struct fault *f)
{
	const char *type = jq_str(c->credential, "type");
	bool user = property(c->properties, "sasl.username") != NULL;

	if (take_mechanism(c, f) == -1)
		return -1;
	if (jv_get_kind(c->credential) == JV_KIND_NULL)
		return 0;
	if (type != NULL && strcmp(type, "connectionString") == 0) {
		c->login = KAFKA_CONNECTION;
		if (c->mechanism == NULL)
			c->mechanism = "PLAIN";
		return strcmp(c->mechanism, "PLAIN") == 0 ? 0 :
		    fault_set(f, FAULT_BAD_REQUEST, "credential: a connection "
		    "string is for the sasl.mechanism PLAIN");
	}
	if (type != NULL && strcmp(type, "bearer") != 0)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "credential: its type is of no use for Kafka");
	if (c->mechanism == NULL && user && type == NULL)
		c->mechanism = "PLAIN";
	else if (c->mechanism == NULL && (hub || type != NULL ||
	    jq_str(c->credential, "identity") != NULL))
		c->mechanism = "OAUTHBEARER";
	if (c->mechanism == NULL)
		return fault_set(f, FAULT_BAD_REQUEST, "credential: properties "
		    "need sasl.username, or the sasl.mechanism OAUTHBEARER");
	c->login = strcmp(c->mechanism, "OAUTHBEARER") == 0 ? KAFKA_TOKEN :
	    KAFKA_PASSWORD;
	if (c->login == KAFKA_PASSWORD && !user)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "credential: properties need sasl.username");
	return 0;
}

static int
take_protocol(struct kafka_conf *c, bool secure, struct fault *f)
{
	static const char *const words[] = { "plaintext", "ssl",
		"sasl_plaintext", "sasl_ssl", NULL };
	const char *text = property(c->properties, "security.protocol");
	bool login = c->login != KAFKA_OPEN;

	if (text == NULL)
		c->protocol = words[(login ? 2 : 0) + (secure ? 1 : 0)];
	else if ((c->protocol = one_of(text, words)) == NULL)
		return fault_set(f, FAULT_BAD_REQUEST, "properties: "
		    "'security.protocol' must be plaintext, ssl, "
		    "sasl_plaintext or sasl_ssl");
	if (login != (strncmp(c->protocol, "sasl_", 5) == 0))
		return fault_set(f, FAULT_BAD_REQUEST, "properties: "
		    "'security.protocol' is %s, %s credential", c->protocol,
		    login ? "so there can be no" : "which needs a");
	return 0;
}

/* ---- places ---- */

/*
 * Is each of them HOST[:PORT], and nobody on the way when a secret goes there
 * in plain sight?
 */
static int
check_server(const struct kafka_conf *c, const char *server, size_t len,
    struct fault *f)
{
	bool bare = strcmp(c->protocol, "sasl_plaintext") == 0;
	const char *end = memchr(server, ']', len);
	bool port = memchr(end != NULL ? end : server, ':',
	    len - (size_t)((end != NULL ? end : server) - server)) != NULL;
	struct buf url = { 0 };
	char q[QUOTE_MAX], name[QUOTE_MAX];
	int rc = -1;

	buf_printf(&url, "kafka%s://%.*s%s/%s", bare ? "" : "s", (int)len,
	    server, port ? "" : ":9092", c->topic);
	buf_add(&url, "", 1);
	if (url.bad)
		fault_set(f, FAULT_INTERNAL, "out of memory");
	else if (endpoint_check_place(buf_data(&url), f) == 0)
		rc = 0;
	else
		fault_set(f, FAULT_BAD_REQUEST, "'%s' with topic '%s': must "
		    "be HOST:PORT%s, and a topic's name", quote(q, server, len),
		    quote(name, c->topic, strlen(c->topic)), bare ? " on this "
		    "machine, as the credential would be sent in clear" : "");
	buf_free(&url);
	return rc;
}

static int
check_places(const struct kafka_conf *c, struct fault *f)
{
	const char *p = c->servers;

	for (;;) {
		size_t len = strcspn(p, ",");

		while (len > 0 && *p == ' ')
			p++, len--;
		if (check_server(c, p, len, f) == -1)
			return -1;
		p += len;
		if (*p++ == '\0')
			return 0;
	}
}

/* The first server's host. */
static int
take_audience(struct kafka_conf *c, struct fault *f)
{
	size_t len = strcspn(c->servers, c->servers[0] == '[' ? "]" : ":,");

	if (c->servers[0] == '[')
		len++;
	if (asprintf(&c->audience, "https://%.*s", (int)len,
	    c->servers) == -1) {
		c->audience = NULL;
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	}
	return 0;
}

/* ---- */

static char *
copy_of(const char *text)
{
	return text != NULL ? strdup(text) : NULL;
}

static void
take_timeout(struct kafka_conf *c, jv subscription)
{
	long ms = target_timeout_ms(subscription);
	long unknown = ms / 3 < PROPAGATION ? ms / 3 : PROPAGATION;

	snprintf(c->timeout, sizeof(c->timeout), "%ld", ms);
	snprintf(c->propagation, sizeof(c->propagation), "%ld", unknown);
}

/* An event hub that is a topic here. Plain ones are not asked for what their
 * subscription's identity is. */
static int
take_hub(struct kafka_conf *c, const struct target_use *use, jv hub,
    struct fault *f)
{
	const char *url = jq_str(hub, "url"), *id = jq_str(hub, "resourceId");
	struct endpoint_kafka k;
	jv identity;

	if (url == NULL || id == NULL || endpoint_check_place(url, f) == -1 ||
	    !endpoint_kafka(url, &k))
		return fault_set(f, FAULT_BAD_REQUEST, "endpoints: the event "
		    "hub has no good url");
	c->servers = strndup(k.server, k.len);
	c->topic = strdup(k.topic);
	c->credential = jq_get(hub, "credential");
	identity = target_identity(use->subscription);
	if (k.secure && jv_get_kind(c->credential) == JV_KIND_NULL &&
	    jv_get_kind(identity) != JV_KIND_NULL)
		c->credential = target_credential(use, id);
	jv_free(identity);
	return 0;
}

static void
take_destination(struct kafka_conf *c, jv properties)
{
	c->servers = copy_of(jq_str(properties, "bootstrapServers"));
	c->topic = copy_of(jq_str(properties, "topic"));
	c->credential = jq_get(properties, "credential");
}

static int
take_settings(struct kafka_conf *c, const struct target_use *use, jv hub,
    jv properties, struct fault *f)
{
	bool is_hub = jv_get_kind(hub) == JV_KIND_OBJECT;
	struct endpoint_kafka k = { 0 };
	struct fault why;
	jv given;

	if (is_hub) {
		if (take_hub(c, use, hub, f) == -1)
			return -1;
		endpoint_kafka(jq_str(hub, "url"), &k);
	} else {
		take_destination(c, properties);
		given = jq_get(properties, "properties");
		if (jv_get_kind(given) == JV_KIND_OBJECT) {
			jv_free(c->properties);
			c->properties = given;
		} else {
			jv_free(given);
		}
	}
	if (c->servers == NULL || c->topic == NULL)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "bootstrapServers and topic are wanted");
	if (kafka_properties_check(c->properties, &why) == -1)
		return fault_set(f, why.code, "properties: %s", why.text);
	if (take_login(c, is_hub, f) == -1 ||
	    take_protocol(c, is_hub ? k.secure : c->login != KAFKA_OPEN, f) ==
	    -1 || check_places(c, f) == -1)
		return -1;
	return take_audience(c, f);
}

int
kafka_conf_init(struct kafka_conf *c, const struct target_use *use, jv hub,
    struct fault *f)
{
	jv properties = target_properties(use->subscription), trusted;
	rd_kafka_conf_t *made;
	int rc;

	*c = (struct kafka_conf){ .credential = jv_null(),
		.properties = jv_object() };
	take_timeout(c, use->subscription);
	trusted = jq_get(use->namespace, "properties.trustedCertificates");
	if (jv_get_kind(trusted) == JV_KIND_STRING)
		c->authorities = strdup(jv_string_value(trusted));
	jv_free(trusted);
	rc = take_settings(c, use, hub, properties, f);
	jv_free(properties);
	if (rc == -1)
		return -1;
	/* say at once what librdkafka does not like */
	if ((made = kafka_conf_make(c, "secret", f)) == NULL)
		return -1;
	rd_kafka_conf_destroy(made);
	return 0;
}

void
kafka_conf_free(struct kafka_conf *c)
{
	free(c->topic);
	free(c->servers);
	free(c->audience);
	free(c->authorities);
	jv_free(c->credential);
	jv_free(c->properties);
}

/* ---- files ---- */

static int
check_file(const char *name, const char *path, struct fault *f)
{
	struct stat st;
	char q[QUOTE_MAX];
	int rc = faccessat(AT_FDCWD, path, R_OK, AT_EACCESS);

	if (rc == 0)
		rc = stat(path, &st);
	if (rc == 0 && S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		rc = -1;
	}
	return rc == 0 ? 0 : fault_errno(f, FAULT_BAD_REQUEST,
	    "properties: '%s': '%s'", name, quote(q, path, strlen(path)));
}

int
kafka_conf_check_files(const struct kafka_conf *c, struct fault *f)
{
	static const char *const names[] = { "ssl.certificate.location",
		"ssl.key.location", "ssl.crl.location" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *path = property(c->properties, names[i]);

		if (path != NULL && *path != '\0' &&
		    check_file(names[i], path, f) == -1)
			return -1;
	}
	return 0;
}

/* ---- for librdkafka ---- */

/* It says why, of an alias by the name that is its own: say that which was
 * used. */
static int
say_refused(const char *name, const char *why, struct fault *f)
{
	static const char before[] = "property \"";
	const char *at = strstr(why, before), *end = NULL;
	char said[512], q[QUOTE_MAX];

	if (at != NULL) {
		at += sizeof(before) - 1;
		end = strchr(at, '"');
	}
	if (end != NULL)
		snprintf(said, sizeof(said), "%.*s%s%s", (int)(at - why), why,
		    name, end);
	else
		snprintf(said, sizeof(said), "%s", why);
	return fault_set(f, FAULT_BAD_REQUEST, "properties: '%s': %s", name,
	    quote(q, said, strcspn(said, "\n")));
}

static int
set(rd_kafka_conf_t *conf, const char *name, const char *value,
    struct fault *f)
{
	char why[256];

	if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) ==
	    RD_KAFKA_CONF_OK)
		return 0;
	return say_refused(name, why, f);
}

static int
set_properties(rd_kafka_conf_t *conf, jv v, struct fault *f)
{
	int rc = 0;

	jv_object_foreach(v, name, value) {
		if (rc == 0)
			rc = set(conf, jv_string_value(name),
			    jv_string_value(value), f);
		jv_free(name);
		jv_free(value);
	}
	return rc;
}

/*
 * ssl.ca.pem takes the place of the system's authorities, so it has to hold
 * them, too.
 */
static int
set_authorities(rd_kafka_conf_t *conf, const char *authorities,
    struct fault *f)
{
	static const char *const places[] = {
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
	};
	const char *said = getenv("SSL_CERT_FILE");
	struct buf pem = { 0 };
	char *text = NULL;
	size_t len = 0;
	int rc;

	if (said != NULL)
		text = spool_read(AT_FDCWD, said, BUNDLE, &len);
	for (size_t i = 0; text == NULL && said == NULL &&
	    i < sizeof(places) / sizeof(places[0]); i++)
		text = spool_read(AT_FDCWD, places[i], BUNDLE, &len);
	buf_str(&pem, authorities);
	buf_str(&pem, "\n");
	if (text != NULL)
		buf_add(&pem, text, len);
	buf_add(&pem, "", 1);
	free(text);
	rc = pem.bad ? fault_set(f, FAULT_INTERNAL, "out of memory") :
	    set(conf, "ssl.ca.pem", buf_data(&pem), f);
	buf_free(&pem);
	return rc;
}

static int
set_login(rd_kafka_conf_t *conf, const struct kafka_conf *c,
    const char *secret, struct fault *f)
{
	if (set(conf, "security.protocol", c->protocol, f) == -1)
		return -1;
	if (c->login != KAFKA_OPEN &&
	    set(conf, "sasl.mechanism", c->mechanism, f) == -1)
		return -1;
	if (c->login == KAFKA_CONNECTION &&
	    set(conf, "sasl.username", "$ConnectionString", f) == -1)
		return -1;
	if (c->login == KAFKA_CONNECTION || c->login == KAFKA_PASSWORD)
		return set(conf, "sasl.password", secret, f);
	return 0;
}

static int
set_all(rd_kafka_conf_t *conf, const struct kafka_conf *c,
    const char *secret, struct fault *f)
{
	bool tls = strcmp(c->protocol, "ssl") == 0 ||
	    strcmp(c->protocol, "sasl_ssl") == 0;

	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (set(conf, defaults[i].name, defaults[i].value, f) == -1)
			return -1;
	if (set(conf, "topic.metadata.propagation.max.ms", c->propagation, f) ==
	    -1 || set_properties(conf, c->properties, f) == -1 ||
	    set(conf, "bootstrap.servers", c->servers, f) == -1 ||
	    set(conf, "enable.idempotence", "true", f) == -1 ||
	    set(conf, "acks", "all", f) == -1 ||
	    set(conf, "message.timeout.ms", c->timeout, f) == -1 ||
	    set_login(conf, c, secret, f) == -1)
		return -1;
	return tls && c->authorities != NULL ?
	    set_authorities(conf, c->authorities, f) : 0;
}

rd_kafka_conf_t *
kafka_conf_make(const struct kafka_conf *c, const char *secret,
    struct fault *f)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	if (set_all(conf, c, secret, f) == -1) {
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR |
	    RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG |
	    RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH);
	return conf;
}
