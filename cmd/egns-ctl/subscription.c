/* event-subscription status: what topicd counts of each, and how egns-push comes
 * on with it */
#include <string.h>

#include "books.h"
#include "buf.h"
#include "ctl.h"
#include "jq.h"
#include "push.h"
#include "request.h"
#include "session.h"
#include "stats.h"

/* The subscriptions that are asked for: name -> row. */
struct rows {
	const struct spool *spool;
	bool table; /* to be printed as one */
	bool pushes; /* one of them is of mode Push */
	jv all;
};

/* What topicd tells of each. */
static const char *const counts[] = { "deliveryMode", "matched", "pending",
	"inFlight", "acknowledged", "deadLettered", "dropped", "oldest" };
#define COUNTS (sizeof(counts) / sizeof(counts[0]))

/* What the registry knows; topicd may not have heard of it. Columns are the
 * same in all rows. */
static int
add_row(const char *path, jv resource, void *arg)
{
	struct rows *r = arg;
	const char *topic = path + strlen("topics/");
	const char *name = strrchr(path, '/') + 1;
	jv row = jv_object();

	row = jv_object_set(row, jv_string("topic"),
	    jv_string_sized(topic, (int)strcspn(topic, "/")));
	row = jv_object_set(row, jv_string("subscription"), jv_string(name));
	row = jv_object_set(row, jv_string("state"),
	    jv_string(books_expired(resource) ? "Expired" : "Unknown"));
	for (size_t i = 0; i < COUNTS; i++)
		row = jv_object_set(row, jv_string(counts[i]), jv_null());
	row = jv_object_set(row, jv_string("expirationTimeUtc"),
	    jq_get(resource, "properties.expirationTimeUtc"));
	if (push_is(resource)) {
		r->pushes = true;
		row = push_row(row, r->spool, resource);
	}
	r->all = jv_object_set(r->all, jv_string(name), row);
	jv_free(resource);
	return 0;
}

/* Counts by reason, as one cell: "Rejected:2,TimeToLiveExceeded:1", or 0. */
static jv
cell(jv reasons)
{
	struct buf b = { 0 };
	jv text;

	jv_object_foreach(reasons, reason, n) {
		buf_printf(&b, "%s%s:%.0f", b.len > 0 ? "," : "",
		    jv_string_value(reason), jv_number_value(n));
		jv_free(reason);
		jv_free(n);
	}
	jv_free(reasons);
	text = b.len > 0 ? jv_string_sized(buf_data(&b), (int)b.len) :
	    jv_number(0);
	buf_free(&b);
	return text;
}

static jv
add_counts(jv row, jv line, bool table)
{
	for (size_t i = 0; i < COUNTS; i++) {
		jv v = jq_get(line, counts[i]);

		if (table && jv_get_kind(v) == JV_KIND_OBJECT)
			v = cell(v);
		row = jv_object_set(row, jv_string(counts[i]), v);
	}
	return row;
}

static void
take(jv line, void *arg)
{
	struct rows *r = arg;
	const char *name = jq_str(line, "subscription");
	jv row;

	if (name != NULL && jv_object_has(jv_copy(r->all), jv_string(name))) {
		row = jv_object_get(jv_copy(r->all), jv_string(name));
		if (strcmp(jq_str(row, "state"), "Unknown") == 0)
			row = jv_object_set(row, jv_string("state"),
			    jv_string("Active"));
		row = add_counts(row, line, r->table);
		r->all = jv_object_set(r->all, jv_string(name), row);
	}
	jv_free(line);
}

/* The rows, as the registry has them; then without counts. 0, or a status. */
static int
find(const struct request *r, struct session *s, struct rows *rows)
{
	char path[SCHEMA_PATH];
	const struct schema_noun *noun =
	    &schema_nouns[r->name != NULL ? SCHEMA_SUBSCRIPTION : SCHEMA_TOPIC];
	struct fault f;

	if (schema_path(path, noun, r->name != NULL ? r->topic : NULL,
	    r->name != NULL ? r->name : r->topic, &f) == -1)
		return ctl_fault(&f);
	if (!registry_has(s->registry, path)) {
		fault_set(&f, FAULT_NOT_FOUND, "%s: not found", path);
		return ctl_fault(&f);
	}
	if (r->name != NULL)
		return add_row(path, registry_get(s->registry, path), rows);
	strcat(path, "/eventSubscriptions/");
	return registry_each(s->registry, path, add_row, rows);
}

/* What egns-push tells of one of them. */
static void
take_push(jv line, void *arg)
{
	struct rows *r = arg;
	const char *name = jq_str(line, "subscription");
	const char *topic = jq_str(line, "topic");
	jv row;

	if (name == NULL || topic == NULL ||
	    !jv_object_has(jv_copy(r->all), jv_string(name))) {
		jv_free(line);
		return;
	}
	row = jv_object_get(jv_copy(r->all), jv_string(name));
	if (strcmp(jq_str(row, "topic"), topic) == 0 && push_is_row(row))
		row = push_add(row, jv_copy(line));
	r->all = jv_object_set(r->all, jv_string(name), row);
	jv_free(line);
}

static void
finish_push(struct rows *r, const char *state, const char *words)
{
	jv all = jv_object();

	jv_object_foreach(r->all, name, row) {
		if (push_is_row(row))
			row = push_end(row, state, words);
		if (r->table)
			row = push_cells(row);
		all = jv_object_set(all, name, row);
	}
	jv_free(r->all);
	r->all = all;
}

static void
ask_push(const struct request *r, struct session *s, struct rows *rows)
{
	struct fault f;

	if (!rows->pushes)
		return;
	if (stats_each(&s->spool, "push", r->topic, r->name, take_push, rows,
	    &f) == 0)
		finish_push(rows, "Unknown", "egns-push has not taken it up");
	else if (spool_holder(&s->spool, "push") == 0)
		finish_push(rows, "NotRunning", "egns-push does not run");
	else
		finish_push(rows, "Unknown", f.text);
}

static int
print(const struct request *r, struct rows *rows)
{
	jv list = jv_array();

	jv_object_foreach(rows->all, name, row) {
		list = jv_array_append(list, row);
		jv_free(name);
	}
	return ctl_print(r->ctl, r->name != NULL ? jv_array_get(list, 0) :
	    list);
}

static int
status(const struct request *r, struct session *s)
{
	struct rows rows = { .spool = &s->spool, .all = jv_object(),
		.table = ctl_as_rows(r->ctl) };
	struct fault f;
	int rc = find(r, s, &rows), missing = 0;

	/* topicd is not to wait for us when it reads the registry */
	registry_close(s->registry);
	s->registry = NULL;
	/* one that it has not, be it expired, is a row without counts; and all
	 * are, when it cannot be asked */
	if (rc == 0 && stats_each(&s->spool, "topicd", r->topic, r->name, take,
	    &rows, &f) == -1 && f.code != FAULT_NOT_FOUND)
		missing = ctl_fault(&f);
	if (rc == 0) {
		ask_push(r, s, &rows);
		rc = print(r, &rows);
	}
	jv_free(rows.all);
	return missing != 0 ? missing : rc;
}

int
verb_subscription_status(struct ctl *ctl, const struct verb *verb, int argc,
    char *argv[])
{
	struct session s = { 0 };
	struct request r;
	int rc = request_parse(&r, ctl, verb, argc, argv);

	if (rc == 0 && r.topic == NULL)
		rc = ctl_bad_usage(verb, "--topic-name is missing");
	if (rc != 0 || (rc = session_open(&s, ctl, false)) != 0)
		return rc;
	if ((rc = session_is(&s, r.namespace)) == 0)
		rc = status(&r, &s);
	session_close(&s);
	return rc;
}
