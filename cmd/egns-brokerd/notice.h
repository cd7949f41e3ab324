#ifndef NOTICE_H
#define NOTICE_H

#include "client.h"
#include "fault.h"
#include "session.h"

/*
 * What the life-cycle topic is told of sessions: lines for lifecycle/, see
 * lib/lifecycle.h; none while the namespace names no such topic. They go with
 * the windows (window.h) and keep nobody waiting: when there is no room for
 * them they wait, and in the end are counted.
 */

/* Its CONNACK goes out; its connection has ended. */
void notice_connected(const struct session *);
void notice_disconnected(const struct session *, enum client_end);

/*
 * At start, when the sessions are there and those whose connections the last
 * broker left have offline_since 0. Their ends are told once, however often
 * brokers die meanwhile: they are in NOTICE_LOST before the store says that the
 * sessions are offline, and move to lifecycle/ when it has said so. 0, or -1
 * and a fault.
 */
#define NOTICE_LOST "sessions/lost.ndjson"
int notices_recover(struct broker *, struct fault *);

#endif
