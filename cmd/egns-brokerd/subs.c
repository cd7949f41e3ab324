#include "subs.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "topic.h"
#include "tree.h"

/* What is at one filter of the tree. */
struct place {
	struct subscription *subscriptions; /* ordinary ones */
	struct share *shares;
};

struct share {
	struct place *place;
	struct share *next, **link; /* at the same filter */
	uint32_t refs;
	struct subscription **members;
	uint32_t n, cap;
	uint32_t turn; /* whose it is */
	uint16_t filter_len, prefix; /* bytes; of "$share/GROUP/" */
	char filter[];
};

struct subs {
	struct tree *tree;
	size_t count;
	size_t nshares;   /* with members */
	uint64_t matches; /* number of the last one */
};

/* Room for one more in an array of pointers or numbers; NULL without memory. */
static void *
enlarge(void *array, uint32_t n, uint32_t *cap, size_t size)
{
	uint32_t more = *cap > 0 ? *cap * 2 : 4;

	if (n < *cap)
		return array;
	if ((array = realloc(array, more * size)) != NULL)
		*cap = more;
	return array;
}

/* ---- places ---- */

static struct place *
place_at(struct subs *s, const char *filter, size_t len)
{
	void **thing = tree_put(s->tree, filter, len);
	struct place *p;

	if (thing == NULL)
		return NULL;
	if ((p = *thing) != NULL)
		return p;
	if ((p = calloc(1, sizeof(*p))) == NULL)
		tree_drop(s->tree, filter, len);
	else
		*thing = p;
	return p;
}

/* Forget it when nothing is there. */
static void
place_leave(struct subs *s, struct place *p, const char *filter, size_t len)
{
	if (p->subscriptions != NULL || p->shares != NULL)
		return;
	*tree_get(s->tree, filter, len) = NULL;
	tree_drop(s->tree, filter, len);
	free(p);
}

/* ---- shares ---- */

static struct share *
share_at(const struct place *p, const char *filter, size_t len)
{
	struct share *share = p->shares;

	while (share != NULL && (share->filter_len != len ||
	    memcmp(share->filter, filter, len) != 0))
		share = share->next;
	return share;
}

static struct share *
share_new(struct place *p, const char *filter, size_t len, size_t prefix)
{
	struct share *share = calloc(1, sizeof(*share) + len + 1);

	if (share == NULL)
		return NULL;
	share->filter_len = (uint16_t)len;
	share->prefix = (uint16_t)prefix;
	memcpy(share->filter, filter, len);
	share->place = p;
	share->next = p->shares;
	if (share->next != NULL)
		share->next->link = &share->next;
	share->link = &p->shares;
	p->shares = share;
	return share;
}

/* Free it when nobody is in it and nobody holds it. */
static void
share_leave(struct subs *s, struct share *share)
{
	if (share->refs > 0 || share->n > 0)
		return;
	*share->link = share->next;
	if (share->next != NULL)
		share->next->link = share->link;
	place_leave(s, share->place, share->filter + share->prefix,
	    (size_t)share->filter_len - share->prefix);
	free(share->members);
	free(share);
}

static enum mqtt_reason
share_enter(struct subs *s, struct share *share, struct subscription *sub)
{
	struct subscription **members;

	if (share->n == SUBS_SHARE_MEMBERS ||
	    (share->n == 0 && s->nshares == SUBS_SHARES))
		return MQTT_QUOTA;
	members = enlarge(share->members, share->n, &share->cap,
	    sizeof(struct subscription *));
	if (members == NULL)
		return MQTT_UNSPECIFIED;
	share->members = members;
	s->nshares += share->n == 0;
	share->members[share->n++] = sub;
	sub->share = share;
	return MQTT_SUCCESS;
}

static void
share_exit(struct subs *s, struct subscription *sub)
{
	struct share *share = sub->share;
	uint32_t i = 0;

	while (share->members[i] != sub)
		i++;
	share->members[i] = share->members[--share->n];
	s->nshares -= share->n == 0;
	share_leave(s, share);
}

/* How much a member wants a message: 0 is most, FITS_NOT not at all. */
enum { FITS_NOW, FITS_SOON, FITS_LATER, FITS_NOT };

static int
fits(const struct subscription *sub, uint8_t qos)
{
	const struct session *session = sub->session;

	if (session->ended)
		return FITS_NOT;
	if (session->client != NULL)
		return session->unsent == 0 &&
		    session->flying < SESSION_WINDOW ? FITS_NOW : FITS_SOON;
	return session->stored && qos > 0 && sub->options.qos > 0 ?
	    FITS_LATER : FITS_NOT;
}

/* The member whose turn it is among those that it fits best. */
static struct subscription *
choose(struct share *share, uint8_t qos, const struct session *not_this)
{
	int best = FITS_NOT, fit;
	uint32_t at = 0, chosen = 0;

	for (uint32_t i = 0; i < share->n && best > FITS_NOW; i++) {
		at = (share->turn + i) % share->n;
		if (share->members[at]->session == not_this)
			continue;
		if ((fit = fits(share->members[at], qos)) < best) {
			best = fit;
			chosen = at;
		}
	}
	if (best == FITS_NOT)
		return NULL;
	share->turn = chosen + 1;
	return share->members[chosen];
}

/* ---- subscriptions ---- */

static struct subscription *
subscription_new(struct session *session, const char *filter, size_t len,
    const struct subscription_options *options)
{
	struct subscription *sub = calloc(1, sizeof(*sub) + len + 1);

	if (sub == NULL)
		return NULL;
	sub->session = session;
	sub->options = *options;
	sub->filter_len = (uint16_t)len;
	memcpy(sub->filter, filter, len);
	return sub;
}

static int
list_add(struct session *session, struct subscription *sub)
{
	struct subscription **list = array_room(session->subscriptions,
	    session->nsubscriptions, sizeof(*list));

	if (list == NULL)
		return -1;
	session->subscriptions = list;
	list[session->nsubscriptions++] = sub;
	return 0;
}

static void
list_remove(struct session *session, uint32_t i)
{
	session->subscriptions[i] =
	    session->subscriptions[--session->nsubscriptions];
	if (session->nsubscriptions == 0) {
		free(session->subscriptions);
		session->subscriptions = NULL;
	}
}

static void
attach(struct place *p, struct subscription *sub)
{
	sub->next = p->subscriptions;
	if (sub->next != NULL)
		sub->next->link = &sub->next;
	sub->link = &p->subscriptions;
	p->subscriptions = sub;
}

static void
detach(struct subs *s, struct subscription *sub)
{
	void **place = tree_get(s->tree, sub->filter, sub->filter_len);

	*sub->link = sub->next;
	if (sub->next != NULL)
		sub->next->link = sub->link;
	place_leave(s, *place, sub->filter, sub->filter_len);
}

/* To its place in the tree. */
static enum mqtt_reason
enter(struct subs *s, struct subscription *sub)
{
	struct topic_share parts;
	bool shared = topic_share(sub->filter, sub->filter_len, &parts) == 1;
	struct place *p = place_at(s, parts.filter, parts.len);
	struct share *share;
	enum mqtt_reason reason;

	if (p == NULL)
		return MQTT_UNSPECIFIED;
	if (!shared) {
		attach(p, sub);
		return MQTT_SUCCESS;
	}
	share = share_at(p, sub->filter, sub->filter_len);
	if (share == NULL)
		share = share_new(p, sub->filter, sub->filter_len,
		    (size_t)(parts.filter - sub->filter));
	if (share == NULL) {
		place_leave(s, p, parts.filter, parts.len);
		return MQTT_UNSPECIFIED;
	}
	reason = share_enter(s, share, sub);
	if (reason == MQTT_SUCCESS)
		sub->session->nshared++;
	else
		share_leave(s, share);
	return reason;
}

static void
drop(struct subs *s, struct session *session, uint32_t i)
{
	struct subscription *sub = session->subscriptions[i];

	list_remove(session, i);
	if (sub->share != NULL) {
		session->nshared--;
		share_exit(s, sub);
	} else {
		detach(s, sub);
	}
	free(sub);
	s->count--;
}

static uint32_t
list_find(const struct session *session, const char *filter, size_t len)
{
	const struct subscription *sub;
	uint32_t i;

	for (i = 0; i < session->nsubscriptions; i++) {
		sub = session->subscriptions[i];
		if (sub->filter_len == len &&
		    memcmp(sub->filter, filter, len) == 0)
			break;
	}
	return i;
}

static bool
is_full(const struct subs *s, const struct session *session,
    const char *filter, size_t len)
{
	struct topic_share parts;

	return session->nsubscriptions >= SESSION_SUBSCRIPTIONS ||
	    s->count >= SUBS_MAX ||
	    (session->nshared >= SESSION_SHARED &&
		topic_share(filter, len, &parts) == 1);
}

struct subs *
subs_new(void)
{
	struct subs *s = calloc(1, sizeof(*s));

	if (s != NULL && (s->tree = tree_new()) == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

void
subs_free(struct subs *s)
{
	if (s == NULL)
		return;
	tree_free(s->tree);
	free(s);
}

size_t
subs_count(const struct subs *s)
{
	return s->count;
}

enum mqtt_reason
subs_add(struct subs *s, struct session *session, const char *filter,
    size_t len, const struct subscription_options *options, bool *existed)
{
	struct subscription *sub = subs_find(session, filter, len);
	enum mqtt_reason reason;

	*existed = sub != NULL;
	if (sub != NULL) {
		sub->options = *options;
		return MQTT_SUCCESS;
	}
	if (is_full(s, session, filter, len))
		return MQTT_QUOTA;
	sub = subscription_new(session, filter, len, options);
	if (sub == NULL)
		return MQTT_UNSPECIFIED;
	if (list_add(session, sub) == -1) {
		free(sub);
		return MQTT_UNSPECIFIED;
	}
	reason = enter(s, sub);
	if (reason != MQTT_SUCCESS) {
		list_remove(session, session->nsubscriptions - 1);
		free(sub);
		return reason;
	}
	s->count++;
	return MQTT_SUCCESS;
}

bool
subs_remove(struct subs *s, struct session *session, const char *filter,
    size_t len)
{
	uint32_t i = list_find(session, filter, len);

	if (i == session->nsubscriptions)
		return false;
	drop(s, session, i);
	return true;
}

void
subs_remove_all(struct subs *s, struct session *session)
{
	while (session->nsubscriptions > 0)
		drop(s, session, session->nsubscriptions - 1);
}

struct subscription *
subs_find(const struct session *session, const char *filter, size_t len)
{
	uint32_t i = list_find(session, filter, len);

	return i < session->nsubscriptions ? session->subscriptions[i] : NULL;
}

bool
subscription_matches(const struct subscription *sub, const char *name,
    size_t len)
{
	struct topic_share parts;

	return topic_share(sub->filter, sub->filter_len, &parts) >= 0 &&
	    topic_matches(parts.filter, parts.len, name, len);
}

/* ---- who gets a message ---- */

struct look {
	struct match *match;
	uint64_t stamp, from;
	uint8_t qos;
};

static struct target *
add_target(struct match *m, const struct subscription *sub)
{
	struct target *targets = enlarge(m->targets, m->n, &m->cap,
	    sizeof(struct target));

	if (targets == NULL) {
		m->bad = true;
		return NULL;
	}
	m->targets = targets;
	targets[m->n] = (struct target){ .session = sub->session,
		.share = sub->share, .ids = m->nids };
	return &targets[m->n++];
}

static bool
add_number(struct match *m, uint32_t id)
{
	uint32_t *ids = enlarge(m->ids, m->nids, &m->ids_cap,
	    sizeof(uint32_t));

	if (ids == NULL) {
		m->bad = true;
		return false;
	}
	m->ids = ids;
	ids[m->nids++] = id;
	return true;
}

/* One more for a target: those that it has move behind all others, if they are
 * not there already. */
static void
add_id(struct match *m, struct target *t, uint32_t id)
{
	uint32_t old = t->ids;

	if (t->ids + t->nids != m->nids) {
		t->ids = m->nids;
		for (uint32_t i = 0; i < t->nids; i++) {
			if (!add_number(m, m->ids[old + i])) {
				t->nids = 0;
				return;
			}
		}
	}
	t->nids += add_number(m, id);
}

static void
merge(struct match *m, struct target *t, const struct subscription *sub)
{
	const struct subscription_options *o = &sub->options;

	if (o->qos > t->qos)
		t->qos = o->qos;
	t->retain_as_published |= o->retain_as_published;
	if (o->id != 0)
		add_id(m, t, o->id);
}

static void
found_one(const struct look *l, const struct subscription *sub)
{
	struct session *session = sub->session;
	struct match *m = l->match;
	struct target *t;

	/* MQTT-3.8.3-3 */
	if (sub->options.no_local && session->number == l->from)
		return;
	if (session->stamp == l->stamp) {
		t = &m->targets[session->target];
	} else {
		if ((t = add_target(m, sub)) == NULL)
			return;
		session->stamp = l->stamp;
		session->target = m->n - 1;
	}
	merge(m, t, sub);
}

static void
found(void *thing, void *arg)
{
	const struct place *p = thing;
	const struct look *l = arg;
	const struct subscription *sub;
	struct target *t;

	for (sub = p->subscriptions; sub != NULL; sub = sub->next)
		found_one(l, sub);
	for (struct share *s = p->shares; s != NULL; s = s->next) {
		sub = choose(s, l->qos, NULL);
		if (sub != NULL && (t = add_target(l->match, sub)) != NULL)
			merge(l->match, t, sub);
	}
}

void
match_free(struct match *m)
{
	free(m->targets);
	free(m->ids);
	*m = (struct match){ 0 };
}

void
subs_match(struct subs *s, const char *topic, size_t len, uint64_t from,
    uint8_t qos, struct match *m)
{
	struct look l = { .match = m, .stamp = ++s->matches, .from = from,
		.qos = qos };

	m->n = m->nids = 0;
	m->bad = false;
	tree_match(s->tree, topic, len, found, &l);
}

struct share *
share_ref(struct share *share)
{
	share->refs++;
	return share;
}

void
share_unref(struct subs *s, struct share *share)
{
	share->refs--;
	share_leave(s, share);
}

const char *
share_filter(const struct share *share)
{
	return share->filter;
}

struct share *
share_find(struct subs *s, const char *filter, size_t len)
{
	struct topic_share parts;
	void **place;

	if (topic_share(filter, len, &parts) != 1 ||
	    (place = tree_get(s->tree, parts.filter, parts.len)) == NULL)
		return NULL;
	return share_at(*place, filter, len);
}

struct session *
share_choose(struct share *share, const struct session *not_this)
{
	const struct subscription *sub = choose(share, 1, not_this);

	return sub == NULL ? NULL : sub->session;
}
