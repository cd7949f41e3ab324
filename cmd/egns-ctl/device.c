/* device: a connection to an MQTT broker */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "buf.h"
#include "clock.h"
#include "device.h"
#include "jq.h"
#include "mosq.h"
#include "num.h"
#include "quote.h"
#include "registry.h"
#include "spool.h"
#include "stats.h"

#define PATIENCE_MS 10000 /* for a CONNACK, and for the end */
#define KEEP_ALIVE 60     /* seconds */
#define IN_FLIGHT 100     /* QoS 1 messages without an answer */
#define PORT "8883"
#define ADDRESS_SIZE 512

int
device_fail(struct device *d, int status, const char *fmt, ...)
{
	va_list ap;

	if (d->status != 0)
		return d->status;
	d->status = status;
	fputs("egns-ctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

/* ---- options ---- */

static int64_t
number(const char *name, int64_t max)
{
	return num_option(name, optarg, 0, max);
}

static bool
is_old(void)
{
	static const char *const names[] = { "311", "3.1.1", "4" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(optarg, names[i]) == 0)
			return true;
	if (strcmp(optarg, "5") == 0)
		return false;
	fputs("egns-ctl: --mqtt-version: 5 or 311\n", stderr);
	exit(EX_USAGE);
}

static bool
will_option(struct device_will *w, int ch)
{
	switch (ch) {
	case DEVICE_WILL_TOPIC:
		w->topic = optarg;
		return true;
	case DEVICE_WILL_MESSAGE:
		w->message = optarg;
		return true;
	case DEVICE_WILL_QOS:
		w->qos = (int)number("--will-qos", 1);
		return true;
	case DEVICE_WILL_RETAIN:
		w->retain = true;
		return true;
	case DEVICE_WILL_DELAY:
		w->delay = number("--will-delay", UINT32_MAX);
		return true;
	}
	return false;
}

bool
device_option(struct device_options *o, int ch)
{
	switch (ch) {
	case 'c':
		o->client = optarg;
		return true;
	case 'i':
		o->id = optarg;
		return true;
	case 'q':
		o->qos = (int)number("--qos", 1);
		return true;
	case DEVICE_HOST:
		o->host = optarg;
		return true;
	case DEVICE_PORT:
		o->port = optarg;
		return true;
	case DEVICE_CERT:
		o->cert = optarg;
		return true;
	case DEVICE_KEY:
		o->key = optarg;
		return true;
	case DEVICE_CAFILE:
		o->cafile = optarg;
		return true;
	case DEVICE_VERSION:
		o->old = is_old();
		return true;
	case DEVICE_EXPIRY:
		o->session_expiry = number("--session-expiry", UINT32_MAX);
		return true;
	}
	return will_option(&o->will, ch);
}

int
device_getopt(const struct verb *v, int argc, char *argv[], const char *letters,
    const struct option *names, int *status)
{
	int ch;

	opterr = 0;
	/* getopt begins behind the name of a program: the verb's last word. */
	ch = getopt_long(argc + 1, argv - 1, letters, names, NULL);
	if (ch == ':')
		*status = ctl_bad_usage(v, "%s needs a value",
		    argv[optind - 2]);
	else if (ch == '?')
		*status = ctl_unknown_flag(v, argv[optind - 2]);
	else
		return ch;
	return 0;
}

int
device_check_options(const struct device_options *o, const struct verb *v)
{
	if (o->client == NULL && o->cert == NULL)
		return ctl_bad_usage(v, "--client NAME is missing: who is to "
		    "connect");
	if ((o->cert == NULL) != (o->key == NULL))
		return ctl_bad_usage(v, "--cert and --key belong together");
	if (o->port != NULL && o->host == NULL)
		return ctl_bad_usage(v, "--port needs --host");
	if (o->session_expiry > 0 && o->id == NULL)
		return ctl_bad_usage(v, "--session-expiry needs --id: who is "
		    "to find the session again");
	if (o->will.topic == NULL && (o->will.message != NULL ||
	    o->will.qos != 0 || o->will.retain || o->will.delay != 0))
		return ctl_bad_usage(v, "a will needs --will-topic");
	if (o->old && o->will.delay > 0)
		return ctl_bad_usage(v, "--will-delay: MQTT 3.1.1 has none");
	return 0;
}

/* ---- what the broker answers ---- */

static const char *
advice(int reason)
{
	switch (reason) {
	case MQTT_RC_SESSION_TAKEN_OVER:
		return "another connection has this --id";
	case MQTT_RC_QUOTA_EXCEEDED:
		return "a limit of the namespace is reached, or its disk is "
		    "full: see egns-ctl status";
	case MQTT_RC_SERVER_SHUTTING_DOWN:
		return "try again later";
	}
	return NULL;
}

int
device_refused(struct device *d, int reason, const mosquitto_property *props,
    const char *object, const char *hint)
{
	char why[MOSQ_WHY];

	/* the broker's own words are all that explain would say, and more */
	if (mosq_why(why, reason, props))
		hint = NULL;
	else if (reason != MQTT_RC_NOT_AUTHORIZED)
		hint = advice(reason);
	return device_fail(d, mosq_status(reason), "%s: %s%s%s", object, why,
	    hint != NULL ? "; " : "", hint != NULL ? hint : "");
}

int
device_error(struct device *d, const char *what, int rc)
{
	int status = EX_UNAVAILABLE;
	char why[MOSQ_WHY];

	if (mosq_is_tls(rc))
		status = EX_PROTOCOL;
	else if (rc == MOSQ_ERR_MALFORMED_UTF8 || rc == MOSQ_ERR_INVAL ||
	    rc == MOSQ_ERR_PAYLOAD_SIZE || rc == MOSQ_ERR_OVERSIZE_PACKET)
		status = EX_DATAERR;
	mosq_error(why, rc, d->tls);
	return device_fail(d, status, "%s: %s", what, why);
}

static void
explain(const struct device *d, char out[512])
{
	const char *client = d->opt->client, *will = d->opt->will.topic;
	char topic[QUOTE_MAX];

	snprintf(out, 512, "see egns-ctl explain --client %.128s --connect%s%s%s",
	    client != NULL ? client : "NAME",
	    will == NULL ? "" : " and --will '",
	    will == NULL ? "" : quote(topic, will, strlen(will)),
	    will == NULL ? "" : "'");
}

static void
on_connect(struct mosquitto *mosq, void *arg, int rc, int flags,
    const mosquitto_property *props)
{
	struct device *d = arg;
	char hint[512];

	(void)mosq;
	(void)flags;
	d->up = rc == 0;
	explain(d, hint);
	if (rc != 0)
		device_refused(d, d->opt->old ? mosq_reason(rc) : rc, props,
		    "connect", hint);
}

static void
on_disconnect(struct mosquitto *mosq, void *arg, int rc,
    const mosquitto_property *props)
{
	struct device *d = arg;

	(void)mosq;
	d->closed = true;
	if (d->closing && rc == 0)
		return;
	if (rc >= 0x80)
		device_refused(d, rc, props, "the broker ended the connection",
		    "its log has the reason");
	else if (rc == MOSQ_ERR_TLS || d->tls[0] != '\0')
		device_error(d, d->host, MOSQ_ERR_TLS);
	else
		device_fail(d, EX_UNAVAILABLE, "%s: the broker closed the "
		    "connection%s", d->host, !d->opt->old ? "" :
		    ", as it does in MQTT 3.1.1 when something is not "
		    "allowed: its log has the reason");
}

static void
on_log(struct mosquitto *mosq, void *arg, int level, const char *line)
{
	struct device *d = arg;

	(void)mosq;
	mosq_log(d->tls, level, line);
}

/* ---- where, and whom to trust ---- */

/* An address of all interfaces is this machine. */
static int
take_address(struct device *d, const char *text, struct fault *f)
{
	struct address a;

	address_split(&a, text, strlen(text));
	d->port = address_port(a.port, a.port_len);
	if (d->port < 1)
		return fault_set(f, FAULT_INTERNAL, "brokerd: listeners: "
		    "not an address");
	snprintf(d->host, sizeof(d->host), "%.*s", (int)a.host_len, a.host);
	if (address_is_any(&a))
		strcpy(d->host, "localhost");
	return 0;
}

/* Where brokerd listens, if a line of its answer says so. */
static void
take_listener(jv line, void *arg)
{
	const char *at = jq_str(line, "listeners.mqtts");
	char *address = arg;

	if (at != NULL)
		snprintf(address, ADDRESS_SIZE, "%s", at);
	jv_free(line);
}

static int
ask_brokerd(struct device *d, const struct spool *spool, struct fault *f)
{
	char address[ADDRESS_SIZE] = "";

	if (stats_each(spool, "brokerd", NULL, NULL, take_listener, address,
	    f) == -1)
		return -1;
	return address[0] != '\0' ? take_address(d, address, f) :
	    fault_set(f, FAULT_UNAVAILABLE,
	    "brokerd: does not listen for MQTT");
}

static int
add_authority(const char *path, jv resource, void *arg)
{
	const char *text = jq_str(resource, "properties.encodedCertificate");
	struct buf *pem = arg;
	bool bare = text != NULL && strstr(text, "-----BEGIN") == NULL;

	(void)path;
	if (bare)
		buf_str(pem, "-----BEGIN CERTIFICATE-----\n");
	if (text != NULL)
		buf_str(pem, text);
	buf_str(pem, bare ? "\n-----END CERTIFICATE-----\n" : "\n");
	jv_free(resource);
	return 0;
}

/* The spool's authorities in a file without a name, for OpenSSL to read. */
static int
trust_spool(struct device *d, const struct spool *spool, struct fault *f)
{
	struct registry *r = registry_open(spool, false, f);
	struct buf pem = { 0 };
	int rc = 0;

	if (r == NULL)
		return -1;
	registry_each(r, "caCertificates/", add_authority, &pem);
	registry_close(r);
	d->ca = memfd_create("authorities", MFD_CLOEXEC);
	if (pem.len == 0)
		rc = fault_set(f, FAULT_NOT_FOUND, "the namespace has no CA "
		    "certificate to check the broker with: --cafile FILE");
	else if (pem.bad || d->ca == -1 ||
	    write(d->ca, buf_data(&pem), pem.len) != (ssize_t)pem.len)
		rc = fault_errno(f, FAULT_INTERNAL, "CA certificates");
	buf_free(&pem);
	return rc;
}

/* 0, or a status. */
static int
look_into_spool(struct device *d, struct ctl *ctl)
{
	const struct device_options *o = d->opt;
	struct spool spool;
	struct fault f;
	int rc = 0;

	if (o->host != NULL && o->cafile != NULL)
		return 0;
	if (spool_open(&spool, ctl->spool, &f) == -1) {
		if (o->host == NULL)
			return ctl_fault(&f);
		return device_fail(d, EX_USAGE, "--cafile FILE is missing: what "
		    "to check the broker's certificate with");
	}
	if (o->host == NULL)
		rc = ask_brokerd(d, &spool, &f);
	if (rc == 0 && o->cafile == NULL)
		rc = trust_spool(d, &spool, &f);
	spool_close(&spool);
	return rc == 0 ? 0 : ctl_fault(&f);
}

/* ---- credentials ---- */

/* Can it be read? 0, or a status; `issued`: egns-ctl would have made it. */
static int
look(struct device *d, const char *path, bool issued)
{
	char q[QUOTE_MAX], client[QUOTE_MAX];

	if (access(path, R_OK) == 0)
		return 0;
	quote(q, path, strlen(path));
	if (!issued)
		return device_fail(d, EX_NOINPUT, "%s: %s", q, strerror(errno));
	quote(client, d->opt->client, strlen(d->opt->client));
	return device_fail(d, EX_NOINPUT, "%s: %s; egns-ctl cert issue %s makes "
	    "it, --cert FILE --key FILE is another", q, strerror(errno),
	    client);
}

static int
set_credentials(struct device *d)
{
	const struct device_options *o = d->opt;
	char cert[PATH_MAX], key[PATH_MAX], ca[64];
	bool issued = o->cert == NULL;
	const char *cafile = o->cafile != NULL ? o->cafile : ca;
	int rc;

	snprintf(cert, sizeof(cert), "%s%s", issued ? o->client : o->cert,
	    issued ? ".pem" : "");
	snprintf(key, sizeof(key), "%s%s", issued ? o->client : o->key,
	    issued ? ".key" : "");
	snprintf(ca, sizeof(ca), "/proc/self/fd/%d", d->ca);
	if (look(d, cert, issued) != 0 || look(d, key, issued) != 0 ||
	    look(d, cafile, false) != 0)
		return d->status;
	if ((rc = mosquitto_tls_set(d->m, cafile, NULL, cert, key,
	    mosq_no_password)) != MOSQ_ERR_SUCCESS ||
	    (o->client != NULL && (rc = mosquitto_username_pw_set(d->m,
	    o->client, NULL)) != MOSQ_ERR_SUCCESS))
		return device_error(d, "credentials", rc);
	return 0;
}

static int
set_will(struct device *d)
{
	const struct device_will *w = &d->opt->will;
	const char *text = w->message != NULL ? w->message : "";
	mosquitto_property *props = NULL;
	int rc;

	if (w->topic == NULL)
		return 0;
	if (w->delay > 0 && !d->opt->old)
		mosquitto_property_add_int32(&props,
		    MQTT_PROP_WILL_DELAY_INTERVAL, (uint32_t)w->delay);
	/* The properties are libmosquitto's when it succeeds. */
	rc = mosquitto_will_set_v5(d->m, w->topic, (int)strlen(text), text,
	    w->qos, w->retain, props);
	if (rc == MOSQ_ERR_SUCCESS)
		return 0;
	mosquitto_property_free_all(&props);
	return device_error(d, "will", rc);
}

/* ---- the connection ---- */

int
device_new(struct device *d, const struct device_options *o, struct ctl *ctl)
{
	const char *id = o->id;
	bool clean = o->session_expiry == 0;
	int status;

	d->opt = o;
	d->ca = -1;
	if (o->host != NULL) {
		snprintf(d->host, sizeof(d->host), "%s", o->host);
		d->port = (int)num_option("--port",
		    o->port != NULL ? o->port : PORT, 1, 65535);
	}
	if ((status = look_into_spool(d, ctl)) != 0)
		return status;
	/* MQTT 3.1.1 wants a name of the session. */
	if (id == NULL && o->old)
		id = o->client;
	mosquitto_lib_init();
	if ((d->m = mosquitto_new(id, clean, d)) == NULL)
		return device_fail(d, EX_OSERR, "%s", strerror(errno));
	mosquitto_int_option(d->m, MOSQ_OPT_PROTOCOL_VERSION,
	    o->old ? MQTT_PROTOCOL_V311 : MQTT_PROTOCOL_V5);
	mosquitto_int_option(d->m, MOSQ_OPT_TCP_NODELAY, 1);
	mosquitto_int_option(d->m, MOSQ_OPT_SEND_MAXIMUM, IN_FLIGHT);
	mosquitto_connect_v5_callback_set(d->m, on_connect);
	mosquitto_disconnect_v5_callback_set(d->m, on_disconnect);
	mosquitto_log_callback_set(d->m, on_log);
	return (status = set_credentials(d)) != 0 ? status : set_will(d);
}

int
device_turn(struct device *d, int fd, int ms)
{
	struct pollfd p[2] = {
		{ .fd = mosquitto_socket(d->m), .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};
	int rc = MOSQ_ERR_SUCCESS;
	struct timespec wait;

	if (mosquitto_want_write(d->m))
		p[0].events |= POLLOUT;
	/* libmosquitto pings when it is asked, so ask it now and then. */
	if (ms < 0 || ms > KEEP_ALIVE * 1000 / 4)
		ms = KEEP_ALIVE * 1000 / 4;
	wait.tv_sec = ms / 1000;
	wait.tv_nsec = ms % 1000 * 1000000;
	if (ppoll(p, fd == -1 ? 1 : 2, &wait, d->mask) == -1)
		return errno == EINTR ? d->status : device_fail(d, EX_OSERR,
		    "poll: %s", strerror(errno));
	if (p[0].revents & ~POLLOUT)
		rc = mosquitto_loop_read(d->m, 1);
	if (rc == MOSQ_ERR_SUCCESS && !d->closed && p[0].revents & POLLOUT)
		rc = mosquitto_loop_write(d->m, 1);
	if (rc == MOSQ_ERR_SUCCESS && !d->closed)
		rc = mosquitto_loop_misc(d->m);
	if (rc != MOSQ_ERR_SUCCESS && !d->closing)
		return device_error(d, d->host, rc);
	return d->status;
}

int
device_connect(struct device *d)
{
	const struct device_options *o = d->opt;
	int64_t end = clock_mono() + PATIENCE_MS * 1000;
	mosquitto_property *props = NULL;
	int rc;

	if (o->session_expiry > 0 && !o->old)
		mosquitto_property_add_int32(&props,
		    MQTT_PROP_SESSION_EXPIRY_INTERVAL,
		    (uint32_t)o->session_expiry);
	rc = mosquitto_connect_bind_v5(d->m, d->host, d->port, KEEP_ALIVE,
	    NULL, props);
	mosquitto_property_free_all(&props);
	if (rc != MOSQ_ERR_SUCCESS)
		return device_error(d, d->host, rc);
	while (!d->up && d->status == 0) {
		if (clock_mono() > end)
			return device_fail(d, EX_UNAVAILABLE, "%s: no answer "
			    "for %d seconds", d->host, PATIENCE_MS / 1000);
		device_turn(d, -1, 1000);
	}
	return d->status;
}

int
device_leave(struct device *d)
{
	int64_t end = clock_mono() + PATIENCE_MS * 1000;

	if (d->status != 0 || d->closed)
		return d->status;
	d->closing = true;
	mosquitto_disconnect(d->m);
	while (!d->closed && d->status == 0 && clock_mono() < end)
		device_turn(d, -1, 1000);
	return d->status;
}

void
device_free(struct device *d)
{
	if (d->m != NULL) {
		mosquitto_destroy(d->m);
		mosquitto_lib_cleanup();
	}
	if (d->ca != -1)
		close(d->ca);
}
