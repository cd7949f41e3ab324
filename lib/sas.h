#ifndef SAS_H
#define SAS_H

#include <stdint.h>

#include "buf.h"
#include "fault.h"

/*
 * Shared access signatures of Event Hubs and Service Bus (destinations reference,
 * 1), which are not those of Event Grid.
 */

/* The parts of "Endpoint=sb://HOST/;SharedAccessKeyName=..;SharedAccessKey=..
 * [;EntityPath=..]"; they point into text of the struct, which its owner wipes.
 * 0, or -1 and a fault, which has nothing of the string. */
struct sas_connection {
	char text[2048];
	const char *host, *rule, *key, *entity; /* entity: NULL when not said */
};
int sas_parse(struct sas_connection *, const char *, struct fault *);

/* Add "SharedAccessSignature sr=..&sig=..&se=..&skn=.." for the resource, good
 * until `until` (Unix seconds). */
void sas_sign(struct buf *, const char *resource, const char *rule,
    const char *key, int64_t until);

#endif
