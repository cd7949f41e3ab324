/* explain: may a client connect, publish, subscribe, and why or why not */
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "ctl.h"
#include "jq.h"
#include "quote.h"
#include "session.h"
#include "topic.h"
#include "utf8.h"

#define CHANGES 100 /* of each kind of what-if */

enum { CLIENT, CONNECT, PUBLISH, SUBSCRIBE, WILL, ADD_BINDING, REMOVE_BINDING,
	ADD_ATTRIBUTE };

static const struct option names[] = {
	{ "client", required_argument, NULL, CLIENT },
	{ "connect", no_argument, NULL, CONNECT },
	{ "publish", required_argument, NULL, PUBLISH },
	{ "subscribe", required_argument, NULL, SUBSCRIBE },
	{ "will", required_argument, NULL, WILL },
	{ "add-binding", required_argument, NULL, ADD_BINDING },
	{ "remove-binding", required_argument, NULL, REMOVE_BINDING },
	{ "add-attribute", required_argument, NULL, ADD_ATTRIBUTE },
	{ NULL, 0, NULL, 0 },
};

struct change {
	int kind;
	const char *value;
};

struct question {
	const char *client;
	int operation; /* -1: none yet */
	const char *topic; /* "" to connect */
	struct change changes[CHANGES];
	size_t nchanges;
};

/* ---- the answer ---- */

static void
answer(struct access_reason *r, bool allowed, const char *fmt, ...)
{
	va_list ap;
	char text[1024];

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	*r = (struct access_reason){ .allowed = allowed };
	buf_add(&r->words, text, strlen(text) + 1);
	r->words.len--;
}

static jv
name_or_null(const char *name)
{
	return name[0] == '\0' ? jv_null() : jv_string(name);
}

static jv
answer_object(const struct question *q, const struct access_reason *r)
{
	jv v = jv_object();

	v = jv_object_set(v, jv_string("allowed"), jv_bool(r->allowed));
	v = jv_object_set(v, jv_string("client"), jv_string(q->client));
	v = jv_object_set(v, jv_string("operation"),
	    jv_string(names[q->operation].name));
	v = jv_object_set(v, jv_string("topic"),
	    q->operation == CONNECT ? jv_null() : jv_string(q->topic));
	v = jv_object_set(v, jv_string("group"), name_or_null(r->group));
	v = jv_object_set(v, jv_string("binding"), name_or_null(r->binding));
	v = jv_object_set(v, jv_string("topicSpace"), name_or_null(r->space));
	v = jv_object_set(v, jv_string("template"),
	    name_or_null(r->template_));
	return jv_object_set(v, jv_string("reason"),
	    jv_string_sized(buf_data(&r->words), (int)r->words.len));
}

static int
print(struct ctl *ctl, const struct question *q,
    const struct access_reason *r)
{
	int status;

	if (r->words.bad) {
		fputs("egns-ctl: out of memory\n", stderr);
		return fault_exit(FAULT_INTERNAL);
	}
	if (ctl->output_given || ctl->query != NULL || ctl->jq != NULL)
		status = ctl_print(ctl, answer_object(q, r));
	else {
		printf("%s: %s\n", r->allowed ? "ALLOWED" : "DENIED",
		    buf_data(&r->words));
		status = ctl_flush();
	}
	return status != 0 ? status : !r->allowed;
}

/* ---- the judgement ---- */

static void
judge_publish(const struct question *q, struct access *a,
    const struct access_client *c, struct access_reason *r)
{
	const char *why = topic_bad_name(q->topic, strlen(q->topic));
	char text[QUOTE_MAX];

	if (why != NULL)
		answer(r, false, "the topic '%s' %s",
		    quote(text, q->topic, strlen(q->topic)), why);
	else
		access_explain(a, c, ACCESS_PUBLISH, q->topic,
		    strlen(q->topic), r);
}

/* What $share/GROUP/FILTER asks for is FILTER. */
static void
judge_subscribe(const struct question *q, struct access *a,
    const struct access_client *c, struct access_reason *r)
{
	const char *why = "is no $share/GROUP/FILTER";
	struct topic_share share;
	char text[QUOTE_MAX];

	if (topic_share(q->topic, strlen(q->topic), &share) != -1)
		why = topic_bad_filter(share.filter, share.len);
	if (why != NULL)
		answer(r, false, "the filter '%s' %s",
		    quote(text, q->topic, strlen(q->topic)), why);
	else
		access_explain(a, c, ACCESS_SUBSCRIBE, share.filter, share.len,
		    r);
}

/* Any grant will do; the profile Azure does without. */
static void
judge_connect(bool azure, struct access *a, const struct access_client *c,
    struct access_reason *r)
{
	struct access_reason other;

	access_explain(a, c, ACCESS_PUBLISH, "", 0, r);
	if (r->allowed)
		return;
	access_explain(a, c, ACCESS_SUBSCRIBE, "", 0, &other);
	if (other.allowed) {
		access_reason_free(r);
		*r = other;
		return;
	}
	if (azure) {
		access_reason_free(r);
		answer(r, true, "the profile is Azure, but each operation "
		    "will be refused: nothing is granted to this client");
	} else {
		buf_str(&r->words, "; ");
		buf_add(&r->words, buf_data(&other.words),
		    other.words.len + 1);
		r->words.len--; /* the NUL */
	}
	access_reason_free(&other);
}

static void
judge(const struct question *q, jv client, bool azure, struct access *a,
    const struct access_client *c, struct access_reason *r)
{
	const char *state = jq_str(client, "properties.state");

	if (state != NULL && strcmp(state, "Disabled") == 0)
		answer(r, false, "client '%s' is disabled",
		    jq_str(client, "name"));
	else if (q->operation == CONNECT)
		judge_connect(azure, a, c, r);
	else if (!utf8_text(q->topic, strlen(q->topic)))
		answer(r, false, "the %s is not UTF-8",
		    q->operation == SUBSCRIBE ? "filter" : "topic");
	else if (q->operation == SUBSCRIBE)
		judge_subscribe(q, a, c, r);
	else
		judge_publish(q, a, c, r);
}

/* ---- what if ---- */

static const char *
part(const char *value, size_t *len, const char **next)
{
	*len = strcspn(value, ",");
	*next = value[*len] == ',' ? value + *len + 1 : value + *len;
	return value;
}

/* GROUP,SPACE,PERMISSION */
static int
add_binding(struct access *a, const char *value, struct fault *f)
{
	static const char *const members[] = {
		"clientGroupName", "topicSpaceName", "permission"
	};
	jv properties = jv_object();
	const char *p = value;
	size_t len;

	for (int i = 0; i < 3; i++) {
		const char *word = part(p, &len, &p);

		properties = jv_object_set(properties, jv_string(members[i]),
		    jv_string_sized(word, (int)len));
	}
	if (*p != '\0') {
		jv_free(properties);
		return fault_set(f, FAULT_BAD_REQUEST,
		    "GROUP,SPACE,Publisher or GROUP,SPACE,Subscriber expected");
	}
	return access_add(a, "permissionBindings/(added)",
	    JV_OBJECT(jv_string("properties"), properties), f);
}

/* A number, a list, true or false is taken for what it looks like. */
static jv
attribute_value(const char *text)
{
	jv v = jq_parse(text, strlen(text), NULL);
	jv_kind kind = jv_get_kind(v);

	if (kind == JV_KIND_NUMBER || kind == JV_KIND_ARRAY ||
	    kind == JV_KIND_STRING || kind == JV_KIND_TRUE ||
	    kind == JV_KIND_FALSE)
		return v;
	jv_free(v);
	return jv_string(text);
}

/* KEY=VALUE */
static int
add_attribute(jv *attributes, const char *value, struct fault *f)
{
	size_t len = strcspn(value, "=");

	if (len == 0 || value[len] == '\0')
		return fault_set(f, FAULT_BAD_REQUEST, "KEY=VALUE expected");
	if (jv_get_kind(*attributes) != JV_KIND_OBJECT) {
		jv_free(*attributes);
		*attributes = jv_object();
	}
	*attributes = jv_object_set(*attributes,
	    jv_string_sized(value, (int)len), attribute_value(value + len + 1));
	return 0;
}

/* 0, or a status and the fault has been said. */
static int
suppose(const struct question *q, struct access *a, jv *attributes)
{
	struct fault f = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < q->nchanges; i++) {
		const struct change *c = &q->changes[i];

		if (c->kind == ADD_BINDING)
			rc = add_binding(a, c->value, &f);
		else if (c->kind == REMOVE_BINDING)
			rc = access_remove(a, c->value, &f);
		else
			rc = add_attribute(attributes, c->value, &f);
		if (rc == -1) {
			fprintf(stderr, "egns-ctl: --%s: %s\n",
			    names[c->kind].name, f.text);
			return fault_exit(f.code);
		}
	}
	return 0;
}

/* ---- the client ---- */

/* By its name, else by its authentication name; invalid: there is none. */
static jv
find_client(struct registry *r, const char *name)
{
	struct buf path = { 0 };
	char *text = NULL;
	size_t len;
	jv v;

	buf_printf(&path, "clients/%s", name);
	buf_add(&path, "", 1);
	v = path.bad ? jv_invalid() : registry_get(r, buf_data(&path));
	buf_free(&path);
	if (jv_is_valid(v))
		return v;
	jv_free(v);
	if ((text = registry_client(r, name, strlen(name), &len)) == NULL)
		return jv_invalid();
	v = jq_parse(text, len, NULL);
	free(text);
	return v;
}

static bool
is_azure(struct registry *r)
{
	jv namespace = registry_get(r, "namespace");
	const char *profile = jq_str(namespace, "properties.profile");
	bool azure = profile != NULL && strcmp(profile, "Azure") == 0;

	jv_free(namespace);
	return azure;
}

/* With its attributes (consumed) as the broker sees them: as tokens. */
static int
ask(const struct question *q, jv client, jv attributes, bool azure,
    struct access *a, struct access_reason *r)
{
	const char *name = jq_str(client, "properties.authenticationName");
	struct access_client c = { .name = name, .name_len = strlen(name) };
	struct json js = { 0 };
	struct buf text = { 0 };
	struct fault f;
	int rc;

	jq_print(&text, JV_OBJECT(jv_string("attributes"), attributes), false);
	rc = text.bad ? fault_set(&f, FAULT_INTERNAL, "out of memory") :
	    json_scan(&js, buf_data(&text), text.len, &f);
	if (rc == 0) {
		c.json = &js;
		c.attributes = json_member(&js, 0, "attributes",
		    strlen("attributes"));
		judge(q, client, azure, a, &c, r);
	}
	json_free(&js);
	buf_free(&text);
	return rc == 0 ? 0 : ctl_fault(&f);
}

/* ---- the command ---- */

static int
explain(struct ctl *ctl, const struct question *q, struct session *s)
{
	struct access_reason r = { .allowed = false };
	struct fault f;
	struct access *a = access_load(s->registry, &f);
	char text[QUOTE_MAX];
	jv client, attributes;
	int status;

	if (a == NULL)
		return ctl_fault(&f);
	client = find_client(s->registry, q->client);
	attributes = jq_get(client, "properties.attributes");
	if ((status = suppose(q, a, &attributes)) != 0)
		jv_free(attributes);
	else if (jv_is_valid(client))
		status = ask(q, client, attributes, is_azure(s->registry), a,
		    &r);
	else {
		jv_free(attributes);
		answer(&r, false, "there is no client '%s'",
		    quote(text, q->client, strlen(q->client)));
	}
	if (status == 0)
		status = print(ctl, q, &r);
	access_reason_free(&r);
	jv_free(client);
	access_free(a);
	return status;
}

/* 0, or a status. */
static int
set(struct question *q, int ch, const char *value, const struct verb *v)
{
	switch (ch) {
	case CLIENT:
		q->client = value;
		return 0;
	case CONNECT:
	case PUBLISH:
	case SUBSCRIBE:
	case WILL:
		if (q->operation != -1)
			return ctl_bad_usage(v, "one operation at a time");
		q->operation = ch;
		q->topic = value;
		return 0;
	default:
		if (q->nchanges == CHANGES)
			return ctl_bad_usage(v, "more than %d changes",
			    CHANGES);
		q->changes[q->nchanges++] = (struct change){ ch, value };
		return 0;
	}
}

static int
read_options(struct question *q, const struct verb *v, int argc, char *argv[])
{
	int ch, status = 0;

	/* getopt begins behind the name of a program: the verb's word */
	argc++, argv--;
	opterr = optind = 0;
	while (status == 0 &&
	    (ch = getopt_long(argc, argv, ":", names, NULL)) != -1) {
		if (ch == ':')
			return ctl_bad_usage(v, "%s needs a value",
			    argv[optind - 1]);
		if (ch == '?')
			return ctl_unknown_flag(v, argv[optind - 1]);
		status = set(q, ch, optarg != NULL ? optarg : "", v);
	}
	if (status != 0)
		return status;
	return optind < argc || q->operation == -1 ? ctl_usage(v) : 0;
}

int
verb_explain(struct ctl *ctl, const struct verb *v, int argc, char *argv[])
{
	struct question q = { .operation = -1, .topic = "" };
	struct session s = { .registry = NULL };
	int status = read_options(&q, v, argc, argv);

	if (status != 0)
		return status;
	if (q.client == NULL)
		return ctl_usage(v);
	if ((status = session_open(&s, ctl, false)) == 0) {
		status = explain(ctl, &q, &s);
		session_close(&s);
	}
	return status;
}
