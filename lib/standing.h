#ifndef STANDING_H
#define STANDING_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"

/*
 * How a push subscription stands, and nothing else would know after a restart:
 * whether it is on hold until somebody says otherwise, and what its webhook has
 * answered in the handshake. A file each, push/TOPIC/SUBSCRIPTION.json, written
 * by egns-push, and by egns-ctl while egns-push does not run:
 *
 *	{"uid":"...","hold":{"since","by","reason"},"handshake":{"state","time",
 *	 "endpoint","origin","rate","key","status"}}
 */
enum handshake_state {
	HANDSHAKE_NONE,    /* not asked yet */
	HANDSHAKE_GRANTED,
	HANDSHAKE_PENDING, /* it may be granted by the callback */
	HANDSHAKE_REFUSED,
};

struct standing {
	char uid[64];
	struct {
		int64_t since;    /* microseconds; 0: it is not on hold */
		char by[64];      /* "user:root", "circuitBreaker" */
		char reason[256]; /* one line */
	} hold;
	struct {
		enum handshake_state state;
		int64_t time;
		char endpoint[65]; /* SHA-256 of the URL and of our origin, in
		                    * hex: what it holds for */
		char origin[256];  /* WebHook-Allowed-Origin */
		long rate;         /* WebHook-Allowed-Rate, requests a minute;
		                    * 0: not said, -1: "*" */
		char key[33];      /* of the callback; "": none */
		long status;       /* of the answer */
	} handshake;
};

/* As it stands on disk; empty, with this uid, when there is no file or it is of
 * another uid. 0, or -1 and a fault. */
int standing_load(struct standing *, int spool, const char *topic,
    const char *subscription, const char *uid, struct fault *);

/* Replace the file, durably; without hold and handshake there is none. 0, or -1
 * and a fault: then it is as it was. */
int standing_save(const struct standing *, int spool, const char *topic,
    const char *subscription, struct fault *);

/* The handshake for people, {"state","time","origin","rate","status"}, added to a
 * buffer; null when there was none. */
void standing_show(const struct standing *, struct buf *);

/* Remove the files for which `has` says false. */
void standing_sweep(int spool, bool (*has)(const char *topic,
    const char *subscription, void *arg), void *arg);

#endif
