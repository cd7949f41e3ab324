#ifndef RECORD_H
#define RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"
#include "json.h"
#include "mqtt.h"

/*
 * An MQTT message as JSON, with the key names of mosquitto_sub -F %J:
 *
 *	"topic":"a/b","qos":1,"retain":0,"properties":{
 *	"payload-format-indicator":1,"message-expiry-interval":60,
 *	"content-type":"..","response-topic":"..","correlation-data":"..",
 *	"user-properties":[["name","value"],..]},"payload":{"t":20}
 *
 * `payload` is the payload itself when it is a JSON object or array on one line
 * (nothing around it); a string when it is other text; else there is
 * `payload_base64`. correlation-data is a string when it is text, else
 * `correlation-data_base64`. `properties` is left out when there are none. What
 * is read back is what was written, to the byte.
 */

/*
 * Levels of a payload that stands in a record as it is: egns-route puts it into
 * an event, which is put into a line and an answer, and none of them may be
 * deeper than JSON_DEPTH.
 */
#define RECORD_PAYLOAD_DEPTH (JSON_DEPTH - 8)

/* Add these members, without braces. `json` is scratch. */
void record_write(struct buf *, const struct mqtt_publish *, struct json *);

/* The same message, read. Strings that are escaped in the text are unescaped
 * into `mem`, which must live as long as the rest is used; so must the text. */
struct record {
	struct mqtt_str topic, payload;
	uint8_t qos;
	bool retain;
	struct buf forward; /* properties: mqtt_forward_properties */
	uint32_t expiry;    /* message expiry interval */
	bool expires;       /* it is there */
	struct buf mem;
};

/* From object token `obj` of json; other members are passed over. A struct
 * record begins as zeros and is used for text after text. 0, or -1 and a
 * fault. */
int record_read(struct record *, const struct json *, uint32_t obj,
    struct fault *);
void record_free(struct record *);

/*
 * Lines of sessions/, egns-spool(5), are objects whose first member is their
 * checksum. record_begin begins one and tells where; members are added, each
 * with a comma behind it but for the last; record_end finishes it.
 */
size_t record_begin(struct buf *);
void record_end(struct buf *, size_t at);

/* Is it one, newline included, and as it was written? */
bool record_whole(const char *line, size_t);

#endif
