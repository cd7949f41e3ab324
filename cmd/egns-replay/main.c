/* egns-replay: brings dead letters back to where they failed */
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "num.h"
#include "quote.h"
#include "replay.h"

/* Options that have only a long name. */
enum { RATE = SELECTION_LAST, TO, POLICY, KEEP, AGAIN, DRY_RUN, PLAN };
#define RATE_MAX INT64_C(1000000000)

static const struct option names[] = {
	SELECTION_OPTIONS,
	{ "rate", required_argument, NULL, RATE },
	{ "to", required_argument, NULL, TO },
	{ "policy", required_argument, NULL, POLICY },
	{ "quarantine", no_argument, NULL, SELECTION_QUARANTINE },
	{ "keep", no_argument, NULL, KEEP },
	{ "again", no_argument, NULL, AGAIN },
	{ "dry-run", no_argument, NULL, DRY_RUN },
	{ "plan", required_argument, NULL, PLAN },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void usage(FILE *) __attribute__((noreturn));

static void
usage(FILE *to)
{
	fprintf(to,
	    "usage: egns-replay [-h] [-C DIR] [SELECTION] [--policy FILE]\n"
	    "           [--to subscription|topic] [--rate N[/s|/m]] "
	    "[--quarantine] [--keep]\n"
	    "           [--again] [--dry-run]\n"
	    "       egns-replay [-C DIR] --plan FILE|- "
	    "[--to subscription|topic]\n"
	    "           [--rate N[/s|/m]] [--keep] [--again]\n"
	    "       egns-replay [SELECTION] [--policy FILE] -\n"
	    "SELECTION: [--reason R[,R...]] [-t TOPIC] [-s SUB] "
	    "[--since TIME] [--until TIME]\n"
	    "           [--subject PREFIX] [--select EXPRESSION] "
	    "[--container CONTAINER]\n"
	    "           [--limit N]\n");
	exit(to == stdout ? EX_OK : EX_USAGE);
}

static void
bad_usage(const char *why)
{
	warnx("%s", why);
	usage(stderr);
}

static void bad_value(const char *, const char *, const char *)
    __attribute__((noreturn));

static void
bad_value(const char *option, const char *value, const char *why)
{
	char q[QUOTE_MAX];

	errx(EX_USAGE, "%s '%s': %s", option, quote(q, value, strlen(value)),
	    why);
}

/* Events a second, of N, N/s or N/m. */
static uint64_t
rate(char *text)
{
	size_t len = strlen(text);
	int64_t per = 1, n;

	if (len > 2 && text[len - 2] == '/') {
		if (text[len - 1] == 'm')
			per = 60;
		else if (text[len - 1] != 's')
			bad_value("--rate", text, "not N, N/s or N/m");
		text[len - 2] = '\0';
	}
	n = num_option("--rate", text, 1, RATE_MAX);
	if (n < per)
		errx(EX_USAGE, "--rate: %s/m is less than 1/s", text);
	return (uint64_t)(n / per);
}

static const char *
to(const char *text)
{
	if (strcmp(text, "subscription") != 0 && strcmp(text, "topic") != 0)
		bad_value("--to", text, "not subscription or topic");
	return text;
}

static void
select_by(struct options *opt, int ch)
{
	struct fault f;

	if (ch != SELECTION_TOPIC && ch != SELECTION_SUBSCRIPTION &&
	    (ch < SELECTION_FIRST || ch >= SELECTION_LAST))
		usage(stderr);
	if (selection_option(&opt->selection, ch, optarg, &f) == -1)
		errx(EX_USAGE, "%s", f.text);
	opt->selected = true;
}

static void
set(struct options *opt, int ch)
{
	switch (ch) {
	case 'C': opt->spool = optarg; break;
	case RATE: opt->rate = rate(optarg); break;
	case TO: opt->to = to(optarg); break;
	case POLICY: opt->policy = optarg; break;
	case SELECTION_QUARANTINE: opt->quarantine = true; break;
	case KEEP: opt->keep = true; break;
	case AGAIN: opt->again = true; break;
	case DRY_RUN: opt->dry = true; break;
	case PLAN: opt->plan = optarg; break;
	case 'h': usage(stdout);
	default: select_by(opt, ch);
	}
}

/* What makes no sense together. */
static void
check(const struct options *opt, bool pipe)
{
	const struct selection *s = &opt->selection;

	if (opt->plan != NULL && (opt->selected || opt->dry || opt->policy ||
	    opt->quarantine || pipe))
		bad_usage("with --plan, its lines say what is done: no "
		    "selection, --policy, --quarantine, --dry-run or -");
	if (pipe && (s->topic != NULL || s->subscription != NULL ||
	    s->container != NULL || opt->spool != NULL || opt->to != NULL ||
	    opt->rate != 0 || opt->quarantine || opt->keep || opt->again ||
	    opt->dry))
		bad_usage("with -, nothing is published or remembered, and the "
		    "selection has no -t, -s or --container");
	if (pipe && opt->policy != NULL && strcmp(opt->policy, "-") == 0)
		bad_usage("standard input cannot be the policy, too");
}

int
main(int argc, char *argv[])
{
	struct options opt = { 0 };
	bool pipe = false;
	int ch, status;
	char q[QUOTE_MAX];

	while ((ch = getopt_long(argc, argv, "C:hs:t:", names, NULL)) != -1)
		set(&opt, ch);
	argc -= optind, argv += optind;
	if (argc > 0 && strcmp(argv[0], "-") == 0) {
		pipe = true;
		argc--, argv++;
	}
	if (argc > 0)
		errx(EX_USAGE, "unexpected word '%s'", quote(q, argv[0],
		    strlen(argv[0])));
	check(&opt, pipe);
	status = pipe ? pipe_run(&opt) : opt.plan != NULL ? carry_run(&opt) :
	    walk_run(&opt);
	selection_free(&opt.selection);
	return status;
}
