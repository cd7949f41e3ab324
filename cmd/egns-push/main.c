/* egns-push: brings events of push subscriptions to their destinations */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "log.h"
#include "num.h"
#include "push.h"

/* Options that have only a long name. */
enum { ONCE = 256, DRY_RUN };

static const struct option names[] = {
	{ "once", no_argument, NULL, ONCE },
	{ "dry-run", no_argument, NULL, DRY_RUN },
	{ "help", no_argument, NULL, 'h' },
	{ "topic-name", required_argument, NULL, 't' },
	{ "event-subscription-name", required_argument, NULL, 's' },
	{ NULL, 0, NULL, 0 },
};

static void usage(FILE *) __attribute__((noreturn));

static void
usage(FILE *to)
{
	fprintf(to,
	    "usage: egns-push [-hv] [-C dir] [-r fd]\n"
	    "       egns-push --once [--dry-run] [-C dir] [-t topic "
	    "[-s subscription]]\n"
	    "           event | file | -\n");
	exit(to == stdout ? EX_OK : EX_USAGE);
}

int
main(int argc, char *argv[])
{
	struct options opt = { .ready = -1 };
	bool once = false, daemon = false;
	int ch, verbose = 0;

	while ((ch = getopt_long(argc, argv, "C:hr:s:t:v", names, NULL)) !=
	    -1) {
		switch (ch) {
		case 'C': opt.spool = optarg; break;
		case 'h': usage(stdout);
		case 'r':
			opt.ready = (int)num_option("-r", optarg, 0, 65535);
			daemon = true;
			break;
		case 's': opt.subscription = optarg; break;
		case 't': opt.topic = optarg; break;
		case 'v': verbose++; daemon = true; break;
		case ONCE: once = true; break;
		case DRY_RUN: opt.dry = true; break;
		default: usage(stderr);
		}
	}
	argc -= optind, argv += optind;
	log_verbose(verbose);
	if (opt.subscription != NULL && opt.topic == NULL)
		usage(stderr);
	if (once && argc == 1 && !daemon)
		return once_run(&opt, argv[0]);
	if (once || argc != 0 || opt.dry || opt.topic != NULL)
		usage(stderr);
	return daemon_run(&opt);
}
