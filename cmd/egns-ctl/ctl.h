#ifndef CTL_H
#define CTL_H

#include <stdbool.h>

#include <jv.h>

#include "fault.h"

/*
 * What every verb of egns-ctl gets: the words of the command line that are the
 * same for all of them have been taken off already (-C, -o, --query, --jq,
 * --only-show-errors, --verbose, --debug, --subscription, -g).
 */
struct ctl {
	const char *spool;  /* -C, or NULL: see spool_open() */
	const char *output; /* json, jsonc, table, tsv, none; for cert issue a
	                     * directory */
	bool output_given;  /* by -o; else it is json */
	const char *query;  /* --query; NULL */
	const char *jq;     /* --jq; NULL */
	const char *group;  /* -g; NULL */
	const char *subscription; /* --subscription; NULL */
};

/*
 * A verb: the words that select it ("namespace topic create"), one line of
 * usage, what runs, and what -h says, of which the first line stands in lists;
 * NULL for verbs on resources, whose help is made from the schema. argv holds
 * what follows the words; the return value is the exit status. The table in
 * main.c is the grammar.
 */
struct verb {
	const char *words;
	const char *usage;
	int (*run)(struct ctl *, const struct verb *, int argc, char *argv[]);
	const char *help;
};

/* Print a result as -o, --query and --jq ask (consumes it). 0, or a status. */
int ctl_print(struct ctl *, jv);

/* See that what was printed went out. 0, or a status and it has been said. */
int ctl_flush(void);

/* Is it to be printed whole, as rows: a table or tsv? Those have no room for
 * what is deeper. */
bool ctl_as_rows(const struct ctl *);

/* Print "egns-ctl: TEXT" and return the status that the fault asks for. */
int ctl_fault(const struct fault *);

/* Print "egns-ctl: " and the words on stderr; returns 64. */
int ctl_bad_usage(const struct verb *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for a flag that the verb has not; says which one was meant. */
int ctl_unknown_flag(const struct verb *, const char *flag);

/* Print "usage: egns-ctl " and the verb's usage on stderr; returns 64. */
int ctl_usage(const struct verb *);

/* Tell running daemons that the registry changed, and wait until they have
 * taken it up. 0, or -1 and a fault that names the daemon. (daemons.c) */
struct spool;
int ctl_reload(const struct spool *, struct fault *);

int verb_create(struct ctl *, const struct verb *, int, char *[]);
int verb_show(struct ctl *, const struct verb *, int, char *[]);
int verb_list(struct ctl *, const struct verb *, int, char *[]);
int verb_update(struct ctl *, const struct verb *, int, char *[]);
int verb_delete(struct ctl *, const struct verb *, int, char *[]);
int verb_wait(struct ctl *, const struct verb *, int, char *[]);
int verb_subscription_status(struct ctl *, const struct verb *, int, char *[]);
int verb_hold(struct ctl *, const struct verb *, int, char *[]);
int verb_unhold(struct ctl *, const struct verb *, int, char *[]);
int verb_get_full_url(struct ctl *, const struct verb *, int, char *[]);
int verb_get_attributes(struct ctl *, const struct verb *, int, char *[]);
int verb_list_key(struct ctl *, const struct verb *, int, char *[]);
int verb_regenerate_key(struct ctl *, const struct verb *, int, char *[]);
int verb_export(struct ctl *, const struct verb *, int, char *[]);
int verb_apply(struct ctl *, const struct verb *, int, char *[]);
int verb_publish(struct ctl *, const struct verb *, int, char *[]);
int verb_cert_issue(struct ctl *, const struct verb *, int, char *[]);
int verb_cert_renew_server(struct ctl *, const struct verb *, int, char *[]);
int verb_cert_renew_ca(struct ctl *, const struct verb *, int, char *[]);
int verb_mqtt_pub(struct ctl *, const struct verb *, int, char *[]);
int verb_mqtt_sub(struct ctl *, const struct verb *, int, char *[]);
int verb_up(struct ctl *, const struct verb *, int, char *[]);
int verb_down(struct ctl *, const struct verb *, int, char *[]);
int verb_status(struct ctl *, const struct verb *, int, char *[]);
int verb_audit(struct ctl *, const struct verb *, int, char *[]);
int verb_scrub(struct ctl *, const struct verb *, int, char *[]);
int verb_explain(struct ctl *, const struct verb *, int, char *[]);

#endif
