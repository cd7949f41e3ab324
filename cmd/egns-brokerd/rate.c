/* rates per throughput unit, as the service has them */
#include "rate.h"

#include <stdlib.h>

#include <tcutil.h>

#include "broker.h"
#include "client.h"
#include "clock.h"

/* Sessions whose last CONNECT is remembered. */
#define REMEMBERED 16384

const char *const rate_names[RATES] = {
	[RATE_IN_BYTES_ALL] = "InboundBandwidthPerNamespace",
	[RATE_IN_BYTES] = "InboundBandwidthPerConnection",
	[RATE_IN_ALL] = "IncomingPublishPacketsPerNamespace",
	[RATE_IN] = "IncomingPublishPacketsPerConnection",
	[RATE_OUT_ALL] = "OutboundPublishPacketsPerNamespace",
	[RATE_OUT] = "OutboundPublishPacketsPerConnection",
	[RATE_OUT_BYTES_ALL] = "OutboundBandwidthPerNamespace",
	[RATE_OUT_BYTES] = "OutboundBandwidthPerConnection",
	[RATE_SUBSCRIBE_ALL] = "SubscribeOperationsPerNamespace",
	[RATE_SUBSCRIBE] = "SubscribeOperationsPerConnection",
	[RATE_CONNECT_ALL] = "ConnectPacketsPerNamespace",
	[RATE_CONNECT] = "ConnectPacketsPerConnection",
};

static const struct {
	int64_t per_second;
	bool units; /* times the units */
} limits[RATES] = {
	[RATE_IN_BYTES_ALL] = { 1000000, true },
	[RATE_IN_BYTES] = { 1000000, false },
	[RATE_IN_ALL] = { 1000, true },
	[RATE_IN] = { 1000, false },
	[RATE_OUT_ALL] = { 1000, true },
	[RATE_OUT] = { 100, false },
	[RATE_OUT_BYTES_ALL] = { 1000000, true },
	[RATE_OUT_BYTES] = { 1000000, false },
	[RATE_SUBSCRIBE_ALL] = { 200, false },
	[RATE_SUBSCRIBE] = { 5, false },
	[RATE_CONNECT_ALL] = { 200, true },
	[RATE_CONNECT] = { 1, false },
};

/*
 * A bucket is the instant (clock_mono()) until which all that was taken would
 * last at its rate: full when that is a second from now.
 */
struct rate {
	int64_t until[RATES];
	TCMAP *connects; /* the broker's: session -> instant */
};

static int64_t
lasts(const struct broker *b, enum rate_kind kind, size_t n)
{
	int64_t rate = limits[kind].per_second;

	if (limits[kind].units)
		rate *= b->settings.units;
	return (int64_t)n * CLOCK_SECOND / rate;
}

/* Its instant, should n more be taken; -1: there are too many. */
static int64_t
taken(struct broker *b, int64_t until, enum rate_kind kind, size_t n,
    int64_t now)
{
	if (until < now)
		until = now;
	until += lasts(b, kind, n);
	if (until <= now + CLOCK_SECOND)
		return until;
	b->stats.throttled[kind]++;
	return -1;
}

/* What is refused for one limit takes nothing of the others. */
struct wish {
	struct rate *rate;
	enum rate_kind kind;
	size_t n;
};

static bool
take(struct broker *b, const struct wish *w, size_t n)
{
	int64_t until[4], now = clock_mono();

	for (size_t i = 0; i < n; i++) {
		until[i] = taken(b, w[i].rate->until[w[i].kind], w[i].kind,
		    w[i].n, now);
		if (until[i] == -1)
			return false;
	}
	for (size_t i = 0; i < n; i++)
		w[i].rate->until[w[i].kind] = until[i];
	return true;
}

void
rate_close(struct broker *b)
{
	if (b->rate != NULL)
		tcmapdel(b->rate->connects);
	free(b->rate);
	b->rate = NULL;
}

void
rate_change(struct broker *b)
{
	if (!b->settings.azure)
		rate_close(b);
	else if (b->rate == NULL &&
	    (b->rate = calloc(1, sizeof(*b->rate))) != NULL)
		b->rate->connects = tcmapnew();
	for (struct client *c = b->clients; c != NULL; c = c->next)
		rate_client(c);
}

void
rate_client(struct client *c)
{
	if (c->broker->rate == NULL) {
		free(c->rate);
		c->rate = NULL;
	} else if (c->rate == NULL) {
		c->rate = calloc(1, sizeof(*c->rate));
	}
}

bool
rate_connect(struct broker *b)
{
	return take(b, &(struct wish){ b->rate, RATE_CONNECT_ALL, 1 }, 1);
}

bool
rate_session(struct broker *b, const char *id, size_t len)
{
	TCMAP *map = b->rate->connects;
	int64_t now = clock_mono(), until = 0;
	const int64_t *last;
	int size;

	if ((last = tcmapget(map, id, (int)len, &size)) != NULL)
		until = *last;
	if ((until = taken(b, until, RATE_CONNECT, 1, now)) == -1)
		return false;
	/* at the end: those in front are the oldest */
	tcmapout(map, id, (int)len);
	tcmapput(map, id, (int)len, &until, sizeof(until));
	if (tcmaprnum(map) > REMEMBERED)
		tcmapcutfront(map, 1);
	return true;
}

bool
rate_publish(struct client *c, size_t bytes)
{
	struct broker *b = c->broker;

	return take(b, (const struct wish[]){ { c->rate, RATE_IN, 1 },
	    { c->rate, RATE_IN_BYTES, bytes }, { b->rate, RATE_IN_ALL, 1 },
	    { b->rate, RATE_IN_BYTES_ALL, bytes } }, 4);
}

bool
rate_subscribe(struct client *c)
{
	return take(c->broker, (const struct wish[]){
	    { c->rate, RATE_SUBSCRIBE, 1 },
	    { c->broker->rate, RATE_SUBSCRIBE_ALL, 1 } }, 2);
}

bool
rate_deliver(struct client *c, size_t bytes)
{
	struct broker *b = c->broker;

	return take(b, (const struct wish[]){ { c->rate, RATE_OUT, 1 },
	    { c->rate, RATE_OUT_BYTES, bytes }, { b->rate, RATE_OUT_ALL, 1 },
	    { b->rate, RATE_OUT_BYTES_ALL, bytes } }, 4);
}
