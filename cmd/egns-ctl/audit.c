/* audit: the counts of every topic and subscription against the disk */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "ctl.h"
#include "jq.h"

#define SAID_MAX 20 /* differences of one thing that are told one by one */

void
differ(struct ledger *l, struct account *a, const char *fmt, ...)
{
	uint64_t *count = a != NULL ? &a->differences : &l->differences;
	va_list ap;

	if (++*count > SAID_MAX)
		return;
	fprintf(stderr, "egns-ctl: %s '%s%s%s': ",
	    a != NULL ? "subscription" : "topic", l->topic,
	    a != NULL ? "/" : "", a != NULL ? a->name : "");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void
tell_more(const struct ledger *l, const struct account *a, uint64_t count)
{
	if (count <= SAID_MAX)
		return;
	fprintf(stderr, "egns-ctl: %s '%s%s%s': %" PRIu64
	    " more differences\n", a != NULL ? "subscription" : "topic",
	    l->topic, a != NULL ? "/" : "", a != NULL ? a->name : "",
	    count - SAID_MAX);
}

/* ---- what must be equal ---- */

static void
check_account(struct ledger *l, struct account *a, bool running)
{
	uint64_t sum = a->pending + a->in_flight + a->acknowledged +
	    a->dead_lettered + a->dropped + a->settled_before;

	if (running && !a->counted)
		differ(l, a, "topicd does not know it");
	if (!running && !a->counted && a->matched > 0)
		differ(l, a, "state.ndjson is missing, or of another "
		    "subscription");
	if (a->cursor > a->matched)
		differ(l, a, "the cursor is at %" PRIu64 ", but %" PRIu64
		    " events matched", a->cursor, a->matched);
	if (sum != a->matched)
		differ(l, a, "%" PRIu64 " events matched, but %" PRIu64
		    " are accounted for", a->matched, sum);
	/* a crash may leave the record of an end that then happened anew */
	if (a->drops.n < a->dropped)
		differ(l, a, "%" PRIu64 " events were dropped, but dropped/ "
		    "has records of %zu", a->dropped, a->drops.n);
	if (a->recorded < a->dead_lettered)
		differ(l, a, "%" PRIu64 " events were dead-lettered, but %"
		    PRIu64 " are on record: %" PRIu64 " are missing from "
		    "deadletter/, deadletter/written/ and dropped/",
		    a->dead_lettered, a->recorded,
		    a->dead_lettered - a->recorded);
}

/* People may do with containers what they like: no difference. */
static void
tell_gone(const struct ledger *l, const struct account *a)
{
	if (a->gone > 0)
		fprintf(stderr, "egns-ctl: subscription '%s/%s': %" PRIu64
		    " dead letters that were written to containers/ are not "
		    "there, and were neither replayed nor pruned\n", l->topic,
		    a->name, a->gone);
}

static int
check_ledger(struct ledger *l, bool running, struct fault *f)
{
	size_t i;

	if (running && !l->counted)
		differ(l, NULL, "topicd does not know it");
	if (l->dir == -1 && l->counted && running)
		differ(l, NULL, "topics/%s is not there", l->topic);
	if (trail_follow(l, f) == -1)
		return -1;
	for (i = 0; i < l->n; i++) {
		check_account(l, &l->account[i], running);
		tell_more(l, &l->account[i], l->account[i].differences);
		tell_gone(l, &l->account[i]);
	}
	tell_more(l, NULL, l->differences);
	return 0;
}

/* ---- the numbers ---- */

static jv
account_row(const struct ledger *l, const struct account *a)
{
	jv v = jv_object();

	v = jv_object_set(v, jv_string("topic"), jv_string(l->topic));
	v = jv_object_set(v, jv_string("subscription"), jv_string(a->name));
	v = jq_set_number(v, "matched", a->matched);
	v = jq_set_number(v, "cursor", a->cursor);
	v = jq_set_number(v, "pending", a->pending);
	v = jq_set_number(v, "inFlight", a->in_flight);
	v = jq_set_number(v, "acknowledged", a->acknowledged);
	v = jq_set_number(v, "deadLettered", a->dead_lettered);
	v = jq_set_number(v, "dropped", a->dropped);
	v = jq_set_number(v, "settledBefore", a->settled_before);
	v = jq_set_number(v, "deadLetterRecords", a->recorded);
	v = jq_set_number(v, "waiting", a->waiting);
	v = jq_set_number(v, "written", a->written);
	v = jq_set_number(v, "lateDrops", a->late);
	v = jq_set_number(v, "inContainers", a->kept);
	v = jq_set_number(v, "elsewhere", a->away);
	v = jq_set_number(v, "replayed", a->replayed);
	v = jq_set_number(v, "pruned", a->pruned);
	v = jq_set_number(v, "gone", a->gone);
	v = jq_set_number(v, "droppedRecords", a->drops.n);
	return jq_set_number(v, "differences", a->differences);
}

static jv
ledger_row(const struct ledger *l)
{
	jv v = jv_object();

	v = jv_object_set(v, jv_string("topic"), jv_string(l->topic));
	v = jq_set_number(v, "events", l->events);
	v = jq_set_number(v, "bytes", l->bytes);
	v = jq_set_number(v, "start", l->start);
	v = jq_set_number(v, "end", l->end);
	v = jq_set_number(v, "number", l->number);
	return jq_set_number(v, "differences", l->differences);
}

static uint64_t
differences(const struct books *b)
{
	const struct ledger *l;
	uint64_t n = 0;
	size_t i;

	for (l = b->ledger; l < b->ledger + b->n; l++) {
		n += l->differences;
		for (i = 0; i < l->n; i++)
			n += l->account[i].differences;
	}
	return n;
}

/* Is this number 0 in all rows? */
static bool
is_zero(jv rows, const char *name)
{
	bool zero = true;

	jv_array_foreach(rows, i, row) {
		jv v = jv_object_get(row, jv_string(name));

		zero = zero && jv_number_value(v) == 0;
		jv_free(v);
	}
	return zero;
}

/* What makes a table wide, and is not there in most. */
static jv
narrow(jv rows)
{
	static const char *const names[] = { "cursor", "settledBefore",
		"deadLetterRecords", "waiting", "written", "lateDrops",
		"inContainers", "elsewhere", "replayed", "pruned", "gone",
		"droppedRecords" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!is_zero(rows, names[i]))
			continue;
		for (int k = 0; k < jv_array_length(jv_copy(rows)); k++) {
			jv row = jv_array_get(jv_copy(rows), k);

			rows = jv_array_set(rows, k,
			    jv_object_delete(row, jv_string(names[i])));
		}
	}
	return rows;
}

/* A table has the subscriptions as rows. */
static int
print(struct ctl *ctl, const struct books *b, uint64_t broken)
{
	jv topics = jv_array(), accounts = jv_array(), all;
	const struct ledger *l;
	size_t i;

	for (l = b->ledger; l < b->ledger + b->n; l++) {
		topics = jv_array_append(topics, ledger_row(l));
		for (i = 0; i < l->n; i++)
			accounts = jv_array_append(accounts,
			    account_row(l, &l->account[i]));
	}
	if (ctl_as_rows(ctl)) {
		jv_free(topics);
		if (strcmp(ctl->output, "table") == 0)
			accounts = narrow(accounts);
		return ctl_print(ctl, accounts);
	}
	all = jv_object();
	all = jv_object_set(all, jv_string("balanced"),
	    jv_bool(differences(b) + broken == 0));
	all = jv_object_set(all, jv_string("topicd"), jv_bool(b->running));
	all = jq_set_number(all, "differences", differences(b) + broken);
	all = jv_object_set(all, jv_string("topics"), topics);
	all = jv_object_set(all, jv_string("subscriptions"), accounts);
	return ctl_print(ctl, all);
}

static int
audit(struct ctl *ctl, struct books *b, struct fault *f)
{
	uint64_t broken = 0, offset;
	size_t i;
	int status;

	if (scrub_registry(&b->spool, &offset, f) == -1) {
		fprintf(stderr, "egns-ctl: %s\n", f->text);
		broken++;
	}
	if (records_gather(b, &broken, f) == -1 ||
	    fates_find(b, &broken, f) == -1)
		return ctl_fault(f);
	for (i = 0; i < b->n; i++) {
		if (check_ledger(&b->ledger[i], b->running, f) == -1)
			return ctl_fault(f);
	}
	status = print(ctl, b, broken);
	if (status == 0 && differences(b) + broken > 0)
		status = 1;
	return status;
}

bool
audit_topic(int argc, char *argv[], const char **topic)
{
	static const char *const names[] = { "-t", "--topic", "--topic-name" };
	size_t i, len;

	*topic = NULL;
	for (i = 0; argc > 0 && i < sizeof(names) / sizeof(names[0]); i++) {
		len = strlen(names[i]);
		if (argc == 2 && strcmp(argv[0], names[i]) == 0)
			*topic = argv[1];
		else if (argc == 1 && strncmp(argv[0], names[i], len) == 0 &&
		    argv[0][len] == '=')
			*topic = argv[0] + len + 1;
	}
	return argc == 0 || *topic != NULL;
}

int
verb_audit(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	const char *topic;
	struct books b;
	struct fault f;
	int status;

	if (!audit_topic(argc, argv, &topic))
		return ctl_usage(verb);
	if (books_open(&b, ctl->spool, topic, &f) == -1)
		return ctl_fault(&f);
	status = audit(ctl, &b, &f);
	books_close(&b);
	return status;
}
