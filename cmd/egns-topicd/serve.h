#ifndef SERVE_H
#define SERVE_H

#include <ev.h>
#include <sys/queue.h>

#include "buf.h"
#include "json.h"
#include "request.h"
#include "role.h"
#include "spool.h"
#include "store.h"

/*
 * The socket: peer.c knows connections and lines, serve.c requests and answers.
 * Whatever a peer sends costs it an error, or its connection, and others
 * nothing.
 */
#define PEERS_MAX 4096 /* connections; the longest silent one makes room */
#define STALL (60 * CLOCK_SECOND) /* in the middle of a line, or not reading */
#define STALL_SHORT (2 * CLOCK_SECOND) /* likewise, above OUT_TOTAL */
#define OUT_HIGH (256 * 1024) /* unread answers, then no request is taken */
#define OUT_TOTAL (64 * 1024 * 1024) /* of all peers, then no event is sent */
#define IN_TOTAL (64 * 1024 * 1024)  /* unfinished requests of all peers */
#define ANSWER_MAX (1024 * 1024)     /* bytes of events in an answer */

enum peer_state {
	PEER_HEADER, /* waits for a header line */
	PEER_BODY,   /* waits for event lines */
	PEER_SKIP,   /* drops event lines, then answers the fault */
};

struct server;

struct peer {
	struct server *server;
	TAILQ_ENTRY(peer) entry;
	ev_io read, write;
	int fd;
	struct role_peer who;
	struct buf in, out;
	enum peer_state state;
	struct request request;
	struct fault fault;  /* to answer after PEER_SKIP */
	uint32_t lines;      /* of the body, still to come */
	size_t scanned;      /* bytes of the body whose lines are counted */
	uint32_t owed;       /* answers that wait for a commit */
	uint64_t owed_until; /* window of the last of them */
	size_t owed_bytes;   /* memory that they take */
	bool eof;            /* nothing more will come */
	bool closing;        /* close when `out` is sent */
	bool gone;           /* closed; freed when nothing is owed */
	bool stalled;        /* has a request that could not be taken yet */
	bool unread;         /* likewise, because of unread answers */
	bool flush;          /* in the server's list */
	struct peer *flush_next;
	int64_t progress; /* when bytes last went either way, clock_mono() */
	/* a receive that waits */
	struct subscription *waiting;
	TAILQ_ENTRY(peer) waiter;
	int64_t deadline;
};

/* An answer that is sent when its window is on disk. */
struct answer {
	struct answer *next;
	struct peer *peer;
	uint64_t window;
	enum answer_kind { ANSWER_PLAIN, ANSWER_PUBLISH, ANSWER_SETTLE } kind;
	struct topic *topic;
	struct subscription *subscription;
	enum metric_op op;
	int64_t since;
	size_t len;
	char text[];
};

TAILQ_HEAD(peers, peer);

struct server {
	struct ev_loop *loop;
	const struct spool *spool;
	struct store *store;
	struct roles *roles;
	int fd;
	ev_io accept;
	ev_timer timer;
	ev_prepare turn;
	ev_idle more; /* active: some peer goes on in the next turn */
	struct peers peers; /* the longest silent first */
	struct peer *flush;
	unsigned npeers, peers_max;
	size_t in_total, out_total;
	struct answer *answers, *answers_last;
	struct json json;
	struct buf scratch;
	int64_t metrics_at;
	bool stopping;
	struct peer *reloading; /* whose reload is under way */
};

/* Listen on run/topicd.sock. 0, or -1 and a fault. */
int serve_open(struct server *, const struct spool *, struct ev_loop *,
    struct fault *);
/* Take no more requests; answer what is owed; break the loop then. */
void serve_stop(struct server *);
void serve_close(struct server *);
/* Read the registry again, as on HUP. */
void serve_reload(struct server *);

/* peer.c */
int peers_open(struct server *, struct fault *);
void peers_close(struct server *);
void peer_close(struct peer *);
/* Bytes went either way, or are to go now: its time begins anew. */
void peer_progress(struct peer *);
/* Work on what has arrived, as far as it can be taken. */
void peer_process(struct peer *);
/* Send what is waiting, once a turn. */
void peer_want_flush(struct peer *);
void peers_flush(struct server *);
/* Is somebody still there to take an answer? */
bool peer_alive(const struct peer *);
/* Peers that stand still too long, and receives whose time is up. */
void peers_expire(struct server *, int64_t now);

/* serve.c */
/* A header line: false when it cannot be taken yet. */
bool serve_header(struct peer *, const char *, size_t);
/* All lines of a publish: false when it cannot be taken yet. */
bool serve_body(struct peer *, const char *, size_t);
/* The publish under way was refused: for the metrics. */
void serve_refused(struct peer *, enum fault_code);
/* A receive waits until then, by clock_mono(). */
void serve_wake(struct server *, int64_t at);

/* receive.c */
/* Answer with what is there; or wait, if only for nothing. */
void receive_begin(struct peer *, struct subscription *);
/* Wait no more; the second answers with no events. */
void receive_end(struct peer *);
void receive_over(struct peer *);
/* Hooks of the store. */
void receive_available(struct subscription *, void *);
void receive_gone(struct subscription *, void *);

/* answer.c */
/* What an answer is about, for the metrics. */
struct about {
	struct topic *topic;
	struct subscription *subscription;
	enum metric_op op;
	int64_t since;
};
/* Out of turn: for a peer that is owed nothing, or what it is owed. */
void answer_put(struct peer *, const char *, size_t);
/* A fault, in its turn. */
void answer_fault(struct peer *, const struct fault *);
/* A header line with their count, and the lines of events. */
void answer_events(struct peer *, uint32_t n, const struct buf *lines);
/* An answer that is true when what the request did is on disk. */
void answer_durable(struct peer *, enum answer_kind, const struct about *,
    const char *, size_t);
/* Hook of the store: send what was waiting for this window. */
void answer_committed(uint64_t window, const char *publish_error,
    const char *settle_error, void *);

#endif
