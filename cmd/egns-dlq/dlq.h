#ifndef DLQ_H
#define DLQ_H

#include <stdbool.h>

#include "selection.h"

/* What the command line says; strings are its own. */
struct options {
	const char *spool;
	struct selection selection;
	const char *format;  /* -o: "table" (as none), "tsv" or "json" */
	const char *by;      /* --by of list: "subscription,reason,hour" */
	int64_t older;       /* --older-than of prune: microseconds; 0: none */
	bool dry;            /* --dry-run of prune */
	int ready;           /* -r: -1: nobody waits */
};

/*
 * All return the exit status: the daemon (daemon.c), one round over records of
 * standard input (pipe.c), and what people ask (list.c, stat.c, prune.c ...);
 * words are what follows the options, NULL-terminated.
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
