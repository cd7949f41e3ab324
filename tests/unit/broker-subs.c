#include <string.h>

#include "check.h"
#include "../../cmd/egns-brokerd/subs.h"
#include "topic.h"

#define SESSIONS 24
#define FILTERS 400

static struct subs *subs;
static struct match match;
static struct session sessions[SESSIONS];
static char somebody; /* a client that nobody looks into */

static void
begin(void)
{
	subs = subs_new();
	memset(sessions, 0, sizeof(sessions));
	for (int i = 0; i < SESSIONS; i++) {
		sessions[i].number = (uint64_t)i + 1;
		sessions[i].client = (struct client *)(void *)&somebody;
	}
}

static void
end(void)
{
	for (int i = 0; i < SESSIONS; i++) {
		subs_remove_all(subs, &sessions[i]);
		CHECK(sessions[i].nsubscriptions == 0);
		CHECK(sessions[i].nshared == 0);
		CHECK(sessions[i].subscriptions == NULL);
	}
	CHECK(subs_count(subs) == 0);
	subs_free(subs);
	match_free(&match);
}

static enum mqtt_reason
add(int session, const char *filter, struct subscription_options o)
{
	bool existed;

	return subs_add(subs, &sessions[session], filter, strlen(filter), &o,
	    &existed);
}

static struct subscription_options
qos(uint8_t n)
{
	return (struct subscription_options){ .qos = n };
}

static void
look(const char *topic, uint64_t from, uint8_t publish_qos)
{
	subs_match(subs, topic, strlen(topic), from, publish_qos, &match);
	CHECK(!match.bad);
}

/* The only target's session, from 0; -1: none, -2: several. */
static int
only(const char *topic, uint8_t publish_qos)
{
	look(topic, 0, publish_qos);
	if (match.n != 1)
		return match.n == 0 ? -1 : -2;
	return (int)(match.targets[0].session - sessions);
}

static bool
has_ids(const struct target *t, uint32_t n, const uint32_t *wanted)
{
	return t->nids == n && t->ids + n <= match.nids &&
	    memcmp(match.ids + t->ids, wanted, n * sizeof(*wanted)) == 0;
}

static void
overlapping_ones_give_one_delivery(void)
{
	struct subscription_options o = { .qos = 0, .id = 7 };

	begin();
	CHECK(add(0, "a/+", o) == MQTT_SUCCESS);
	o = (struct subscription_options){ .qos = 1, .id = 300 };
	CHECK(add(1, "a/#", o) == MQTT_SUCCESS);
	CHECK(add(0, "a/b", o) == MQTT_SUCCESS);
	o = (struct subscription_options){ .retain_as_published = true };
	CHECK(add(0, "#", o) == MQTT_SUCCESS);
	look("a/b", 0, 1);
	CHECK(match.n == 2);
	for (uint32_t i = 0; i < match.n; i++) {
		const struct target *t = &match.targets[i];
		bool first = t->session == &sessions[0];

		CHECK(t->qos == 1 && t->share == NULL);
		CHECK(t->retain_as_published == first);
		CHECK(first ? has_ids(t, 2, (uint32_t[]){ 300, 7 }) ||
		    has_ids(t, 2, (uint32_t[]){ 7, 300 }) :
		    has_ids(t, 1, (uint32_t[]){ 300 }));
	}
	look("a/c", 0, 1);
	CHECK(match.n == 2);
	look("b", 0, 1);
	CHECK(match.n == 1 && match.targets[0].nids == 0);
	end();
}

static void
a_second_time_it_is_changed(void)
{
	struct subscription_options o = { .qos = 1, .id = 5 };
	bool existed;

	begin();
	CHECK(subs_add(subs, &sessions[0], "a", 1, &o, &existed) == 0);
	CHECK(!existed);
	o = (struct subscription_options){ .no_local = true };
	CHECK(subs_add(subs, &sessions[0], "a", 1, &o, &existed) == 0);
	CHECK(existed && subs_count(subs) == 1);
	look("a", 0, 1);
	CHECK(match.n == 1 && match.targets[0].qos == 0);
	CHECK(match.targets[0].nids == 0);
	look("a", 1, 1);
	CHECK(match.n == 0);
	look("a", 2, 1);
	CHECK(match.n == 1);
	CHECK(subs_find(&sessions[0], "a", 1) != NULL);
	CHECK(subs_find(&sessions[0], "b", 1) == NULL);
	CHECK(subs_find(&sessions[1], "a", 1) == NULL);
	CHECK(subscription_matches(subs_find(&sessions[0], "a", 1), "a", 1));
	CHECK(!subscription_matches(subs_find(&sessions[0], "a", 1), "b", 1));
	CHECK(!subs_remove(subs, &sessions[0], "b", 1));
	CHECK(!subs_remove(subs, &sessions[1], "a", 1));
	CHECK(subs_remove(subs, &sessions[0], "a", 1));
	CHECK(only("a", 1) == -1);
	end();
}

static void
a_session_has_its_limits(void)
{
	char filter[32];

	begin();
	for (int i = 0; i < SESSION_SHARED; i++) {
		snprintf(filter, sizeof(filter), "$share/g/%d", i);
		CHECK(add(0, filter, qos(1)) == MQTT_SUCCESS);
	}
	CHECK(add(0, "$share/g/x", qos(1)) == MQTT_QUOTA);
	CHECK(add(0, "$share/g/3", qos(0)) == MQTT_SUCCESS);
	for (int i = SESSION_SHARED; i < SESSION_SUBSCRIPTIONS; i++) {
		snprintf(filter, sizeof(filter), "%d", i);
		CHECK(add(0, filter, qos(1)) == MQTT_SUCCESS);
	}
	CHECK(add(0, "x", qos(1)) == MQTT_QUOTA);
	CHECK(add(0, "20", qos(0)) == MQTT_SUCCESS);
	CHECK(sessions[0].nsubscriptions == SESSION_SUBSCRIPTIONS);
	CHECK(sessions[0].nshared == SESSION_SHARED);
	CHECK(subs_remove(subs, &sessions[0], "$share/g/0", 10));
	CHECK(add(0, "$share/h/x", qos(1)) == MQTT_SUCCESS);
	CHECK(only("x", 1) == 0 && only("0", 1) == -1);
	end();
}

static void
shares_have_their_limits(void)
{
	static struct session crowd[SUBS_SHARE_MEMBERS + 1];
	struct subscription_options o = { .qos = 1 };
	char filter[32];
	bool existed;

	begin();
	for (int i = 0; i < SUBS_SHARES - 1; i++) {
		snprintf(filter, sizeof(filter), "$share/%d/a", i);
		CHECK(add(i / SESSION_SHARED, filter, qos(1)) == MQTT_SUCCESS);
	}
	for (int i = 0; i <= SUBS_SHARE_MEMBERS; i++)
		CHECK(subs_add(subs, &crowd[i], "$share/g/b", 10, &o,
		    &existed) == (i < SUBS_SHARE_MEMBERS ? MQTT_SUCCESS :
		    MQTT_QUOTA));
	CHECK(crowd[SUBS_SHARE_MEMBERS].nsubscriptions == 0);
	CHECK(add(20, "$share/one-more/a", qos(1)) == MQTT_QUOTA);
	CHECK(share_find(subs, "$share/one-more/a", 17) == NULL);
	CHECK(subs_remove(subs, &sessions[0], "$share/0/a", 10));
	CHECK(add(20, "$share/one-more/a", qos(1)) == MQTT_SUCCESS);
	look("a", 0, 1);
	CHECK(match.n == SUBS_SHARES - 1);
	for (int i = 0; i <= SUBS_SHARE_MEMBERS; i++)
		subs_remove_all(subs, &crowd[i]);
	end();
}

static void
members_take_turns(void)
{
	int got[3] = { 0 };

	begin();
	for (int i = 0; i < 3; i++)
		CHECK(add(i, "$share/g/a/+", qos(1)) == MQTT_SUCCESS);
	CHECK(add(4, "$share/h/a/b", qos(0)) == MQTT_SUCCESS);
	for (int i = 0; i < 30; i++) {
		look("a/b", 1, 1);
		CHECK(match.n == 2);
		for (uint32_t t = 0; t < match.n; t++) {
			long who = match.targets[t].session - sessions;

			CHECK(match.targets[t].share != NULL);
			if (who < 3)
				got[who]++;
			else
				CHECK(match.targets[t].qos == 0);
		}
	}
	CHECK(got[0] == 10 && got[1] == 10 && got[2] == 10);
	end();
}

/* An own subscription beside a shared one: two deliveries (MQTT 5, 4.8.2). */
static void
a_share_stands_beside_an_ordinary_one(void)
{
	struct subscription_options o = { .qos = 1, .id = 3 };

	begin();
	CHECK(add(0, "a", qos(0)) == MQTT_SUCCESS);
	CHECK(add(0, "$share/g/a", o) == MQTT_SUCCESS);
	look("a", 0, 1);
	CHECK(match.n == 2);
	for (uint32_t i = 0; i < match.n; i++)
		CHECK(match.targets[i].share == NULL ?
		    match.targets[i].nids == 0 :
		    has_ids(&match.targets[i], 1, (uint32_t[]){ 3 }));
	end();
}

static void
those_with_room_come_first(void)
{
	begin();
	for (int i = 0; i < 4; i++)
		CHECK(add(i, "$share/g/a", qos(1)) == MQTT_SUCCESS);
	sessions[0].flying = SESSION_WINDOW;
	sessions[1].client = NULL;
	sessions[1].stored = true;
	sessions[2].unsent = 1;
	for (int i = 0; i < 5; i++)
		CHECK(only("a", 1) == 3);
	sessions[3].flying = SESSION_WINDOW;
	for (int i = 0; i < 5; i++)
		CHECK(only("a", 1) != 1);
	sessions[0].client = sessions[2].client = sessions[3].client = NULL;
	for (int i = 0; i < 5; i++)
		CHECK(only("a", 1) == 1);
	CHECK(only("a", 0) == -1);
	sessions[0].stored = sessions[1].ended = true;
	CHECK(only("a", 1) == 0 && only("a", 1) == 0);
	CHECK(add(0, "$share/g/a", qos(0)) == MQTT_SUCCESS);
	CHECK(only("a", 1) == -1);
	end();
}

static void
another_member_is_chosen(void)
{
	struct share *share;

	begin();
	for (int i = 0; i < 3; i++)
		CHECK(add(i, "$share/g/a", qos(1)) == MQTT_SUCCESS);
	share = share_find(subs, "$share/g/a", 10);
	CHECK(share != NULL && strcmp(share_filter(share), "$share/g/a") == 0);
	CHECK(subscription_matches(sessions[0].subscriptions[0], "a", 1));
	CHECK(share_find(subs, "$share/h/a", 10) == NULL);
	CHECK(share_find(subs, "$share/g/b", 10) == NULL);
	CHECK(share_find(subs, "a", 1) == NULL);
	for (int i = 0; i < 6; i++)
		CHECK(share_choose(share, &sessions[i % 3]) !=
		    &sessions[i % 3]);
	subs_remove_all(subs, &sessions[1]);
	subs_remove_all(subs, &sessions[2]);
	CHECK(share_choose(share, &sessions[0]) == NULL);
	CHECK(share_choose(share, NULL) == &sessions[0]);
	end();
}

static void
a_share_lives_while_it_is_held(void)
{
	struct share *share;

	begin();
	CHECK(add(0, "$share/g/a/+", qos(1)) == MQTT_SUCCESS);
	share = share_ref(share_find(subs, "$share/g/a/+", 12));
	subs_remove_all(subs, &sessions[0]);
	CHECK(only("a/b", 1) == -1 && share_choose(share, NULL) == NULL);
	CHECK(share_find(subs, "$share/g/a/+", 12) == share);
	CHECK(add(1, "$share/g/a/+", qos(1)) == MQTT_SUCCESS);
	CHECK(share_choose(share, NULL) == &sessions[1]);
	share_unref(subs, share);
	CHECK(share_find(subs, "$share/g/a/+", 12) == share);
	subs_remove_all(subs, &sessions[1]);
	CHECK(share_find(subs, "$share/g/a/+", 12) == NULL);
	end();
}

/* ---- beside a list that is looked through ---- */

static struct {
	int session; /* -1: this one is free */
	char filter[32];
	struct subscription_options options;
} list[FILTERS];

static void
random_levels(char *text, const char *const *levels, int n, bool filter)
{
	int depth = 1 + rand() % 4, level;

	*text = '\0';
	for (int i = 0; i < depth; i++) {
		level = rand() % n;
		strcat(text, i > 0 ? "/" : "");
		strcat(text, levels[level]);
		if (filter && levels[level][0] == '#')
			return;
	}
}

static void
change_at_random(void)
{
	static const char *const levels[] = { "a", "b", "", "$x", "+", "#" };
	int i = rand() % FILTERS;
	bool existed;

	if (list[i].session >= 0) {
		CHECK(subs_remove(subs, &sessions[list[i].session],
		    list[i].filter, strlen(list[i].filter)));
		list[i].session = -1;
		return;
	}
	do
		random_levels(list[i].filter, levels, 6, true);
	while (list[i].filter[0] == '\0');
	list[i].session = rand() % SESSIONS;
	list[i].options = (struct subscription_options){
		.qos = (uint8_t)(rand() % 2), .no_local = rand() % 4 == 0,
		.retain_as_published = rand() % 4 == 0,
		.id = (uint32_t)(rand() % 3 * 100 + rand() % 2) };
	for (int k = 0; k < FILTERS; k++)
		if (k != i && list[k].session == list[i].session &&
		    strcmp(list[k].filter, list[i].filter) == 0)
			list[k].session = -1;
	if (subs_add(subs, &sessions[list[i].session], list[i].filter,
	    strlen(list[i].filter), &list[i].options, &existed) != MQTT_SUCCESS)
		list[i].session = -1;
}

/* What the list says of one session and a topic. */
static bool
expect(int session, const char *topic, uint64_t from, struct target *t,
    uint32_t *sum)
{
	bool any = false;

	*t = (struct target){ .session = &sessions[session] };
	*sum = 0;
	for (int i = 0; i < FILTERS; i++) {
		if (list[i].session != session ||
		    (list[i].options.no_local &&
			from == sessions[session].number) ||
		    !topic_matches(list[i].filter, strlen(list[i].filter),
			topic, strlen(topic)))
			continue;
		any = true;
		t->qos |= list[i].options.qos;
		t->retain_as_published |= list[i].options.retain_as_published;
		t->nids += list[i].options.id != 0;
		*sum += list[i].options.id;
	}
	return any;
}

static void
compare(const char *topic, uint64_t from)
{
	const struct target *got;
	struct target wanted;
	uint32_t sum, found = 0;

	look(topic, from, 1);
	for (int i = 0; i < SESSIONS; i++) {
		if (!expect(i, topic, from, &wanted, &sum))
			continue;
		got = NULL;
		for (uint32_t k = 0; k < match.n; k++)
			if (match.targets[k].session == &sessions[i])
				got = &match.targets[k];
		CHECK(got != NULL);
		if (got == NULL)
			continue;
		found++;
		for (uint32_t k = 0; k < got->nids; k++)
			sum -= match.ids[got->ids + k];
		CHECK(sum == 0 && got->nids == wanted.nids);
		CHECK(got->ids + got->nids <= match.nids);
		CHECK(got->qos == wanted.qos && got->share == NULL);
		CHECK(got->retain_as_published == wanted.retain_as_published);
	}
	CHECK(match.n == found);
}

static void
it_agrees_with_a_list(void)
{
	static const char *const levels[] = { "a", "b", "", "$x", "c" };
	char topic[32];

	begin();
	srand(3);
	for (int i = 0; i < FILTERS; i++)
		list[i].session = -1;
	for (int i = 0; i < 20000; i++) {
		change_at_random();
		do
			random_levels(topic, levels, 5, false);
		while (topic[0] == '\0');
		compare(topic, (uint64_t)(rand() % SESSIONS));
	}
	end();
}

/* Members come and go, are busy or away: each message still has one of them. */
static void
every_message_has_one_member(void)
{
	static const char *const groups[] = { "$share/g/a/#", "$share/h/a/#",
		"$share/g/+/b" };
	bool has[3], in[3][SESSIONS] = { { false } };
	int g, i;

	begin();
	srand(5);
	for (int n = 0; n < 20000; n++) {
		g = rand() % 3, i = rand() % SESSIONS;
		if (in[g][i])
			subs_remove(subs, &sessions[i], groups[g], 12);
		else
			add(i, groups[g], qos(1));
		in[g][i] = !in[g][i];
		i = rand() % SESSIONS;
		sessions[i].flying = (uint32_t)(rand() % 2) * SESSION_WINDOW;
		sessions[i].client = rand() % 2 == 0 ? NULL :
		    (struct client *)(void *)&somebody;
		sessions[i].stored = true;
		look("a/b", 0, 1);
		memset(has, 0, sizeof(has));
		for (uint32_t t = 0; t < match.n; t++) {
			for (g = 0; strcmp(groups[g], share_filter(
			    match.targets[t].share)) != 0; g++)
				;
			CHECK(!has[g]);
			has[g] = true;
			CHECK(in[g][match.targets[t].session - sessions]);
		}
		for (g = 0; g < 3; g++)
			CHECK(!has[g] == (memchr(in[g], true, SESSIONS) ==
			    NULL || share_choose(share_find(subs, groups[g],
			    12), NULL) == NULL));
	}
	end();
}

int
main(void)
{
	RUN(overlapping_ones_give_one_delivery);
	RUN(a_second_time_it_is_changed);
	RUN(a_session_has_its_limits);
	RUN(shares_have_their_limits);
	RUN(members_take_turns);
	RUN(a_share_stands_beside_an_ordinary_one);
	RUN(those_with_room_come_first);
	RUN(another_member_is_chosen);
	RUN(a_share_lives_while_it_is_held);
	RUN(it_agrees_with_a_list);
	RUN(every_message_has_one_member);
	DONE();
}
