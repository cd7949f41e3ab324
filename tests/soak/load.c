/*
 * load SPOOL SEED: publish to topic soak, consume its subscription work, and
 * remember every answer, while somebody kills topicd again and again. On a line
 * on standard input publishing ends; when nothing waits any more it prints
 * "drained"; then the ids of events that have a record in deadletter/ or dropped/
 * are read, a line each, and the books are closed: exit 1 when an answer was
 * broken.
 *
 * A publish is repeated under its sequence number until it is answered.
 */
#include <err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "json.h"
#include "spool.h"

#define PUBLISHERS 2
#define CONSUMERS 2
#define EVENTS 2000000 /* of each publisher at most */
#define BATCH 10
#define RECEIVE 20

struct item {
	bool published;
	bool unsure;       /* settled without an answer */
	bool rejected;     /* answered ok */
	bool ended;        /* has a record */
	unsigned received; /* how often */
	unsigned acknowledged; /* the deliveryCount that was answered ok; or 0 */
};

static struct item *items[PUBLISHERS];
static size_t published[PUBLISHERS];
static pthread_mutex_t books = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool stop_publishing, stop_consuming;
static atomic_ulong lost_connections;
static unsigned long broken;
static struct spool spool;
static unsigned seed;

static void
rest(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* Connect, however long topicd takes to come back. */
static void
dial(struct client *c)
{
	while (client_open(c, &spool, "topicd", NULL) == -1)
		rest(5);
}

/* A refusal leaves the connection; else it is made anew. */
static void
redial(struct client *c, const struct fault *f)
{
	if (c->fd != -1)
		errx(1, "topicd: %s: %s", fault_name(f->code), f->text);
	atomic_fetch_add(&lost_connections, 1);
	client_close(c);
	dial(c);
}

/* Send a request until it is answered. */
static void
insist(struct client *c, const struct buf *request)
{
	struct fault f;

	for (;;) {
		client_add(c, buf_data(request), request->len);
		if (client_flush(c, &f) == 0 && client_answer(c, &f) == 0)
			return;
		redial(c, &f);
	}
}

static void *
publisher(void *arg)
{
	size_t who = (size_t)arg, n = 0, i, count;
	unsigned rnd = seed + (unsigned)who, sequence = 0;
	struct buf request = { 0 };
	struct client c = { 0 };

	dial(&c);
	while (!stop_publishing && n + BATCH < EVENTS) {
		count = 1 + (size_t)rand_r(&rnd) % BATCH;
		buf_reset(&request, 1 << 16);
		buf_printf(&request, "{\"op\":\"publish\",\"topic\":\"soak\","
		    "\"count\":%zu,\"producer\":\"p%zu\",\"sequence\":%u}\n",
		    count, who, ++sequence);
		for (i = 0; i < count; i++)
			buf_printf(&request, "{\"specversion\":\"1.0\",\"id\":"
			    "\"%zu-%zu\",\"source\":\"/soak\",\"type\":\"t\"}\n",
			    who, n + i);
		insist(&c, &request);
		pthread_mutex_lock(&books);
		for (i = 0; i < count; i++)
			items[who][n++].published = true;
		published[who] = n;
		pthread_mutex_unlock(&books);
		rest(rand_r(&rnd) % 3);
	}
	client_close(&c);
	buf_free(&request);
	return NULL;
}

/* What a consumer holds. */
struct delivery {
	struct item *item;
	unsigned count;
	char token[128];
};

static struct item *
item_of(const char *id)
{
	unsigned who;
	size_t n;

	if (sscanf(id, "%u-%zu", &who, &n) != 2 || who >= PUBLISHERS ||
	    n >= EVENTS)
		errx(1, "an event that nobody published: %s", id);
	return &items[who][n];
}

static void
text(const struct json *j, uint32_t obj, const char *name, char *out, size_t n)
{
	uint32_t t = json_member(j, obj, name, strlen(name));
	size_t len;

	if (t == 0 || (len = j->tok[t].end - j->tok[t].start - 2) >= n)
		errx(1, "no %s in an answer", name);
	memcpy(out, j->text + j->tok[t].start + 1, len);
	out[len] = '\0';
}

/* An event that was acknowledged must not come in a later delivery. */
static void
enter(struct delivery *d, struct json *j, const char *line, size_t len)
{
	int64_t count = 0;
	uint32_t facts;
	char id[32];

	if (json_scan(j, line, len, NULL) == -1)
		errx(1, "no JSON: %.*s", (int)len, line);
	facts = json_member(j, 0, "brokerProperties", 16);
	text(j, facts, "lockToken", d->token, sizeof(d->token));
	text(j, json_member(j, 0, "event", 5), "id", id, sizeof(id));
	json_int64(j, json_member(j, facts, "deliveryCount", 13), &count);
	d->item = item_of(id);
	d->count = (unsigned)count;
	pthread_mutex_lock(&books);
	d->item->received++;
	if ((d->item->acknowledged != 0 && d->count > d->item->acknowledged) ||
	    d->item->rejected) {
		printf("%s came again, delivery %u, after it was settled\n", id,
		    d->count);
		broken++;
	}
	pthread_mutex_unlock(&books);
}

static size_t
receive(struct client *c, struct delivery *d, struct json *j, struct fault *f)
{
	static const char request[] = "{\"op\":\"receive\",\"topic\":\"soak\","
	    "\"subscription\":\"work\",\"maxEvents\":20,\"maxWaitTime\":1}\n";
	const char *line;
	size_t i, n, len;

	client_add(c, request, sizeof(request) - 1);
	if (client_flush(c, f) == -1 || client_answer(c, f) == -1) {
		redial(c, f);
		return 0;
	}
	if ((n = client_number(c, "count")) > RECEIVE)
		errx(1, "%zu events came, 20 were asked for", n);
	for (i = 0; i < n; i++) {
		if (client_line(c, &line, &len, f) == -1) {
			redial(c, f);
			return i;
		}
		enter(&d[i], j, line, len);
	}
	return n;
}

/* Settle one way what was received; only what the answer names has been. */
static void
settle(struct client *c, const char *op, struct delivery *d, size_t n)
{
	struct buf request = { 0 };
	struct fault f;
	const char *failed = NULL, *end = NULL;
	bool answered;
	size_t i;

	if (n == 0)
		return;
	buf_printf(&request, "{\"op\":\"%s\",\"topic\":\"soak\",\"subscription\":"
	    "\"work\",\"lockTokens\":[", op);
	for (i = 0; i < n; i++)
		buf_printf(&request, "%s\"%s\"", i > 0 ? "," : "", d[i].token);
	buf_str(&request, "]}\n");
	client_add(c, buf_data(&request), request.len);
	answered = client_flush(c, &f) == 0 && client_answer(c, &f) == 0;
	if (answered) {
		end = c->json.text + c->json.tok[0].end;
		failed = memmem(c->json.text, (size_t)(end - c->json.text),
		    "\"failedLockTokens\"", 18);
	}
	pthread_mutex_lock(&books);
	for (i = 0; i < n && op[2] != 'l'; i++) {
		if (!answered)
			d[i].item->unsure = true;
		else if (failed != NULL && memmem(failed,
		    (size_t)(end - failed), d[i].token, strlen(d[i].token)))
			continue;
		else if (op[0] == 'a')
			d[i].item->acknowledged = d[i].count;
		else
			d[i].item->rejected = true;
	}
	pthread_mutex_unlock(&books);
	buf_free(&request);
	if (!answered)
		redial(c, &f);
}

/* Most is acknowledged, now and then one is rejected or released. */
static void *
consumer(void *arg)
{
	unsigned rnd = seed + 100 + (unsigned)(size_t)arg;
	struct delivery d[RECEIVE];
	struct client c = { 0 };
	struct json json = { 0 };
	struct fault f;
	size_t n, odd;

	dial(&c);
	while (!stop_consuming) {
		n = receive(&c, d, &json, &f);
		odd = n > 0 && rand_r(&rnd) % 4 == 0;
		settle(&c, "acknowledge", d + odd, n - odd);
		settle(&c, rand_r(&rnd) % 2 == 0 ? "reject" : "release", d,
		    odd);
	}
	json_free(&json);
	client_close(&c);
	return NULL;
}

/* Wait until no event waits or is locked. */
static void
drain(void)
{
	static const char request[] = "{\"op\":\"stats\",\"topic\":\"soak\","
	    "\"subscription\":\"work\"}\n";
	struct client c = { 0 };
	struct fault f;
	const char *line;
	bool empty = false;
	size_t len;

	dial(&c);
	while (!empty) {
		client_add(&c, request, sizeof(request) - 1);
		if (client_flush(&c, &f) == -1 || client_answer(&c, &f) == -1 ||
		    client_line(&c, &line, &len, &f) == -1)
			errx(1, "stats: %s", f.text);
		empty = memmem(line, len, "\"pending\":0,", 12) != NULL &&
		    memmem(line, len, "\"inFlight\":0,", 13) != NULL;
		rest(20);
	}
	client_close(&c);
}

/* What became of an event that was published; NULL when all is well. A reject
 * that a crash cut off may leave its record, and the event comes again. */
static const char *
complaint(const struct item *i)
{
	if (i->acknowledged != 0 && i->ended && !i->unsure)
		return "acknowledged, but has a record";
	if (i->rejected && !i->ended)
		return "rejected, but has no record";
	if (i->acknowledged == 0 && !i->ended && !i->unsure)
		return "lost";
	return NULL;
}

static void
close_books(void)
{
	unsigned long all = 0, acknowledged = 0, ended = 0, duplicates = 0;
	const struct item *i;
	const char *why;
	size_t who, n;

	for (who = 0; who < PUBLISHERS; who++) {
		for (n = 0; n < published[who]; n++) {
			i = &items[who][n];
			all++;
			acknowledged += i->acknowledged != 0;
			ended += i->ended;
			duplicates += i->received > 1 ? i->received - 1 : 0;
			if ((why = complaint(i)) != NULL && ++broken <= 20)
				printf("%zu-%zu: %s\n", who, n, why);
		}
	}
	printf("%lu events, %lu acknowledged, %lu with a record, %lu received "
	    "again, %lu connections lost, %lu broken answers\n", all,
	    acknowledged, ended, duplicates, lost_connections, broken);
}

int
main(int argc, char *argv[])
{
	pthread_t p[PUBLISHERS], c[CONSUMERS];
	struct fault f;
	char line[64];
	size_t i;

	if (argc != 3)
		errx(64, "usage: load SPOOL SEED");
	if (spool_open(&spool, argv[1], &f) == -1)
		errx(1, "%s", f.text);
	seed = (unsigned)strtoul(argv[2], NULL, 10);
	for (i = 0; i < PUBLISHERS; i++)
		if ((items[i] = calloc(EVENTS, sizeof(**items))) == NULL ||
		    pthread_create(&p[i], NULL, publisher, (void *)i) != 0)
			errx(1, "no memory or thread");
	for (i = 0; i < CONSUMERS; i++)
		if (pthread_create(&c[i], NULL, consumer, (void *)i) != 0)
			errx(1, "no thread");
	if (fgets(line, sizeof(line), stdin) == NULL)
		errx(1, "nobody said stop");
	stop_publishing = true;
	for (i = 0; i < PUBLISHERS; i++)
		pthread_join(p[i], NULL);
	drain();
	stop_consuming = true;
	for (i = 0; i < CONSUMERS; i++)
		pthread_join(c[i], NULL);
	puts("drained");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL)
		item_of(line)->ended = true;
	close_books();
	spool_close(&spool);
	for (i = 0; i < PUBLISHERS; i++)
		free(items[i]);
	return broken != 0;
}
