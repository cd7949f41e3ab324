#ifndef AUTH_H
#define AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>

#include "access.h"
#include "fault.h"
#include "identity.h"
#include "mqtt.h"
#include "registry.h"
#include "spool.h"
#include "tls.h"

/*
 * Who is connecting, and may it: certificates, tokens, the webhook. Settings
 * are those of the registry when it was last read.
 */
struct auth;

/* 0, or -1 and a fault; a namespace whose settings make no sense. */
struct auth *auth_new(struct ev_loop *, const struct spool *, struct fault *);
/* All that was asked has been answered or dropped. */
void auth_free(struct auth *);

/*
 * The registry as it is now, until auth_looked(); NULL and a fault. The only
 * one that is open in this process: Tokyo Cabinet opens no file twice.
 */
struct registry *auth_look(struct auth *, struct fault *);
void auth_looked(struct auth *);

/* Read the settings again: groups, spaces, bindings, sources, issuers, webhook.
 * On failure all is as it was. The registry is open. */
int auth_reload(struct auth *, struct registry *, struct fault *);

enum auth_how {
	AUTH_CA,         /* CACertificate */
	AUTH_THUMBPRINT, /* CertificateThumbprintMatch */
	AUTH_TOKEN,      /* CUSTOM-JWT */
	AUTH_WEBHOOK,
};

/* A client that has shown who it is. Zeros are nobody. */
struct principal {
	char *name;       /* authentication name as registered */
	char *client;     /* the registry's name, or NULL (token, webhook) */
	char *attributes; /* JSON text of an object */
	enum auth_how how;
	enum identity_scheme scheme; /* by which its certificate fitted */
	bool user_name;   /* false: the name is from a certificate's field */
	int64_t expires;  /* clock_now() at which the login ends; 0: never */
	struct grants *grants;
	char *uid; /* of the client's resource */
	uint8_t sha1[20], sha256[32], anchor[32]; /* of its certificate */
};
void principal_free(struct principal *);

/* What a connection offers; all of it is valid during the call only. */
struct auth_request {
	const struct mqtt_connect *connect; /* re-authentication: NULL */
	struct mqtt_str client_id;          /* of CONNECT, then too */
	struct mqtt_str method, data;       /* Authentication Method and Data */
	const struct tls_certificate *certificate; /* or NULL */
	const struct sockaddr *peer;               /* for inboundIpRules */
	const struct principal *again; /* re-authentication: who it has been */
};

struct auth_answer {
	enum mqtt_reason reason; /* MQTT_SUCCESS, or why not */
	struct principal principal; /* the callee takes what is in it */
	struct fault why;           /* for the log: one line */
	const char *error; /* class: "AuthenticationError", "ClientError" .. */
};

/*
 * Ask. The answer comes by `done`, either before this returns (then NULL is
 * returned) or later from the loop (the webhook). auth_drop: nobody wants it
 * any more.
 *
 * Rules: a name of User Name or of the certificate; the client exists, is
 * enabled, its certificate fits (identity_check); CUSTOM-JWT by token;
 * OAUTH2-JWT and unknown methods 0x8C; with a webhook configured all logins
 * that are not by method CUSTOM-JWT and whose name is not a registered client's
 * go there; default profile: no grant at all is 0x87, Azure's: accepted.
 */
struct auth_pending;
struct auth_pending *auth_ask(struct auth *, const struct auth_request *,
    void (*done)(struct auth_answer *, void *arg), void *arg);
void auth_drop(struct auth_pending *);

/*
 * After auth_reload: is the principal still who it was? Grants are made anew.
 * AUTH_SAME; AUTH_CHANGED: attributes or grants differ now (already replaced in
 * the principal); AUTH_GONE: deleted, disabled, other certificate rules, its
 * authority removed: with a fault that says which.
 */
enum auth_still { AUTH_SAME, AUTH_CHANGED, AUTH_GONE };
enum auth_still auth_recheck(struct auth *, struct registry *,
    const struct tls_server *, struct principal *, struct fault *);

/* Do inboundIpRules and publicNetworkAccess let this address in? Or a fault. */
bool auth_admits(const struct auth *, const struct sockaddr *, struct fault *);

/*
 * The grants of a client of the registry that is not connected; NULL when it is
 * not there, disabled, or memory is short. And may one publish: its will fires.
 */
struct grants *auth_grants(struct auth *, struct registry *, const char *name);
bool auth_may_publish(struct auth *, const char *name, const char *topic,
    size_t);

/* Why is it refused, in one line: access_explain for the log. */
void auth_explain(struct auth *, const struct principal *, enum access_right,
    const char *topic, size_t, struct access_reason *);

#endif
