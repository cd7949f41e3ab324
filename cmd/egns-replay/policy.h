#ifndef POLICY_H
#define POLICY_H

#include "fault.h"
#include "letter.h"

/*
 * What becomes of a dead letter, by its reason. The built-in policy:
 *	Unauthorized              rehydrate
 *	TimeToLiveExceeded        rehydrate
 *	MaxDeliveryCountExceeded  hold
 *	EndpointNotFound          hold
 *	Rejected                  hold
 *	PayloadTooLarge           quarantine
 *	SchemaRejected            quarantine
 *	*                         hold
 * A file has such lines; # begins a comment; a reason may be in "double quotes",
 * "*" is any that no line names. What it does not name is as built in.
 */
enum policy_action {
	POLICY_REHYDRATE,  /* back to where it failed */
	POLICY_HOLD,       /* stays a dead letter, for people to decide */
	POLICY_QUARANTINE, /* is put aside, when that is asked for */
};
const char *policy_name(enum policy_action);

struct policy;
struct policy *policy_builtin(void);
struct policy *policy_read(const char *file, struct fault *); /* "-" is stdin */
void policy_free(struct policy *);

/* *line is where it says so: a line of the file, 0: built in. */
enum policy_action policy_of(const struct policy *, const struct letter *,
    unsigned *line);

#endif
