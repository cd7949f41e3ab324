#ifndef WS_H
#define WS_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/*
 * The server's side of a WebSocket (RFC 6455) that carries MQTT (MQTT 5 section
 * 6), without I/O: HTTP upgrade of GET /mqtt with subprotocol "mqtt", then binary
 * frames whose borders mean nothing. HTTP by http-parser, frames by wslay.
 */
#define WS_REQUEST_MAX 8192 /* bytes of the upgrade request */

struct ws;
struct ws *ws_new(void); /* NULL without memory */
void ws_free(struct ws *);

/*
 * Bytes that have arrived: payload of binary messages is added to `plain` as it
 * comes, whatever length a frame says it has; what is to be sent (the answer to
 * the upgrade, pongs, a close) to `out`. True: go on. False: send `out` and
 * close; ws_error() says why, NULL after a proper close. Text frames are 1003,
 * unmasked or malformed ones 1002; another path is HTTP 404, a missing
 * subprotocol 400, no upgrade 426, too long a request 431.
 *
 * One call adds one pong at most, however many pings have arrived: who feeds
 * no more while `out` waits has bounded it. Between messages a connection costs
 * 100 bytes, within one 9 KiB.
 */
bool ws_feed(struct ws *, const void *, size_t, struct buf *plain,
    struct buf *out);

/* Is the upgrade done, so that MQTT may flow? */
bool ws_open(const struct ws *);

/* One binary message. */
void ws_write(struct ws *, const void *, size_t, struct buf *out);

/* A close frame with a status code, once. */
void ws_goodbye(struct ws *, unsigned code, struct buf *out);

const char *ws_error(const struct ws *);

#endif
