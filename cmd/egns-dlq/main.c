/* egns-dlq: brings dead letters to their destinations, and shows them */
#include <err.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "dlq.h"
#include "log.h"
#include "num.h"
#include "quote.h"

/* Options that have only a long name. */
enum { BY = 256, DRY_RUN, EVENTS, OLDER_THAN, TIMEOUT };
#define CHECK_TIMEOUT 50 /* seconds: monitoring waits for a minute */
#define GIVEN SELECTION_LAST /* options are below */

static const struct option names[] = {
	SELECTION_OPTIONS,
	{ "quarantine", no_argument, NULL, SELECTION_QUARANTINE },
	{ "by", required_argument, NULL, BY },
	{ "dry-run", no_argument, NULL, DRY_RUN },
	{ "events", no_argument, NULL, EVENTS },
	{ "help", no_argument, NULL, 'h' },
	{ "older-than", required_argument, NULL, OLDER_THAN },
	{ "timeout", required_argument, NULL, TIMEOUT },
	{ "output", required_argument, NULL, 'o' },
	{ NULL, 0, NULL, 0 },
};

/* What a verb takes, but for -C. */
enum takes {
	TAKES_BOOKS = 1,      /* what dropped/ tells, too: topic, subscription,
	                       * reason, times; and a container */
	TAKES_LETTERS = 2,    /* what a letter tells, and the quarantine */
	TAKES_FORMAT = 4,
	TAKES_BY = 8,
	TAKES_EVENTS = 16,
	TAKES_AGE = 32,       /* --older-than, --dry-run */
	TAKES_WORDS = 64,
	TAKES_DAEMON = 128,   /* -r */
	TAKES_VERBOSE = 256,
	TAKES_TIMEOUT = 512,
};
#define TAKES_SELECTION (TAKES_BOOKS | TAKES_LETTERS)

struct verb {
	const char *name, *usage;
	unsigned takes;
	int (*run)(struct options *, char *words[]);
};

static const struct verb verbs[] = {
	{ "list", "[--by KEY[,KEY...]] [-o table|tsv|json] [SELECTION]",
	    TAKES_SELECTION | TAKES_FORMAT | TAKES_BY, verb_list },
	{ "show", "[SELECTION] [EVENT-ID | BLOB]...",
	    TAKES_SELECTION | TAKES_WORDS, verb_show },
	{ "cat", "[--events] [SELECTION] [EVENT-ID | BLOB]...",
	    TAKES_SELECTION | TAKES_EVENTS | TAKES_WORDS, verb_cat },
	{ "stat", "[-o table|tsv|json] [SELECTION]",
	    TAKES_SELECTION | TAKES_FORMAT, verb_stat },
	{ "check", "[-t TOPIC] [-s SUB] [--reason R[,R...]] [--since TIME]\n"
	    "           [--until TIME] [--container CONTAINER] "
	    "[--timeout SECONDS]",
	    TAKES_BOOKS | TAKES_TIMEOUT, verb_check },
	{ "prune", "--older-than TIME [--dry-run] [SELECTION]",
	    TAKES_SELECTION | TAKES_AGE, verb_prune },
};

#define NVERBS (sizeof(verbs) / sizeof(verbs[0]))

static const struct verb the_daemon = { "egns-dlq", "",
	TAKES_DAEMON | TAKES_VERBOSE, NULL };
static const struct verb the_pipe = { "-", "", TAKES_VERBOSE, NULL };

/* How a verb is used, or all; somebody wants to know, or did not. */
static void usage(FILE *, const struct verb *) __attribute__((noreturn));

static void
usage(FILE *to, const struct verb *only)
{
	const char *head = "usage:";
	const struct verb *v;

	if (only == NULL) {
		fprintf(to, "usage: egns-dlq [-hv] [-C DIR] [-r FD]\n"
		    "       egns-dlq [-v] [-C DIR] -\n");
		head = "      ";
	}
	for (v = verbs; v < verbs + NVERBS; v++) {
		if (only != NULL && only != v)
			continue;
		fprintf(to, "%s egns-dlq %s [-C DIR] %s\n", head, v->name,
		    v->usage);
		head = "      ";
	}
	if (only == NULL || (only->takes & TAKES_LETTERS) != 0)
		fprintf(to, "SELECTION: [-t TOPIC] [-s SUB] "
		    "[--reason R[,R...]] [--since TIME] [--until TIME]\n"
		    "           [--subject PREFIX] [--select EXPRESSION] "
		    "[--container CONTAINER]\n"
		    "           [--quarantine] [--limit N]\n");
	exit(to == stdout ? EX_OK : EX_USAGE);
}

/* ---- options ---- */

/* What has to be taken for an option. */
static unsigned
taken_by(int ch)
{
	switch (ch) {
	case 'o':
		return TAKES_FORMAT;
	case 'r':
		return TAKES_DAEMON;
	case 'v':
		return TAKES_VERBOSE;
	case BY:
		return TAKES_BY;
	case DRY_RUN:
	case OLDER_THAN:
		return TAKES_AGE;
	case EVENTS:
		return TAKES_EVENTS;
	case TIMEOUT:
		return TAKES_TIMEOUT;
	case SELECTION_SUBJECT:
	case SELECTION_SELECT:
	case SELECTION_QUARANTINE:
	case SELECTION_LIMIT:
		return TAKES_LETTERS;
	default:
		return TAKES_BOOKS;
	}
}

static void
check_format(const char *format)
{
	char q[QUOTE_MAX];

	if (strcmp(format, "table") != 0 && strcmp(format, "tsv") != 0 &&
	    strcmp(format, "json") != 0)
		errx(EX_USAGE, "-o '%s': not table, tsv or json",
		    quote(q, format, strlen(format)));
}

/* A time, or how long ago, as every selection takes it. */
static int64_t
time_option(const char *name, char *value)
{
	struct selection s = { 0 };
	char q[QUOTE_MAX];

	if (selection_option(&s, SELECTION_SINCE, value, NULL) == -1 ||
	    s.since == 0)
		errx(EX_USAGE, "%s '%s': not a time, nor how long ago: 12h, "
		    "30d", name, quote(q, value, strlen(value)));
	return s.since;
}

static void
set(struct options *opt, int ch, int *verbose)
{
	struct fault f;

	switch (ch) {
	case 'C': opt->spool = optarg; break;
	case 'o':
		check_format(optarg);
		opt->format = optarg;
		break;
	case 'r':
		opt->ready = (int)num_option("-r", optarg, 0, 65535);
		break;
	case 'v': ++*verbose; break;
	case BY: opt->by = optarg; break;
	case DRY_RUN: opt->dry = true; break;
	case EVENTS: opt->events = true; break;
	case OLDER_THAN:
		opt->older = time_option("--older-than", optarg);
		break;
	case TIMEOUT:
		opt->timeout = num_option("--timeout", optarg, 1, 3600);
		break;
	case 'h':
	case '?':
		break; /* when the verb is known */
	default:
		if (selection_option(&opt->selection, ch, optarg, &f) == -1)
			errx(EX_USAGE, "%s", f.text);
	}
}

/* The verb must take what was given. */
static void
check(const struct verb *v, const bool given[GIVEN])
{
	const struct option *o = names;
	int ch;

	for (ch = 0; ch < GIVEN; ch++) {
		if (!given[ch] || ch == 'C' || (taken_by(ch) & v->takes) != 0)
			continue;
		if (ch < BY)
			errx(EX_USAGE, "%s takes no -%c", v->name, ch);
		while (o->val != ch)
			o++;
		errx(EX_USAGE, "%s takes no --%s", v->name, o->name);
	}
}

/* ---- the verb ---- */

/* NULL: there is no such. */
static const struct verb *
find(char *words[])
{
	const struct verb *v;

	if (words[0] == NULL)
		return &the_daemon;
	if (strcmp(words[0], "-") == 0)
		return &the_pipe;
	for (v = verbs; v < verbs + NVERBS; v++) {
		if (strcmp(words[0], v->name) == 0)
			return v;
	}
	return NULL;
}

/* Words that were no use, or that want to know which are. */
static void
explain(const struct verb *v, const bool given[GIVEN], char *words[])
{
	const struct verb *only = v != NULL && v->run != NULL ? v : NULL;
	char q[QUOTE_MAX];

	if (given['?'])
		usage(stderr, only);
	if (given['h'])
		usage(stdout, only);
	if (v != NULL)
		return;
	warnx("'%s': no such command", quote(q, words[0], strlen(words[0])));
	usage(stderr, NULL);
}

static int
run(const struct verb *v, struct options *opt, char *words[])
{
	char q[QUOTE_MAX];

	if (v == &the_daemon)
		return daemon_run(opt);
	if (words[1] != NULL && (v->takes & TAKES_WORDS) == 0)
		errx(EX_USAGE, "%s: unexpected word '%s'", v->name,
		    quote(q, words[1], strlen(words[1])));
	if (v == &the_pipe)
		return pipe_run(opt);
	if ((v->takes & TAKES_AGE) != 0 && opt->older == 0)
		errx(EX_USAGE, "%s: --older-than is missing", v->name);
	return v->run(opt, words + 1);
}

int
main(int argc, char *argv[])
{
	struct options opt = { .format = "table", .timeout = CHECK_TIMEOUT,
		.ready = -1 };
	bool given[GIVEN] = { false };
	int ch, verbose = 0, status;
	const struct verb *v;

	/* who reads our output may have enough of it */
	signal(SIGPIPE, SIG_IGN);
	while ((ch = getopt_long(argc, argv, "C:ho:r:s:t:v", names, NULL)) !=
	    -1) {
		given[ch] = true;
		set(&opt, ch, &verbose);
	}
	log_verbose(verbose);
	v = find(argv + optind);
	explain(v, given, argv + optind);
	check(v, given);
	status = run(v, &opt, argv + optind);
	selection_free(&opt.selection);
	return status;
}
