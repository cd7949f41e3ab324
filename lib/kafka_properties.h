#ifndef KAFKA_PROPERTIES_H
#define KAFKA_PROPERTIES_H

#include <jv.h>

#include "fault.h"

/*
 * What a subscription may say to the producer of its Kafka destination:
 * properties as librdkafka names them, as far as they are about how events
 * travel. What makes a delivery less safe, is a secret, is a setting of our
 * own, or loads or runs something is refused. Whether a value is good only
 * librdkafka knows.
 */

/* Of an object, which is not consumed. 0, or -1 and a fault that names what is
 * refused first, and has none of the values. */
int kafka_properties_check(jv, struct fault *);

#endif
