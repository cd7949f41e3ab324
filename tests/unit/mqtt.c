#include "mqtt.h"

#include <stdbool.h>
#include <string.h>

#include "buf.h"
#include "check.h"

/*
 * Packets are written down as hexadecimal bytes; 'text' is a string behind the
 * two bytes of its length, (text) is bare, 9*(text) nine times; { ... } are
 * properties behind the length of theirs.
 */
static void assemble(struct buf *, const char **);

static void
put(struct buf *b, size_t byte)
{
	buf_add(b, &(char){ (char)byte }, 1);
}

static void
group(struct buf *b, const char **at)
{
	struct buf in = { 0 };

	++*at;
	assemble(&in, at);
	if (in.len >= 0x80) {
		put(b, in.len | 0x80);
		put(b, in.len >> 7);
	} else {
		put(b, in.len);
	}
	buf_add(b, buf_data(&in), in.len);
	buf_free(&in);
}

/* What stands between quotes or brackets, so many times. */
static void
quoted(struct buf *b, const char **at, unsigned long times)
{
	const char *text = *at + 1;
	size_t len = strcspn(text, "')");

	if (**at == '\'') {
		put(b, len >> 8);
		put(b, len);
	}
	while (times-- > 0)
		buf_add(b, text, len);
	*at = text + len;
}

static void
assemble(struct buf *b, const char **at)
{
	unsigned long times;
	char *end;

	for (; **at != '\0' && **at != '}'; (*at)++) {
		times = strtoul(*at, &end, 10);
		if (**at == '{') {
			group(b, at);
		} else if (**at == '\'' || **at == '(') {
			quoted(b, at, 1);
		} else if (*end == '*') {
			*at = end + 1;
			quoted(b, at, times);
		} else if (**at != ' ') {
			put(b, strtoul((char[]){ (*at)[0], (*at)[1], 0 }, NULL,
			    16));
			++*at;
		}
	}
}

/* Its bytes in memory of just that size, so that sanitizers see one too far. */
static char *
bytes(const char *text, size_t *n)
{
	struct buf b = { 0 };
	char *exact;

	assemble(&b, &text);
	*n = b.len;
	if ((exact = malloc(b.len)) != NULL && b.len > 0)
		memcpy(exact, buf_data(&b), b.len);
	buf_free(&b);
	return exact;
}

/* A first byte, and what is behind the fixed header. */
static enum mqtt_reason
read_packet(enum mqtt_version version, const char *data, size_t n,
    const char **why)
{
	enum mqtt_type type = (unsigned char)data[0] >> 4;
	struct mqtt_subscribe subscribe;
	struct mqtt_connect connect;
	struct mqtt_publish publish;
	struct mqtt_ack ack;

	if (type == MQTT_CONNECT)
		return mqtt_read_connect(&connect, data + 1, n - 1, why);
	if (type == MQTT_PUBLISH)
		return mqtt_read_publish(&publish, version, data[0] & 0x0f,
		    data + 1, n - 1, why);
	if (type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE)
		return mqtt_read_subscribe(&subscribe,
		    type == MQTT_UNSUBSCRIBE, version, data + 1, n - 1, why);
	return mqtt_read_ack(&ack, version, type, data + 1, n - 1, why);
}

struct row {
	enum mqtt_version version;
	const char *text; /* first byte, and what is behind the fixed header */
	enum mqtt_reason want;
	const char *clause; /* the answer begins with it when there is one */
};

static void
look(const struct row *row)
{
	const char *why = NULL;
	enum mqtt_reason got;
	bool good;
	char *data;
	size_t n;

	data = bytes(row->text, &n);
	got = read_packet(row->version, data, n, &why);
	good = got == row->want;
	if (got != MQTT_SUCCESS)
		good = good && why != NULL &&
		    strncmp(why, row->clause, strlen(row->clause)) == 0;
	else
		good = good && why == NULL;
	if (!good)
		printf("# %s: %s: %#x, %s\n", row->clause, row->text, got,
		    why == NULL ? "" : why);
	CHECK(good);
	free(data);
}

/* However little has come of a packet, nothing behind it is looked at. */
static void
cut(const struct row *row)
{
	char *data, *part;
	size_t n, i;

	data = bytes(row->text, &n);
	for (i = 1; i < n; i++) {
		part = malloc(i);
		memcpy(part, data, i);
		(void)read_packet(row->version, part, i, NULL);
		free(part);
	}
	free(data);
}

static void
table(const struct row *rows, size_t n)
{
	for (; n > 0; rows++, n--) {
		look(rows);
		cut(rows);
	}
}
#define TABLE(rows) table(rows, sizeof(rows) / sizeof(rows[0]))

#define OK MQTT_SUCCESS
#define BAD MQTT_MALFORMED
#define WRONG MQTT_PROTOCOL_ERROR

static void
fixed_headers(void)
{
	static const struct {
		const char *text;
		int want;
		uint32_t remaining;
		size_t bytes;
		bool padded;
	} rows[] = {
		{ "", 0, 0, 0, false },
		{ "c0", 0, 0, 0, false },
		{ "c0 00", 1, 0, 2, false },
		{ "30 7f", 1, 127, 2, false },
		{ "30 80", 0, 0, 0, false },
		{ "30 80 01", 1, 128, 3, false },
		{ "30 ff 7f", 1, 16383, 3, false },
		{ "30 80 80 01", 1, 16384, 4, false },
		{ "30 ff ff 7f", 1, 2097151, 4, false },
		{ "30 80 80 80", 0, 0, 0, false },
		{ "30 80 80 80 01", 1, 2097152, 5, false },
		{ "30 ff ff ff 7f 01", 1, 268435455, 5, false },
		{ "30 ff ff ff ff", -1, 0, 0, false },
		{ "30 80 80 80 80 01", -1, 0, 0, false },
		{ "30 80 00", 1, 0, 3, true },
		{ "30 ff 00", 1, 127, 3, true },
		{ "30 80 80 80 00", 1, 0, 5, true },
	};
	struct mqtt_header h;
	size_t i, n;
	char *data;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		data = bytes(rows[i].text, &n);
		memset(&h, 1, sizeof(h));
		CHECK(mqtt_header(&h, data, n) == rows[i].want);
		if (rows[i].want == 0)
			CHECK(h.bytes == 0 && !h.padded);
		if (rows[i].want == 1) {
			CHECK(h.remaining == rows[i].remaining);
			CHECK(h.bytes == rows[i].bytes);
			CHECK(h.padded == rows[i].padded);
		}
		free(data);
	}
	CHECK(mqtt_header(&h, "\x3d\x05", 2) == 1);
	CHECK(h.type == MQTT_PUBLISH && h.flags == 0x0d);
}

static void
first_bytes(void)
{
	/* what a client sends; anything else is wrong */
	static const uint8_t good[] = { 0x10, 0x30, 0x31, 0x32, 0x33, 0x34,
		0x35, 0x3a, 0x3b, 0x3c, 0x3d, 0x40, 0x50, 0x62, 0x70, 0x82,
		0xa2, 0xc0, 0xe0 };
	static const uint8_t servers[] = { MQTT_CONNACK, MQTT_SUBACK,
		MQTT_UNSUBACK, MQTT_PINGRESP };
	enum mqtt_reason want;
	unsigned b;

	for (b = 0; b <= 0xff; b++) {
		want = BAD;
		if (memchr(good, (int)b, sizeof(good)) != NULL)
			want = OK;
		if (memchr(servers, (int)b >> 4, sizeof(servers)) != NULL)
			want = WRONG;
		CHECK(mqtt_check_first((uint8_t)b, MQTT_3) == want);
		if (b == 0xf0) /* AUTH */
			want = OK;
		CHECK(mqtt_check_first((uint8_t)b, MQTT_5) == want);
	}
}

#define V3 "10 'MQTT' 04 "
#define V5 "10 'MQTT' 05 "

static void
connect_3(void)
{
	static const struct row rows[] = {
		{ MQTT_3, V3 "02 003c 'a'", OK, "3.1" },
		{ MQTT_3, V3 "00 0000 'a'", OK, "3.1.2.4 session goes on" },
		{ MQTT_3, V3 "02 0000 ''", OK, "MQTT-3.1.3-6" },
		{ MQTT_3, V3 "c2 0000 'a' 'u' 'p'", OK, "3.1.3" },
		{ MQTT_3, V3 "82 0000 'a' ''", OK, "3.1.3.4" },
		{ MQTT_3, V3 "c2 0000 'a' 'u' 0002 ff00", OK, "3.1.3.5" },
		{ MQTT_3, V3 "06 0000 'a' 'w' 'm'", OK, "3.1.2.5" },
		{ MQTT_3, V3 "36 0000 'a' 'w' 0000", OK, "3.1.2.7" },
		{ MQTT_3, V3 "ee 0000 'a' 'w' 0001 00 'u' ''", OK, "3.1.3" },

		{ MQTT_3, "10 'MQIsdp' 03 02 0000 'a'",
			MQTT_UNSUPPORTED_VERSION, "MQTT-3.1.2-1" },
		{ MQTT_3, "10 'mqtt' 04 02 0000 'a'",
			MQTT_UNSUPPORTED_VERSION, "MQTT-3.1.2-1" },
		{ MQTT_3, "10 '' 04 02 0000 'a'",
			MQTT_UNSUPPORTED_VERSION, "MQTT-3.1.2-1" },
		{ MQTT_3, "10 'MQTT' 03 02 0000 'a'",
			MQTT_UNSUPPORTED_VERSION, "MQTT-3.1.2-2" },
		{ MQTT_3, "10 'MQTT' 06 02 0000 'a'",
			MQTT_UNSUPPORTED_VERSION, "MQTT-3.1.2-2" },
		{ MQTT_3, "10 'MQTT' 84 02 0000 'a'",
			MQTT_UNSUPPORTED_VERSION, "MQTT-3.1.2-2" },
		{ MQTT_3, "10", BAD, "4.13.1" },
		{ MQTT_3, "10 0004 (MQT)", BAD, "4.13.1" },
		{ MQTT_3, "10 'MQTT'", BAD, "4.13.1" },
		{ MQTT_3, V3 "03 0000 'a'", BAD, "MQTT-3.1.2-3" },
		{ MQTT_3, V3 "0a 0000 'a'", BAD, "MQTT-3.1.2-11" },
		{ MQTT_3, V3 "12 0000 'a'", BAD, "MQTT-3.1.2-11" },
		{ MQTT_3, V3 "1e 0000 'a' 'w' 'm'", BAD, "MQTT-3.1.2-12" },
		{ MQTT_3, V3 "22 0000 'a'", BAD, "MQTT-3.1.2-13" },
		{ MQTT_3, V3 "42 0000 'a' 'p'", BAD, "3.1.1's MQTT-3.1.2-22" },
		{ MQTT_3, V3 "00 0000 ''", MQTT_CLIENT_ID,
			"3.1.1's MQTT-3.1.3-8" },
		{ MQTT_3, V3 "06 0000 'a' '' 'm'", WRONG, "MQTT-4.7.3-1" },
		{ MQTT_3, V3 "02 0000 0002 (a) 00", BAD, "MQTT-1.5.4-2" },
		{ MQTT_3, V3 "02 0000 0002 c080", BAD, "MQTT-1.5.4-1" },
		{ MQTT_3, V3 "02 0000 0003 eda080", BAD, "MQTT-1.5.4-1" },
		{ MQTT_3, V3 "82 0000 'a' 0001 ff", BAD, "MQTT-1.5.4-1" },
		{ MQTT_3, V3 "06 0000 'a' 0001 80 'm'", BAD, "MQTT-1.5.4-1" },
		{ MQTT_3, V3 "02 0000 'a' 00", BAD,
			"4.13.1: packet is too long" },
		{ MQTT_3, V3 "02 0000 'a' 'u'", BAD,
			"4.13.1: packet is too long" },
		{ MQTT_3, V3 "82 0000 'a'", BAD,
			"4.13.1: packet is too short" },
		{ MQTT_3, V3 "02 0000", BAD, "4.13.1: packet is too short" },
		{ MQTT_3, V3 "02 0000 0002 (a)", BAD,
			"4.13.1: packet is too short" },
		{ MQTT_3, V3 "c2 0000 'a' 'u' ffff (p)", BAD,
			"4.13.1: packet is too short" },
	};

	TABLE(rows);
}

#define PROPS(x) V5 "02 0000 {" x "} 'a'"
#define WILL_PROPS(x) V5 "06 0000 00 'a' {" x "} 'w' 'm'"

static void
connect_5(void)
{
	static const struct row rows[] = {
		{ MQTT_5, PROPS(""), OK, "3.1" },
		{ MQTT_5, V5 "00 0000 00 ''", OK, "MQTT-3.1.3-6" },
		{ MQTT_5, V5 "42 0000 00 'a' 'p'", OK, "3.1.2.9" },
		{ MQTT_5, PROPS("11 ffffffff"), OK, "3.1.2.11.2" },
		{ MQTT_5, PROPS("21 0001 27 00000001 22 0000"), OK,
			"3.1.2.11" },
		{ MQTT_5, PROPS("19 00 17 01"), OK, "3.1.2.11.6" },
		{ MQTT_5, PROPS("26 '' '' 26 '' ''"), OK, "3.1.2.11.8" },
		{ MQTT_5, PROPS("15 'm' 16 0003 00ff00"), OK, "3.1.2.11.9" },
		{ MQTT_5, PROPS("16 0000 15 'm'"), OK, "3.1.2.11.10" },
		{ MQTT_5, WILL_PROPS("18 00000000 01 01 02 00000000 03 '' "
		    "08 'r' 09 0000 26 'a' 'b'"), OK, "3.1.3.2" },
	};

	TABLE(rows);
}

static void
connect_5_bad(void)
{
	static const struct row rows[] = {
		{ MQTT_5, V5 "03 0000 00 'a'", BAD, "MQTT-3.1.2-3" },
		{ MQTT_5, V5 "0a 0000 00 'a'", BAD, "MQTT-3.1.2-11" },
		{ MQTT_5, V5 "1e 0000 00 'a' 00 'w' 'm'", BAD,
			"MQTT-3.1.2-12" },
		{ MQTT_5, V5 "22 0000 00 'a'", BAD, "MQTT-3.1.2-13" },
		{ MQTT_5, V5 "06 0000 00 'a' 00 '' 'm'", WRONG,
			"MQTT-4.7.3-1" },
		{ MQTT_5, PROPS("11 00000001 11 00000001"), WRONG,
			"2.2.2.2: property is there twice" },
		{ MQTT_5, PROPS("15 'm' 15 'm'"), WRONG,
			"2.2.2.2: property is there twice" },
		{ MQTT_5, PROPS("21 0000"), WRONG, "3.1.2.11.3" },
		{ MQTT_5, PROPS("27 00000000"), WRONG, "3.1.2.11.4" },
		{ MQTT_5, PROPS("17 02"), WRONG,
			"2.2.2.2: property is neither" },
		{ MQTT_5, PROPS("19 ff"), WRONG,
			"2.2.2.2: property is neither" },
		{ MQTT_5, PROPS("16 0001 00"), WRONG, "3.1.2.11.10" },
		{ MQTT_5, PROPS("00"), BAD, "2.2.2.2: there is no such" },
		{ MQTT_5, PROPS("04"), BAD, "2.2.2.2: there is no such" },
		{ MQTT_5, PROPS("2b"), BAD, "2.2.2.2: there is no such" },
		{ MQTT_5, PROPS("a6 00 '' ''"), BAD,
			"2.2.2.2: there is no such" },
		{ MQTT_5, PROPS("01 01"), BAD, "2.2.2.2: property is not for" },
		{ MQTT_5, PROPS("12 'a'"), BAD,
			"2.2.2.2: property is not for" },
		{ MQTT_5, PROPS("18 00000000"), BAD,
			"2.2.2.2: property is not for" },
		{ MQTT_5, PROPS("1c 'a'"), BAD,
			"2.2.2.2: property is not for" },
		{ MQTT_5, PROPS("24 01"), BAD, "2.2.2.2: property is not for" },
		{ MQTT_5, WILL_PROPS("11 00000001"), BAD,
			"2.2.2.2: property is not for" },
		{ MQTT_5, WILL_PROPS("23 0001"), BAD,
			"2.2.2.2: property is not for" },
		{ MQTT_5, WILL_PROPS("01 02"), WRONG,
			"2.2.2.2: property is neither" },
		{ MQTT_5, WILL_PROPS("08 'r/#'"), WRONG, "MQTT-3.3.2-14" },
		{ MQTT_5, WILL_PROPS("18 00000000 18 00000000"), WRONG,
			"2.2.2.2: property is there twice" },
		{ MQTT_5, PROPS("26 0001 ff ''"), BAD, "MQTT-1.5.4-1" },
		{ MQTT_5, PROPS("26 '' 0001 00"), BAD, "MQTT-1.5.4-2" },
		{ MQTT_5, PROPS("26 'a'"), BAD, "4.13.1: packet is too short" },
		{ MQTT_5, PROPS("11 0000"), BAD,
			"4.13.1: packet is too short" },
		{ MQTT_5, V5 "02 0000 7f 'a'", BAD,
			"4.13.1: packet is too short" },
		{ MQTT_5, V5 "02 0000 80 00 'a'", BAD, "MQTT-1.5.5-1" },
		{ MQTT_5, V5 "02 0000 ff ff ff ff 7f 'a'", BAD, "1.5.5" },
		{ MQTT_5, V5 "02 0000 'a'", BAD, "4.13.1" },
		{ MQTT_5, PROPS("")" 00", BAD, "4.13.1: packet is too long" },
	};

	TABLE(rows);
}

static void
publish_3(void)
{
	static const struct row rows[] = {
		{ MQTT_3, "30 't'", OK, "3.3.3 no payload" },
		{ MQTT_3, "30 't' 00ff00", OK, "3.3.3 any payload" },
		{ MQTT_3, "31 't' (x)", OK, "3.3.1.3" },
		{ MQTT_3, "32 't' 0001 (x)", OK, "3.3.2.2" },
		{ MQTT_3, "3a 't' ffff", OK, "3.3.1.1" },
		{ MQTT_3, "34 't' 0001", OK, "3.3.1.2" },
		{ MQTT_3, "30 'a/+/#'", OK, "MQTT-3.3.2-2, not here" },
		{ MQTT_3, "30 0003 efbbbf", OK, "MQTT-1.5.4-3" },

		{ MQTT_3, "36 't' 0001", BAD, "MQTT-3.3.1-4" },
		{ MQTT_3, "38 't'", BAD, "MQTT-3.3.1-2" },
		{ MQTT_3, "32 't' 0000 (x)", WRONG, "MQTT-2.2.1-3" },
		{ MQTT_3, "32 't' 00", BAD, "4.13.1" },
		{ MQTT_3, "32 't'", BAD, "4.13.1" },
		{ MQTT_3, "30 '' (x)", WRONG, "3.3.2.1" },
		{ MQTT_3, "30 00", BAD, "4.13.1" },
		{ MQTT_3, "30", BAD, "4.13.1" },
		{ MQTT_3, "30 ffff (x)", BAD, "4.13.1" },
		{ MQTT_3, "30 000a 9*(x) 00", BAD, "MQTT-1.5.4-2" },
		{ MQTT_3, "30 0012 8*(x) 00 9*(x)", BAD, "MQTT-1.5.4-2" },
		{ MQTT_3, "30 0012 15*(x) ff 2*(x)", BAD, "MQTT-1.5.4-1" },
		{ MQTT_3, "30 0012 16*(x) c3a9", OK, "MQTT-1.5.4-1" },
		{ MQTT_3, "30 0011 15*(x) c3 a9", OK, "MQTT-1.5.4-1" },
		{ MQTT_3, "30 0010 15*(x) c3 a9", BAD, "MQTT-1.5.4-1" },
	};

	TABLE(rows);
}

static void
publish_5(void)
{
	static const struct row rows[] = {
		{ MQTT_5, "30 't' {}", OK, "3.3.2.3.1" },
		{ MQTT_5, "32 't' 0001 {} (x)", OK, "3.3.2.2" },
		{ MQTT_5, "30 '' {23 000a} (x)", OK, "3.3.2.3.4" },
		{ MQTT_5, "30 't' {23 ffff}", OK, "MQTT-3.3.2-9, not here" },
		{ MQTT_5, "30 't' {01 00 02 00000000 03 'a/b' 08 'r' 09 'c' "
		    "26 'a' '1' 26 'a' '2'} (x)", OK, "3.3.2.3" },
		{ MQTT_5, "30 't' {03 'a' 26 'k' 00c8 200*(v)}", OK,
			"MQTT-1.5.5-1 a length of two bytes" },
		{ MQTT_5, "30 't' {01 01} ff", OK, "3.3.2.3.2, not here" },

		{ MQTT_5, "30 't'", BAD, "4.13.1" },
		{ MQTT_5, "30 '' {}", WRONG, "3.3.2.1" },
		{ MQTT_5, "30 't' {23 0000}", MQTT_BAD_ALIAS, "MQTT-3.3.2-8" },
		{ MQTT_5, "30 't' {23 0001 23 0001}", WRONG, "2.2.2.2" },
		{ MQTT_5, "30 't' {0b 01}", WRONG,
			"4.13.1: property is one that" },
		{ MQTT_5, "30 't' {01 02}", WRONG, "2.2.2.2" },
		{ MQTT_5, "30 't' {01 01 01 01}", WRONG, "2.2.2.2" },
		{ MQTT_5, "30 't' {08 'a/+'}", WRONG, "MQTT-3.3.2-14" },
		{ MQTT_5, "30 't' {08 '#'}", WRONG, "MQTT-3.3.2-14" },
		{ MQTT_5, "30 't' {08 ''}", WRONG, "MQTT-4.7.3-1" },
		{ MQTT_5, "30 't' {08 0001 ff}", BAD, "MQTT-1.5.4-1" },
		{ MQTT_5, "30 't' {03 0001 00}", BAD, "MQTT-1.5.4-2" },
		{ MQTT_5, "30 't' {18 00000001}", BAD, "2.2.2.2" },
		{ MQTT_5, "30 't' {1f 'x'}", BAD, "2.2.2.2" },
		{ MQTT_5, "30 't' {0b}", BAD, "4.13.1" },
		{ MQTT_5, "30 't' {02 000000}", BAD, "4.13.1" },
		{ MQTT_5, "32 't' 0000 {}", WRONG, "MQTT-2.2.1-3" },
		{ MQTT_5, "36 't' 0001 {}", BAD, "MQTT-3.3.1-4" },
	};

	TABLE(rows);
}

static void
acknowledgements(void)
{
	static const struct row rows[] = {
		{ MQTT_3, "40 0001", OK, "3.4.2" },
		{ MQTT_3, "50 0001", OK, "3.5.2" },
		{ MQTT_3, "62 0001", OK, "3.6.2" },
		{ MQTT_3, "70 0001", OK, "3.7.2" },
		{ MQTT_3, "40 0000", WRONG, "MQTT-2.2.1-3" },
		{ MQTT_3, "40 00", BAD, "4.13.1" },
		{ MQTT_3, "40 0001 00", BAD, "4.13.1: packet is too long" },
		{ MQTT_5, "40 0001", OK, "3.4.2.1" },
		{ MQTT_5, "40 0001 10", OK, "3.4.2.2.1" },
		{ MQTT_5, "40 0001 87 {1f 'no' 26 'a' 'b'}", OK, "3.4.2.2.2" },
		{ MQTT_5, "50 0001 91", OK, "MQTT-3.5.2-1" },
		{ MQTT_5, "62 0001 92 {}", OK, "MQTT-3.6.2-1" },
		{ MQTT_5, "70 0001 92", OK, "MQTT-3.7.2-1" },
		{ MQTT_5, "40 0000", WRONG, "MQTT-2.2.1-3" },
		{ MQTT_5, "40 0001 01", WRONG, "2.4" },
		{ MQTT_5, "40 0001 92", WRONG, "2.4" },
		{ MQTT_5, "62 0001 10", WRONG, "2.4" },
		{ MQTT_5, "50 0001 ff", WRONG, "2.4" },
		{ MQTT_5, "40 0001 00 {} 00", BAD,
			"4.13.1: packet is too long" },
		{ MQTT_5, "40 0001 00 01", BAD, "4.13.1: packet is too short" },
		{ MQTT_5, "40 0001 00 {1f 'a' 1f 'a'}", WRONG, "2.2.2.2" },
		{ MQTT_5, "40 0001 00 {23 0001}", BAD, "2.2.2.2" },
	};

	TABLE(rows);
}

static void
subscribe(void)
{
	static const struct row rows[] = {
		{ MQTT_3, "82 0001 'a' 00", OK, "3.8.3" },
		{ MQTT_3, "82 0001 'a' 01 'b/#' 02", OK, "3.8.3" },
		{ MQTT_3, "82 0001 'a#' 00", OK, "4.7.1, not here" },
		{ MQTT_3, "82 0001", WRONG, "MQTT-3.8.3-2" },
		{ MQTT_3, "82 0000 'a' 00", WRONG, "MQTT-2.2.1-3" },
		{ MQTT_3, "82 0001 'a' 03", WRONG, "3.8.3.1: QoS" },
		{ MQTT_3, "82 0001 'a' 04", BAD, "MQTT-3.8.3-5" },
		{ MQTT_3, "82 0001 'a' 00 'b' 80", BAD, "MQTT-3.8.3-5" },
		{ MQTT_3, "82 0001 '' 00", WRONG, "MQTT-4.7.3-1" },
		{ MQTT_3, "82 0001 'a'", BAD, "4.13.1" },
		{ MQTT_3, "82 0001 'a' 00 00", BAD, "4.13.1" },
		{ MQTT_3, "82 0001 0001 ff 00", BAD, "MQTT-1.5.4-1" },
		{ MQTT_5, "82 0001 {} 'a' 00", OK, "3.8.3" },
		{ MQTT_5, "82 0001 {0b ffffff7f} 'a' 2e", OK, "3.8.2.1.2" },
		{ MQTT_5, "82 0001 {26 'a' 'b'} '$share/g/a' 01", OK,
			"3.8.2.1.3" },
		{ MQTT_5, "82 0001 {} '$share/g/a' 05", OK,
			"MQTT-3.8.3-4, not here" },
		{ MQTT_5, "82 0001 {}", WRONG, "MQTT-3.8.3-2" },
		{ MQTT_5, "82 0001 {0b 00} 'a' 00", WRONG, "3.8.2.1.2" },
		{ MQTT_5, "82 0001 {0b 01 0b 02} 'a' 00", WRONG, "2.2.2.2" },
		{ MQTT_5, "82 0001 {0b 8000} 'a' 00", BAD, "MQTT-1.5.5-1" },
		{ MQTT_5, "82 0001 {0b ffffffff01} 'a' 00", BAD, "1.5.5" },
		{ MQTT_5, "82 0001 {1f 'a'} 'a' 00", BAD, "2.2.2.2" },
		{ MQTT_5, "82 0001 {} 'a' 03", WRONG, "3.8.3.1: QoS" },
		{ MQTT_5, "82 0001 {} 'a' 30", WRONG, "3.8.3.1: retain" },
		{ MQTT_5, "82 0001 {} 'a' 40", BAD, "MQTT-3.8.3-5" },
		{ MQTT_5, "82 0001 {} 'a' 80", BAD, "MQTT-3.8.3-5" },
		{ MQTT_5, "82 0001 'a' 00", BAD, "4.13.1" },
	};

	TABLE(rows);
}

static void
unsubscribe(void)
{
	static const struct row rows[] = {
		{ MQTT_3, "a2 0001 'a'", OK, "3.10.3" },
		{ MQTT_3, "a2 0001 'a' 'b'", OK, "3.10.3" },
		{ MQTT_3, "a2 0001", WRONG, "MQTT-3.10.3-2" },
		{ MQTT_3, "a2 0000 'a'", WRONG, "MQTT-2.2.1-3" },
		{ MQTT_3, "a2 0001 'a' 00", BAD, "4.13.1" },
		{ MQTT_5, "a2 0001 {26 'a' 'b'} 'a'", OK, "3.10.2.1.2" },
		{ MQTT_5, "a2 0001 {0b 01} 'a'", BAD, "2.2.2.2" },
		{ MQTT_5, "a2 0001 {}", WRONG, "MQTT-3.10.3-2" },
		{ MQTT_5, "a2 0001 {} ''", WRONG, "MQTT-4.7.3-1" },
		{ MQTT_5, "a2 0001 {} 0001 ff", BAD, "MQTT-1.5.4-1" },
	};

	TABLE(rows);
}

static void
pingreq(void)
{
	static const struct row rows[] = {
		{ MQTT_3, "c0", OK, "3.12" },
		{ MQTT_5, "c0", OK, "3.12" },
		{ MQTT_3, "c0 00", BAD, "4.13.1: packet is too long" },
		{ MQTT_5, "c0 00", BAD, "4.13.1: packet is too long" },
	};

	TABLE(rows);
}

static void
disconnect(void)
{
	static const struct row rows[] = {
		{ MQTT_3, "e0", OK, "3.14" },
		{ MQTT_3, "e0 00", BAD, "4.13.1: packet is too long" },
		{ MQTT_5, "e0", OK, "3.14.2.1" },
		{ MQTT_5, "e0 04", OK, "3.14.2.2.1" },
		{ MQTT_5, "e0 81 {}", OK, "3.14.2.2.1" },
		{ MQTT_5, "e0 00 {11 00000000 1f 'bye' 26 'a' 'b'}", OK,
			"3.14.2.2" },
		{ MQTT_5, "e0 8b", WRONG, "2.4" },
		{ MQTT_5, "e0 8e {}", WRONG, "2.4" },
		{ MQTT_5, "e0 01", WRONG, "2.4" },
		{ MQTT_5, "e0 00 {1c 'other'}", WRONG,
			"4.13.1: property is one" },
		{ MQTT_5, "e0 00 {11 00000000 11 00000000}", WRONG, "2.2.2.2" },
		{ MQTT_5, "e0 00 {21 0001}", BAD, "2.2.2.2" },
		{ MQTT_5, "e0 00 {} 00", BAD, "4.13.1: packet is too long" },
	};

	TABLE(rows);
}

static void
auth(void)
{
	static const struct row rows[] = {
		{ MQTT_5, "f0 19 {15 'm' 16 'token'}", OK, "3.15.2.1" },
		{ MQTT_5, "f0 18 {15 'm' 1f 'x' 26 'a' 'b'}", OK, "3.15.2.2" },
		{ MQTT_5, "f0", WRONG, "2.4" },
		{ MQTT_5, "f0 00 {15 'm'}", WRONG, "2.4" },
		{ MQTT_5, "f0 87 {15 'm'}", WRONG, "2.4" },
		{ MQTT_5, "f0 19", WRONG, "3.15.2.2.2" },
		{ MQTT_5, "f0 19 {}", WRONG, "3.15.2.2.2" },
		{ MQTT_5, "f0 19 {16 'token'}", WRONG, "3.15.2.2.2" },
		{ MQTT_5, "f0 19 {15 'm' 15 'm'}", WRONG, "2.2.2.2" },
		{ MQTT_5, "f0 19 {15 'm' 11 00000000}", BAD, "2.2.2.2" },
	};

	TABLE(rows);
}

static bool
equal(struct mqtt_str s, const char *text)
{
	return s.p != NULL && s.len == strlen(text) &&
	    memcmp(s.p, text, s.len) == 0;
}

static void
all_that_a_connect_says(void)
{
	struct mqtt_connect c;
	size_t n;
	char *data;

	data = bytes(V5 "f6 0102 {11 00000003 21 0004 22 0005 27 00000006 "
	    "17 00 19 01 15 'method' 16 'data' 26 'a' 'b'} 'id' "
	    "{18 00000007 01 01 02 00000008 03 'type' 08 'reply' 09 'c'} "
	    "'will' 'gone' 'user' 'pass'", &n);
	CHECK(mqtt_read_connect(&c, data + 1, n - 1, NULL) == OK);
	CHECK(c.version == MQTT_5 && c.clean && c.keep_alive == 0x102);
	CHECK(c.will && c.will_qos == 2 && c.will_retain);
	CHECK(c.props.session_expiry == 3 && c.props.receive_maximum == 4);
	CHECK(c.props.topic_alias_maximum == 5 && c.props.maximum_packet == 6);
	CHECK(mqtt_has(&c.props, MQTT_P_REQUEST_PROBLEM));
	CHECK(c.props.request_problem == 0 && c.props.request_response == 1);
	CHECK(equal(c.props.auth_method, "method"));
	CHECK(equal(c.props.auth_data, "data"));
	CHECK(c.props.nuser == 1 && c.props.user_bytes == 2);
	CHECK(c.will_props.will_delay == 7 && c.will_props.message_expiry == 8);
	CHECK(c.will_props.payload_format == 1);
	CHECK(equal(c.will_props.content_type, "type"));
	CHECK(equal(c.will_props.response_topic, "reply"));
	CHECK(equal(c.will_props.correlation, "c"));
	CHECK(equal(c.client_id, "id") && equal(c.will_topic, "will"));
	CHECK(equal(c.will_payload, "gone"));
	CHECK(equal(c.user, "user") && equal(c.password, "pass"));
	free(data);

	data = bytes(V3 "00 0000 'id'", &n);
	CHECK(mqtt_read_connect(&c, data + 1, n - 1, NULL) == OK);
	CHECK(c.version == MQTT_3 && !c.clean && !c.will);
	CHECK(c.user.p == NULL && c.password.p == NULL);
	CHECK(c.will_topic.p == NULL && c.props.has == 0);
	free(data);
}

static void
all_that_a_publish_says(void)
{
	struct mqtt_publish p;
	unsigned flags;
	size_t n;
	char *data;

	data = bytes("'t' 0102 {02 00000009 23 000a} (payload)", &n);
	for (flags = 0; flags < 16; flags++) {
		if ((flags & 6) == 0 || (flags & 6) == 6)
			continue;
		CHECK(mqtt_read_publish(&p, MQTT_5, (uint8_t)flags, data, n,
		    NULL) == OK);
		CHECK(p.dup == (flags >= 8) && p.retain == (flags % 2 == 1));
		CHECK(p.qos == (flags >> 1 & 3) && p.packet_id == 0x102);
		CHECK(equal(p.topic, "t") && equal(p.payload, "payload"));
		CHECK(p.props.message_expiry == 9 && p.props.topic_alias == 10);
	}
	free(data);

	data = bytes("'t'", &n);
	CHECK(mqtt_read_publish(&p, MQTT_3, 0, data, n, NULL) == OK);
	CHECK(p.packet_id == 0 && p.payload.len == 0 && p.props.has == 0);
	free(data);
}

/* The version in which a CONNECT that is refused is answered. */
static void
answers_have_a_version(void)
{
	static const struct {
		const char *text;
		int version;
	} rows[] = {
		{ "10 'MQTT'", 0 },
		{ "10 'MQIsdp' 03 02 0000 'a'", MQTT_3 },
		{ "10 'MQTT' 03", MQTT_3 },
		{ "10 'MQTT' 84", MQTT_3 },
		{ "10 'MQTT' 06", MQTT_5 },
		{ V3 "03", MQTT_3 },
		{ V5 "03", MQTT_5 },
	};
	struct mqtt_connect c;
	size_t i, n;
	char *data;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		data = bytes(rows[i].text, &n);
		CHECK(mqtt_read_connect(&c, data + 1, n - 1, NULL) != OK);
		CHECK((int)c.version == rows[i].version);
		free(data);
	}
}

static void
filters_are_walked(void)
{
	struct mqtt_filter f = { 0 };
	struct mqtt_subscribe s;
	size_t n;
	char *data;

	data = bytes("0102 {0b 8001} 'a/+' 1d 'b' 20", &n);
	CHECK(mqtt_read_subscribe(&s, false, MQTT_5, data, n, NULL) == OK);
	CHECK(s.packet_id == 0x102 && s.count == 2);
	CHECK(s.props.subscription_id == 128);
	CHECK(mqtt_next_filter(&s, false, MQTT_5, &f));
	CHECK(equal(f.filter, "a/+") && f.qos == 1 && f.no_local);
	CHECK(f.retain_as_published && f.retain_handling == 1);
	CHECK(mqtt_next_filter(&s, false, MQTT_5, &f));
	CHECK(equal(f.filter, "b") && f.qos == 0 && !f.no_local);
	CHECK(!f.retain_as_published && f.retain_handling == 2);
	CHECK(!mqtt_next_filter(&s, false, MQTT_5, &f));
	CHECK(!mqtt_next_filter(&s, false, MQTT_5, &f));
	free(data);

	f = (struct mqtt_filter){ 0 };
	data = bytes("0001 'a' 'b'", &n);
	CHECK(mqtt_read_subscribe(&s, true, MQTT_3, data, n, NULL) == OK);
	CHECK(mqtt_next_filter(&s, true, MQTT_3, &f) && equal(f.filter, "a"));
	CHECK(mqtt_next_filter(&s, true, MQTT_3, &f) && equal(f.filter, "b"));
	CHECK(!mqtt_next_filter(&s, true, MQTT_3, &f));
	free(data);
}

static void
user_properties_are_walked_in_order(void)
{
	struct mqtt_user u = { 0 };
	struct mqtt_publish p;
	size_t n;
	char *data;

	data = bytes("'t' {26 'b' '2' 01 01 26 'a' '1' 03 'x' "
	    "26 'b' '' 02 00000001} (payload)", &n);
	CHECK(mqtt_read_publish(&p, MQTT_5, 0, data, n, NULL) == OK);
	CHECK(p.props.nuser == 3 && p.props.user_bytes == 5);
	CHECK(mqtt_next_user(&p.props, &u));
	CHECK(equal(u.name, "b") && equal(u.value, "2"));
	CHECK(mqtt_next_user(&p.props, &u));
	CHECK(equal(u.name, "a") && equal(u.value, "1"));
	CHECK(mqtt_next_user(&p.props, &u));
	CHECK(equal(u.name, "b") && equal(u.value, ""));
	CHECK(!mqtt_next_user(&p.props, &u));
	CHECK(!mqtt_next_user(&p.props, &u));
	CHECK(equal(p.payload, "payload"));
	free(data);
}

/* A buffer has just these bytes; empty it. */
static void
wrote(struct buf *b, const char *text)
{
	size_t n, i;
	char *want = bytes(text, &n);
	bool good = b->len == n && memcmp(buf_data(b), want, n) == 0;

	if (!good) {
		printf("# %s:", text);
		for (i = 0; i < b->len; i++)
			printf(" %02x", (unsigned char)buf_data(b)[i]);
		printf("\n");
	}
	CHECK(good);
	free(want);
	buf_reset(b, SIZE_MAX);
}

static void
connacks(void)
{
	static const struct {
		enum mqtt_reason reason;
		const char *text;
	} codes[] = {
		{ MQTT_SUCCESS, "20 02 01 00" },
		{ MQTT_UNSUPPORTED_VERSION, "20 02 00 01" },
		{ MQTT_CLIENT_ID, "20 02 00 02" },
		{ MQTT_UNAVAILABLE, "20 02 00 03" },
		{ MQTT_BUSY, "20 02 00 03" },
		{ MQTT_QUOTA, "20 02 00 03" },
		{ MQTT_CONNECTION_RATE, "20 02 00 03" },
		{ MQTT_BAD_USER, "20 02 00 04" },
		{ MQTT_NOT_AUTHORIZED, "20 02 00 05" },
		{ MQTT_BAD_METHOD, "20 02 00 05" },
	};
	struct mqtt_connack c = { .session_present = true,
		.session_expiry = UINT32_MAX, .server_keep_alive = -1,
		.words = "no" };
	struct buf b = { 0 };
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		c.reason = codes[i].reason;
		mqtt_write_connack(&b, MQTT_3, &c);
		wrote(&b, codes[i].text);
	}
	c.reason = MQTT_SUCCESS;
	c.words = NULL;
	mqtt_write_connack(&b, MQTT_5, &c);
	wrote(&b, "20 05 01 00 {24 01}");
	c = (struct mqtt_connack){ .session_expiry = 3600,
		.server_keep_alive = 1160, .receive_maximum = 1000,
		.topic_alias_maximum = 10, .maximum_packet = 524288,
		.assigned_id = { "id", 2 }, .auth_method = { "m", 1 },
		.words = "hi" };
	mqtt_write_connack(&b, MQTT_5, &c);
	wrote(&b, "20 26 00 00 {24 01 11 00000e10 13 0488 21 03e8 22 000a "
	    "27 00080000 12 'id' 15 'm' 1f 'hi'}");
	c.reason = MQTT_NOT_AUTHORIZED;
	c.session_present = true; /* MQTT-3.2.2-6 */
	mqtt_write_connack(&b, MQTT_5, &c);
	wrote(&b, "20 08 00 87 {1f 'hi'}");
	c.words = NULL;
	mqtt_write_connack(&b, MQTT_5, &c);
	wrote(&b, "20 03 00 87 {}");
	buf_free(&b);
}

static void
small_packets(void)
{
	static const uint8_t codes[] = { 0x00, 0x01, 0x87, 0x8f };
	struct buf b = { 0 };
	char *words;

	mqtt_write_puback(&b, MQTT_3, 0x102, MQTT_SUCCESS);
	wrote(&b, "40 02 0102");
	mqtt_write_puback(&b, MQTT_5, 0x102, MQTT_SUCCESS);
	wrote(&b, "40 02 0102");
	mqtt_write_puback(&b, MQTT_5, 0x102, MQTT_QUOTA);
	wrote(&b, "40 03 0102 97");
	mqtt_write_suback(&b, MQTT_3, MQTT_SUBACK, 7, codes, sizeof(codes));
	wrote(&b, "90 06 0007 00 01 80 80");
	mqtt_write_suback(&b, MQTT_5, MQTT_SUBACK, 7, codes, sizeof(codes));
	wrote(&b, "90 07 0007 {} 00 01 87 8f");
	mqtt_write_suback(&b, MQTT_3, MQTT_UNSUBACK, 7, codes, sizeof(codes));
	wrote(&b, "b0 02 0007");
	mqtt_write_suback(&b, MQTT_5, MQTT_UNSUBACK, 7, codes, 1);
	wrote(&b, "b0 04 0007 {} 00");
	mqtt_write_pingresp(&b);
	wrote(&b, "d0 00");
	mqtt_write_disconnect(&b, MQTT_TAKEN_OVER, NULL);
	wrote(&b, "e0 01 8e");
	mqtt_write_disconnect(&b, MQTT_QUOTA, "full");
	wrote(&b, "e0 09 97 {1f 'full'}");
	words = calloc(1, 65537);
	memset(words, 'x', 65536);
	mqtt_write_disconnect(&b, MQTT_QUOTA, words); /* MQTT 5, 1.5.4 */
	wrote(&b, "e0 01 97");
	words[65535] = '\0';
	mqtt_write_disconnect(&b, MQTT_QUOTA, words);
	CHECK(b.len == 4 + 1 + 3 + 3 + 65535);
	buf_reset(&b, 0);
	free(words);
	mqtt_write_auth(&b, MQTT_SUCCESS, (struct mqtt_str){ "m", 1 });
	wrote(&b, "f0 06 00 {15 'm'}");
	buf_free(&b);
}

static void
deliveries(void)
{
	static const uint32_t ids[] = { 1, 128, 268435455 };
	struct mqtt_delivery d = { .dup = true, .retain = true, .qos = 1,
		.packet_id = 9, .topic = { "t/x", 3 },
		.forward = { "\x01\x01", 2 }, .payload = { "hello", 5 },
		.expires = true, .expiry = 60, .ids = ids, .nids = 3 };
	struct buf b = { 0 };

	mqtt_write_publish(&b, MQTT_5, &d);
	CHECK(b.len == mqtt_delivery_size(&d, MQTT_5));
	wrote(&b, "3b 1e 't/x' 0009 {02 0000003c 0b 01 0b 8001 0b ffffff7f "
	    "01 01} (hello)");
	mqtt_write_publish(&b, MQTT_3, &d);
	CHECK(b.len == mqtt_delivery_size(&d, MQTT_3));
	wrote(&b, "3b 0c 't/x' 0009 (hello)");
	d = (struct mqtt_delivery){ .topic = { "t", 1 } };
	mqtt_write_publish(&b, MQTT_5, &d);
	CHECK(b.len == mqtt_delivery_size(&d, MQTT_5));
	wrote(&b, "30 04 't' {}");
	mqtt_write_publish(&b, MQTT_3, &d);
	CHECK(b.len == mqtt_delivery_size(&d, MQTT_3));
	wrote(&b, "30 03 't'");
	buf_free(&b);
}

/* Lengths at which the header grows, there and back. */
static void
sizes_there_and_back(void)
{
	static const size_t sizes[] = { 0, 1, 120, 121, 122, 123, 127, 128,
		16370, 16378, 16379, 16380, 16384, 2097146, 2097147, 2097148 };
	struct mqtt_delivery d = { .qos = 1, .packet_id = 1,
		.topic = { "t", 1 } };
	char *payload = calloc(1, 2097152);
	struct mqtt_publish p;
	struct mqtt_header h;
	struct buf b = { 0 };
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		d.payload = (struct mqtt_str){ payload, sizes[i] };
		buf_reset(&b, 0);
		mqtt_write_publish(&b, MQTT_5, &d);
		CHECK(b.len == mqtt_delivery_size(&d, MQTT_5));
		CHECK(mqtt_header(&h, buf_data(&b), b.len) == 1 && !h.padded);
		CHECK(h.bytes + h.remaining == b.len);
		CHECK(mqtt_read_publish(&p, MQTT_5, h.flags,
		    buf_data(&b) + h.bytes, h.remaining, NULL) == OK);
		CHECK(p.payload.len == sizes[i] && p.packet_id == 1);
	}
	buf_free(&b);
	free(payload);
}

static void
properties_are_forwarded(void)
{
	struct mqtt_delivery d = { .topic = { "t", 1 }, .expires = true,
		.expiry = 5 };
	struct mqtt_publish p, q;
	struct buf b = { 0 }, packet = { 0 };
	char *data;
	size_t n;

	data = bytes("'t' {02 0000000a 26 'b' '2' 01 01 23 0001 09 'c' "
	    "26 'a' '1' 08 'r' 03 'x' 26 'b' '2'}", &n);
	CHECK(mqtt_read_publish(&p, MQTT_5, 0, data, n, NULL) == OK);
	mqtt_forward_properties(&b, &p.props);
	d.forward = (struct mqtt_str){ buf_data(&b), b.len };
	mqtt_write_publish(&packet, MQTT_5, &d);
	CHECK(mqtt_read_publish(&q, MQTT_5, 0, buf_data(&packet) + 2,
	    packet.len - 2, NULL) == OK);
	CHECK(q.props.message_expiry == 5 && q.props.nuser == 3);
	CHECK(!mqtt_has(&q.props, MQTT_P_TOPIC_ALIAS));
	wrote(&b, "26 'b' '2' 01 01 09 'c' 26 'a' '1' 08 'r' "
	    "03 'x' 26 'b' '2'");
	free(data);

	data = bytes("'t'", &n);
	CHECK(mqtt_read_publish(&p, MQTT_3, 0, data, n, NULL) == OK);
	mqtt_forward_properties(&b, &p.props);
	CHECK(b.len == 0);
	free(data);
	buf_free(&b);
	buf_free(&packet);
}

int
main(void)
{
	RUN(fixed_headers);
	RUN(first_bytes);
	RUN(connect_3);
	RUN(connect_5);
	RUN(connect_5_bad);
	RUN(publish_3);
	RUN(publish_5);
	RUN(acknowledgements);
	RUN(subscribe);
	RUN(unsubscribe);
	RUN(pingreq);
	RUN(disconnect);
	RUN(auth);
	RUN(all_that_a_connect_says);
	RUN(all_that_a_publish_says);
	RUN(answers_have_a_version);
	RUN(filters_are_walked);
	RUN(user_properties_are_walked_in_order);
	RUN(connacks);
	RUN(small_packets);
	RUN(deliveries);
	RUN(sizes_there_and_back);
	RUN(properties_are_forwarded);
	DONE();
}
