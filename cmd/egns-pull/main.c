/* egns-pull: receive events from a queue subscription and settle them. */
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "num.h"
#include "pull.h"
#include "quote.h"

/* Options that have only a long name. */
enum { DELAY = 'D', BATCH = 'B', UNTIL_EMPTY = 'U' };

static const struct verb verbs[] = {
	{ "receive", "receive", "Ctsnw", "[-n EVENTS] [-w SECONDS]",
	    verb_receive },
	{ "peek", "peek", "Ctsn", "[-n EVENTS]", verb_receive },
	{ "acknowledge", "acknowledge", "Cts", "TOKEN... | -", verb_settle },
	{ "release", "release", "CtsD", "[--delay SECONDS] TOKEN... | -",
	    verb_settle },
	{ "reject", "reject", "Cts", "TOKEN... | -", verb_settle },
	{ "renew-lock", "renewLock", "Cts", "TOKEN... | -", verb_settle },
	{ "exec", NULL, "CtsDjBUv", "[-j JOBS] [--batch N] [--delay SECONDS] "
	    "[--until-empty] [-v] [--] CMD [ARG...]", verb_exec },
};

#define NVERBS (sizeof(verbs) / sizeof(verbs[0]))

static const struct option names[] = {
	{ "topic-name", required_argument, NULL, 't' },
	{ "event-subscription-name", required_argument, NULL, 's' },
	{ "max-events", required_argument, NULL, 'n' },
	{ "max-wait-time", required_argument, NULL, 'w' },
	{ "delay", required_argument, NULL, DELAY },
	{ "release-delay-in-seconds", required_argument, NULL, DELAY },
	{ "jobs", required_argument, NULL, 'j' },
	{ "batch", required_argument, NULL, BATCH },
	{ "until-empty", no_argument, NULL, UNTIL_EMPTY },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void usage(FILE *, const struct verb *) __attribute__((noreturn));

static void
usage(FILE *to, const struct verb *only)
{
	const char *head = "usage:";
	size_t i;

	for (i = 0; i < NVERBS; i++) {
		if (only != NULL && only != &verbs[i])
			continue;
		fprintf(to, "%s egns-pull %s [-C DIR] -t TOPIC -s SUB %s\n",
		    head, verbs[i].name, verbs[i].usage);
		head = "      ";
	}
	if (only == NULL)
		fprintf(to, "       egns-pull [COMMAND] -h\n");
	exit(to == stdout ? EX_OK : EX_USAGE);
}

/* What must be there, and what must not, behind the options. */
static void
check(const struct options *opt, const struct verb *v, int argc, char *argv[])
{
	const char *why = NULL;
	char q[QUOTE_MAX];

	if (opt->topic == NULL)
		why = "-t TOPIC is missing";
	else if (opt->subscription == NULL)
		why = "-s SUB is missing";
	else if (argc > 0 && v->run == verb_receive)
		errx(EX_USAGE, "%s: unexpected word '%s'", v->name,
		    quote(q, argv[0], strlen(argv[0])));
	else if (argc == 0 && v->run == verb_settle)
		why = "no TOKEN; - takes them from standard input";
	else if (argc == 0 && v->run == verb_exec)
		why = "CMD is missing";
	if (why != NULL)
		errx(EX_USAGE, "%s: %s", v->name, why);
}

int
pull_fault(const struct fault *f)
{
	warnx("%s", f->text);
	return fault_exit(f->code);
}

static void
set(struct options *opt, int ch, const struct verb *v)
{
	switch (ch) {
	case 'C':
		opt->spool = optarg;
		break;
	case 't':
		opt->topic = optarg;
		break;
	case 's':
		opt->subscription = optarg;
		break;
	case 'n':
		opt->events = num_option("-n", optarg, 1, 1000);
		break;
	case 'w':
		opt->wait = num_option("-w", optarg, 0, 3600);
		break;
	case DELAY:
		opt->delay = num_option("--delay", optarg, 0, 7 * 86400);
		break;
	case 'j':
		opt->jobs = num_option("-j", optarg, 1, 1000);
		break;
	case BATCH:
		opt->batch = num_option("--batch", optarg, 1, REQUEST_TOKENS);
		break;
	case UNTIL_EMPTY:
		opt->until_empty = true;
		break;
	case 'v':
		opt->verbose = true;
		break;
	default:
		usage(stderr, v);
	}
}

/* Its name comes first; NULL: there was none. */
static const struct verb *
find(const char *word)
{
	const struct verb *v;
	char q[QUOTE_MAX];

	if (word == NULL)
		usage(stderr, NULL);
	for (v = verbs; v < verbs + NVERBS; v++) {
		if (strcmp(word, v->name) == 0)
			return v;
	}
	if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)
		usage(stdout, NULL);
	quote(q, word, strlen(word));
	if (word[0] == '-')
		warnx("'%s': a command comes first", q);
	else
		warnx("'%s': no such command", q);
	usage(stderr, NULL);
}

static void refuse(int, const struct verb *) __attribute__((noreturn));

/* An option that is none, as getopt has said, or of another verb. */
static void
refuse(int ch, const struct verb *v)
{
	const struct option *o = names;

	while (o->name != NULL && o->val != ch)
		o++;
	if (o->name != NULL)
		warnx("%s takes no --%s", v->name, o->name);
	usage(stderr, v);
}

int
main(int argc, char *argv[])
{
	struct options opt = { .events = 1, .wait = 60, .jobs = 1 };
	const struct verb *v = find(argv[1]);
	bool permute;
	int ch;

	/* Options of CMD are not ours. */
	permute = v->run != verb_exec;
	argv[1] = argv[0];
	argc--, argv++;
	while ((ch = getopt_long(argc, argv, permute ? "C:ht:s:n:w:" :
	    "+C:ht:s:j:v", names, NULL)) != -1) {
		if (ch == 'h')
			usage(stdout, v);
		if (strchr(v->options, ch) == NULL)
			refuse(ch, v);
		set(&opt, ch, v);
	}
	argc -= optind, argv += optind;
	check(&opt, v, argc, argv);
	return v->run(&opt, v, argv);
}
