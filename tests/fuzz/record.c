/*
 * Any bytes to record_read. What it takes, written and read again, is the same;
 * written once more it is the same text.
 */
#include <stdlib.h>
#include <string.h>

#include "record.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
must(bool truth)
{
	if (!truth)
		abort();
}

static bool
same(struct mqtt_str a, struct mqtt_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* By way of a PUBLISH packet, whose reader sets the properties. */
static void
write_record(struct buf *text, const struct record *rec)
{
	struct mqtt_delivery d = { .qos = rec->qos, .retain = rec->retain,
		.packet_id = rec->qos > 0, .topic = rec->topic,
		.forward = { buf_data(&rec->forward), rec->forward.len },
		.payload = rec->payload, .expires = rec->expires,
		.expiry = rec->expiry };
	struct mqtt_publish publish;
	struct mqtt_header head;
	struct json json = { 0 };
	struct buf packet = { 0 };

	mqtt_write_publish(&packet, MQTT_5, &d);
	must(mqtt_header(&head, buf_data(&packet), packet.len) == 1);
	must(mqtt_read_publish(&publish, MQTT_5, head.flags,
	    buf_data(&packet) + head.bytes, head.remaining, NULL) ==
	    MQTT_SUCCESS);
	buf_add(text, "{", 1);
	record_write(text, &publish, &json);
	buf_add(text, "}", 1);
	json_free(&json);
	buf_free(&packet);
}

static void
check_again(const struct record *rec)
{
	struct buf text = { 0 }, again = { 0 };
	struct record copy = { 0 };
	struct json json = { 0 };

	write_record(&text, rec);
	must(memchr(buf_data(&text), '\n', text.len) == NULL);
	must(json_scan(&json, buf_data(&text), text.len, NULL) == 0);
	must(record_read(&copy, &json, 0, NULL) == 0);
	must(same(copy.topic, rec->topic) && same(copy.payload, rec->payload));
	must(copy.qos == rec->qos && copy.retain == rec->retain);
	must(copy.expires == rec->expires && copy.expiry == rec->expiry);
	must(copy.forward.len == rec->forward.len &&
	    (copy.forward.len == 0 || memcmp(buf_data(&copy.forward),
	    buf_data(&rec->forward), copy.forward.len) == 0));
	write_record(&again, &copy);
	must(again.len == text.len &&
	    memcmp(buf_data(&again), buf_data(&text), text.len) == 0);
	json_free(&json);
	record_free(&copy);
	buf_free(&again);
	buf_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct json json = { 0 };
	struct record rec = { 0 };
	struct fault f = { 0 };

	if (json_scan(&json, (const char *)data, n, NULL) == 0) {
		if (record_read(&rec, &json, 0, &f) == 0)
			check_again(&rec);
		else
			must(f.code != FAULT_NONE && f.text[0] != '\0');
	}
	record_free(&rec);
	json_free(&json);
	return 0;
}
