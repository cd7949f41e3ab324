#include "request.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "num.h"
#include "quote.h"
#include "shorthand.h"

enum verb_bit {
	CREATE = 1, SHOW = 2, LIST = 4, UPDATE = 8, DELETE = 16, WAIT = 32,
	LIST_KEY = 64, REGENERATE_KEY = 128, STATUS = 256, GET = 512,
	HOLD = 1024, UNHOLD = 2048,
	ONE = CREATE | SHOW | UPDATE | DELETE | WAIT | LIST_KEY |
	    REGENERATE_KEY | GET,
	NAMED = ONE | STATUS | HOLD | UNHOLD,
	ANY = NAMED | LIST,
};

static const struct {
	const char *name;
	enum verb_bit bit;
} verbs[] = {
	{ "create", CREATE }, { "show", SHOW }, { "list", LIST },
	{ "update", UPDATE }, { "delete", DELETE }, { "wait", WAIT },
	{ "list-key", LIST_KEY }, { "regenerate-key", REGENERATE_KEY },
	{ "status", STATUS }, { "get-full-url", GET },
	{ "get-delivery-attributes", GET }, { "hold", HOLD },
	{ "unhold", UNHOLD },
};

enum flag_type { TEXT, NUMBER, SWITCH, IDS, CHANGE, IGNORED };

/* Flags that are no properties. `at` is where in struct request they go. */
static const struct flag {
	const char *name;
	char letter;
	unsigned verbs;
	enum flag_type type;
	size_t at;
	int64_t min, max;
	enum request_how how;
	const char *help;
} flags[] = {
#define AT(member) offsetof(struct request, member)
	{ "name", 'n', NAMED, TEXT, AT(name), .help = "NAME" },
	{ "topic-name", 0, ANY, TEXT, AT(topic),
	    .help = "TOPIC of an event subscription" },
	{ "namespace-name", 0, ANY, TEXT, AT(namespace),
	    .help = "NAME; may be left out: a spool has one" },
	{ "ids", 0, ONE & ~(unsigned)CREATE, IDS, AT(ids),
	    .help = "resource ids in place of names" },
	{ "yes", 'y', DELETE, SWITCH, AT(yes), .help = "really delete" },
	{ "filter", 0, LIST, TEXT, AT(filter),
	    .help = "contains(name, 'a'), name eq 'a', and, or, not" },
	{ "top", 0, LIST, NUMBER, AT(top), 1, 1000000000,
	    .help = "how many at most" },
	{ "no-dead-letter", 0, CREATE | UPDATE, SWITCH, AT(no_dead_letter),
	    .help = "drop what cannot be delivered, with a record" },
	{ "set", 0, UPDATE, CHANGE, 0, .how = REQUEST_SET,
	    .help = "PATH=VALUE" },
	{ "add", 0, UPDATE, CHANGE, 0, .how = REQUEST_ADD,
	    .help = "PATH VALUE, to a list" },
	{ "remove", 0, UPDATE, CHANGE, 0, .how = REQUEST_REMOVE,
	    .help = "PATH [INDEX]" },
	{ "force-string", 0, UPDATE, SWITCH, AT(force_string),
	    .help = "untyped values stay strings" },
	{ "key-name", 0, REGENERATE_KEY, TEXT, AT(key_name),
	    .help = "key1 or key2" },
	{ "reason", 0, HOLD, TEXT, AT(reason), .help = "TEXT for others" },
	{ "created", 0, WAIT, SWITCH, AT(created),
	    .help = "until it is there" },
	{ "updated", 0, WAIT, SWITCH, AT(updated),
	    .help = "until it is there" },
	{ "deleted", 0, WAIT, SWITCH, AT(deleted),
	    .help = "until it is not there" },
	{ "exists", 0, WAIT, SWITCH, AT(exists), .help = "until it is there" },
	{ "custom", 0, WAIT, TEXT, AT(custom),
	    .help = "until this JMESPath expression is true" },
	{ "interval", 0, WAIT, NUMBER, AT(interval), 1, 86400,
	    .help = "seconds between looks (1)" },
	{ "timeout", 0, WAIT, NUMBER, AT(timeout), 1, 86400 * 365,
	    .help = "seconds (3600)" },
	{ "no-wait", 0, CREATE | UPDATE | DELETE, IGNORED, 0,
	    .help = "taken and ignored: nothing has to be waited for" },
};
#define FLAGS (sizeof(flags) / sizeof(flags[0]))

/* Other names of properties on the command line. */
static const struct {
	enum schema_kind kind;
	const char *flag, *property;
} aliases[] = {
	{ SCHEMA_CLIENT_GROUP, "group-query", "query" },
	{ SCHEMA_ROLE_ASSIGNMENT, "assignee", "principalName" },
	{ SCHEMA_ROLE_ASSIGNMENT, "assignee-object-id", "principalName" },
	{ SCHEMA_ROLE_ASSIGNMENT, "role", "roleDefinitionName" },
};
#define ALIASES (sizeof(aliases) / sizeof(aliases[0]))

/* The noun of a verb's words, and what its last word is. */
static const struct schema_noun *
noun_of(const struct verb *verb, const char **last)
{
	const char *end = strrchr(verb->words, ' ');
	size_t len = (size_t)(end - verb->words);

	*last = end + 1;
	for (int i = 0; i < SCHEMA_KINDS; i++)
		if (strlen(schema_nouns[i].words) == len &&
		    memcmp(schema_nouns[i].words, verb->words, len) == 0)
			return &schema_nouns[i];
	return &schema_nouns[SCHEMA_ROLE_ASSIGNMENT]; /* by its other name */
}

static unsigned
verb_bit(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return verbs[i].bit;
	abort();
}

static bool
applies(const struct flag *f, enum schema_kind kind, unsigned bit)
{
	if ((f->verbs & bit) == 0)
		return false;
	if (f->at == AT(topic) || f->at == AT(no_dead_letter))
		return kind == SCHEMA_SUBSCRIPTION;
	return true;
}

static bool
is_flag(const char *arg)
{
	return arg[0] == '-' && (isalpha((unsigned char)arg[1]) ||
	    (arg[1] == '-' && arg[2] != '\0'));
}

/* "topic-name" is --name of the noun "namespace topic", and so on. */
static bool
names_noun(const struct schema_noun *noun, const char *name, size_t len)
{
	const char *word = strrchr(noun->words, ' ');
	size_t n;

	word = word == NULL ? noun->words : word + 1;
	n = strlen(word);
	return len == n + 5 && memcmp(name, word, n) == 0 &&
	    memcmp(name + n, "-name", 5) == 0;
}

static const struct flag *
find_flag(const struct request *r, unsigned bit, const char *arg, size_t len)
{
	const char *name = arg + 2;

	if (arg[1] == '-' && bit & NAMED && names_noun(r->noun, name, len - 2))
		return &flags[0];
	for (size_t i = 0; i < FLAGS; i++) {
		const struct flag *f = &flags[i];

		if (!applies(f, r->noun->kind, bit))
			continue;
		if (arg[1] != '-' ? len == 2 && f->letter == arg[1] :
		    strlen(f->name) == len - 2 &&
		    memcmp(f->name, name, len - 2) == 0)
			return f;
	}
	return NULL;
}

static const struct schema *
find_property(const struct request *r, const char *arg, size_t len)
{
	const struct schema *s;

	if (len == 2 && arg[1] == 'l')
		return schema_member(&r->noun->self, "location", 8);
	if (arg[1] != '-')
		return NULL;
	for (size_t i = 0; i < ALIASES; i++)
		if (aliases[i].kind == r->noun->kind &&
		    strlen(aliases[i].flag) == len - 2 &&
		    memcmp(aliases[i].flag, arg + 2, len - 2) == 0)
			return schema_member(&r->noun->self,
			    aliases[i].property, strlen(aliases[i].property));
	s = schema_member(&r->noun->self, arg + 2, len - 2);
	return s != NULL && s->flags & SCHEMA_READONLY ? NULL : s;
}

static int
add_change(struct request *r, enum request_how how,
    const struct schema *property, const char *path, const char *value)
{
	if (r->nchanges == REQUEST_CHANGES)
		return ctl_bad_usage(r->verb, "more than %d changes",
		    REQUEST_CHANGES);
	r->changes[r->nchanges++] = (struct request_change){
		how, property, path, value
	};
	return 0;
}

/* The words of a command line that are still to be read. */
struct words {
	char **argv;
	int argc, i;
	const char *attached; /* behind "=", or NULL */
};

static const char *
next_word(struct words *w)
{
	const char *word = w->attached;

	w->attached = NULL;
	if (word != NULL)
		return word;
	return w->i < w->argc ? w->argv[w->i++] : NULL;
}

static bool
more_words(const struct words *w)
{
	return w->attached != NULL ||
	    (w->i < w->argc && !is_flag(w->argv[w->i]));
}

static int
take_property(struct request *r, const struct schema *s, const char *flag,
    struct words *w)
{
	bool many = s->type == SCHEMA_ARRAY || s->type == SCHEMA_OBJECT ||
	    s->type == SCHEMA_MAP;
	const char *word = next_word(w);
	int rc;

	if (word == NULL)
		return ctl_bad_usage(r->verb, "%s needs a value", flag);
	rc = add_change(r, REQUEST_PROPERTY, s, NULL, word);
	while (rc == 0 && many && more_words(w))
		rc = add_change(r, REQUEST_PROPERTY, s, NULL, next_word(w));
	return rc;
}

/* --set a=b c=d, --add a b c, --remove a [0] */
static int
take_change(struct request *r, const struct flag *f, struct words *w)
{
	const char *path = next_word(w);
	int rc = 0;

	if (path == NULL || (f->how == REQUEST_ADD && !more_words(w)))
		return ctl_bad_usage(r->verb, "--%s needs %s", f->name,
		    f->help);
	if (f->how == REQUEST_ADD)
		while (rc == 0 && more_words(w))
			rc = add_change(r, REQUEST_ADD, NULL, path,
			    next_word(w));
	else if (f->how == REQUEST_REMOVE)
		rc = add_change(r, REQUEST_REMOVE, NULL, path,
		    more_words(w) ? next_word(w) : NULL);
	else {
		rc = add_change(r, REQUEST_SET, NULL, path, NULL);
		while (rc == 0 && more_words(w))
			rc = add_change(r, REQUEST_SET, NULL, next_word(w),
			    NULL);
	}
	return rc;
}

static int
take_ids(struct request *r, struct words *w)
{
	r->ids = w->argv + w->i;
	while (w->i < w->argc && !is_flag(w->argv[w->i])) {
		w->i++;
		r->nids++;
	}
	return r->nids > 0 ? 0 : ctl_bad_usage(r->verb, "--ids needs ids");
}

static int
take_flag(struct request *r, const struct flag *f, struct words *w)
{
	void *at = (char *)r + f->at;
	struct fault fault;
	const char *word;

	switch (f->type) {
	case SWITCH:
		*(bool *)at = true;
		return 0;
	case IGNORED:
		return 0;
	case CHANGE:
		return take_change(r, f, w);
	case IDS:
		return take_ids(r, w);
	case TEXT:
	case NUMBER:
		break;
	}
	if ((word = next_word(w)) == NULL)
		return ctl_bad_usage(r->verb, "--%s needs a value", f->name);
	if (f->type == TEXT)
		*(const char **)at = word;
	else if (num_parse(f->name, word, f->min, f->max, at, &fault) == -1)
		return ctl_bad_usage(r->verb, "--%s", fault.text);
	return 0;
}

/* What only says what kind of principal an id is; we can tell by itself. */
static bool
is_moot(const struct request *r, const char *arg)
{
	return r->noun->kind == SCHEMA_ROLE_ASSIGNMENT &&
	    strcmp(arg, "--assignee-principal-type") == 0;
}

static int
take_word(struct request *r, unsigned bit, struct words *w)
{
	const char *arg = w->argv[w->i++], *equals = strchr(arg, '=');
	const struct schema *s;
	const struct flag *f;
	char name[80];
	size_t len;

	if (!is_flag(arg))
		return ctl_bad_usage(r->verb, "unexpected word '%.80s'%s", arg,
		    r->name == NULL && bit & ONE ? "; -n gives the name" : "");
	len = equals == NULL ? strlen(arg) : (size_t)(equals - arg);
	snprintf(name, sizeof(name), "%.*s", (int)len, arg);
	w->attached = equals == NULL ? NULL : equals + 1;
	if ((f = find_flag(r, bit, arg, len)) != NULL) {
		if (w->attached != NULL && (f->type == SWITCH ||
		    f->type == IGNORED || f->type == IDS))
			return ctl_bad_usage(r->verb, "%s takes no value",
			    name);
		return take_flag(r, f, w);
	}
	if (bit & (CREATE | UPDATE) &&
	    (s = find_property(r, arg, len)) != NULL)
		return take_property(r, s, name, w);
	if (is_moot(r, name)) {
		next_word(w);
		return 0;
	}
	if (r->noun->kind == SCHEMA_ROLE_ASSIGNMENT && arg[1] == '-' &&
	    (bit & (LIST | DELETE)) != 0 &&
	    (s = find_property(r, arg, len)) != NULL)
		return take_property(r, s, name, w);
	return ctl_unknown_flag(r->verb, name);
}

int
request_parse(struct request *r, struct ctl *ctl, const struct verb *verb,
    int argc, char *argv[])
{
	struct words w = { .argv = argv, .argc = argc };
	const char *last;
	unsigned bit;
	int rc = 0;

	memset(r, 0, sizeof(*r));
	r->ctl = ctl;
	r->verb = verb;
	r->noun = noun_of(verb, &last);
	r->interval = 1;
	r->timeout = 3600;
	bit = verb_bit(last);
	/* on these two, --query is the group's, as people write it */
	if (r->noun->kind == SCHEMA_CLIENT_GROUP &&
	    bit & (CREATE | UPDATE) && ctl->query != NULL) {
		rc = add_change(r, REQUEST_PROPERTY, schema_member(
		    &r->noun->self, "query", 5), NULL, ctl->query);
		ctl->query = NULL;
	}
	while (rc == 0 && w.i < w.argc)
		rc = take_word(r, bit, &w);
	return rc;
}

/* ---- making the changes ---- */

static jv
apply_one(const struct request *r, struct shorthand *sh,
    const struct request_change *c, jv v)
{
	char path[512];
	jv old, new;

	switch (c->how) {
	case REQUEST_SET:
		return shorthand_set(sh, &r->noun->self, v, c->path);
	case REQUEST_ADD:
		return shorthand_add(sh, &r->noun->self, v, c->path, c->value);
	case REQUEST_REMOVE:
		snprintf(path, sizeof(path), c->value == NULL ? "%s" : "%s[%s]",
		    c->path, c->value);
		return shorthand_remove(sh, &r->noun->self, v, path);
	case REQUEST_PROPERTY:
		break;
	}
	old = jv_object_get(jv_copy(v), jv_string(c->property->name));
	/* the first word of a list replaces what was there */
	if (c == r->changes || c[-1].property != c->property)
		if (c->property->type == SCHEMA_ARRAY) {
			jv_free(old);
			old = jv_invalid();
		}
	new = shorthand_argument(sh, c->property, old, c->value);
	if (jv_is_valid(new))
		return jv_object_set(v, jv_string(c->property->name), new);
	jv_free(v);
	return new;
}

/* A fault in a flag's value is said with the property's name, or its path. */
static int
say(const struct request_change *c, const struct shorthand *sh)
{
	const char *text = sh->fault->text, *name = c->path;
	struct fault f = { 0 };
	char q[QUOTE_MAX];
	struct buf b = { 0 };
	size_t len;

	if (sh->help != NULL) {
		schema_help(&b, sh->help);
		fwrite(buf_data(&b), 1, b.len, stdout);
		buf_free(&b);
		return 0;
	}
	if (c->how == REQUEST_PROPERTY)
		name = c->property->name;
	len = strcspn(name, "=");
	/* some name it themselves: as it is, or in quotes */
	if (strncmp(text, name, len) == 0 ||
	    (text[0] == '\'' && strncmp(text + 1, name, len) == 0))
		return ctl_fault(sh->fault);
	fault_set(&f, sh->fault->code, "%.200s: %.250s", quote(q, name, len),
	    text);
	return ctl_fault(&f);
}

jv
request_apply(const struct request *r, jv v, int *status)
{
	static const char *const modes[] = { "queue", "push" };
	struct fault f = { 0 };
	struct shorthand sh = { .force_string = r->force_string, .fault = &f };

	for (int i = 0; i < r->nchanges; i++) {
		v = apply_one(r, &sh, &r->changes[i], v);
		if (!jv_is_valid(v)) {
			*status = say(&r->changes[i], &sh);
			return v;
		}
	}
	if (!r->no_dead_letter)
		return v;
	for (int i = 0; i < 2; i++)
		v = jv_delpaths(v, JV_ARRAY(JV_ARRAY(
		    jv_string("deliveryConfiguration"), jv_string(modes[i]),
		    jv_string("deadLetterDestinationWithResourceIdentity"))));
	return jv_object_set(v, jv_string("noDeadLetter"), jv_true());
}

/* ---- help ---- */

static void
kebab(struct buf *b, const char *camel)
{
	for (; *camel != '\0'; camel++) {
		if (isupper((unsigned char)*camel))
			buf_str(b, "-");
		buf_printf(b, "%c", tolower((unsigned char)*camel));
	}
}

void
request_help(struct buf *b, const struct verb *verb)
{
	const char *last;
	const struct schema_noun *noun = noun_of(verb, &last);
	unsigned bit = verb_bit(last);

	buf_printf(b, "%s\n\n", noun->help);
	for (size_t i = 0; i < FLAGS; i++)
		if (applies(&flags[i], noun->kind, bit)) {
			buf_printf(b, "  --%s", flags[i].name);
			if (flags[i].letter != 0)
				buf_printf(b, ", -%c", flags[i].letter);
			buf_printf(b, "  %s\n", flags[i].help);
		}
	for (const struct schema *m = noun->self.of;
	    bit & (CREATE | UPDATE) && m->name != NULL; m++) {
		/* one has a flag of its own, which is there already */
		if (m->flags & SCHEMA_READONLY ||
		    strcmp(m->name, "noDeadLetter") == 0)
			continue;
		buf_str(b, "  --");
		kebab(b, m->name);
		for (size_t i = 0; i < ALIASES; i++)
			if (aliases[i].kind == noun->kind &&
			    strcmp(aliases[i].property, m->name) == 0)
				buf_printf(b, ", --%s", aliases[i].flag);
		buf_str(b, "  ");
		schema_describe(b, m);
	}
	if (bit & (CREATE | UPDATE))
		buf_str(b, "\nValues are shorthand, JSON or @FILE; ?? in place "
		    "of one tells what may stand there.\n");
}
