#ifndef PUSH_H
#define PUSH_H

#include <stdbool.h>

/* What the command line says; strings are its own. */
struct options {
	const char *spool;
	const char *topic, *subscription; /* NULL: all */
	int ready; /* -1: nobody waits */
	bool dry;  /* show requests, send none */
};

/* The daemon (daemon.c), and one attempt by hand for each event of a file, of
 * "-", or of the argument itself (once.c). They return the exit status. */
int daemon_run(const struct options *);
int once_run(const struct options *, const char *events);

#endif
