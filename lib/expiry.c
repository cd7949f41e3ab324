#include "expiry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cert.h"
#include "clock.h"
#include "jq.h"

#define PEM_MAX (1024 * 1024)

struct expiry {
	void (*fn)(const char *, const char *, void *);
	void *arg;
	const char *ca; /* of the local authority, as PEM; or NULL */
};

static void
tell(const struct expiry *e, const char *where, int64_t ends,
    const char *command)
{
	char time[CLOCK_TEXT + 1], words[320];
	int64_t now = clock_now();

	if (ends >= now + EXPIRY_DAYS * CLOCK_DAY)
		return;
	clock_format(time, ends);
	snprintf(words, sizeof(words), "the certificate %s at %.19sZ: %s",
	    ends < now ? "has ended" : "ends", time, command);
	e->fn(where, words, e->arg);
}

static void
look_at_file(const struct expiry *e, const char *where, const char *pem,
    const char *command)
{
	int64_t begins, ends;

	if (pem != NULL && cert_times(pem, &begins, &ends, NULL) == 0)
		tell(e, where, ends, command);
}

static int
look_at_authority(const char *path, jv v, void *arg)
{
	const struct expiry *e = arg;
	const char *time = jq_str(v, "properties.expiryTimeInUtc");
	const char *pem = jq_str(v, "properties.encodedCertificate");
	char command[256];
	int64_t ends;

	snprintf(command, sizeof(command), "egns-ctl namespace ca-certificate "
	    "update -n %s --encoded-certificate @FILE", strchr(path, '/') + 1);
	/* that of the local authority is told of as a file */
	if (time != NULL && pem != NULL && clock_parse(time, strlen(time),
	    &ends) == 0 && (e->ca == NULL || !cert_same_key(pem, e->ca)))
		tell(e, path, ends, command);
	jv_free(v);
	return 0;
}

static bool
has_broker(struct registry *r)
{
	jv namespace = registry_get(r, "namespace");
	const char *state = jq_str(namespace,
	    "properties.topicSpacesConfiguration.state");
	bool has = state != NULL && strcmp(state, "Enabled") == 0;

	jv_free(namespace);
	return has;
}

void
expiry_each(const struct spool *spool, struct registry *r,
    void (*fn)(const char *where, const char *words, void *), void *arg)
{
	struct expiry e = { .fn = fn, .arg = arg };
	size_t len;
	char *ca = spool_read(spool->fd, EXPIRY_CA, PEM_MAX, &len);
	char *server = spool_read(spool->fd, EXPIRY_SERVER, PEM_MAX, &len);

	e.ca = ca;
	look_at_file(&e, EXPIRY_CA, ca, "egns-ctl cert renew-ca");
	look_at_file(&e, EXPIRY_SERVER, server, "egns-ctl cert renew-server");
	if (server == NULL && has_broker(r))
		fn(EXPIRY_SERVER, "there is none: egns-ctl cert renew-server",
		    arg);
	registry_each(r, "caCertificates/", look_at_authority, &e);
	free(ca);
	free(server);
}
