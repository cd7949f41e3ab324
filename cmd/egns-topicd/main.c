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
	struct server server;
	struct daemon daemon;
	struct fault fault;

	daemon_init(&daemon, opt->spool, stop, reload, &server);
	if (spool_lock(&daemon.spool, "topicd", &fault) == -1 ||
	    serve_open(&server, &daemon.spool, daemon.loop, &fault) == -1)
		log_fatal(fault_exit(fault.code), "%s", fault.text);
	daemon_ready(opt->ready);
	ev_run(daemon.loop, 0);
	serve_close(&server);
	spool_close(&daemon.spool);
	return EX_OK;
}

int
main(int argc, char *argv[])
{
	struct daemon_options opt;

	daemon_options(&opt, "egns-topicd", argc, argv);
	return topicd(&opt);
}
