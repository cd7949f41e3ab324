#ifndef KAFKA_CONF_H
#define KAFKA_CONF_H

#include <librdkafka/rdkafka.h>

#include "target.h"

/*
 * What a producer of Kafka is made with: a subscription's settings, and ours.
 * Properties are librdkafka's, as far as they are about how events travel; what
 * makes a delivery less safe, is a secret, or loads or runs something is not
 * taken.
 */
enum kafka_login {
	KAFKA_OPEN,       /* none */
	KAFKA_PASSWORD,   /* of sasl.username */
	KAFKA_CONNECTION, /* a connection string, of user $ConnectionString */
	KAFKA_TOKEN,      /* by OAUTHBEARER */
};

struct kafka_conf {
	char *topic, *servers;
	char *audience;     /* of an identity's token */
	char *authorities;  /* PEM, the namespace's; NULL: the system's alone */
	char timeout[24];   /* milliseconds, for message.timeout.ms */
	char propagation[24];
	jv credential;      /* credential.h; null with KAFKA_OPEN */
	jv properties;      /* an object */
	enum kafka_login login;
	const char *mechanism; /* of the login */
	const char *protocol;
};

/* `hub` is as in target.h, and not consumed. 0, or -1 and a fault; it is to be
 * freed in both cases. */
int kafka_conf_init(struct kafka_conf *, const struct target_use *, jv hub,
    struct fault *);
void kafka_conf_free(struct kafka_conf *);

/* Can the files that its properties name be read now? librdkafka does not say
 * which it could not. 0, or -1 and a fault. */
int kafka_conf_check_files(const struct kafka_conf *, struct fault *);

/* For a producer, with the secret of a password or a connection. NULL and a
 * fault. */
rd_kafka_conf_t *kafka_conf_make(const struct kafka_conf *, const char *secret,
    struct fault *);

#endif
