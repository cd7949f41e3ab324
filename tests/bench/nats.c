/*
 * The same work for NATS JetStream: stream "t", durable pull consumer "s". Both
 * are made when they are missing; "ADDRESS make CONSUMERS" makes that many.
 */
#include <nats/nats.h>

#include "work.h"

struct connection {
	natsConnection *nats;
	jsCtx *js;
	natsSubscription *sub;
	natsMsgList batch;
};

static void
must(natsStatus s, const char *what)
{
	if (s != NATS_OK)
		errx(1, "nats: %s: %s", what, natsStatus_GetText(s));
}

static void *
nats_open(const char *url)
{
	struct connection *c = calloc(1, sizeof(*c));
	natsOptions *opts;

	if (c == NULL)
		err(1, "calloc");
	must(natsOptions_Create(&opts), "options");
	must(natsOptions_SetURL(opts, url), "url");
	must(natsConnection_Connect(&c->nats, opts), "connect");
	must(natsConnection_JetStream(&c->js, c->nats, NULL), "jetstream");
	natsOptions_Destroy(opts);
	return c;
}

static void
nats_publish(void *arg, const char *events, size_t n)
{
	struct connection *c = arg;
	jsPubOptions opts;
	size_t i;

	if (n == 1) {
		must(js_Publish(NULL, c->js, "t", events, EVENT, NULL, NULL),
		    "publish");
		return;
	}
	for (i = 0; i < n; i++)
		must(js_PublishAsync(c->js, "t", events + i * (EVENT + 1),
		    EVENT, NULL), "publish");
	jsPubOptions_Init(&opts);
	opts.MaxWait = 60000;
	must(js_PublishAsyncComplete(c->js, &opts), "publish");
}

static size_t
nats_receive(void *arg, size_t n)
{
	struct connection *c = arg;

	if (c->sub == NULL)
		must(js_PullSubscribe(&c->sub, c->js, "t", "s", NULL, NULL,
		    NULL), "subscribe");
	must(natsSubscription_Fetch(&c->batch, c->sub, (int)n, 60000, NULL),
	    "fetch");
	return (size_t)c->batch.Count;
}

/* Acknowledgements are not answered unless asked for: ask for the last one. */
static void
nats_settle(void *arg, bool wait)
{
	struct connection *c = arg;
	int i;

	(void)wait;
	for (i = 0; i < c->batch.Count - 1; i++)
		must(natsMsg_Ack(c->batch.Msgs[i], NULL), "ack");
	must(natsMsg_AckSync(c->batch.Msgs[i], NULL, NULL), "ack");
	natsMsgList_Destroy(&c->batch);
}

static void
make(const char *url, int consumers)
{
	struct connection *c = nats_open(url);
	const char *subjects[] = { "t" };
	jsConsumerConfig consumer;
	jsStreamConfig stream;
	char name[16];
	int i;

	jsStreamConfig_Init(&stream);
	stream.Name = "t";
	stream.Subjects = subjects;
	stream.SubjectsLen = 1;
	stream.Storage = js_FileStorage;
	must(js_AddStream(NULL, c->js, &stream, NULL, NULL), "stream");
	for (i = 0; i < consumers; i++) {
		jsConsumerConfig_Init(&consumer);
		snprintf(name, sizeof(name), i == 0 ? "s" : "s%d", i);
		consumer.Durable = name;
		consumer.AckPolicy = js_AckExplicit;
		consumer.MaxAckPending = 10000;
		must(js_AddConsumer(NULL, c->js, "t", &consumer, NULL, NULL),
		    "consumer");
	}
}

int
main(int argc, char *argv[])
{
	static const struct system nats = { "nats", nats_open, nats_publish,
		nats_receive, nats_settle };

	if (argc == 4 && strcmp(argv[2], "make") == 0) {
		make(argv[1], atoi(argv[3]));
		return 0;
	}
	return work_main(&nats, argc, argv);
}
