#include <stdio.h>
#include <string.h>

#include "decide.h"
#include "quote.h"

static const char *const names[] = {
	[ACTION_REHYDRATE] = "rehydrate",
	[ACTION_HOLD] = "hold",
	[ACTION_QUARANTINE] = "quarantine",
	[ACTION_SKIP] = "skip",
};

const char *
action_name(enum action action)
{
	return names[action];
}

int
action_parse(const struct json *j, uint32_t t)
{
	for (int i = 0; i <= ACTION_SKIP; i++) {
		if (json_is(j, t, names[i], strlen(names[i])))
			return i;
	}
	return -1;
}

/* ---- what people want ---- */

static enum action
by_policy(const struct decider *d, const struct letter *letter,
    const char *reason, char why[DECIDE_WHY])
{
	unsigned line;
	enum policy_action action = policy_of(d->policy, letter, &line);
	char q[QUOTE_MAX];

	if (line > 0)
		snprintf(why, DECIDE_WHY, "policy: line %u of %s", line,
		    quote(q, d->opt->policy, strlen(d->opt->policy)));
	else if (letter->reason == -1)
		snprintf(why, DECIDE_WHY, "built-in policy: %s%s%s is not "
		    "replayed unless it is named", reason[0] == '\0' ?
		    "a letter without a reason" : "reason '", reason,
		    reason[0] == '\0' ? "" : "'");
	else
		snprintf(why, DECIDE_WHY, "built-in policy: %s %s", reason,
		    policy_name(action));
	return action == POLICY_REHYDRATE ? ACTION_REHYDRATE :
	    action == POLICY_HOLD ? ACTION_HOLD : ACTION_QUARANTINE;
}

/* With --reason, no letter comes here whose reason is not named. */
static enum action
wanted(const struct decider *d, const struct letter *letter,
    char why[DECIDE_WHY])
{
	char q[QUOTE_MAX];

	quote(q, letter->reason_text, strlen(letter->reason_text));
	if (d->opt->selection.nreasons == 0)
		return by_policy(d, letter, q, why);
	snprintf(why, DECIDE_WHY, "reason %s: named by --reason", q);
	return ACTION_REHYDRATE;
}

/* ---- what can be done ---- */

static void
hold(enum action *action, char why[DECIDE_WHY], const char *words)
{
	*action = ACTION_HOLD;
	snprintf(why, DECIDE_WHY, "%s", words);
}

/* The names that this blob's letters go back to. */
static void
look(struct decider *d, const struct blob_path *path)
{
	if (d->looked && strcmp(d->blob_topic, path->topic) == 0 &&
	    strcmp(d->blob_subscription, path->subscription) == 0)
		return;
	d->looked = true;
	snprintf(d->blob_topic, sizeof(d->blob_topic), "%s", path->topic);
	snprintf(d->blob_subscription, sizeof(d->blob_subscription), "%s",
	    path->subscription);
	d->topic = known_topic(d->known, path->topic);
	d->subscription = d->topic == NULL ? NULL :
	    known_subscription(d->known, d->topic, path->subscription);
}

/* Nowhere to go: hold it, and say so. */
static void
check_target(const struct decider *d, struct decision *out)
{
	char words[DECIDE_WHY];
	char q[QUOTE_MAX];

	if (d->topic == NULL && d->blob_topic[0] == '\0')
		snprintf(words, sizeof(words), "the blob's name does not say "
		    "its topic: egns-dlq cat --events BLOB | egns-ctl publish "
		    "-t TOPIC");
	else if (d->topic == NULL)
		snprintf(words, sizeof(words), "there is no topic '%s' any "
		    "more: make it again, or egns-dlq cat --events -t '%s' | "
		    "egns-ctl publish -t OTHER", quote(q, d->blob_topic,
		    strlen(d->blob_topic)), q);
	else if (out->to_topic || d->subscription != NULL)
		return;
	else if (d->blob_subscription[0] == '\0')
		snprintf(words, sizeof(words), "no subscription: the blob's "
		    "name does not say it: --to topic");
	else
		snprintf(words, sizeof(words), "there is no subscription '%s' "
		    "any more: make it again, or --to topic", quote(q,
		    d->blob_subscription, strlen(d->blob_subscription)));
	hold(&out->action, out->why, words);
}

/* What was never published cannot be published again. */
static void
check_event(struct decider *d, const struct letter *letter,
    enum action *action, char why[DECIDE_WHY])
{
	char words[DECIDE_WHY];
	struct fault f;

	buf_reset(&d->text, EVENT_MAX);
	letter_event(letter, &d->text);
	if (!d->text.bad && event_parse(&d->event, buf_data(&d->text),
	    d->text.len, &f) == 0)
		return;
	snprintf(words, sizeof(words), "not an event: %s", d->text.bad ?
	    "too large" : f.text);
	hold(action, why, words);
}

/* What the ledger says of one that it has. */
static int
remembered(struct decider *d, struct decision *out, struct fault *f)
{
	uint32_t t = 0;
	int has;

	buf_reset(&d->line, EVENT_MAX);
	if ((has = ledger_line(d->ledger, out->key, &d->line, f)) == -1)
		return -1;
	if (has == 1 && json_scan(&d->json, buf_data(&d->line), d->line.len,
	    NULL) == 0)
		t = json_member(&d->json, 0, "time", 4);
	out->action = ACTION_SKIP;
	out->replayed = true;
	if (t != 0 && d->json.tok[t].type == JSON_STRING)
		snprintf(out->why, sizeof(out->why), "was replayed %.*s: the "
		    "ledger has it",
		    (int)(d->json.tok[t].end - d->json.tok[t].start - 2),
		    d->json.text + d->json.tok[t].start + 1);
	else
		snprintf(out->why, sizeof(out->why), "was replayed: the ledger "
		    "has it");
	return 0;
}

int
decide(struct decider *d, const struct letter *letter,
    const struct letter_place *place, const struct wish *wish,
    struct decision *out, struct fault *f)
{
	look(d, place->path);
	out->replayed = out->stuck = out->nowhere = false;
	out->to_topic = wish != NULL ? wish->to_topic : d->opt->to != NULL &&
	    strcmp(d->opt->to, "topic") == 0;
	out->topic = d->topic != NULL ? d->topic : d->blob_topic;
	out->subscription = d->subscription != NULL ? d->subscription :
	    d->blob_subscription;
	letter_key(letter, place->path->topic, place->path->subscription,
	    place->blob, out->key);
	if (!d->opt->again && (wish == NULL || wish->action != ACTION_HOLD) &&
	    ledger_has(d->ledger, out->key))
		return remembered(d, out, f);
	if (wish != NULL) {
		out->action = wish->action;
		snprintf(out->why, sizeof(out->why), "the plan says so");
	} else {
		out->action = wanted(d, letter, out->why);
	}
	out->stuck = out->action == ACTION_REHYDRATE;
	if (out->stuck)
		check_target(d, out);
	out->nowhere = out->stuck && out->action == ACTION_HOLD &&
	    d->blob_topic[0] != '\0';
	if (out->action == ACTION_REHYDRATE)
		check_event(d, letter, &out->action, out->why);
	out->stuck = out->stuck && out->action == ACTION_HOLD;
	return 0;
}

enum action
decide_alone(struct decider *d, const struct letter *letter,
    char why[DECIDE_WHY])
{
	enum action action = wanted(d, letter, why);

	if (action == ACTION_REHYDRATE)
		check_event(d, letter, &action, why);
	return action;
}

void
decide_free(struct decider *d)
{
	event_free(&d->event);
	json_free(&d->json);
	buf_free(&d->text);
	buf_free(&d->line);
}
