/*
 * records SERVERS TOPIC - what is in a topic, a line of JSON for each record:
 * {"partition","key","headers":{...},"value"}; without a key or a value it is
 * null. Ends at the end of all partitions.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#include "buf.h"

#define PATIENCE 30000 /* milliseconds */

static rd_kafka_t *
consumer(const char *servers)
{
	static const char *const settings[][2] = {
		{ "group.id", "tests" }, { "enable.partition.eof", "true" },
		{ "auto.offset.reset", "earliest" },
		{ "enable.auto.commit", "false" },
		{ "check.crcs", "true" },
		{ "isolation.level", "read_uncommitted" },
	};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char why[256];
	rd_kafka_t *rk;

	if (rd_kafka_conf_set(conf, "bootstrap.servers", servers, why,
	    sizeof(why)) != RD_KAFKA_CONF_OK)
		errx(64, "%s", why);
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why,
		    sizeof(why)) != RD_KAFKA_CONF_OK)
			errx(70, "%s", why);
	if ((rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why))) ==
	    NULL)
		errx(70, "%s", why);
	return rk;
}

/* Read all partitions from their beginning. How many there are. */
static int
assign(rd_kafka_t *rk, const char *topic)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
	const struct rd_kafka_metadata *meta;
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t error;
	int n;

	if ((error = rd_kafka_metadata(rk, 0, rkt, &meta, PATIENCE)) != 0)
		errx(69, "%s", rd_kafka_err2str(error));
	if (meta->topic_cnt != 1 || meta->topics[0].err != 0)
		errx(66, "no topic '%s'", topic);
	n = meta->topics[0].partition_cnt;
	list = rd_kafka_topic_partition_list_new(n);
	for (int i = 0; i < n; i++)
		rd_kafka_topic_partition_list_add(list, topic, i)->offset =
		    RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_assign(rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_metadata_destroy(meta);
	rd_kafka_topic_destroy(rkt);
	return n;
}

static void
add_text(struct buf *b, const void *text, size_t len)
{
	if (text == NULL)
		buf_str(b, "null");
	else
		buf_json(b, text, len);
}

static void
print(rd_kafka_message_t *m)
{
	rd_kafka_headers_t *headers;
	const char *name;
	const void *value;
	size_t len;
	struct buf b = { 0 };

	buf_printf(&b, "{\"partition\":%d,\"key\":", (int)m->partition);
	add_text(&b, m->key, m->key_len);
	buf_str(&b, ",\"headers\":{");
	if (rd_kafka_message_headers(m, &headers) == 0)
		for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name,
		    &value, &len) == 0; i++) {
			if (i > 0)
				buf_str(&b, ",");
			buf_json(&b, name, strlen(name));
			buf_str(&b, ":");
			add_text(&b, value, len);
		}
	buf_str(&b, "},\"value\":");
	add_text(&b, m->payload, m->len);
	buf_str(&b, "}\n");
	fwrite(buf_data(&b), 1, b.len, stdout);
	buf_free(&b);
}

int
main(int argc, char *argv[])
{
	rd_kafka_message_t *m;
	rd_kafka_t *rk;
	int left;

	if (argc != 3)
		errx(64, "usage: records SERVERS TOPIC");
	rk = consumer(argv[1]);
	left = assign(rk, argv[2]);
	while (left > 0) {
		if ((m = rd_kafka_consumer_poll(rk, PATIENCE)) == NULL)
			errx(75, "nothing comes");
		if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			left--;
		else if (m->err == 0)
			print(m);
		else
			errx(69, "%s", rd_kafka_message_errstr(m));
		rd_kafka_message_destroy(m);
	}
	rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
	return 0;
}
