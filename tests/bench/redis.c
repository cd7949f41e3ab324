/* The same work for Redis: stream "t", consumer group "s". */
#include <hiredis/hiredis.h>

#include "work.h"

struct connection {
	redisContext *redis;
	const char *argv[4 + BATCH_MAX]; /* XACK t s ID... */
	size_t length[4 + BATCH_MAX];
	size_t received;
	redisReply *batch; /* owns the ids */
	bool settling;
};

static redisReply *
reply(struct connection *c)
{
	redisReply *r;

	if (redisGetReply(c->redis, (void **)&r) != REDIS_OK)
		errx(1, "redis: %s", c->redis->errstr);
	if (r->type == REDIS_REPLY_ERROR)
		errx(1, "redis: %s", r->str);
	return r;
}

static void *
redis_open(const char *path)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (c == NULL || (c->redis = redisConnectUnix(path)) == NULL ||
	    c->redis->err)
		errx(1, "redis: %s", path);
	return c;
}

static void
redis_publish(void *arg, const char *events, size_t n)
{
	struct connection *c = arg;
	size_t i;

	for (i = 0; i < n; i++)
		redisAppendCommand(c->redis, "XADD t * e %b",
		    events + i * (EVENT + 1), (size_t)EVENT);
	for (i = 0; i < n; i++)
		freeReplyObject(reply(c));
}

static size_t
redis_receive(void *arg, size_t n)
{
	struct connection *c = arg;
	redisReply *list;
	size_t i;

	redisAppendCommand(c->redis,
	    "XREADGROUP GROUP s c COUNT %d BLOCK 60000 STREAMS t >", (int)n);
	if (c->settling)
		freeReplyObject(reply(c));
	c->settling = false;
	c->batch = reply(c);
	if (c->batch->type != REDIS_REPLY_ARRAY)
		errx(1, "redis: nothing came in 60 s");
	list = c->batch->element[0]->element[1];
	for (i = 0; i < list->elements; i++) {
		c->argv[3 + i] = list->element[i]->element[0]->str;
		c->length[3 + i] = (size_t)list->element[i]->element[0]->len;
	}
	return c->received = list->elements;
}

static void
redis_settle(void *arg, bool wait)
{
	struct connection *c = arg;

	c->argv[0] = "XACK", c->length[0] = 4;
	c->argv[1] = "t", c->length[1] = 1;
	c->argv[2] = "s", c->length[2] = 1;
	redisAppendCommandArgv(c->redis, (int)(3 + c->received), c->argv,
	    c->length);
	freeReplyObject(c->batch);
	c->settling = !wait;
	if (wait)
		freeReplyObject(reply(c));
}

int
main(int argc, char *argv[])
{
	static const struct system redis = { "redis", redis_open, redis_publish,
		redis_receive, redis_settle };

	return work_main(&redis, argc, argv);
}
