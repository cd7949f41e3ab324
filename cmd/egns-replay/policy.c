#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "array.h"
#include "deadletter.h"
#include "line.h"
#include "policy.h"
#include "quote.h"
#include "selection.h"

#define POLICY_LINE 4096  /* bytes of a line */
#define POLICY_RULES 1000 /* lines that name a reason */
#define BLANK " \t\r"

static const char *const actions[] = {
	[POLICY_REHYDRATE] = "rehydrate",
	[POLICY_HOLD] = "hold",
	[POLICY_QUARANTINE] = "quarantine",
};
#define ACTIONS (sizeof(actions) / sizeof(actions[0]))

static const enum policy_action builtin[] = {
	[DL_UNAUTHORIZED] = POLICY_REHYDRATE,
	[DL_TIME_TO_LIVE] = POLICY_REHYDRATE,
	[DL_MAX_DELIVERY_COUNT] = POLICY_HOLD,
	[DL_ENDPOINT_NOT_FOUND] = POLICY_HOLD,
	[DL_REJECTED] = POLICY_HOLD,
	[DL_CORRUPT] = POLICY_HOLD,
	[DL_PAYLOAD_TOO_LARGE] = POLICY_QUARANTINE,
	[DL_SCHEMA_REJECTED] = POLICY_QUARANTINE,
};

struct rule {
	char *name; /* of the reason, as it stands in the file */
	int reason; /* enum dl_reason; -1: none of ours */
	enum policy_action action;
	unsigned line;
};

struct policy {
	struct rule *rules;
	size_t nrules;
	struct rule any; /* "*", when its line is not 0; without name */
};

const char *
policy_name(enum policy_action action)
{
	return actions[action];
}

struct policy *
policy_builtin(void)
{
	return calloc(1, sizeof(struct policy));
}

/* ---- a file ---- */

/* Cut the reason of a line off: behind it, or NULL when it has no end. */
static char *
take_reason(char *at, char **name)
{
	char *end;
	bool more;

	if (*at == '"') {
		*name = at + 1;
		end = strchr(*name, '"');
		more = end != NULL;
	} else {
		*name = at;
		end = at + strcspn(at, BLANK "#");
		more = *end != '\0' && *end != '#';
	}
	if (end == NULL)
		return NULL;
	*end = '\0';
	return end + more;
}

/* The one action that the rest of a line names. */
static int
take_action(const char *at, enum policy_action *action)
{
	size_t n;

	at += strspn(at, BLANK);
	n = strcspn(at, BLANK "#");
	for (unsigned i = 0; i < ACTIONS; i++) {
		if (strlen(actions[i]) != n || strncasecmp(at, actions[i], n) != 0)
			continue;
		*action = (enum policy_action)i;
		at += n;
		at += strspn(at, BLANK);
		return *at == '\0' || *at == '#' ? 0 : -1;
	}
	return -1;
}

/* The line that says it already. */
static const struct rule *
find_same(const struct policy *p, const char *name, bool any)
{
	if (any)
		return p->any.line != 0 ? &p->any : NULL;
	for (size_t i = 0; i < p->nrules; i++) {
		if (strcasecmp(p->rules[i].name, name) == 0)
			return &p->rules[i];
	}
	return NULL;
}

static int
add_rule(struct policy *p, const struct rule *rule, const char *name,
    struct fault *f)
{
	struct rule *rules;

	if (p->nrules == POLICY_RULES)
		return fault_set(f, FAULT_BAD_REQUEST, "more than %d reasons",
		    POLICY_RULES);
	rules = array_room(p->rules, p->nrules, sizeof(*rules));
	if (rules == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	p->rules = rules;
	rules[p->nrules] = *rule;
	if ((rules[p->nrules].name = strdup(name)) == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	p->nrules++;
	return 0;
}

static int
add_line(struct policy *p, char *text, unsigned number, struct fault *f)
{
	struct rule rule = { .line = number };
	const struct rule *same;
	const char *meant = NULL;
	char *at = text + strspn(text, BLANK), *name, q[QUOTE_MAX];
	bool any = *at == '*', quoted = *at == '"';

	if (*at == '\0' || *at == '#')
		return 0;
	if ((at = take_reason(at, &name)) == NULL)
		return fault_set(f, FAULT_BAD_REQUEST, "the quotes do not end");
	any = any && name[1] == '\0';
	rule.reason = letter_reason(name, strlen(name), "", 0);
	if (take_action(at, &rule.action) == -1)
		return fault_set(f, FAULT_BAD_REQUEST, "REASON and one of "
		    "rehydrate, hold, quarantine; reasons with blanks in "
		    "\"quotes\"");
	if (rule.reason == -1 && !quoted)
		meant = selection_nearest(name);
	if (meant != NULL)
		return fault_set(f, FAULT_BAD_REQUEST, "there is no reason '%s'; "
		    "did you mean '%s'? One of others stands in \"quotes\"",
		    quote(q, name, strlen(name)), meant);
	if ((same = find_same(p, name, any)) != NULL)
		return fault_set(f, FAULT_BAD_REQUEST, "'%s' stands in line %u "
		    "already", quote(q, name, strlen(name)), same->line);
	if (!any)
		return add_rule(p, &rule, name, f);
	p->any = rule;
	return 0;
}

static int
read_lines(struct policy *p, struct line_reader *in, struct fault *f)
{
	char text[POLICY_LINE + 1];
	const char *line;
	size_t len;
	int n;

	while ((n = line_next(in, &line, &len)) == 1) {
		if (memchr(line, '\0', len) != NULL)
			return fault_set(f, FAULT_BAD_REQUEST, "a NUL");
		memcpy(text, line, len);
		text[len] = '\0';
		if (add_line(p, text, (unsigned)in->number, f) == -1)
			return -1;
	}
	if (n == -1)
		return fault_errno(f, FAULT_BAD_REQUEST, "cannot be read");
	return 0;
}

struct policy *
policy_read(const char *file, struct fault *f)
{
	struct line_reader in = { .fd = STDIN_FILENO, .max = POLICY_LINE };
	struct policy *p = policy_builtin();
	struct fault why;
	char q[QUOTE_MAX];
	int rc;

	if (p == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	quote(q, file, strlen(file));
	if (strcmp(file, "-") != 0)
		in.fd = open(file, O_RDONLY | O_CLOEXEC);
	if (in.fd == -1) {
		fault_errno(f, FAULT_NOT_FOUND, "%s", q);
		policy_free(p);
		return NULL;
	}
	if ((rc = read_lines(p, &in, &why)) == -1)
		fault_set(f, why.code, "%s: line %llu: %s", q,
		    (unsigned long long)in.number, why.text);
	line_free(&in);
	if (in.fd != STDIN_FILENO)
		close(in.fd);
	if (rc == 0)
		return p;
	policy_free(p);
	return NULL;
}

void
policy_free(struct policy *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->nrules; i++)
		free(p->rules[i].name);
	free(p->rules);
	free(p);
}

/* ---- an answer ---- */

/* The line with the very words, else one that means the same. */
static const struct rule *
named(const struct policy *p, const struct letter *letter)
{
	const struct rule *same = NULL;

	for (size_t i = 0; i < p->nrules; i++) {
		if (strcasecmp(p->rules[i].name, letter->reason_text) == 0)
			return &p->rules[i];
		if (same == NULL && letter->reason != -1 &&
		    p->rules[i].reason == letter->reason)
			same = &p->rules[i];
	}
	return same;
}

enum policy_action
policy_of(const struct policy *p, const struct letter *letter, unsigned *line)
{
	const struct rule *rule = named(p, letter);
	bool risky = letter->reason == -1 ||
	    letter->reason == DL_SCHEMA_REJECTED;

	/* What would only fail again goes back by its name alone. */
	if (rule == NULL && p->any.line != 0 &&
	    !(risky && p->any.action == POLICY_REHYDRATE))
		rule = &p->any;
	*line = rule != NULL ? rule->line : 0;
	if (rule != NULL)
		return rule->action;
	return letter->reason != -1 ? builtin[letter->reason] : POLICY_HOLD;
}
