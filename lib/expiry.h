#ifndef EXPIRY_H
#define EXPIRY_H

#include "registry.h"
#include "spool.h"

/* The certificates of a namespace that end soon, so that nobody is surprised. */
#define EXPIRY_DAYS 30

/*
 * Where they are, below the spool: of the local authority, and of the server,
 * each with its key.
 */
#define EXPIRY_CA "namespace/tls/ca.pem"
#define EXPIRY_SERVER "namespace/tls/server.pem"

/*
 * Call fn with each that has ended or will within EXPIRY_DAYS, and with a
 * server's that is not there when there is a broker: where it is, and words that
 * say when, and the command that renews it.
 */
void expiry_each(const struct spool *, struct registry *,
    void (*fn)(const char *where, const char *words, void *), void *arg);

#endif
