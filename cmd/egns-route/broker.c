/* broker: a connection to a foreign broker, and a session there */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "address.h"
#include "broker.h"
#include "clock.h"
#include "num.h"
#include "quote.h"
#include "spool.h"
#include "stop.h"

#define KEEP_ALIVE 60                      /* seconds */
#define PATIENCE 10                        /* to connect, for an answer */
#define PASSWORD_MAX 65535                 /* bytes, MQTT-3.1.3 */
#define PACKET_MAX (16 * 1024 * 1024)      /* that we let it send */
#define SYSTEM_CERTIFICATES "/etc/ssl/certs"

/* ---- what the options say ---- */

/* mqtt://HOST[:PORT], mqtts://[HOST6]:PORT */
static int
take_url(struct broker *b, const char *url, struct fault *f)
{
	const char *host = strstr(url, "://");
	struct address a;
	char q[QUOTE_MAX];
	int64_t port;

	b->tls = strncmp(url, "mqtts://", 8) == 0;
	quote(q, url, strlen(url));
	if (host == NULL || (!b->tls && strncmp(url, "mqtt://", 7) != 0))
		return fault_set(f, FAULT_BAD_REQUEST,
		    "--from '%s': mqtts://HOST[:PORT] or mqtt://...", q);
	host += 3;
	if (strpbrk(host, "@/?#") != NULL)
		return fault_set(f, FAULT_BAD_REQUEST, "--from: only HOST:PORT "
		    "stands behind '://'; --user, --password-file and -t "
		    "have the rest");
	address_split(&a, host, strlen(host));
	if (a.host_len == 0 || a.host_len >= sizeof(b->host))
		return fault_set(f, FAULT_BAD_REQUEST, "--from '%s': no host",
		    q);
	port = b->tls ? 8883 : 1883;
	if (a.port != NULL && num_parse("--from: port", a.port, 1, 65535,
	    &port, f) == -1)
		return -1;
	b->port = (int)port;
	memcpy(b->host, a.host, a.host_len);
	b->host[a.host_len] = '\0';
	quote(q, a.host, a.host_len);
	snprintf(b->name, sizeof(b->name), "%s:%d", q, b->port);
	return 0;
}

static int
take_password(struct broker *b, const char *path, struct fault *f)
{
	char q[QUOTE_MAX];
	size_t len;

	b->password = spool_read(AT_FDCWD, path, PASSWORD_MAX, &len);
	if (b->password == NULL)
		return fault_errno(f, FAULT_NOT_FOUND, "--password-file %s",
		    quote(q, path, strlen(path)));
	b->password[strcspn(b->password, "\r\n")] = '\0';
	return 0;
}

static int
look(const char *option, const char *path, struct fault *f)
{
	char q[QUOTE_MAX];

	if (path == NULL || access(path, R_OK) == 0)
		return 0;
	return fault_errno(f, FAULT_NOT_FOUND, "%s %s", option,
	    quote(q, path, strlen(path)));
}

static int
look_at_files(const struct options *o, struct fault *f)
{
	return look("--cafile", o->cafile, f) == -1 ||
	    look("--cert", o->cert, f) == -1 ||
	    look("--key", o->key, f) == -1 ? -1 : 0;
}

static int
check_options(const struct broker *b, struct fault *f)
{
	const struct options *o = b->opt;
	char q[QUOTE_MAX];
	unsigned i;

	if ((o->cert == NULL) != (o->key == NULL))
		return fault_set(f, FAULT_BAD_REQUEST,
		    "--cert and --key belong together");
	if (!b->tls && (o->cafile != NULL || o->cert != NULL))
		return fault_set(f, FAULT_BAD_REQUEST, "--cafile, --cert and "
		    "--key are for mqtts://");
	if (o->password_file != NULL && o->user == NULL)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "--password-file needs --user");
	for (i = 0; i < o->nfilters; i++)
		if (mosquitto_sub_topic_check(o->filters[i]) !=
		    MOSQ_ERR_SUCCESS)
			return fault_set(f, FAULT_BAD_REQUEST,
			    "-t '%s': not a topic filter",
			    quote(q, o->filters[i], strlen(o->filters[i])));
	return 0;
}

int
broker_init(struct broker *b, const struct options *o, const char *id,
    struct fault *f)
{
	*b = (struct broker){ .opt = o, .id = id };
	if (take_url(b, o->from, f) == -1 || check_options(b, f) == -1 ||
	    look_at_files(o, f) == -1 || (o->password_file != NULL &&
	    take_password(b, o->password_file, f) == -1))
		return -1;
	mosquitto_lib_init();
	return 0;
}

void
broker_free(struct broker *b)
{
	broker_drop(b);
	free(b->password);
	mosquitto_lib_cleanup();
}

/* ---- what goes wrong ---- */

/* Keep why, the first time. -1. */
static int
fail(struct broker *b, bool refused, enum fault_code code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static int
fail(struct broker *b, bool refused, enum fault_code code, const char *fmt, ...)
{
	char text[sizeof(b->fault.text)];
	va_list ap;

	if (b->fault.code != FAULT_NONE)
		return -1;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	b->refused = refused;
	return fault_set(&b->fault, code, "%s", text);
}

/* A call of libmosquitto that failed. */
static int
failed(struct broker *b, int rc)
{
	bool tls = mosq_is_tls(rc);
	const char *advice = "";
	char why[MOSQ_WHY];

	mosq_error(why, rc, b->words);
	if (tls && strstr(why, "host name") != NULL)
		advice = "; its certificate is for another host";
	else if (tls && strstr(why, "verify failed") != NULL)
		advice = "; --cafile FILE has the authority to check it with";
	else if (tls && strstr(why, "alert") != NULL)
		advice = "; check --cert and --key";
	else if (tls && strstr(why, "Unable to load") != NULL)
		advice = " --cafile, --cert and --key are PEM";
	return fail(b, advice[0] != '\0', FAULT_UNAVAILABLE, "%s: %s%s",
	    b->name, why, advice);
}

/* The broker's answer to what was asked. */
static void
refuse(struct broker *b, int reason, const mosquitto_property *props,
    const char *asked, const char *advice)
{
	bool good = mosq_status(reason) == EX_NOPERM ||
	    reason == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION ||
	    reason == MQTT_RC_TOPIC_FILTER_INVALID ||
	    reason == MQTT_RC_SHARED_SUBS_NOT_SUPPORTED ||
	    reason == MQTT_RC_WILDCARD_SUBS_NOT_SUPPORTED;
	char why[MOSQ_WHY];

	mosq_why(why, reason, props);
	fail(b, good, mosq_status(reason) == EX_NOPERM ? FAULT_FORBIDDEN :
	    FAULT_UNAVAILABLE, "%s: %s: %s%s%s", b->name, asked, why,
	    good ? "; " : "", good ? advice : "");
}

static void
on_log(struct mosquitto *m, void *arg, int level, const char *line)
{
	struct broker *b = arg;

	(void)m;
	mosq_log(b->words, level, line);
}

/* libmosquitto has ended the connection, for what came. */
static bool
is_malformed(int rc)
{
	return rc == MOSQ_ERR_PROTOCOL || rc == MOSQ_ERR_MALFORMED_UTF8 ||
	    rc == MOSQ_ERR_MALFORMED_PACKET || rc == MOSQ_ERR_INVAL ||
	    rc == MOSQ_ERR_DUPLICATE_PROPERTY;
}

static void
on_disconnect(struct mosquitto *m, void *arg, int rc,
    const mosquitto_property *props)
{
	struct broker *b = arg;
	char why[MOSQ_WHY];

	(void)m;
	b->closed = true;
	if (b->closing && rc == 0)
		return;
	if (rc == MQTT_RC_SESSION_TAKEN_OVER)
		fail(b, false, FAULT_UNAVAILABLE, "%s: another client has come "
		    "with the id '%s'; give one of them another --id",
		    b->name, b->id);
	else if (rc >= 0x80)
		refuse(b, rc, props, "the broker ended the connection",
		    "its log has the reason");
	else if (is_malformed(rc)) {
		mosq_error(why, rc, "");
		fail(b, false, FAULT_UNAVAILABLE, "%s: what the broker sent is "
		    "not taken: %s", b->name, why);
	} else if (rc != 0 && (mosq_is_tls(rc) || b->words[0] != '\0'))
		failed(b, MOSQ_ERR_TLS);
	else
		fail(b, false, FAULT_UNAVAILABLE,
		    "%s: the broker closed the connection", b->name);
}

/* ---- the connection ---- */

/*
 * Retained messages come with a subscription that is new, not each time that we
 * connect; and with the flag that the publisher gave them.
 */
static void
subscribe(struct broker *b)
{
	const struct options *o = b->opt;
	int options = o->old ? 0 : MQTT_SUB_OPT_SEND_RETAIN_NEW |
	    MQTT_SUB_OPT_RETAIN_AS_PUBLISHED, rc;
	unsigned i;

	b->granted = 0;
	b->since = clock_mono();
	for (i = 0; i < o->nfilters; i++) {
		rc = mosquitto_subscribe_v5(b->m, &b->mids[i], o->filters[i],
		    1, options, NULL);
		if (rc != MOSQ_ERR_SUCCESS) {
			failed(b, rc);
			return;
		}
	}
}

static void
on_connect(struct mosquitto *m, void *arg, int rc, int flags,
    const mosquitto_property *props)
{
	struct broker *b = arg;

	(void)m;
	if (rc != 0) {
		rc = b->opt->old ? mosq_reason(rc) : rc;
		refuse(b, rc, props, "connect",
		    rc == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION ?
		    "try --mqtt-version 311" : rc == MQTT_RC_CLIENTID_NOT_VALID
		    ? "give another --id" : b->tls ? "check --user, "
		    "--password-file, --cert and --key" :
		    "check --user and --password-file");
		return;
	}
	b->up = true;
	/* MQTT 3.1.1 gives all retained messages to who subscribes again. */
	if (b->opt->old && b->known && (flags & 1) != 0)
		b->subscribed = true;
	else
		subscribe(b);
}

static void
on_subscribe(struct mosquitto *m, void *arg, int mid, int n,
    const int *granted, const mosquitto_property *props)
{
	const struct options *o = ((struct broker *)arg)->opt;
	char asked[QUOTE_MAX + 32], q[QUOTE_MAX];
	struct broker *b = arg;
	unsigned i;

	(void)m;
	for (i = 0; i < o->nfilters && b->mids[i] != mid; i++)
		continue;
	if (i < o->nfilters && n > 0 && granted[0] >= 0x80) {
		snprintf(asked, sizeof(asked), "subscribe to '%s'",
		    quote(q, o->filters[i], strlen(o->filters[i])));
		/* all that MQTT 3.1.1 can say is no */
		refuse(b, o->old ? MQTT_RC_NOT_AUTHORIZED : granted[0], props,
		    asked, "check -t, and what the broker allows");
	}
	if (++b->granted == o->nfilters)
		b->subscribed = b->known = true;
}

static void
on_message(struct mosquitto *m, void *arg, const struct mosquitto_message *msg,
    const mosquitto_property *props)
{
	struct broker *b = arg;

	(void)m;
	b->progress = true;
	b->full = b->message(msg, props, b->arg);
}

static int
set_up(struct broker *b)
{
	const struct options *o = b->opt;
	int rc = MOSQ_ERR_SUCCESS;

	mosquitto_threaded_set(b->m, true);
	mosquitto_int_option(b->m, MOSQ_OPT_PROTOCOL_VERSION,
	    o->old ? MQTT_PROTOCOL_V311 : MQTT_PROTOCOL_V5);
	mosquitto_int_option(b->m, MOSQ_OPT_RECEIVE_MAXIMUM, BROKER_MESSAGES);
	mosquitto_int_option(b->m, MOSQ_OPT_TCP_NODELAY, 1);
	mosquitto_connect_v5_callback_set(b->m, on_connect);
	mosquitto_disconnect_v5_callback_set(b->m, on_disconnect);
	mosquitto_subscribe_v5_callback_set(b->m, on_subscribe);
	mosquitto_message_v5_callback_set(b->m, on_message);
	mosquitto_log_callback_set(b->m, on_log);
	if (b->tls)
		rc = mosquitto_tls_set(b->m, o->cafile, o->cafile != NULL ?
		    NULL : SYSTEM_CERTIFICATES, o->cert, o->key,
		    mosq_no_password);
	if (rc == MOSQ_ERR_SUCCESS && o->user != NULL)
		rc = mosquitto_username_pw_set(b->m, o->user, b->password);
	return rc;
}

/* The session stays for as long as the broker allows. */
static mosquitto_property *
connect_properties(const struct broker *b)
{
	mosquitto_property *props = NULL;

	if (b->opt->old)
		return NULL;
	mosquitto_property_add_int32(&props, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
	    UINT32_MAX);
	mosquitto_property_add_int32(&props, MQTT_PROP_MAXIMUM_PACKET_SIZE,
	    PACKET_MAX);
	return props;
}

int
broker_connect(struct broker *b)
{
	mosquitto_property *props = connect_properties(b);
	int rc;

	broker_drop(b);
	b->fault.code = FAULT_NONE;
	b->up = b->closing = b->closed = b->full = b->subscribed = false;
	b->refused = false;
	b->words[0] = '\0';
	/* Each connection has its own queue. */
	if ((b->m = mosquitto_new(b->id, false, b)) == NULL)
		rc = MOSQ_ERR_ERRNO;
	else if ((rc = set_up(b)) == MOSQ_ERR_SUCCESS) {
		stop_interrupts(PATIENCE);
		rc = mosquitto_connect_bind_v5(b->m, b->host, b->port,
		    KEEP_ALIVE, NULL, props);
		if (rc == MOSQ_ERR_ERRNO && errno == EINTR)
			errno = ETIMEDOUT;
		stop_interrupts(0);
	}
	mosquitto_property_free_all(&props);
	b->since = clock_mono();
	return rc == MOSQ_ERR_SUCCESS ? broker_write(b) : failed(b, rc);
}

static int64_t
patience(const struct broker *b)
{
	int64_t left = b->since + PATIENCE * CLOCK_SECOND - clock_mono();

	/* libmosquitto pings when it is asked, so ask it now and then. */
	if (b->subscribed)
		return KEEP_ALIVE / 4 * CLOCK_SECOND;
	return left > 0 ? left : 0;
}

int
broker_read(struct broker *b)
{
	int rc;

	if (!b->full)
		stop_wait(mosquitto_socket(b->m), POLLIN, patience(b));
	b->full = false;
	do {
		b->progress = false;
		errno = 0;
		if ((rc = mosquitto_loop_read(b->m, 1)) != MOSQ_ERR_SUCCESS)
			failed(b, rc);
		/* Poll does not see what TLS has read and not given out. The
		 * call stops at any EAGAIN, also that of a queue it has. */
	} while (b->fault.code == FAULT_NONE && !b->closed && b->up &&
	    !b->full && (b->progress || errno != EAGAIN));
	if (b->fault.code != FAULT_NONE || b->closed)
		return -1;
	if (patience(b) == 0)
		return fail(b, false, FAULT_UNAVAILABLE,
		    "%s: no answer for %d seconds", b->name, PATIENCE);
	return 0;
}

int
broker_write(struct broker *b)
{
	int64_t end = clock_mono() + KEEP_ALIVE / 2 * CLOCK_SECOND;
	int rc = mosquitto_loop_misc(b->m);

	while (rc == MOSQ_ERR_SUCCESS && !b->closed &&
	    mosquitto_want_write(b->m)) {
		rc = mosquitto_loop_write(b->m, 1);
		if (rc != MOSQ_ERR_SUCCESS || b->closed || !b->up ||
		    !mosquitto_want_write(b->m))
			break;
		if (clock_mono() >= end)
			return fail(b, false, FAULT_UNAVAILABLE, "%s: the "
			    "broker does not read", b->name);
		stop_wait(mosquitto_socket(b->m), POLLOUT, CLOCK_SECOND);
	}
	if (rc != MOSQ_ERR_SUCCESS)
		failed(b, rc);
	return b->fault.code != FAULT_NONE ? -1 : 0;
}

void
broker_drop(struct broker *b)
{
	if (b->m != NULL)
		mosquitto_destroy(b->m);
	b->m = NULL;
}

/*
 * Until the broker has closed its end. To close a socket that has unread
 * messages would cut off what we have sent before the broker can read it.
 */
static void
linger(int fd)
{
	int64_t end = clock_mono() + PATIENCE * CLOCK_SECOND;
	char unread[16384];
	ssize_t n;

	shutdown(fd, SHUT_WR);
	while (clock_mono() < end) {
		stop_wait(fd, POLLIN, end - clock_mono());
		n = recv(fd, unread, sizeof(unread), MSG_DONTWAIT);
		if (n == 0 || (n == -1 && errno != EAGAIN))
			break;
	}
}

void
broker_leave(struct broker *b)
{
	int fd = -1;

	if (b->m != NULL && b->up && !b->closed) {
		fd = fcntl(mosquitto_socket(b->m), F_DUPFD_CLOEXEC, 0);
		b->closing = true;
		mosquitto_disconnect(b->m);
		broker_write(b); /* and it closes its descriptor */
	}
	broker_drop(b);
	if (fd != -1) {
		linger(fd);
		close(fd);
	}
}
