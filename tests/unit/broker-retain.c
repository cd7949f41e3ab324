#include <stdio.h>
#include <string.h>

#include "../../cmd/egns-brokerd/retain.h"
#include "check.h"
#include "clock.h"
#include "topic.h"

#define TOPICS 200

static struct retain *retain;
static int64_t now;

static struct message *
message(const char *topic, size_t payload, int64_t expires)
{
	static char zeros[RETAIN_MESSAGE_MAX];
	struct message *m = message_new((struct mqtt_str){ topic,
		strlen(topic) }, (struct mqtt_str){ "fw", 2 },
	    (struct mqtt_str){ zeros, payload });

	m->expires = expires;
	return m;
}

/* Its payload is a number, and the table has the only reference. */
static int
keep(const char *topic, size_t payload, int64_t expires)
{
	struct message *m = message(topic, payload, expires), *old;
	int replaced;

	CHECK(retain_set(retain, m, &old) == 0);
	CHECK(m->refs == 2);
	message_unref(m);
	replaced = old == NULL ? -1 : (int)old->payload_len;
	if (old != NULL)
		message_unref(old);
	return replaced;
}

/* That number of the topic's message; -1: there is none. */
static int
forget(const char *topic)
{
	struct message *m = retain_clear(retain, topic, strlen(topic));
	int payload = m == NULL ? -1 : (int)m->payload_len;

	if (m != NULL)
		message_unref(m);
	return payload;
}

static size_t found_n, found_sum;

static void
found(struct message *m, void *arg)
{
	CHECK(arg == &found_n);
	found_n++;
	found_sum += m->payload_len;
}

static size_t
look(const char *filter)
{
	found_n = found_sum = 0;
	retain_each(retain, filter, strlen(filter), now, found, &found_n);
	return found_n;
}

static void
expired(struct message *m, void *arg)
{
	found(m, arg);
	message_unref(m);
}

static size_t
sweep(void)
{
	found_n = found_sum = 0;
	retain_sweep(retain, now, expired, &found_n);
	return found_n;
}

static void
begin(void)
{
	now = clock_now();
	retain = retain_new();
	CHECK(message_total() == 0);
}

static void
end(void)
{
	retain_free(retain);
	CHECK(message_total() == 0);
}

static void
a_message_has_its_parts(void)
{
	struct mqtt_str topic = { "a/b", 3 }, forward = { "", 0 };
	struct mqtt_str payload = { "x\0y", 3 };
	struct message *m = message_new(topic, forward, payload);

	CHECK(m->refs == 1 && message_bytes(m) == 6 && message_total() == 6);
	CHECK(message_ref(m) == m && m->refs == 2);
	message_unref(m);
	CHECK(memcmp(message_payload(m).p, "x\0y", 3) == 0);
	CHECK(message_payload(m).len == 3 && message_forward(m).len == 0);
	CHECK(message_topic(m).len == 3);
	message_forget(m);
	message_forget(m);
	CHECK(m->body == NULL && message_total() == 0);
	CHECK(message_bytes(m) == 6);
	CHECK(message_remember(m, topic, forward, payload) == 0);
	CHECK(message_remember(m, topic, forward, payload) == 0);
	CHECK(message_total() == 6);
	CHECK(memcmp(message_topic(m).p, "a/b", 3) == 0);
	message_unref(m);
	CHECK(message_total() == 0);
}

static void
seconds_left_are_rounded_up(void)
{
	struct message m = { 0 };

	CHECK(!message_expired(&m, INT64_MAX));
	m.expires = 100 * CLOCK_SECOND;
	CHECK(!message_expired(&m, m.expires - 1));
	CHECK(message_expired(&m, m.expires));
	CHECK(message_seconds(&m, 40 * CLOCK_SECOND) == 60);
	CHECK(message_seconds(&m, 40 * CLOCK_SECOND + 1) == 60);
	CHECK(message_seconds(&m, 41 * CLOCK_SECOND - 1) == 60);
	CHECK(message_seconds(&m, m.expires - 1) == 1);
	CHECK(message_seconds(&m, m.expires) == 1);
	m.expires = INT64_MAX - CLOCK_SECOND;
	CHECK(message_seconds(&m, 0) == UINT32_MAX);
}

static void
the_last_one_is_kept(void)
{
	begin();
	CHECK(keep("a/b", 1, 0) == -1);
	CHECK(keep("a/c", 10, 0) == -1);
	CHECK(keep("a/b", 100, 0) == 1);
	CHECK(retain_get(retain, "a/b", 3)->payload_len == 100);
	CHECK(retain_get(retain, "a/d", 3) == NULL);
	CHECK(retain_count(retain) == 2);
	CHECK(retain_bytes(retain) == 110 + 2 * (3 + 2));
	CHECK(look("a/+") == 2 && found_sum == 110);
	CHECK(look("a/b") == 1 && found_sum == 100);
	CHECK(look("a/#") == 2 && look("a") == 0 && look("a/b/c") == 0);
	CHECK(forget("a/b") == 100);
	CHECK(forget("a/b") == -1);
	CHECK(look("#") == 1 && found_sum == 10);
	CHECK(retain_bytes(retain) == 15 && retain_count(retain) == 1);
	end();
}

static void
a_body_that_is_gone_is_no_matter(void)
{
	struct message *m, *old;

	begin();
	m = message("a/b", 5, now + CLOCK_SECOND);
	CHECK(retain_set(retain, m, &old) == 0 && old == NULL);
	message_forget(m);
	CHECK(look("a/b") == 1);
	now += CLOCK_SECOND;
	CHECK(sweep() == 1 && m->refs == 1);
	CHECK(retain_count(retain) == 0 && retain_bytes(retain) == 0);
	message_unref(m);
	end();
}

static void
room_is_limited(void)
{
	char topic[32];

	begin();
	for (int i = 0; i < RETAIN_COUNT; i++) {
		snprintf(topic, sizeof(topic), "t/%d", i);
		CHECK(retain_room(retain, topic, strlen(topic), 10));
		keep(topic, 0, 0);
	}
	CHECK(!retain_room(retain, "t/new", 5, 10));
	CHECK(retain_room(retain, "t/7", 3, 10));
	CHECK(!retain_room(retain, "t/7", 3, RETAIN_BYTES));
	retain_limit(retain, 2);
	CHECK(retain_room(retain, "t/new", 5, 10));
	CHECK(retain_room(retain, "t/new", 5,
	    2 * RETAIN_BYTES - retain_bytes(retain)));
	CHECK(!retain_room(retain, "t/new", 5,
	    2 * RETAIN_BYTES - retain_bytes(retain) + 1));
	CHECK(retain_room(retain, "t/7", 3,
	    2 * RETAIN_BYTES - retain_bytes(retain) + 5));
	CHECK(!retain_room(retain, "t/7", 3,
	    2 * RETAIN_BYTES - retain_bytes(retain) + 6));
	retain_limit(retain, 0);
	CHECK(!retain_room(retain, "t/7", 3, 0));
	end();
}

static void
expired_ones_are_swept(void)
{
	char topic[32];
	size_t n = 0, turns = 0;

	begin();
	for (int i = 0; i < 1000; i++) {
		snprintf(topic, sizeof(topic), "%d", i);
		keep(topic, 0, now + (1 + i * 7 % 1000) * CLOCK_SECOND);
	}
	CHECK(sweep() == 0);
	now += 10 * CLOCK_SECOND;
	CHECK(look("#") == 990 && retain_count(retain) == 1000);
	CHECK(sweep() == 10 && sweep() == 0);
	now += 890 * CLOCK_SECOND;
	while (n < 890 && turns++ < 10)
		n += sweep();
	CHECK(n == 890 && turns > 1 && sweep() == 0 && look("+") == 100);
	now += RETAIN_SECONDS * CLOCK_SECOND;
	CHECK(sweep() == 100 && retain_count(retain) == 0);
	end();
}

static void
none_is_kept_for_ever(void)
{
	begin();
	keep("a", 0, 0);
	keep("b", 0, now + 2 * RETAIN_SECONDS * CLOCK_SECOND);
	now += RETAIN_SECONDS * CLOCK_SECOND - CLOCK_SECOND;
	CHECK(look("#") == 2 && sweep() == 0);
	now += 60 * CLOCK_SECOND;
	CHECK(look("#") == 0 && sweep() == 2);
	end();
}

/* Beside an array of topics, at random. */
static struct {
	int payload; /* -1: none */
	int64_t expires;
	char name[16];
} topics[TOPICS];

static void
change_at_random(void)
{
	int i = rand() % TOPICS, payload;

	switch (rand() % 4) {
	case 0:
		CHECK(forget(topics[i].name) == topics[i].payload);
		topics[i].payload = -1;
		return;
	case 1:
		now += rand() % 20;
		sweep();
		for (i = 0; i < TOPICS; i++)
			if (topics[i].expires <= now)
				topics[i].payload = -1;
		return;
	default:
		payload = rand() % 100;
		topics[i].expires = now + 1 + rand() % 1000;
		CHECK(keep(topics[i].name, (size_t)payload,
		    topics[i].expires) == topics[i].payload);
		topics[i].payload = payload;
	}
}

static void
it_agrees_with_an_array(void)
{
	static const char *const filters[] = { "#", "+", "1/+", "+/2/#",
		"0/0/0", "3/#" };
	size_t n, sum;
	const char *f;

	begin();
	srand(9);
	for (int i = 0; i < TOPICS; i++) {
		topics[i].payload = -1;
		snprintf(topics[i].name, sizeof(topics[i].name),
		    i < 4 ? "%d" : i < 40 ? "%d/%d" : "%d/%d/%d", i % 4,
		    i / 4 % 10, i / 40);
	}
	for (int step = 0; step < 20000; step++) {
		change_at_random();
		f = filters[rand() % 6];
		n = sum = 0;
		for (int i = 0; i < TOPICS; i++) {
			if (topics[i].payload == -1 ||
			    !topic_matches(f, strlen(f), topics[i].name,
				strlen(topics[i].name)))
				continue;
			n++;
			sum += (size_t)topics[i].payload;
		}
		CHECK(look(f) == n && found_sum == sum);
	}
	end();
}

int
main(void)
{
	RUN(a_message_has_its_parts);
	RUN(seconds_left_are_rounded_up);
	RUN(the_last_one_is_kept);
	RUN(a_body_that_is_gone_is_no_matter);
	RUN(room_is_limited);
	RUN(expired_ones_are_swept);
	RUN(none_is_kept_for_ever);
	RUN(it_agrees_with_an_array);
	DONE();
}
