#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon.h"
#include "log.h"
#include "num.h"

static void
on_stop(struct ev_loop *loop, ev_signal *w, int events)
{
	struct daemon *d = w->data;
	void (*stop)(void *) = d->stop;

	(void)events;
	/* the first asks, the second does not wait for the answer */
	d->stop = NULL;
	if (stop != NULL)
		stop(d->arg);
	else
		ev_break(loop, EVBREAK_ALL);
}

static void
on_reload(struct ev_loop *loop, ev_signal *w, int events)
{
	struct daemon *d = w->data;

	(void)loop;
	(void)events;
	if (d->reload != NULL)
		d->reload(d->arg);
}

static void
watch(struct daemon *d, ev_signal *w,
    void (*act)(struct ev_loop *, ev_signal *, int), int signum)
{
	ev_signal_init(w, act, signum);
	w->data = d;
	ev_signal_start(d->loop, w);
}

static void
allow_descriptors(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
}

static void usage(FILE *, const char *) __attribute__((noreturn));

static void
usage(FILE *to, const char *name)
{
	fprintf(to, "usage: %s [-hv] [-C dir] [-r fd]\n", name);
	exit(to == stdout ? EX_OK : EX_USAGE);
}

void
daemon_options(struct daemon_options *opt, const char *name, int argc,
    char *argv[])
{
	static const struct option names[] = {
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
	};
	int ch, verbose = 0;

	*opt = (struct daemon_options){ .ready = -1 };
	while ((ch = getopt_long(argc, argv, "C:hr:v", names, NULL)) != -1) {
		switch (ch) {
		case 'C': opt->spool = optarg; break;
		case 'h': usage(stdout, name);
		case 'r':
			opt->ready = (int)num_option("-r", optarg, 0, 65535);
			break;
		case 'v': verbose++; break;
		default: usage(stderr, name);
		}
	}
	if (optind != argc)
		usage(stderr, name);
	log_verbose(verbose);
}

void
daemon_init(struct daemon *d, const char *spool, void (*stop)(void *),
    void (*reload)(void *), void *arg)
{
	struct fault f;

	*d = (struct daemon){
		.loop = ev_default_loop(EVFLAG_NOSIGMASK),
		.stop = stop, .reload = reload, .arg = arg
	};
	if (d->loop == NULL)
		log_fatal(EX_OSERR, "no event loop");
	if (spool_open(&d->spool, spool, &f) == -1)
		log_fatal(fault_exit(f.code), "%s", f.text);
	signal(SIGPIPE, SIG_IGN);
	allow_descriptors();
	watch(d, &d->term, on_stop, SIGTERM);
	watch(d, &d->int_, on_stop, SIGINT);
	watch(d, &d->hup, on_reload, SIGHUP);
}

void
daemon_ready(int fd)
{
	if (fd == -1)
		return;
	while (write(fd, "\n", 1) == -1 && errno == EINTR)
		;
	close(fd);
}
