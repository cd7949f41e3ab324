#include "access.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "group.h"
#include "jq.h"
#include "quote.h"
#include "template.h"

struct member {
	char *name;
	struct group *group; /* NULL: $all */
	bool in;             /* is the client in it that is looked at */
};

struct rule {
	char *text;
	struct template template; /* points into text */
};

struct space {
	char *name;
	struct rule *rules;
	size_t nrules;
	bool taken; /* into the list that is being made */
};

struct binding {
	char *name;
	size_t member, space;
	enum access_right right;
};

struct access {
	struct member *members; /* the first is $all */
	struct space *spaces;
	struct binding *bindings;
	size_t nmembers, nspaces, nbindings;
	struct grants_pool *pool;

	/* used again from client to client */
	struct buf texts;
	struct filter { size_t at, len; } *filters; /* in texts; all fit */
	size_t nfilters, most;
	struct buf list[ACCESS_SUBSCRIBE + 1];
};

static const char *
right_name(enum access_right right)
{
	return right == ACCESS_PUBLISH ? "Publisher" : "Subscriber";
}

/* ---- reading ---- */

static int
no_memory(struct fault *f)
{
	return fault_set(f, FAULT_INTERNAL, "out of memory");
}

static int
add_member(struct access *a, const char *name, const char *query,
    struct fault *f)
{
	struct member *m = array_room(a->members, a->nmembers, sizeof(*m));

	if (m == NULL)
		return no_memory(f);
	a->members = m;
	m += a->nmembers;
	*m = (struct member){ .name = strdup(name) };
	if (m->name == NULL)
		return no_memory(f);
	a->nmembers++;
	if (query == NULL)
		return 0;
	m->group = group_compile(query, f);
	return m->group == NULL ? -1 : 0;
}

static int
add_rule(struct access *a, struct space *s, const char *text,
    struct fault *f)
{
	struct rule *rule = array_room(s->rules, s->nrules, sizeof(*rule));

	if (rule == NULL)
		return no_memory(f);
	s->rules = rule;
	rule += s->nrules;
	if ((rule->text = strdup(text)) == NULL)
		return no_memory(f);
	s->nrules++;
	a->most++;
	return template_parse(&rule->template, rule->text, f);
}

static int
add_space(struct access *a, const char *name, jv templates, struct fault *f)
{
	struct space *s = array_room(a->spaces, a->nspaces, sizeof(*s));
	struct filter *filters;
	int rc = 0;

	if (s == NULL)
		return no_memory(f);
	a->spaces = s;
	s += a->nspaces;
	*s = (struct space){ .name = strdup(name) };
	if (s->name == NULL)
		return no_memory(f);
	a->nspaces++;
	if (jv_get_kind(templates) != JV_KIND_ARRAY)
		return fault_set(f, FAULT_BAD_REQUEST, "no topicTemplates");
	jv_array_foreach(templates, i, text) {
		if (rc == 0 && jv_get_kind(text) == JV_KIND_STRING)
			rc = add_rule(a, s, jv_string_value(text), f);
		jv_free(text);
	}
	if (rc == -1 || a->most == 0)
		return rc;
	filters = realloc(a->filters, a->most * sizeof(*filters));
	if (filters == NULL)
		return no_memory(f);
	a->filters = filters;
	return 0;
}

static const struct member *
find_member(const struct access *a, const char *name)
{
	for (size_t i = 0; i < a->nmembers; i++)
		if (strcmp(a->members[i].name, name) == 0)
			return &a->members[i];
	return NULL;
}

static const struct space *
find_space(const struct access *a, const char *name)
{
	for (size_t i = 0; i < a->nspaces; i++)
		if (strcmp(a->spaces[i].name, name) == 0)
			return &a->spaces[i];
	return NULL;
}

static int
add_binding(struct access *a, const char *name, jv resource, struct fault *f)
{
	const char *group = jq_str(resource, "properties.clientGroupName");
	const char *topics = jq_str(resource, "properties.topicSpaceName");
	const char *right = jq_str(resource, "properties.permission");
	const struct member *m = find_member(a, group != NULL ? group : "");
	const struct space *s = find_space(a, topics != NULL ? topics : "");
	struct binding *b;
	char q[QUOTE_MAX];

	if (m == NULL)
		return fault_set(f, FAULT_NOT_FOUND, "there is no client "
		    "group '%s'", group == NULL ? "" :
		    quote(q, group, strlen(group)));
	if (s == NULL)
		return fault_set(f, FAULT_NOT_FOUND, "there is no topic "
		    "space '%s'", topics == NULL ? "" :
		    quote(q, topics, strlen(topics)));
	if (right == NULL || (strcmp(right, "Publisher") != 0 &&
	    strcmp(right, "Subscriber") != 0))
		return fault_set(f, FAULT_BAD_REQUEST,
		    "the permission is Publisher or Subscriber");
	if ((b = array_room(a->bindings, a->nbindings, sizeof(*b))) == NULL)
		return no_memory(f);
	a->bindings = b;
	b += a->nbindings;
	*b = (struct binding){
		.name = strdup(name),
		.member = (size_t)(m - a->members),
		.space = (size_t)(s - a->spaces),
		.right = strcmp(right, "Publisher") == 0 ? ACCESS_PUBLISH :
		    ACCESS_SUBSCRIBE,
	};
	if (b->name == NULL)
		return no_memory(f);
	a->nbindings++;
	return 0;
}

int
access_add(struct access *a, const char *path, jv resource, struct fault *f)
{
	const char *slash = strchr(path, '/'), *query;
	const char *name = slash != NULL ? slash + 1 : path;
	int rc = 0;

	if (strncmp(path, "clientGroups/", 13) == 0) {
		query = jq_str(resource, "properties.query");
		rc = add_member(a, name, query != NULL ? query : "", f);
	} else if (strncmp(path, "topicSpaces/", 12) == 0) {
		jv templates = jq_get(resource, "properties.topicTemplates");

		rc = add_space(a, name, templates, f);
		jv_free(templates);
	} else
		rc = add_binding(a, name, resource, f);
	jv_free(resource);
	return rc;
}

int
access_remove(struct access *a, const char *binding, struct fault *f)
{
	char q[QUOTE_MAX];

	for (size_t i = 0; i < a->nbindings; i++) {
		if (strcmp(a->bindings[i].name, binding) != 0)
			continue;
		free(a->bindings[i].name);
		a->nbindings--;
		memmove(&a->bindings[i], &a->bindings[i + 1],
		    (a->nbindings - i) * sizeof(a->bindings[0]));
		return 0;
	}
	return fault_set(f, FAULT_NOT_FOUND, "there is no permission binding "
	    "'%s'", quote(q, binding, strlen(binding)));
}

struct loading {
	struct access *access;
	struct fault fault;
};

/* A binding whose group or space is gone grants nothing. */
static int
load_one(const char *path, jv resource, void *arg)
{
	struct loading *l = arg;
	char words[sizeof(l->fault.text)];

	l->fault.code = FAULT_NONE;
	if (access_add(l->access, path, resource, &l->fault) == 0 ||
	    l->fault.code == FAULT_NOT_FOUND)
		return 0;
	snprintf(words, sizeof(words), "%s", l->fault.text);
	return fault_set(&l->fault, l->fault.code, "%s: %s", path, words);
}

struct access *
access_load(struct registry *r, struct fault *f)
{
	struct loading l = { .access = calloc(1, sizeof(*l.access)) };
	struct access *a = l.access;

	if (a == NULL || (a->pool = grants_pool_new()) == NULL ||
	    add_member(a, "$all", NULL, f) == -1) {
		access_free(a);
		no_memory(f);
		return NULL;
	}
	if (registry_each(r, "clientGroups/", load_one, &l) == 0 &&
	    registry_each(r, "topicSpaces/", load_one, &l) == 0 &&
	    registry_each(r, "permissionBindings/", load_one, &l) == 0)
		return a;
	access_free(a);
	fault_set(f, l.fault.code, "%s", l.fault.text);
	return NULL;
}

void
access_free(struct access *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->nmembers; i++) {
		free(a->members[i].name);
		group_free(a->members[i].group);
	}
	for (size_t i = 0; i < a->nspaces; i++) {
		for (size_t j = 0; j < a->spaces[i].nrules; j++)
			free(a->spaces[i].rules[j].text);
		free(a->spaces[i].rules);
		free(a->spaces[i].name);
	}
	for (size_t i = 0; i < a->nbindings; i++)
		free(a->bindings[i].name);
	free(a->members);
	free(a->spaces);
	free(a->bindings);
	free(a->filters);
	buf_free(&a->texts);
	buf_free(&a->list[ACCESS_PUBLISH]);
	buf_free(&a->list[ACCESS_SUBSCRIBE]);
	grants_pool_free(a->pool);
	free(a);
}

/* ---- what a client may do ---- */

static void
find_groups(struct access *a, const struct access_client *c)
{
	for (size_t i = 0; i < a->nmembers; i++) {
		struct member *m = &a->members[i];

		m->in = m->group == NULL || group_holds(m->group, c->name,
		    c->name_len, c->json, c->attributes, NULL);
	}
}

static void
take_space(struct access *a, struct space *s, const struct access_client *c)
{
	const struct template_piece *blame;
	size_t before = a->texts.len;

	s->taken = true;
	for (size_t i = 0; i < s->nrules; i++) {
		if (template_expand(&s->rules[i].template, c->name,
		    c->name_len, c->json, c->attributes, &a->texts,
		    &blame) == -1)
			continue;
		a->filters[a->nfilters++] = (struct filter){
			before, a->texts.len - before
		};
		before = a->texts.len;
	}
}

static int
compare(const void *x, const void *y, void *texts)
{
	const struct filter *a = x, *b = y;
	const char *text = texts;
	int rc = memcmp(text + a->at, text + b->at,
	    a->len < b->len ? a->len : b->len);

	return rc != 0 ? rc : (a->len > b->len) - (a->len < b->len);
}

/* The filters of one right, in order, each of them once. */
static void
make_list(struct access *a, const struct access_client *c,
    enum access_right right)
{
	struct buf *list = &a->list[right];
	char *text;

	buf_reset(&a->texts, 65536);
	buf_reset(list, 65536);
	a->nfilters = 0;
	for (size_t i = 0; i < a->nspaces; i++)
		a->spaces[i].taken = false;
	for (size_t i = 0; i < a->nbindings; i++) {
		const struct binding *b = &a->bindings[i];

		if (b->right == right && a->members[b->member].in &&
		    !a->spaces[b->space].taken)
			take_space(a, &a->spaces[b->space], c);
	}
	if ((list->bad = a->texts.bad) || a->nfilters == 0)
		return;
	text = buf_data(&a->texts);
	qsort_r(a->filters, a->nfilters, sizeof(a->filters[0]), compare, text);
	for (size_t i = 0; i < a->nfilters; i++) {
		const struct filter *f = &a->filters[i];

		if (i == 0 || compare(f - 1, f, text) != 0)
			grants_list_add(list, text + f->at, f->len);
	}
}

struct grants *
access_grants(struct access *a, const struct access_client *c)
{
	find_groups(a, c);
	make_list(a, c, ACCESS_PUBLISH);
	make_list(a, c, ACCESS_SUBSCRIBE);
	return grants_intern(a->pool, &a->list[ACCESS_PUBLISH],
	    &a->list[ACCESS_SUBSCRIBE]);
}

/* ---- why ---- */

/* A question, and what was seen on the way to its answer. */
struct search {
	struct access *access;
	const struct access_client *client;
	enum access_right right;
	const char *topic;
	size_t len;
	struct access_reason *reason;

	bool bound;                 /* is there a binding of its groups */
	const struct binding *near; /* whose template agrees with most */
	const struct rule *near_rule;
	size_t agreed;
	const struct rule *lacking; /* the first that does not apply */
	const struct template_piece *blame;
	const struct binding *other; /* of a group that it is not in */
};

/* The filter of a rule for the client goes to access->texts; NULL: none. */
static const char *
filter_of(struct search *s, const struct rule *rule, size_t *len,
    const struct template_piece **blame)
{
	const struct access_client *c = s->client;
	struct buf *b = &s->access->texts;

	buf_reset(b, 65536);
	if (template_expand(&rule->template, c->name, c->name_len, c->json,
	    c->attributes, b, blame) == -1 || b->bad)
		return NULL;
	*len = b->len;
	return buf_data(b);
}

/* Does a rule allow it? If not, remember what is worth telling. */
static bool
try_rule(struct search *s, const struct binding *b, const struct rule *rule)
{
	bool in = s->access->members[b->member].in;
	const struct template_piece *blame;
	const char *filter;
	size_t len, agreed;

	if ((filter = filter_of(s, rule, &len, &blame)) == NULL) {
		if (in && s->lacking == NULL) {
			s->lacking = rule;
			s->blame = blame;
		}
		return false;
	}
	if (s->len == 0 || topic_covers(filter, len, s->topic, s->len))
		return true;
	agreed = topic_agrees(filter, len, s->topic, s->len);
	if (in && (s->near == NULL || agreed > s->agreed)) {
		s->near = b;
		s->near_rule = rule;
		s->agreed = agreed;
	}
	return false;
}

static void
allow(struct search *s, const struct binding *b, const struct rule *rule)
{
	const struct access *a = s->access;
	struct access_reason *r = s->reason;
	char q[QUOTE_MAX];

	r->allowed = true;
	snprintf(r->group, sizeof(r->group), "%s", a->members[b->member].name);
	snprintf(r->binding, sizeof(r->binding), "%s", b->name);
	snprintf(r->space, sizeof(r->space), "%s", a->spaces[b->space].name);
	snprintf(r->template_, sizeof(r->template_), "%s", rule->text);
	buf_printf(&r->words, "group '%s', binding '%s', topic space '%s', "
	    "template '%s'", r->group, r->binding, r->space,
	    quote(q, rule->text, strlen(rule->text)));
}

/* Is there a rule that allows it? */
static bool
search(struct search *s)
{
	struct access *a = s->access;

	for (size_t i = 0; i < a->nbindings; i++) {
		const struct binding *b = &a->bindings[i];
		const struct space *space = &a->spaces[b->space];
		bool in = a->members[b->member].in;

		if (b->right != s->right)
			continue;
		s->bound |= in;
		for (size_t j = 0; j < space->nrules; j++) {
			if (!try_rule(s, b, &space->rules[j]))
				continue;
			if (in) {
				allow(s, b, &space->rules[j]);
				return true;
			}
			if (s->other == NULL)
				s->other = b;
		}
	}
	return false;
}

/* What keeps the client out of a group. */
static void
tell_why_not(struct search *s, const struct member *m)
{
	const struct access_client *c = s->client;

	group_holds(m->group, c->name, c->name_len, c->json, c->attributes,
	    &s->reason->words);
}

static bool
has_binding(const struct access *a, const struct member *m,
    enum access_right right)
{
	for (size_t i = 0; i < a->nbindings; i++)
		if (&a->members[a->bindings[i].member] == m &&
		    a->bindings[i].right == right)
			return true;
	return false;
}

static void
tell_groups(struct search *s)
{
	const struct access *a = s->access;
	struct buf *b = &s->reason->words;

	buf_printf(b, "no binding gives %s to a group of this client: groups "
	    "$all", right_name(s->right));
	for (size_t i = 1; i < a->nmembers; i++)
		if (a->members[i].in)
			buf_printf(b, ", '%s'", a->members[i].name);
	for (size_t i = 1; i < a->nmembers; i++) {
		const struct member *m = &a->members[i];

		if (m->in || !has_binding(a, m, s->right))
			continue;
		buf_printf(b, "; not in '%s' (", m->name);
		tell_why_not(s, m);
		buf_str(b, ")");
	}
}

static void
tell_nearest(struct search *s)
{
	struct buf *b = &s->reason->words;
	const struct template_piece *blame;
	const char *filter, *text = s->near_rule->text;
	char q[QUOTE_MAX];
	size_t len = strlen(text);

	buf_printf(b, ": nearest is '%s' of topic space '%s'",
	    quote(q, text, len), s->access->spaces[s->near->space].name);
	filter = filter_of(s, s->near_rule, &len, &blame);
	if (filter != NULL && (strlen(text) != len ||
	    memcmp(text, filter, len) != 0))
		buf_printf(b, ", here '%s'", quote(q, filter, len));
	if (s->agreed == 0)
		buf_str(b, ", which agrees in no level");
	else
		buf_printf(b, ", which agrees up to '%s'",
		    quote(q, s->topic, s->agreed));
}

static void
tell_lacking(struct search *s, const char *glue)
{
	const struct template_piece *p = s->blame;
	const struct access_client *c = s->client;
	struct buf *b = &s->reason->words;
	char q[QUOTE_MAX];

	buf_printf(b, "%s template '%s' ", glue,
	    quote(q, s->lacking->text, strlen(s->lacking->text)));
	if (p->type == TEMPLATE_NAME)
		buf_str(b, "needs an authentication name that can be in a "
		    "level");
	else if (p->type == TEMPLATE_TEXT)
		buf_str(b, "gets too long");
	else
		buf_printf(b, "needs attributes.%.*s, which %s", (int)p->len,
		    p->text, c->attributes != 0 && json_member(c->json,
		    c->attributes, p->text, p->len) != 0 ?
		    "cannot be in a level" : "is absent");
}

static void
tell_templates(struct search *s)
{
	struct buf *b = &s->reason->words;
	const struct member *m;
	char q[QUOTE_MAX];

	buf_printf(b, "no template of the topic spaces bound for %s ",
	    right_name(s->right));
	if (s->len == 0)
		buf_str(b, "applies");
	else
		buf_printf(b, "%s '%s'", s->right == ACCESS_PUBLISH ?
		    "matches" : "covers", quote(q, s->topic, s->len));
	if (s->near != NULL)
		tell_nearest(s);
	if (s->lacking != NULL)
		tell_lacking(s, s->near != NULL ? ";" : ":");
	if (s->other == NULL)
		return;
	m = &s->access->members[s->other->member];
	buf_printf(b, "; binding '%s' would allow it, but not in '%s' (",
	    s->other->name, m->name);
	tell_why_not(s, m);
	buf_str(b, ")");
}

void
access_explain(struct access *a, const struct access_client *c,
    enum access_right right, const char *topic, size_t len,
    struct access_reason *r)
{
	struct search s = {
		.access = a, .client = c, .right = right,
		.topic = topic, .len = len, .reason = r
	};
	char *end;

	*r = (struct access_reason){ .allowed = false };
	find_groups(a, c);
	if (len > 0 && topic[0] == '$')
		buf_str(&r->words, "topics that begin with '$' are reserved");
	else if (!search(&s))
		(s.bound ? tell_templates : tell_groups)(&s);
	if ((end = buf_room(&r->words, 1)) != NULL)
		*end = '\0';
}

void
access_reason_free(struct access_reason *r)
{
	buf_free(&r->words);
}
