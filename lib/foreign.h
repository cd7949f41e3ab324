#ifndef FOREIGN_H
#define FOREIGN_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/*
 * What mosquitto_sub -F %j prints of bytes that are no text, which is no JSON:
 * a payload, and correlation data, between quotes as they are. Add the same
 * line with payload_base64, correlation-data_base64 in their place. False when
 * that does not help.
 */
bool foreign_recode(struct buf *, const char *, size_t);

#endif
