#ifndef ROUTE_H
#define ROUTE_H

#include <stdbool.h>

/* egns-route's command line, egns-route(8). */
#define FILTERS_MAX 50

struct options {
	const char *spool;   /* -C */
	int ready;           /* -r; -1: nobody waits */
	const char *source;  /* --source, of the filter and the bridge; NULL */
	/* of the bridge */
	const char *from;    /* --from URL */
	const char *filters[FILTERS_MAX]; /* -t */
	unsigned nfilters;
	const char *topic;   /* --to TOPIC; NULL: as the namespace says */
	const char *id;      /* --id CLIENTID; NULL: made of the host's name */
	const char *cafile, *cert, *key;  /* --cafile, --cert, --key */
	const char *user, *password_file; /* --user, --password-file */
	bool old;            /* --mqtt-version 311 */
};

/* Each is a way to run, and returns an exit status. */
int daemon_run(const struct options *);  /* spool/route to the topic */
int filter_run(const struct options *);  /* standard input to output */
int bridge_run(const struct options *);  /* a foreign broker to a topic */

#endif
