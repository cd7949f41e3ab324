/* egns-topicd: keeps topics, and hands their events out under locks */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon.h"
#include "log.h"
#include "num.h"
#include "serve.h"

struct options {
	const char *spool;
	int ready;
	int verbose;
};

static void
stop(void *arg)
{
	serve_stop(arg);
}

static void
reload(void *arg)
{
	serve_reload(arg);
}

static int
topicd(const struct options *opt)
{
	struct ev_loop *loop = ev_default_loop(EVFLAG_NOSIGMASK);
	struct server server;
	struct daemon daemon;
	struct spool spool;
	struct fault fault;

	if (loop == NULL)
		log_fatal(EX_OSERR, "no event loop");
	if (spool_open(&spool, opt->spool, &fault) == -1 ||
	    spool_lock(&spool, "topicd", &fault) == -1)
		log_fatal(fault_exit(fault.code), "%s", fault.text);
	daemon_init(&daemon, loop, stop, reload, &server);
	if (serve_open(&server, &spool, loop, &fault) == -1)
		log_fatal(fault_exit(fault.code), "%s", fault.text);
	daemon_ready(opt->ready);
	ev_run(loop, 0);
	serve_close(&server);
	spool_close(&spool);
	return EX_OK;
}

static void
usage(void)
{
	fprintf(stderr, "usage: egns-topicd [-v] [-C dir] [-r fd]\n");
	exit(EX_USAGE);
}

int
main(int argc, char *argv[])
{
	struct options opt = { .ready = -1 };
	int ch;

	while ((ch = getopt(argc, argv, "C:r:v")) != -1) {
		switch (ch) {
		case 'C': opt.spool = optarg; break;
		case 'r':
			opt.ready = (int)num_option("-r", optarg, 0, 65535);
			break;
		case 'v': opt.verbose++; break;
		default: usage();
		}
	}
	if (optind != argc)
		usage();
	log_verbose(opt.verbose);
	return topicd(&opt);
}
