#ifndef DLQ_H
#define DLQ_H

#include <stdbool.h>
#include <stdint.h>

#include "selection.h"

/* What the command line says; strings are its own. */
struct options {
	const char *spool;
	struct selection selection;
	const char *format;  /* -o: "table", "tsv" or "json" */
	const char *by;      /* --by of list: "subscription,reason,hour" */
	int64_t older;       /* --older-than of prune: before then; 0: not said */
	bool dry;            /* --dry-run of prune */
	bool events;         /* --events of cat */
	int64_t timeout;     /* --timeout of check: seconds */
	int ready;           /* -r: -1: nobody waits */
};

/*
 * All return the exit status: the daemon (daemon.c), one round over records of
 * standard input (pipe.c), and what people ask (list.c, stat.c, prune.c ...);
 * words are what follows the options and the verb, NULL-terminated.
 */
int daemon_run(const struct options *);
int pipe_run(const struct options *);
int verb_list(struct options *, char *words[]);
int verb_show(struct options *, char *words[]);
int verb_cat(struct options *, char *words[]);
int verb_stat(struct options *, char *words[]);
int verb_check(struct options *, char *words[]);
int verb_prune(struct options *, char *words[]);

#endif
