#ifndef DEVICE_H
#define DEVICE_H

#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mosquitto.h>
#include <mqtt_protocol.h>

#include "ctl.h"
#include "quote.h"

/*
 * A connection to an MQTT broker, this spool's or another, for verbs that
 * publish and subscribe. What goes wrong is said once, with what to do, and
 * kept as a status to exit with.
 */
struct device_will {
	const char *topic, *message;
	int qos;
	bool retain;
	int64_t delay; /* seconds */
};

struct device_options {
	const char *client; /* authentication name; NULL: the certificate's */
	const char *id;     /* of the session; NULL: the broker gives one */
	const char *host, *port;
	const char *cert, *key, *cafile;
	bool old; /* MQTT 3.1.1 */
	int qos;
	int64_t session_expiry; /* seconds; 0: the session ends with us */
	struct device_will will;
};

/* These may stand in the verb's list of long options; device_option() takes
 * what getopt_long returned, if it is one of them. */
#define DEVICE_LETTERS "c:i:q:"
enum {
	DEVICE_HOST = 256, DEVICE_PORT, DEVICE_CERT, DEVICE_KEY, DEVICE_CAFILE,
	DEVICE_VERSION, DEVICE_EXPIRY, DEVICE_WILL_TOPIC, DEVICE_WILL_MESSAGE,
	DEVICE_WILL_QOS, DEVICE_WILL_RETAIN, DEVICE_WILL_DELAY,
	DEVICE_LAST, /* a verb's own come behind it */
};
#define DEVICE_OPTIONS \
	{ "client", required_argument, NULL, 'c' }, \
	{ "id", required_argument, NULL, 'i' }, \
	{ "qos", required_argument, NULL, 'q' }, \
	{ "host", required_argument, NULL, DEVICE_HOST }, \
	{ "port", required_argument, NULL, DEVICE_PORT }, \
	{ "cert", required_argument, NULL, DEVICE_CERT }, \
	{ "key", required_argument, NULL, DEVICE_KEY }, \
	{ "cafile", required_argument, NULL, DEVICE_CAFILE }, \
	{ "mqtt-version", required_argument, NULL, DEVICE_VERSION }, \
	{ "session-expiry", required_argument, NULL, DEVICE_EXPIRY }, \
	{ "will-topic", required_argument, NULL, DEVICE_WILL_TOPIC }, \
	{ "will-message", required_argument, NULL, DEVICE_WILL_MESSAGE }, \
	{ "will-qos", required_argument, NULL, DEVICE_WILL_QOS }, \
	{ "will-retain", no_argument, NULL, DEVICE_WILL_RETAIN }, \
	{ "will-delay", required_argument, NULL, DEVICE_WILL_DELAY }
#define DEVICE_USAGE "[--client NAME] [--id SESSION] [-q 0|1] " \
	"[--host HOST] [--port PORT] [--cert FILE --key FILE] " \
	"[--cafile FILE] [--mqtt-version 5|311] [--session-expiry SECONDS] " \
	"[--will-topic TOPIC [--will-message TEXT] [--will-qos 0|1] " \
	"[--will-retain] [--will-delay SECONDS]]"
#define DEVICE_HELP \
	"  --client, -c  NAME of the client, as it authenticates; NAME.pem " \
	"and\n      NAME.key here are its certificate and key\n" \
	"  --id, -i  SESSION, the ClientId; the broker gives one\n" \
	"  --qos, -q  0 or 1 (1)\n" \
	"  --host, --port  another broker (this spool's; 8883)\n" \
	"  --cert, --key, --cafile  FILE in PEM\n" \
	"  --mqtt-version  5 or 311 (5)\n" \
	"  --session-expiry  SECONDS that the session lives on (0)\n" \
	"  --will-topic, --will-message, --will-qos, --will-retain,\n" \
	"  --will-delay  what is published when this command is cut off\n"
bool device_option(struct device_options *, int ch);

/* The next option of a verb, as getopt_long: -1 at the end; 0 and *status when
 * one is not known, or lacks its value, which has been said. */
int device_getopt(const struct verb *, int argc, char *argv[],
    const char *letters, const struct option *, int *status);

/* Do they fit together? 0, or a status. */
int device_check_options(const struct device_options *, const struct verb *);

struct device {
	const struct device_options *opt;
	struct mosquitto *m;
	char host[256];
	int port;
	int ca; /* the spool's certificates; -1 */
	bool up, closing, closed;
	const sigset_t *mask; /* while it waits; NULL: as always */
	sigset_t signals;
	int status;    /* of what has been said; 0 */
	char tls[QUOTE_MAX]; /* what OpenSSL says */
};

/*
 * Connect, as far as CONNACK. `arg` is what callbacks of libmosquitto get,
 * whose struct must begin with the struct device. The verb's own callbacks are
 * set in between: device_new, then device_connect. 0, or a status; device_free
 * in any case.
 */
int device_new(struct device *, const struct device_options *, struct ctl *);
int device_connect(struct device *);
void device_free(struct device *);

/*
 * Wait for something to happen, for ms at most (-1: however long), or until
 * there is something to be read from fd (-1: none); do what is due. 0, or the
 * status of a failure. An interrupting signal ends the wait.
 */
int device_turn(struct device *, int fd, int ms);

/* Take leave of the broker. 0, or a status. */
int device_leave(struct device *);

/* Say what failed, the first time; sets and returns the status. */
int device_fail(struct device *, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The broker's answer `reason` to what was asked for `object` ("publish to
 * 'a/b'"): say it in words, with the broker's own, and with `hint` (may be
 * NULL) when it is a matter of permission.
 */
int device_refused(struct device *, int reason, const mosquitto_property *,
    const char *object, const char *hint);

/* A call of libmosquitto that failed. */
int device_error(struct device *, const char *what, int rc);

#endif
