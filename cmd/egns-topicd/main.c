/* egns-topicd: keeps topics, and hands their events out under locks */
#include <sysexits.h>
#include <unistd.h>

#include "daemon.h"
#include "log.h"
#include "serve.h"

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
topicd(const struct daemon_options *opt)
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

int
main(int argc, char *argv[])
{
	struct daemon_options opt;

	daemon_options(&opt, "egns-topicd", argc, argv);
	return topicd(&opt);
}
