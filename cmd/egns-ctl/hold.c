/* hold and unhold: deliveries of a push subscription, by hand */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "client.h"
#include "clock.h"
#include "ctl.h"
#include "jq.h"
#include "request.h"
#include "session.h"
#include "standing.h"

#define DAEMON "push"
#define REASON_MAX 199 /* bytes that egns-push takes */
#define TIMEOUT 30 /* seconds that egns-push may take to start, or to answer */

/* What is wanted, of which subscription. */
struct wish {
	bool hold;
	const char *topic, *name, *by;
	const char *reason; /* NULL: none was said */
	char uid[64];
};

static void
write_request(struct buf *b, const struct wish *w)
{
	const struct {
		const char *name, *value;
	} members[] = {
		{ "topic", w->topic }, { "subscription", w->name },
		{ "by", w->by }, { "reason", w->reason },
	};

	buf_printf(b, "{\"op\":\"%s\"", w->hold ? "hold" : "unhold");
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (members[i].value == NULL)
			continue;
		buf_printf(b, ",\"%s\":", members[i].name);
		buf_json(b, members[i].value, strlen(members[i].value));
	}
	buf_str(b, "}\n");
}

/* 0, or -1 and a fault; Unavailable: nobody listens. */
static int
ask(const struct spool *spool, const struct wish *w, struct fault *f)
{
	struct buf b = { 0 };
	struct client c;
	int rc = -1;

	if (client_open(&c, spool, DAEMON, f) == -1)
		return -1;
	c.timeout_ms = TIMEOUT * 1000;
	write_request(&b, w);
	if (b.bad)
		fault_set(f, FAULT_INTERNAL, "out of memory");
	else {
		client_add(&c, buf_data(&b), b.len);
		if (client_flush(&c, f) == 0)
			rc = client_answer(&c, f);
	}
	buf_free(&b);
	client_close(&c);
	return rc;
}

/* What egns-push would have done; its lock is ours. */
static int
change(const struct spool *spool, const struct wish *w, struct fault *f)
{
	struct standing s;

	if (standing_load(&s, spool->fd, w->topic, w->name, w->uid, f) == -1)
		return -1;
	memset(&s.hold, 0, sizeof(s.hold));
	if (w->hold) {
		s.hold.since = clock_now();
		snprintf(s.hold.by, sizeof(s.hold.by), "%s", w->by);
		snprintf(s.hold.reason, sizeof(s.hold.reason), "%s",
		    w->reason == NULL ? "" : w->reason);
	}
	return standing_save(&s, spool->fd, w->topic, w->name, f);
}

/* Tell egns-push, or do it in its place: who has the lock writes the file. When
 * somebody has it and does not answer, that one is starting, or stopping. */
static int
carry_out(const struct spool *spool, const struct wish *w, struct fault *f)
{
	struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	int64_t end = clock_mono() + TIMEOUT * CLOCK_SECOND;
	int fd, rc;

	for (;;) {
		if (spool_holder(spool, DAEMON) != 0) {
			rc = ask(spool, w, f);
			if (rc == 0 || f->code != FAULT_UNAVAILABLE)
				return rc;
		} else if ((fd = spool_lock(spool, DAEMON, f)) != -1) {
			rc = change(spool, w, f);
			close(fd);
			return rc;
		} else if (f->code != FAULT_CONFLICT)
			return -1;
		if (clock_mono() >= end)
			return -1;
		nanosleep(&pause, NULL);
	}
}

/* Find the subscription: only one of mode Push can be held. */
static int
find(const struct request *r, struct session *s, struct wish *w,
    struct fault *f)
{
	char path[SCHEMA_PATH];
	const char *mode, *uid;
	jv v;

	if (schema_path(path, r->noun, r->topic, r->name, f) == -1)
		return -1;
	v = registry_get(s->registry, path);
	mode = jq_str(v, "properties.deliveryConfiguration.deliveryMode");
	uid = jq_str(v, "uid");
	if (mode == NULL || uid == NULL)
		fault_set(f, FAULT_NOT_FOUND, "%s: not found", path);
	else if (strcmp(mode, "Push") != 0)
		fault_set(f, FAULT_BAD_REQUEST, "%s: deliveryMode is %s: its "
		    "consumers decide when to receive", path, mode);
	else {
		snprintf(w->uid, sizeof(w->uid), "%s", uid);
		jv_free(v);
		return 0;
	}
	jv_free(v);
	return -1;
}

/* One line that egns-push takes; what people read should be what was said. */
static bool
good_reason(const char *s)
{
	size_t len = strlen(s);

	for (size_t i = 0; i < len; i++)
		if (iscntrl((unsigned char)s[i]))
			return false;
	return len > 0 && len <= REASON_MAX;
}

static int
run(const struct request *r, bool hold)
{
	struct wish w = { .hold = hold, .topic = r->topic, .name = r->name,
		.reason = r->reason };
	struct session s = { 0 };
	struct fault f;
	int rc;

	if ((rc = session_open(&s, r->ctl, false)) != 0)
		return rc;
	w.by = s.who;
	if ((rc = session_is(&s, r->namespace)) == 0 &&
	    find(r, &s, &w, &f) == -1)
		rc = ctl_fault(&f);
	/* egns-push is not to wait for us when it reads the registry */
	registry_close(s.registry);
	s.registry = NULL;
	if (rc == 0 && carry_out(&s.spool, &w, &f) == -1)
		rc = ctl_fault(&f);
	session_close(&s);
	return rc;
}

static int
parse_and_run(struct ctl *ctl, const struct verb *verb, int argc, char *argv[],
    bool hold)
{
	struct request r;
	int rc = request_parse(&r, ctl, verb, argc, argv);

	if (rc != 0)
		return rc;
	if (r.topic == NULL)
		return ctl_bad_usage(verb, "--topic-name is missing");
	if (r.name == NULL)
		return ctl_bad_usage(verb, "--name is missing");
	if (r.reason != NULL && !good_reason(r.reason))
		return ctl_bad_usage(verb, "--reason is one line of 1 to %d "
		    "bytes", REASON_MAX);
	return run(&r, hold);
}

int
verb_hold(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	return parse_and_run(ctl, verb, argc, argv, true);
}

int
verb_unhold(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	return parse_and_run(ctl, verb, argc, argv, false);
}
