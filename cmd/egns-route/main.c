/* egns-route: makes events of MQTT messages, and brings them to a topic */
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "log.h"
#include "num.h"
#include "quote.h"
#include "route.h"

/* Options that have only a long name. */
enum { FROM = 256, TO, ID, CAFILE, CERT, KEY, USER, PASSWORD_FILE,
	MQTT_VERSION, SOURCE };

static const struct option names[] = {
	{ "from", required_argument, NULL, FROM },
	{ "to", required_argument, NULL, TO },
	{ "id", required_argument, NULL, ID },
	{ "cafile", required_argument, NULL, CAFILE },
	{ "cert", required_argument, NULL, CERT },
	{ "key", required_argument, NULL, KEY },
	{ "user", required_argument, NULL, USER },
	{ "password-file", required_argument, NULL, PASSWORD_FILE },
	{ "mqtt-version", required_argument, NULL, MQTT_VERSION },
	{ "source", required_argument, NULL, SOURCE },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void usage(FILE *) __attribute__((noreturn));

static void
usage(FILE *to)
{
	fprintf(to,
	    "usage: egns-route [-hv] [-C dir] [-r fd]\n"
	    "       egns-route [-C dir] [--source name] -\n"
	    "       egns-route [-v] [-C dir] [-r fd] --from url "
	    "[-t filter ...]\n"
	    "           [--to topic] [--source name] [--id clientid]\n"
	    "           [--mqtt-version 311|5] [--cafile file]\n"
	    "           [--cert file --key file]\n"
	    "           [--user name --password-file file]\n");
	exit(to == stdout ? EX_OK : EX_USAGE);
}

static void
add_filter(struct options *opt, const char *filter)
{
	if (opt->nfilters == FILTERS_MAX)
		errx(EX_USAGE, "-t: more than %d", FILTERS_MAX);
	opt->filters[opt->nfilters++] = filter;
}

static bool
is_old(const char *version)
{
	char q[QUOTE_MAX];

	if (strcmp(version, "311") == 0)
		return true;
	if (strcmp(version, "5") != 0)
		errx(EX_USAGE, "--mqtt-version: '%s' is neither 311 nor 5",
		    quote(q, version, strlen(version)));
	return false;
}

/* What is for the bridge alone. */
static bool
set_bridge(struct options *opt, int ch)
{
	switch (ch) {
	case 't': add_filter(opt, optarg); break;
	case TO: opt->topic = optarg; break;
	case ID: opt->id = optarg; break;
	case CAFILE: opt->cafile = optarg; break;
	case CERT: opt->cert = optarg; break;
	case KEY: opt->key = optarg; break;
	case USER: opt->user = optarg; break;
	case PASSWORD_FILE: opt->password_file = optarg; break;
	case MQTT_VERSION: opt->old = is_old(optarg); break;
	case FROM: opt->from = optarg; break;
	default: return false;
	}
	return true;
}

int
main(int argc, char *argv[])
{
	struct options opt = { .ready = -1 };
	bool bridge = false, daemon = false, filter;
	int ch, verbose = 0;

	while ((ch = getopt_long(argc, argv, "C:hr:t:v", names, NULL)) != -1) {
		switch (ch) {
		case 'C': opt.spool = optarg; break;
		case 'h': usage(stdout);
		case 'r':
			opt.ready = (int)num_option("-r", optarg, 0, 65535);
			daemon = true;
			break;
		case 'v': verbose++; daemon = true; break;
		case SOURCE: opt.source = optarg; break;
		default:
			if (!set_bridge(&opt, ch))
				usage(stderr);
			bridge = true;
		}
	}
	argc -= optind, argv += optind;
	filter = argc == 1 && strcmp(argv[0], "-") == 0;
	if ((argc > 0 && !filter) || (filter && (bridge || daemon)))
		usage(stderr);
	log_verbose(verbose);
	if (filter)
		return filter_run(&opt);
	if (!bridge && opt.source == NULL)
		return daemon_run(&opt);
	if (opt.from == NULL)
		usage(stderr);
	return bridge_run(&opt);
}
