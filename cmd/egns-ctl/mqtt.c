/* mqtt pub, mqtt sub: be a device */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "clock.h"
#include "device.h"
#include "line.h"
#include "mosq.h"
#include "num.h"
#include "quote.h"
#include "spool.h"

#define PAYLOAD_MAX 268435455 /* what a remaining length can say */
#define LINE_MAX_ (1024 * 1024)
#define WINDOW 1000    /* lines that are on their way */
#define FILTERS_MAX 50 /* subscriptions of a session */
#define FILTERS 10     /* filters of a SUBSCRIBE, see egns-mqtt(7) */

static const char *
name_of(const struct device *d)
{
	return d->opt->client != NULL ? d->opt->client : "NAME";
}

/* ---- pub ---- */

struct pub {
	struct device device; /* first */
	struct device_options opt;
	const char *topic, *message, *file;
	bool lines, retain;
	mosquitto_property *props;
	uint64_t sent, answered;
	int last;      /* message id */
	bool barrier; /* the answer that comes behind everything has come */
};

static void
publish_refused(struct pub *p, int mid, int reason,
    const mosquitto_property *props)
{
	char topic[QUOTE_MAX], object[QUOTE_MAX + 64], hint[2 * QUOTE_MAX];
	/* ids go round from 1 to 65535 */
	uint64_t line = p->sent - (uint64_t)((p->last - mid + 65535) % 65535);

	quote(topic, p->topic, strlen(p->topic));
	if (p->lines)
		snprintf(object, sizeof(object), "line %llu: publish to '%s'",
		    (unsigned long long)line, topic);
	else
		snprintf(object, sizeof(object), "publish to '%s'", topic);
	snprintf(hint, sizeof(hint), "see egns-ctl explain --client %.128s "
	    "--publish '%.255s'", name_of(&p->device), topic);
	device_refused(&p->device, reason, props, object, hint);
}

static void
on_publish(struct mosquitto *m, void *arg, int mid, int reason,
    const mosquitto_property *props)
{
	struct pub *p = arg;

	(void)m;
	p->answered++;
	if (reason >= 0x80)
		publish_refused(p, mid, reason, props);
}

static void
on_unsubscribe(struct mosquitto *m, void *arg, int mid,
    const mosquitto_property *props)
{
	struct pub *p = arg;

	(void)m;
	(void)mid;
	(void)props;
	p->barrier = true;
}

static int
publish_one(struct pub *p, const char *payload, size_t len)
{
	int rc = mosquitto_publish_v5(p->device.m, &p->last, p->topic,
	    (int)len, payload, p->opt.qos, p->retain, p->props);

	if (rc != MOSQ_ERR_SUCCESS)
		return device_error(&p->device, "publish", rc);
	p->sent++;
	return 0;
}

/* Wait until no more than this many messages wait for an answer. */
static int
wait_answers(struct pub *p, uint64_t left)
{
	while (p->device.status == 0 && p->sent - p->answered > left)
		device_turn(&p->device, -1, -1);
	return p->device.status;
}

/*
 * Nothing answers a publish of QoS 0, but a broker that refuses it says so
 * before it answers what comes behind.
 */
static int
wait_barrier(struct pub *p)
{
	int rc = mosquitto_unsubscribe(p->device.m, NULL, p->topic);

	if (rc != MOSQ_ERR_SUCCESS)
		return device_error(&p->device, "publish", rc);
	while (p->device.status == 0 && !p->barrier)
		device_turn(&p->device, -1, -1);
	return p->device.status;
}

static int
publish_lines(struct pub *p)
{
	struct line_reader in = { .fd = STDIN_FILENO, .max = LINE_MAX_ };
	const char *line;
	size_t len;
	int n = 1;

	while (n > 0 && p->device.status == 0) {
		if (line_pauses(&in)) {
			device_turn(&p->device, in.fd, -1);
			continue;
		}
		if ((n = line_next(&in, &line, &len)) == 1 &&
		    publish_one(p, line, len) == 0)
			wait_answers(p, WINDOW - 1);
	}
	if (n == -1)
		device_fail(&p->device, errno == EMSGSIZE ? EX_DATAERR :
		    EX_IOERR, "standard input: line %llu: %s",
		    (unsigned long long)in.number + 1, errno == EMSGSIZE ?
		    "longer than 1 MiB" : strerror(errno));
	line_free(&in);
	return p->device.status;
}

static int
publish_file(struct pub *p)
{
	const char *path = strcmp(p->file, "-") == 0 ? "/dev/stdin" : p->file;
	char q[QUOTE_MAX], *mem;
	size_t len;

	if ((mem = spool_read(AT_FDCWD, path, PAYLOAD_MAX, &len)) == NULL)
		return device_fail(&p->device, EX_NOINPUT, "%s: %s",
		    quote(q, p->file, strlen(p->file)), strerror(errno));
	publish_one(p, mem, len);
	free(mem);
	return p->device.status;
}

static int
publish(struct pub *p, struct ctl *ctl)
{
	struct device *d = &p->device;
	int status;

	if ((status = device_new(d, &p->opt, ctl)) != 0)
		return status;
	mosquitto_publish_v5_callback_set(d->m, on_publish);
	mosquitto_unsubscribe_v5_callback_set(d->m, on_unsubscribe);
	if ((status = device_connect(d)) != 0)
		return status;
	if (p->lines)
		status = publish_lines(p);
	else if (p->file != NULL)
		status = publish_file(p);
	else
		status = publish_one(p, p->message, strlen(p->message));
	if (status == 0 && (status = wait_answers(p, 0)) == 0 &&
	    p->opt.qos == 0)
		status = wait_barrier(p);
	/* What is on its way is answered, whatever happened before. */
	return status != 0 ? status : device_leave(d);
}

enum {
	USER_PROPERTY = DEVICE_LAST, CONTENT_TYPE, PAYLOAD_FORMAT,
	RESPONSE_TOPIC, CORRELATION_DATA, MESSAGE_EXPIRY,
};

static const struct option pub_names[] = {
	DEVICE_OPTIONS,
	{ "topic", required_argument, NULL, 't' },
	{ "message", required_argument, NULL, 'm' },
	{ "file", required_argument, NULL, 'f' },
	{ "lines", no_argument, NULL, 'l' },
	{ "retain", no_argument, NULL, 'r' },
	{ "user-property", required_argument, NULL, USER_PROPERTY },
	{ "content-type", required_argument, NULL, CONTENT_TYPE },
	{ "payload-format-indicator", required_argument, NULL,
	    PAYLOAD_FORMAT },
	{ "response-topic", required_argument, NULL, RESPONSE_TOPIC },
	{ "correlation-data", required_argument, NULL, CORRELATION_DATA },
	{ "message-expiry", required_argument, NULL, MESSAGE_EXPIRY },
	{ NULL, 0, NULL, 0 },
};

/* 0, or a status. */
static int
added(const struct verb *v, const char *name, int rc)
{
	return rc == MOSQ_ERR_SUCCESS ? 0 : ctl_bad_usage(v,
	    "%s: not valid UTF-8, or too long", name);
}

static int
add_user_property(struct pub *p, const struct verb *v)
{
	const char *equals = strchr(optarg, '=');
	char *name;
	int status;

	if (equals == NULL)
		return ctl_bad_usage(v, "--user-property: NAME=VALUE");
	if ((name = strndup(optarg, (size_t)(equals - optarg))) == NULL)
		return ctl_bad_usage(v, "%s", strerror(errno));
	status = added(v, "--user-property",
	    mosquitto_property_add_string_pair(&p->props,
	    MQTT_PROP_USER_PROPERTY, name, equals + 1));
	free(name);
	return status;
}

static int
add_property(struct pub *p, int ch, const struct verb *v)
{
	size_t len = strlen(optarg);

	switch (ch) {
	case USER_PROPERTY:
		return add_user_property(p, v);
	case CONTENT_TYPE:
		return added(v, "--content-type",
		    mosquitto_property_add_string(&p->props,
		    MQTT_PROP_CONTENT_TYPE, optarg));
	case PAYLOAD_FORMAT:
		return added(v, "--payload-format-indicator",
		    mosquitto_property_add_byte(&p->props,
		    MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, (uint8_t)num_option(
		    "--payload-format-indicator", optarg, 0, 1)));
	case RESPONSE_TOPIC:
		return added(v, "--response-topic",
		    mosquitto_property_add_string(&p->props,
		    MQTT_PROP_RESPONSE_TOPIC, optarg));
	case CORRELATION_DATA:
		return added(v, "--correlation-data", len > UINT16_MAX ?
		    MOSQ_ERR_INVAL : mosquitto_property_add_binary(&p->props,
		    MQTT_PROP_CORRELATION_DATA, optarg, (uint16_t)len));
	case MESSAGE_EXPIRY:
		return added(v, "--message-expiry",
		    mosquitto_property_add_int32(&p->props,
		    MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, (uint32_t)num_option(
		    "--message-expiry", optarg, 0, UINT32_MAX)));
	}
	return ctl_usage(v);
}

static int
pub_option(struct pub *p, int ch, const struct verb *v)
{
	if (device_option(&p->opt, ch))
		return 0;
	switch (ch) {
	case 't':
		p->topic = optarg;
		return 0;
	case 'm':
		p->message = optarg;
		return 0;
	case 'f':
		p->file = optarg;
		return 0;
	case 'l':
		p->lines = true;
		return 0;
	case 'r':
		p->retain = true;
		return 0;
	}
	return add_property(p, ch, v);
}

static int
check_pub(const struct pub *p, const struct verb *v)
{
	int sources = (p->message != NULL) + (p->file != NULL) + p->lines;
	char q[QUOTE_MAX];

	if (p->topic == NULL)
		return ctl_bad_usage(v, "-t TOPIC is missing");
	if (mosquitto_pub_topic_check(p->topic) != MOSQ_ERR_SUCCESS)
		return ctl_bad_usage(v, "-t '%s': not a topic to publish to",
		    quote(q, p->topic, strlen(p->topic)));
	if (sources != 1)
		return ctl_bad_usage(v, "one of -m MESSAGE, -f FILE and -l "
		    "says what to publish");
	if (p->props != NULL && p->opt.old)
		return ctl_bad_usage(v, "MQTT 3.1.1 has no properties");
	return device_check_options(&p->opt, v);
}

int
verb_mqtt_pub(struct ctl *ctl, const struct verb *v, int argc, char *argv[])
{
	struct pub p = { .opt = { .qos = 1 } };
	int ch, status = 0;

	while (status == 0 && (ch = device_getopt(v, argc, argv,
	    ":t:m:f:lr" DEVICE_LETTERS, pub_names, &status)) != -1)
		if (status == 0)
			status = pub_option(&p, ch, v);
	if (status == 0 && optind <= argc)
		status = ctl_usage(v);
	if (status == 0 && (status = check_pub(&p, v)) == 0) {
		status = publish(&p, ctl);
		device_free(&p.device);
	}
	mosquitto_property_free_all(&p.props);
	return status;
}

/* ---- sub ---- */

struct sub {
	struct device device; /* first */
	struct device_options opt;
	char *filters[FILTERS_MAX];
	int nfilters;
	int mids[FILTERS_MAX / FILTERS]; /* of each SUBSCRIBE */
	int granted; /* SUBSCRIBEs that have been answered */
	int64_t count, seconds; /* 0: without end */
	int ready;              /* descriptor; -1 */
	bool json, quiet;
	uint64_t received;
	struct buf line;
	struct json scratch;
};

static volatile sig_atomic_t stopped;

static void
stop(int sig)
{
	(void)sig;
	stopped = 1;
}

/* Is it at its end? */
static bool
ended(const struct sub *s, int64_t end)
{
	return stopped || s->device.status != 0 ||
	    (s->count > 0 && s->received >= (uint64_t)s->count) ||
	    (s->seconds > 0 && clock_mono() >= end);
}

static void
on_message(struct mosquitto *mosq, void *arg,
    const struct mosquitto_message *m, const mosquitto_property *props)
{
	struct sub *s = arg;

	(void)mosq;
	if (s->count > 0 && s->received >= (uint64_t)s->count)
		return;
	s->received++;
	if (s->quiet)
		return;
	buf_reset(&s->line, 65536);
	if (s->json)
		mosq_record(&s->line, m, props, &s->scratch);
	else
		buf_add(&s->line, m->payload, (size_t)m->payloadlen);
	buf_str(&s->line, "\n");
	if (s->line.bad)
		device_fail(&s->device, EX_OSERR, "out of memory");
	else if (fwrite(buf_data(&s->line), 1, s->line.len, stdout) !=
	    s->line.len)
		device_fail(&s->device, EX_IOERR, "standard output: %s",
		    strerror(errno));
}

static void
subscribe_refused(struct sub *s, const char *filter, int reason,
    const mosquitto_property *props)
{
	char q[QUOTE_MAX], object[QUOTE_MAX + 64], hint[2 * QUOTE_MAX];

	/* All that MQTT 3.1.1 can say is no. */
	if (s->opt.old)
		reason = MQTT_RC_NOT_AUTHORIZED;
	quote(q, filter, strlen(filter));
	snprintf(object, sizeof(object), "subscribe to '%s'", q);
	snprintf(hint, sizeof(hint), "see egns-ctl explain --client %.128s "
	    "--subscribe '%.255s'", name_of(&s->device), q);
	device_refused(&s->device, reason, props, object, hint);
}

static void
on_subscribe(struct mosquitto *m, void *arg, int mid, int n,
    const int *granted, const mosquitto_property *props)
{
	struct sub *s = arg;
	int first = 0;

	(void)m;
	while (first < s->nfilters && s->mids[first / FILTERS] != mid)
		first += FILTERS;
	for (int i = 0; i < n && first + i < s->nfilters; i++)
		if (granted[i] >= 0x80)
			subscribe_refused(s, s->filters[first + i],
			    granted[i], props);
	s->granted += FILTERS;
}

static int
subscribe_all(struct sub *s)
{
	int rc, n;

	for (int i = 0; i < s->nfilters; i += FILTERS) {
		n = s->nfilters - i < FILTERS ? s->nfilters - i : FILTERS;
		rc = mosquitto_subscribe_multiple(s->device.m,
		    &s->mids[i / FILTERS], n, s->filters + i, s->opt.qos, 0,
		    NULL);
		if (rc != MOSQ_ERR_SUCCESS)
			return device_error(&s->device, "subscribe", rc);
	}
	while (s->device.status == 0 && s->granted < s->nfilters)
		device_turn(&s->device, -1, -1);
	if (s->device.status == 0 && s->ready != -1 &&
	    (write(s->ready, "\n", 1) != 1 || close(s->ready) == -1))
		return device_fail(&s->device, EX_IOERR, "-r: %s",
		    strerror(errno));
	return s->device.status;
}

static int
receive(struct sub *s)
{
	int64_t end = clock_mono() + s->seconds * CLOCK_SECOND, left;

	while (!ended(s, end)) {
		/* EGNS_CLOCK may move the end. */
		left = s->seconds == 0 ? -1 : (end - clock_mono()) / 1000 + 1;
		if (clock_movable() && left > CLOCK_CHECK_MS)
			left = CLOCK_CHECK_MS;
		device_turn(&s->device, -1, (int)left);
		if (fflush(stdout) == EOF)
			return device_fail(&s->device, EX_IOERR,
			    "standard output: %s", strerror(errno));
	}
	if (s->device.status == 0 && !stopped && s->count > 0 &&
	    s->received < (uint64_t)s->count)
		return device_fail(&s->device, EX_TEMPFAIL, "%llu of %lld "
		    "messages came in %lld seconds",
		    (unsigned long long)s->received, (long long)s->count,
		    (long long)s->seconds);
	return s->device.status;
}

/* TERM and INT end it tidily: they come only while it waits. */
static void
catch_signals(struct device *d)
{
	struct sigaction act = { .sa_handler = stop };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &d->signals);
	sigdelset(&d->signals, SIGINT);
	sigdelset(&d->signals, SIGTERM);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	d->mask = &d->signals;
}

static int
subscribe(struct sub *s, struct ctl *ctl)
{
	struct device *d = &s->device;
	int status;

	if ((status = device_new(d, &s->opt, ctl)) != 0)
		return status;
	/* With a last message, those behind it are to stay in the session. */
	if (s->count > 0)
		mosquitto_int_option(d->m, MOSQ_OPT_RECEIVE_MAXIMUM, 1);
	mosquitto_subscribe_v5_callback_set(d->m, on_subscribe);
	mosquitto_message_v5_callback_set(d->m, on_message);
	catch_signals(d);
	if ((status = device_connect(d)) != 0 ||
	    (status = subscribe_all(s)) != 0 || (status = receive(s)) != 0)
		return status;
	return device_leave(d);
}

static const struct option sub_names[] = {
	DEVICE_OPTIONS,
	{ "topic", required_argument, NULL, 't' },
	{ "count", required_argument, NULL, 'n' },
	{ "wait", required_argument, NULL, 'w' },
	{ NULL, 0, NULL, 0 },
};

static int
add_filter(struct sub *s, const struct verb *v)
{
	char q[QUOTE_MAX];

	if (mosquitto_sub_topic_check(optarg) != MOSQ_ERR_SUCCESS)
		return ctl_bad_usage(v, "-t '%s': not a topic filter",
		    quote(q, optarg, strlen(optarg)));
	if (s->nfilters == FILTERS_MAX)
		return ctl_bad_usage(v, "-t: at most %d", FILTERS_MAX);
	s->filters[s->nfilters++] = optarg;
	return 0;
}

static int
set_format(struct sub *s, const struct verb *v)
{
	s->json = strcmp(optarg, "%J") == 0 || strcmp(optarg, "json") == 0;
	if (!s->json && strcmp(optarg, "text") != 0)
		return ctl_bad_usage(v, "-F: json (the same as %%J) or text");
	return 0;
}

static int
sub_option(struct sub *s, int ch, const struct verb *v)
{
	if (device_option(&s->opt, ch))
		return 0;
	switch (ch) {
	case 't':
		return add_filter(s, v);
	case 'n':
		s->count = num_option("-n", optarg, 1, INT64_MAX);
		return 0;
	case 'w':
		s->seconds = num_option("-w", optarg, 1, INT_MAX / 1000);
		return 0;
	case 'r':
		s->ready = (int)num_option("-r", optarg, 0, INT_MAX);
		return 0;
	case 'F':
		return set_format(s, v);
	}
	return ctl_usage(v);
}

static int
check_sub(struct sub *s, const struct ctl *ctl, const struct verb *v)
{
	if (s->nfilters == 0)
		return ctl_bad_usage(v, "-t FILTER is missing");
	if (strcmp(ctl->output, "table") == 0 ||
	    strcmp(ctl->output, "tsv") == 0)
		return ctl_bad_usage(v, "-o: json or none");
	s->quiet = strcmp(ctl->output, "none") == 0;
	s->json = s->json || ctl->output_given;
	return device_check_options(&s->opt, v);
}

int
verb_mqtt_sub(struct ctl *ctl, const struct verb *v, int argc, char *argv[])
{
	struct sub s = { .opt = { .qos = 1 }, .ready = -1 };
	int ch, status = 0;

	while (status == 0 && (ch = device_getopt(v, argc, argv,
	    ":t:n:w:r:F:" DEVICE_LETTERS, sub_names, &status)) != -1)
		if (status == 0)
			status = sub_option(&s, ch, v);
	if (status == 0 && optind <= argc)
		status = ctl_usage(v);
	if (status == 0 && (status = check_sub(&s, ctl, v)) == 0) {
		status = subscribe(&s, ctl);
		device_free(&s.device);
	}
	buf_free(&s.line);
	json_free(&s.scratch);
	return status;
}
