#ifndef MQTT_READER_H
#define MQTT_READER_H

#include <string.h>

#include "mqtt.h"
#include "utf8.h"

/*
 * What is left to read of a packet, and the first thing that was wrong. Once
 * bad it stays bad, and nothing is left. Clauses are MQTT 5's unless they say
 * 3.1.1.
 */
struct mqtt_reader {
	const uint8_t *p, *end;
	enum mqtt_reason bad; /* MQTT_SUCCESS: nothing yet */
	const char *why;
};

static inline struct mqtt_reader
begin(const void *data, size_t n)
{
	const uint8_t *p = data;

	return (struct mqtt_reader){ .p = p, .end = p + n };
}

static inline void
fail(struct mqtt_reader *r, enum mqtt_reason reason, const char *why)
{
	if (r->bad == MQTT_SUCCESS) {
		r->bad = reason;
		r->why = why;
	}
	r->p = r->end;
}

static inline bool
more(const struct mqtt_reader *r)
{
	return r->p < r->end;
}

/* Take n bytes off the front. */
static inline const uint8_t *
take(struct mqtt_reader *r, size_t n)
{
	const uint8_t *p = r->p;

	if (n > (size_t)(r->end - r->p)) {
		fail(r, MQTT_MALFORMED, "4.13.1: packet is too short");
		return NULL;
	}
	r->p += n;
	return p;
}

static inline uint8_t
read_u8(struct mqtt_reader *r)
{
	const uint8_t *p = take(r, 1);

	return p == NULL ? 0 : *p;
}

static inline uint16_t
read_u16(struct mqtt_reader *r)
{
	const uint8_t *p = take(r, 2);

	return p == NULL ? 0 : (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
read_u32(struct mqtt_reader *r)
{
	uint32_t high = read_u16(r);

	return high << 16 | read_u16(r);
}

static inline uint32_t
read_varint(struct mqtt_reader *r)
{
	uint32_t v = 0;
	unsigned shift;
	uint8_t b;

	for (shift = 0; shift < 28; shift += 7) {
		b = read_u8(r);
		v |= (uint32_t)(b & 0x7f) << shift;
		if (b >= 0x80)
			continue;
		if (b == 0 && shift > 0)
			fail(r, MQTT_MALFORMED,
			    "MQTT-1.5.5-1: number is longer than need be");
		return v;
	}
	fail(r, MQTT_MALFORMED, "1.5.5: number has more than four bytes");
	return 0;
}

static inline struct mqtt_str
read_binary(struct mqtt_reader *r)
{
	size_t n = read_u16(r);
	const uint8_t *p = take(r, n);

	return (struct mqtt_str){ (const char *)p, p == NULL ? 0 : n };
}

/* What is wrong with a string, or NULL; eight plain characters at a time. */
static inline const char *
bad_text(const char *s, size_t n)
{
	const uint64_t ones = 0x0101010101010101, highs = ones << 7;
	uint64_t w;
	size_t len;

	while (n > 0) {
		if (n >= sizeof(w)) {
			memcpy(&w, s, sizeof(w));
			/* no byte has its high bit set, and none is 0 */
			if (((w | (w - ones)) & highs) == 0) {
				s += sizeof(w), n -= sizeof(w);
				continue;
			}
		}
		if (*s == '\0')
			return "MQTT-1.5.4-2: string has U+0000";
		if ((len = utf8_char(s, n)) == 0)
			return "MQTT-1.5.4-1: string is not UTF-8";
		s += len, n -= len;
	}
	return NULL;
}

static inline void
check_text(struct mqtt_reader *r, struct mqtt_str s)
{
	const char *why = bad_text(s.p, s.len);

	if (why != NULL)
		fail(r, MQTT_MALFORMED, why);
}

static inline struct mqtt_str
read_string(struct mqtt_reader *r)
{
	struct mqtt_str s = read_binary(r);

	check_text(r, s);
	return s;
}

/*
 * Properties with their length, of a packet of this type, which a client has
 * sent. A will's are a packet of their own.
 */
enum { MQTT_WILL = 0 };
void mqtt_read_properties(struct mqtt_reader *, unsigned type,
    struct mqtt_properties *);

#endif
