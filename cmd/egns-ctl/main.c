/* egns-ctl: the resources of a namespace, its daemons, its state. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "buf.h"
#include "ctl.h"
#include "device.h"
#include "distance.h"
#include "quote.h"
#include "request.h"

#define VERSION "1.0"
#define WORDS_MAX 256

static int verb_version(struct ctl *, const struct verb *, int, char *[]);

#define NAMED " -n NAME"
#define SUB " --topic-name TOPIC -n NAME"
#define CHANGES " [--PROPERTY VALUE]..."
#define UPDATES CHANGES " [--set PATH=VALUE] [--add PATH VALUE] [--remove PATH]"

#define SIX(noun, named, in) \
	{ noun " create", noun " create" named CHANGES, verb_create, NULL }, \
	{ noun " show", noun " show" named, verb_show, NULL }, \
	{ noun " list", noun " list" in " [--filter TEXT] [--top N]", \
	    verb_list, NULL }, \
	{ noun " update", noun " update" named UPDATES, verb_update, NULL }, \
	{ noun " delete", noun " delete" named " --yes", verb_delete, NULL }, \
	{ noun " wait", noun " wait" named \
	    " --created|--updated|--deleted|--exists|--custom QUERY", \
	    verb_wait, NULL }

#define KEYS(noun, named) \
	{ noun " list-key", noun " list-key" named, verb_list_key, NULL }, \
	{ noun " regenerate-key", noun " regenerate-key" named \
	    " --key-name key1|key2", verb_regenerate_key, NULL }

#define ROLES(noun) \
	{ noun " create", noun " create " \
	    "--assignee user:NAME|uid:N|group:NAME --role ROLE --scope SCOPE", \
	    verb_create, NULL }, \
	{ noun " list", noun " list [--assignee WHO] [--role ROLE] " \
	    "[--scope SCOPE]", verb_list, NULL }, \
	{ noun " show", noun " show -n NAME", verb_show, NULL }, \
	{ noun " delete", noun " delete -n NAME --yes", verb_delete, NULL }

/* The grammar. */
static const struct verb verbs[] = {
	SIX("namespace", " [-n NAME]", ""),
	KEYS("namespace", ""),
	SIX("namespace topic", NAMED, ""),
	KEYS("namespace topic", NAMED),
	SIX("namespace topic event-subscription", SUB, " --topic-name TOPIC"),
	{ "namespace topic event-subscription status",
	    "namespace topic event-subscription status --topic-name TOPIC "
	    "[-n NAME]", verb_subscription_status, NULL },
	{ "namespace topic event-subscription hold",
	    "namespace topic event-subscription hold" SUB " [--reason TEXT]",
	    verb_hold, NULL },
	{ "namespace topic event-subscription unhold",
	    "namespace topic event-subscription unhold" SUB, verb_unhold,
	    NULL },
	{ "namespace topic event-subscription get-full-url",
	    "namespace topic event-subscription get-full-url" SUB,
	    verb_get_full_url, NULL },
	{ "namespace topic event-subscription get-delivery-attributes",
	    "namespace topic event-subscription get-delivery-attributes" SUB,
	    verb_get_attributes, NULL },
	SIX("namespace client", NAMED, ""),
	SIX("namespace client-group", NAMED, ""),
	SIX("namespace topic-space", NAMED, ""),
	SIX("namespace permission-binding", NAMED, ""),
	SIX("namespace ca-certificate", NAMED, ""),
	ROLES("role assignment"),
	ROLES("namespace role-assignment"),
	{ "export", "export", verb_export,
	    "print all resources, one a line, access keys included\n" },
	{ "apply", "apply [--dry-run] [--prune] FILE|-", verb_apply,
	    "make resources as the lines of a file say, all or none\n\n"
	    "  --dry-run  print what would change; status 1 when it would\n"
	    "  --prune  delete what the file lacks\n" },
	{ "publish", "publish -t TOPIC [-s SUBSCRIPTION] [--batch N] "
	    "[--producer NAME --sequence N] [--wrap --type TYPE "
	    "--source SOURCE [--subject EXPR] [--id EXPR] "
	    "[--data-content-type TYPE]] [FILE|-]...", verb_publish,
	    "store CloudEvents: one a line, or a JSON array\n\n"
	    "  --topic-name, -t  TOPIC\n"
	    "  --event-subscription-name, -s  SUBSCRIPTION that alone gets "
	    "them,\n      whatever its filters say\n"
	    "  --batch  events of a batch at most, 1..1000 (1000)\n"
	    "  --producer, --sequence  NAME and number of the first batch: "
	    "what has been\n      stored under them is not stored again\n"
	    "  --wrap  make an event from each line of any JSON\n"
	    "  --type, --source  attributes of these events, required\n"
	    "  --subject, --id  jq expressions over the line\n"
	    "  --data-content-type  TYPE (application/json)\n" },
	{ "mqtt pub", "mqtt pub -t TOPIC -m MESSAGE|-f FILE|-l [-r] "
	    "[--user-property NAME=VALUE]... [--content-type TYPE] "
	    "[--payload-format-indicator 0|1] [--response-topic TOPIC] "
	    "[--correlation-data TEXT] [--message-expiry SECONDS] "
	    DEVICE_USAGE, verb_mqtt_pub,
	    "publish to an MQTT broker, as a device\n\n"
	    "  --topic, -t  TOPIC\n"
	    "  --message, -m  MESSAGE\n"
	    "  --file, -f  FILE that is the message; - is standard input\n"
	    "  --lines, -l  each line of standard input is a message\n"
	    "  --retain, -r  the broker keeps the last message\n"
	    "  --user-property  NAME=VALUE, as often as need be\n"
	    "  --content-type, --payload-format-indicator, --response-topic,\n"
	    "  --correlation-data, --message-expiry  the other properties\n"
	    DEVICE_HELP },
	{ "mqtt sub", "mqtt sub -t FILTER... [-n COUNT] [-w SECONDS] "
	    "[-F json|text] [-r FD] " DEVICE_USAGE, verb_mqtt_sub,
	    "print what an MQTT broker sends, as a device\n\n"
	    "  --topic, -t  FILTER, as often as need be\n"
	    "  --count, -n  messages until it ends\n"
	    "  --wait, -w  SECONDS until it ends; status 75 with messages of "
	    "-n missing\n"
	    "  -F  text, the payload (default), or json, as -o json\n"
	    "  -r  write a newline to FD when all is subscribed\n"
	    DEVICE_HELP },
	{ "cert issue", "cert issue NAME [-o DIR] [--days N] "
	    "[--subject-alternative-name NAME...] [--force]", verb_cert_issue,
	    "make a certificate for a device: NAME.pem, NAME.key, ca.pem\n\n"
	    "  --output, -o  DIR to write them into (.)\n"
	    "  --days  for which it is good (365)\n"
	    "  --subject-alternative-name  DNS:NAME, IP:ADDRESS, URI:..., "
	    "email:...\n"
	    "  --force  replace files that are there\n" },
	{ "cert renew-server", "cert renew-server [--force]",
	    verb_cert_renew_server,
	    "make a new certificate for the server, and use it\n\n"
	    "  --force  a new key, too, and though it was not issued here\n" },
	{ "cert renew-ca", "cert renew-ca [--force]", verb_cert_renew_ca,
	    "make new certificates for the local authority and the server\n\n"
	    "  --force  replace the server's though it was not issued here\n" },
	{ "up", "up [-d | -r FD] [--timeout SECONDS]", verb_up,
	    "start the daemons and keep them running\n\n"
	    "  -d  return when all are ready; they log to run/\n"
	    "  -r  write a newline to FD when all are ready\n"
	    "  --timeout  seconds that a daemon may take to stop (30)\n" },
	{ "down", "down [--timeout SECONDS]", verb_down,
	    "stop the daemons\n\n"
	    "  --timeout  seconds until status 75 (60)\n" },
	{ "status", "status", verb_status,
	    "tell who runs, and what waits for a person\n\n"
	    "Status 69 when a daemon that is needed does not answer.\n" },
	{ "audit", "audit [-t TOPIC]", verb_audit,
	    "compare all counts with the disk\n\n"
	    "  --topic-name, -t  those of this TOPIC\n\n"
	    "Status 1 when they differ; each difference is named.\n" },
	{ "scrub", "scrub [-t TOPIC]", verb_scrub,
	    "verify all checksums\n\n"
	    "  --topic-name, -t  those of this TOPIC\n\n"
	    "Status 1 when one is wrong; its place is printed.\n" },
	{ "explain", "explain --client NAME --connect|--publish TOPIC|"
	    "--subscribe FILTER|--will TOPIC [--add-binding "
	    "GROUP,SPACE,PERMISSION]... [--remove-binding NAME]... "
	    "[--add-attribute KEY=VALUE]...", verb_explain,
	    "tell whether a client may do something, and why\n\n"
	    "  --client  NAME of the client, or its authentication name\n"
	    "  --connect, --publish, --subscribe, --will  what it wants to "
	    "do\n"
	    "  --add-binding, --remove-binding, --add-attribute  what if; "
	    "nothing is\n      changed\n\n"
	    "Status 1 when it is denied.\n" },
	{ "version", "version", verb_version, "print the version\n" },
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static const char global_help[] =
    "\nEverywhere: -C SPOOL, -g GROUP, -o json|jsonc|table|tsv|none, "
    "--query PATH, --jq EXPR\n";

static int
verb_version(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	(void)argv;
	if (argc > 0)
		return ctl_usage(verb);
	if (strcmp(ctl->output, "none") != 0)
		puts("egns-ctl " VERSION);
	return 0;
}

int
ctl_usage(const struct verb *verb)
{
	fprintf(stderr, "usage: egns-ctl %s\n", verb->usage);
	return EX_USAGE;
}

int
ctl_bad_usage(const struct verb *verb, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "egns-ctl: %s: ", verb->words);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\n", stderr);
	return EX_USAGE;
}

/* ---- suggestions ---- */

static bool
on_resources(const struct verb *verb)
{
	return verb->run == verb_create || verb->run == verb_show ||
	    verb->run == verb_list || verb->run == verb_update ||
	    verb->run == verb_delete || verb->run == verb_wait ||
	    verb->run == verb_list_key || verb->run == verb_regenerate_key ||
	    verb->run == verb_subscription_status ||
	    verb->run == verb_hold || verb->run == verb_unhold ||
	    verb->run == verb_get_full_url || verb->run == verb_get_attributes;
}

/* The flag in a help text that is most like this one; "" for none. */
static void
nearest(char best[64], const char *help, const char *flag)
{
	size_t least = strlen(flag) / 3 + 1, d, len;
	char word[64];

	best[0] = '\0';
	while ((help = strstr(help, "--")) != NULL) {
		len = strcspn(help, ", \n[|=");
		snprintf(word, sizeof(word), "%.*s", (int)len, help);
		help += len;
		if ((d = distance(flag, word)) <= least) {
			least = d;
			strcpy(best, word);
		}
	}
}

int
ctl_unknown_flag(const struct verb *verb, const char *flag)
{
	struct buf help = { 0 };
	char best[64], q[QUOTE_MAX];

	buf_str(&help, verb->usage);
	buf_str(&help, "\n");
	if (on_resources(verb))
		request_help(&help, verb);
	buf_add(&help, "", 1);
	nearest(best, help.bad ? "" : buf_data(&help), flag);
	buf_free(&help);
	quote(q, flag, strlen(flag));
	if (best[0] != '\0')
		return ctl_bad_usage(verb, "unknown flag %s; is %s meant?", q,
		    best);
	return ctl_bad_usage(verb, "unknown flag %s; -h tells which there are",
	    q);
}

/* ---- help ---- */

static bool
begins_with(const char *words, const char *prefix)
{
	size_t len = strlen(prefix);

	return len == 0 || (strncmp(words, prefix, len) == 0 &&
	    (words[len] == ' ' || words[len] == '\0'));
}

/* 0: the verb stands alone. */
static size_t
noun_len(const struct verb *verb)
{
	const char *space = strrchr(verb->words, ' ');

	return space == NULL ? 0 : (size_t)(space - verb->words);
}

static bool
same_noun(const struct verb *a, const struct verb *b)
{
	return noun_len(a) == noun_len(b) &&
	    memcmp(a->words, b->words, noun_len(a)) == 0;
}

/* A noun and its verbs: the usage of each, or all on one line. */
static const struct verb *
list_noun(FILE *out, const struct verb *v, bool usage)
{
	const struct verb *first = v;

	if (!usage)
		fprintf(out, "  egns-ctl %.*s", (int)noun_len(v), v->words);
	for (; v < verbs + VERBS && same_noun(first, v); v++)
		if (usage)
			fprintf(out, "  egns-ctl %s\n", v->usage);
		else
			fprintf(out, "%c%s", v == first ? ' ' : '|',
			    strrchr(v->words, ' ') + 1);
	if (!usage)
		fputc('\n', out);
	return v;
}

/* What there is below some words; false: nothing. */
static bool
list_verbs(FILE *out, const char *prefix)
{
	const struct verb *v = verbs;
	bool any = false;

	while (v < verbs + VERBS) {
		if (!begins_with(v->words, prefix)) {
			v++;
			continue;
		}
		if (!any)
			fputs(*prefix == '\0' ?
			    "usage: egns-ctl NOUN VERB [FLAG]... (-h tells "
			    "more of each)\n" : "usage:\n", out);
		any = true;
		if (on_resources(v) || (*prefix == '\0' && noun_len(v) > 0)) {
			v = list_noun(out, v, strlen(prefix) == noun_len(v));
			continue;
		}
		fprintf(out, "  egns-ctl %-*s %.*s\n",
		    noun_len(v) > 0 ? 17 : 8, v->words,
		    (int)strcspn(v->help, "\n"), v->help);
		v++;
	}
	return any;
}

static int
help_verb(const struct verb *verb)
{
	struct buf b = { 0 };

	printf("usage: egns-ctl %s\n\n", verb->usage);
	if (on_resources(verb))
		request_help(&b, verb);
	else
		buf_str(&b, verb->help);
	fwrite(buf_data(&b), 1, b.len, stdout);
	buf_free(&b);
	fputs(global_help, stdout);
	return 0;
}

/* ---- the command line ---- */

struct line {
	struct ctl ctl;
	bool help;
	char *words[WORDS_MAX + 1];
	int n;
};

/* Flags that may stand anywhere. */
static const struct global {
	const char *name, *alias;
	size_t at; /* in struct ctl; 0 with no value: ignored */
	bool value;
} globals[] = {
	{ "-C", "--spool", offsetof(struct ctl, spool), true },
	{ "-o", "--output", offsetof(struct ctl, output), true },
	{ "-g", "--resource-group", offsetof(struct ctl, group), true },
	{ "--query", "--query", offsetof(struct ctl, query), true },
	{ "--jq", "--jq", offsetof(struct ctl, jq), true },
	{ "--subscription", "--subscription",
	    offsetof(struct ctl, subscription), true },
	{ "--only-show-errors", "--only-show-errors", 0, false },
	{ "--verbose", "--verbose", 0, false },
	{ "--debug", "--debug", 0, false },
};
#define GLOBALS (sizeof(globals) / sizeof(globals[0]))

/* The global flag that an argument is; *value when it brings its own. */
static const struct global *
find_global(const char *arg, const char **value)
{
	size_t len = strncmp(arg, "--", 2) == 0 ? strcspn(arg, "=") :
	    strlen(arg);

	*value = arg[len] == '=' ? arg + len + 1 : NULL;
	for (size_t i = 0; i < GLOBALS; i++) {
		const struct global *g = &globals[i];

		if ((strlen(g->name) == len && !memcmp(arg, g->name, len)) ||
		    (strlen(g->alias) == len && !memcmp(arg, g->alias, len)))
			return g;
		/* -ojson, -C/some/where */
		if (g->name[1] != '-' && arg[0] == '-' && arg[1] != '-' &&
		    strncmp(arg, g->name, 2) == 0 && arg[2] != '\0') {
			*value = arg + 2;
			return g;
		}
	}
	return NULL;
}

/* Take the global flags off; the rest are the words. 0, or 64. */
static int
read_line(struct line *l, int argc, char *argv[])
{
	const struct global *g;
	const char *value;
	bool all = false; /* behind "--" everything is the verb's */

	for (int i = 1; i < argc; i++) {
		if (!all && (strcmp(argv[i], "-h") == 0 ||
		    strcmp(argv[i], "--help") == 0)) {
			l->help = true;
			continue;
		}
		all |= strcmp(argv[i], "--") == 0;
		g = all ? NULL : find_global(argv[i], &value);
		if (g == NULL) {
			if (l->n == WORDS_MAX) {
				fputs("egns-ctl: too many words\n", stderr);
				return EX_USAGE;
			}
			l->words[l->n++] = argv[i];
			continue;
		}
		if (!g->value)
			continue;
		if (value == NULL && (value = argv[++i]) == NULL) {
			fprintf(stderr, "egns-ctl: %s needs a value\n",
			    g->name);
			return EX_USAGE;
		}
		*(const char **)((char *)&l->ctl + g->at) = value;
	}
	return 0;
}

/* The first n words as one text; false: too long to be a verb's. */
static bool
join(const struct line *l, int n, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (int i = 0; i < n; i++) {
		len += (size_t)snprintf(text + len, size - len, "%s%s",
		    i == 0 ? "" : " ", l->words[i]);
		if (len >= size)
			return false;
	}
	return true;
}

/* Words in front of the first flag. */
static int
leading(const struct line *l)
{
	int n = 0;

	while (n < l->n && n < 6 && l->words[n][0] != '-')
		n++;
	return n;
}

/* The verb with the longest match; *n words belong to it. */
static const struct verb *
find_verb(const struct line *l, int *n)
{
	char text[128];

	for (*n = leading(l); *n > 0; (*n)--) {
		if (!join(l, *n, text, sizeof(text)))
			continue;
		for (size_t i = 0; i < VERBS; i++)
			if (strcmp(verbs[i].words, text) == 0)
				return &verbs[i];
	}
	return NULL;
}

/* The words without those in front, as "topic create". */
static bool
ends_with(const char *words, const char *text)
{
	size_t n = strlen(words), len = strlen(text);

	return len < n && words[n - len - 1] == ' ' &&
	    strchr(text, ' ') != NULL && strcmp(words + n - len, text) == 0;
}

/* No verb: help for what the words begin, or say what was meant. */
static int
no_verb(const struct line *l)
{
	char text[128], q[QUOTE_MAX];
	const char *best = NULL;
	size_t least, d;

	if (l->n > 0 && leading(l) == 0 && !l->help) {
		quote(q, l->words[0], strlen(l->words[0]));
		fprintf(stderr, "egns-ctl: '%s': a command comes first; egns-ctl "
		    "-h lists them\n", q);
		return EX_USAGE;
	}
	if (!join(l, leading(l), text, sizeof(text)))
		text[sizeof(text) - 1] = '\0';
	if (list_verbs(l->help ? stdout : stderr, text)) {
		fputs(global_help, l->help ? stdout : stderr);
		return l->help ? 0 : EX_USAGE;
	}
	least = strlen(text) / 3 + 1;
	for (size_t i = 0; i < VERBS; i++)
		if ((d = ends_with(verbs[i].words, text) ? 0 :
		    distance(text, verbs[i].words)) <= least) {
			least = d;
			best = verbs[i].words;
		}
	quote(q, text, strlen(text));
	if (best != NULL)
		fprintf(stderr, "egns-ctl: '%s': no such command; is '%s' "
		    "meant?\n", q, best);
	else
		fprintf(stderr, "egns-ctl: '%s': no such command; egns-ctl -h "
		    "lists them\n", q);
	return EX_USAGE;
}

static bool
known_output(const char *name)
{
	static const char *const names[] = {
		"json", "jsonc", "table", "tsv", "none"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

int
main(int argc, char *argv[])
{
	static struct line line;
	const struct verb *verb;
	int n, rc;

	if ((rc = read_line(&line, argc, argv)) != 0)
		return rc;
	line.ctl.output_given = line.ctl.output != NULL;
	if (!line.ctl.output_given)
		line.ctl.output = "json";
	if ((verb = find_verb(&line, &n)) == NULL)
		return no_verb(&line);
	if (verb->run != verb_cert_issue && !known_output(line.ctl.output)) {
		fputs("egns-ctl: -o: json, jsonc, table, tsv or none\n",
		    stderr);
		return EX_USAGE;
	}
	if (line.help)
		return help_verb(verb);
	return verb->run(&line.ctl, verb, line.n - n, line.words + n);
}
