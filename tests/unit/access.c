#include "access.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "jq.h"

static char dir[] = "/tmp/egns-access.XXXXXX";
static struct spool spool;

static jv
resource(const char *properties)
{
	struct buf b = { 0 };
	jv v;

	buf_printf(&b, "{\"properties\":%s}", properties);
	v = jq_parse(buf_data(&b), b.len, NULL);
	buf_free(&b);
	CHECK(jv_is_valid(v));
	return v;
}

/* What is granted by a registry of these pairs of path and properties. */
static struct access *
load(const char *path, ...)
{
	struct access *a;
	struct fault f = { 0 };
	struct registry *r;
	va_list ap;

	spool_remove(spool.fd, "namespace");
	CHECK(registry_create(spool.fd, NULL) == 0);
	r = registry_open(&spool, true, &f);
	va_start(ap, path);
	for (; path != NULL; path = va_arg(ap, const char *))
		CHECK(registry_put(r, path,
		    resource(va_arg(ap, const char *)), &f) == 0);
	va_end(ap);
	a = access_load(r, &f);
	if (a == NULL)
		printf("# %s\n", f.text);
	registry_close(r);
	return a;
}

#define GROUP(query) "{\"query\":\"" query "\"}"
#define SPACE(templates) "{\"topicTemplates\":[" templates "]}"
#define BINDING(group, space, permission) \
	"{\"clientGroupName\":\"" group "\",\"topicSpaceName\":\"" space "\"," \
	"\"permission\":\"" permission "\"}"

static struct access *
plant(void)
{
	return load(
	    "clientGroups/presses", GROUP("attributes.kind = 'press'"),
	    "clientGroups/ovens", GROUP("attributes.kind = 'oven'"),
	    "topicSpaces/own", SPACE("\"m/${client.authenticationName}/#\","
	    "\"halls/${client.attributes.hall}/+\""),
	    "topicSpaces/all", SPACE("\"plant/+/status\", \"plant/news/#\""),
	    "topicSpaces/commands", SPACE("\"commands/#\""),
	    "permissionBindings/own-pub", BINDING("$all", "own", "Publisher"),
	    "permissionBindings/all-sub", BINDING("$all", "all", "Subscriber"),
	    "permissionBindings/press-pub",
	    BINDING("presses", "all", "Publisher"),
	    "permissionBindings/oven-sub",
	    BINDING("ovens", "commands", "Subscriber"), NULL);
}

/* A client by its name and the JSON of its attributes. */
struct who {
	struct access_client client;
	struct json json;
};

static void
who_init(struct who *w, const char *name, const char *attributes)
{
	memset(w, 0, sizeof(*w));
	CHECK(json_scan(&w->json, attributes, strlen(attributes), NULL) == 0);
	w->client = (struct access_client){ name, strlen(name), &w->json,
		json_member(&w->json, 0, "a", 1) };
}

static struct grants *
grants(struct access *a, const char *name, const char *attributes)
{
	struct grants *g;
	struct who w;

	who_init(&w, name, attributes);
	g = access_grants(a, &w.client);
	json_free(&w.json);
	CHECK(g != NULL);
	return g;
}

static bool
publishes(const struct grants *g, const char *topic)
{
	return grants_publish(g, topic, strlen(topic));
}

static bool
subscribes(const struct grants *g, const char *filter)
{
	return grants_subscribe(g, filter, strlen(filter));
}

static void
a_client_may_do_what_bindings_of_its_groups_say(void)
{
	struct access *a = plant();
	struct grants *g = grants(a, "p7",
	    "{\"a\":{\"kind\":\"press\",\"hall\":3}}");

	CHECK(grants_some(g));
	CHECK(publishes(g, "m/p7") && publishes(g, "m/p7/x/y"));
	CHECK(!publishes(g, "m/p8/x") && !publishes(g, "m"));
	CHECK(publishes(g, "halls/3/x") && !publishes(g, "halls/4/x"));
	CHECK(publishes(g, "plant/x/status") && publishes(g, "plant/news/a"));
	CHECK(!publishes(g, "commands/x") && !publishes(g, "$SYS/x"));
	CHECK(subscribes(g, "plant/+/status"));
	CHECK(subscribes(g, "plant/x/status"));
	CHECK(subscribes(g, "plant/news/#") && !subscribes(g, "plant/#"));
	CHECK(!subscribes(g, "m/p7/#") && !subscribes(g, "commands/#"));
	CHECK(!subscribes(g, "#") && !subscribes(g, "$SYS/#"));
	grants_free(g);
	access_free(a);
}

static void
nothing_is_allowed_that_no_binding_allows(void)
{
	struct access *a = load("clientGroups/g", GROUP("attributes.x = 1"),
	    "topicSpaces/s", SPACE("\"#\""),
	    "permissionBindings/b", BINDING("g", "s", "Publisher"), NULL);
	struct grants *g = grants(a, "c", "{}");

	CHECK(!grants_some(g) && !publishes(g, "a") && !subscribes(g, "a"));
	grants_free(g);
	g = grants(a, "c", "{\"a\":{\"x\":1}}");
	CHECK(grants_some(g) && publishes(g, "a") && !subscribes(g, "a"));
	CHECK(!publishes(g, "$a"));
	grants_free(g);
	access_free(a);
}

static void
a_template_without_its_value_grants_nothing(void)
{
	struct access *a = load("topicSpaces/s",
	    SPACE("\"h/${client.attributes.hall}/#\""),
	    "permissionBindings/b", BINDING("$all", "s", "Publisher"), NULL);
	struct grants *g = grants(a, "c", "{\"a\":{\"Hall\":1}}");

	CHECK(!grants_some(g) && !publishes(g, "h//x"));
	grants_free(g);
	g = grants(a, "c", "{\"a\":{\"hall\":\"+\"}}");
	CHECK(!grants_some(g) && !publishes(g, "h/x/x"));
	CHECK(!publishes(g, "h/+/x"));
	grants_free(g);
	access_free(a);
}

static void
equal_grants_are_one(void)
{
	struct access *a = plant();
	struct grants *one = grants(a, "p7", "{}");
	struct grants *same = grants(a, "p7", "{\"a\":{\"kind\":\"x\"}}");
	struct grants *other = grants(a, "p8", "{}");

	CHECK(one == same && grants_equal(one, same));
	CHECK(one != other && !grants_equal(one, other));
	grants_free(one);
	access_free(a);
	/* they outlive what made them */
	CHECK(publishes(same, "m/p7/x") && publishes(other, "m/p8/x"));
	a = plant();
	one = grants(a, "p7", "{}");
	CHECK(one != same && grants_equal(one, same));
	grants_free(same);
	grants_free(other);
	grants_free(one);
	access_free(a);
}

static void
the_way_to_a_grant_makes_no_difference(void)
{
	struct access *a = load("topicSpaces/s", SPACE("\"a\",\"b/#\""),
	    "permissionBindings/b", BINDING("$all", "s", "Publisher"), NULL);
	struct access *b = load("topicSpaces/s", SPACE("\"b/#\",\"a\""),
	    "topicSpaces/t", SPACE("\"a\""),
	    "permissionBindings/b", BINDING("$all", "s", "Publisher"),
	    "permissionBindings/c", BINDING("$all", "t", "Publisher"), NULL);
	struct grants *one = grants(a, "c", "{}");
	struct grants *other = grants(b, "c", "{}");

	CHECK(grants_equal(one, other));
	grants_free(one);
	grants_free(other);
	access_free(a);
	access_free(b);
}

static void
a_fleet_without_variables_has_one_copy(void)
{
	struct access *a = load("topicSpaces/s", SPACE("\"a/#\",\"b/#\""),
	    "topicSpaces/t", SPACE("\"b/#\",\"a/#\",\"m/${client."
	    "authenticationName}\""),
	    "permissionBindings/b", BINDING("$all", "s", "Publisher"),
	    "permissionBindings/c", BINDING("$all", "t", "Subscriber"), NULL);
	static struct grants *all[1000];
	char name[32];

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "c%d", i % 500);
		all[i] = grants(a, name, "{}");
		CHECK(all[i] == all[i % 500] &&
		    (i == 0 || i >= 500 || all[i] != all[i - 1]));
	}
	snprintf(name, sizeof(name), "m/c%d", 499);
	CHECK(subscribes(all[999], name) && !subscribes(all[998], name));
	for (int i = 0; i < 1000; i++)
		grants_free(all[i]);
	access_free(a);
}

static void
many_templates_are_as_good_as_few(void)
{
	struct access *a = load(NULL, NULL);
	char path[64], properties[512];
	struct grants *g;

	for (int i = 0; i < 200; i++) {
		snprintf(path, sizeof(path), "topicSpaces/s%d", i);
		snprintf(properties, sizeof(properties),
		    SPACE("\"a/%d/+\",\"same/#\""), i);
		CHECK(access_add(a, path, resource(properties), NULL) == 0);
		snprintf(path, sizeof(path), "permissionBindings/b%d", i);
		for (int right = 0; right < 2; right++) {
			snprintf(properties, sizeof(properties),
			    BINDING("$all", "s%d", "%s"), i,
			    right == 0 ? "Publisher" : "Subscriber");
			CHECK(access_add(a, path, resource(properties),
			    NULL) == 0);
		}
	}
	g = grants(a, "c", "{}");
	CHECK(publishes(g, "a/199/x") && publishes(g, "a/0/x"));
	CHECK(publishes(g, "same/x") && !publishes(g, "a/200/x"));
	CHECK(!publishes(g, "a/7/x/y") && !publishes(g, "$SYS"));
	CHECK(subscribes(g, "a/199/+") && !subscribes(g, "a/+/x"));
	grants_free(g);
	access_free(a);
}

static void
what_does_not_fit_is_refused_or_grants_nothing(void)
{
	struct fault f = { 0 };
	struct access *a = load("topicSpaces/s", SPACE("\"#\""),
	    "permissionBindings/lost", BINDING("gone", "s", "Publisher"),
	    "permissionBindings/more", BINDING("$all", "gone", "Publisher"),
	    NULL);
	struct grants *g = grants(a, "c", "{}");

	CHECK(!grants_some(g));
	grants_free(g);
	CHECK(access_add(a, "permissionBindings/x",
	    resource(BINDING("no", "s", "Publisher")), &f) == -1);
	CHECK(strcmp(f.text, "there is no client group 'no'") == 0);
	CHECK(access_add(a, "permissionBindings/x",
	    resource(BINDING("$all", "no", "Publisher")), &f) == -1);
	CHECK(strcmp(f.text, "there is no topic space 'no'") == 0);
	CHECK(access_add(a, "permissionBindings/x",
	    resource(BINDING("$all", "s", "publisher")), &f) == -1);
	CHECK(strstr(f.text, "Publisher or Subscriber") != NULL);
	CHECK(access_remove(a, "x", &f) == -1);
	CHECK(strcmp(f.text, "there is no permission binding 'x'") == 0);
	CHECK(access_add(a, "permissionBindings/x",
	    resource(BINDING("$all", "s", "Publisher")), &f) == 0);
	g = grants(a, "c", "{}");
	CHECK(publishes(g, "a"));
	grants_free(g);
	CHECK(access_remove(a, "x", &f) == 0);
	g = grants(a, "c", "{}");
	CHECK(!publishes(g, "a"));
	grants_free(g);
	access_free(a);
	CHECK(load("clientGroups/g", GROUP("x"), NULL) == NULL);
	CHECK(load("topicSpaces/s", SPACE("\"a#\""), NULL) == NULL);
}

/* ---- why ---- */

#define PUB ACCESS_PUBLISH
#define SUB ACCESS_SUBSCRIBE

static void
why(struct access *a, const char *name, const char *attributes,
    enum access_right right, const char *topic, bool allowed,
    const char *words)
{
	struct access_reason r;
	struct grants *g = grants(a, name, attributes);
	struct who w;
	bool good;

	who_init(&w, name, attributes);
	access_explain(a, &w.client, right, topic, strlen(topic), &r);
	good = r.allowed == allowed &&
	    strcmp(buf_data(&r.words), words) == 0 &&
	    r.words.len == strlen(words);
	if (topic[0] != '\0')
		good = good && allowed == (right == PUB ? publishes(g, topic) :
		    subscribes(g, topic));
	if (!good)
		printf("# %s %s: %s\n", name, topic, buf_data(&r.words));
	CHECK(good);
	access_reason_free(&r);
	json_free(&w.json);
	grants_free(g);
}

#define PRESS "{\"a\":{\"kind\":\"press\",\"hall\":3}}"
#define BAD "{\"a\":{\"kind\":\"bad\",\"hall\":[\"x\"]}}"

static void
a_reason_names_what_allows(void)
{
	struct access *a = plant();

	why(a, "p7", PRESS, PUB, "m/p7/x", true, "group '$all', binding "
	    "'own-pub', topic space 'own', template "
	    "'m/${client.authenticationName}/#'");
	why(a, "p7", PRESS, PUB, "plant/x/status", true, "group 'presses', "
	    "binding 'press-pub', topic space 'all', template "
	    "'plant/+/status'");
	why(a, "p7", PRESS, SUB, "plant/+/status", true, "group '$all', "
	    "binding 'all-sub', topic space 'all', template "
	    "'plant/+/status'");
	why(a, "p7", PRESS, PUB, "", true, "group '$all', binding 'own-pub', "
	    "topic space 'own', template 'm/${client.authenticationName}/#'");
	access_free(a);
}

static void
a_reason_says_what_is_missing(void)
{
	struct access *a = plant();

	why(a, "p7", PRESS, PUB, "m/p8/x", false, "no template of the topic "
	    "spaces bound for Publisher matches 'm/p8/x': nearest is "
	    "'m/${client.authenticationName}/#' of topic space 'own', here "
	    "'m/p7/#', which agrees up to 'm'");
	why(a, "p7", PRESS, PUB, "plant/x", false, "no template of the topic "
	    "spaces bound for Publisher matches 'plant/x': nearest is "
	    "'plant/+/status' of topic space 'all', which agrees up to "
	    "'plant/x'");
	why(a, "p7", PRESS, SUB, "plant/#", false, "no template of the topic "
	    "spaces bound for Subscriber covers 'plant/#': nearest is "
	    "'plant/+/status' of topic space 'all', which agrees up to "
	    "'plant'");
	why(a, "p7", PRESS, SUB, "commands/x", false, "no template of the "
	    "topic spaces bound for Subscriber covers 'commands/x': nearest "
	    "is 'plant/+/status' of topic space 'all', which agrees in no "
	    "level; binding 'oven-sub' would allow it, but not in 'ovens' "
	    "(attributes.kind is 'press')");
	why(a, "p7", "{}", PUB, "plant/x/status", false, "no template of the "
	    "topic spaces bound for Publisher matches 'plant/x/status': "
	    "nearest is 'm/${client.authenticationName}/#' of topic space "
	    "'own', here 'm/p7/#', which agrees in no level; template "
	    "'halls/${client.attributes.hall}/+' needs attributes.hall, which "
	    "is absent; binding 'press-pub' would allow it, but not in "
	    "'presses' (attributes.kind is absent)");
	why(a, "p7", BAD, PUB, "halls/x/x", false, "no template of the topic "
	    "spaces bound for Publisher matches 'halls/x/x': nearest is "
	    "'m/${client.authenticationName}/#' of topic space 'own', here "
	    "'m/p7/#', which agrees in no level; template "
	    "'halls/${client.attributes.hall}/+' needs attributes.hall, which "
	    "cannot be in a level");
	why(a, "p7", PRESS, PUB, "$SYS/x", false,
	    "topics that begin with '$' are reserved");
	access_free(a);
}

static void
a_reason_says_which_groups_it_is_not_in(void)
{
	struct access *a = load(
	    "clientGroups/ovens", GROUP("attributes.kind = 'oven'"),
	    "clientGroups/presses", GROUP("attributes.kind = 'press' or "
	    "attributes.rank > 3"),
	    "clientGroups/west", GROUP("attributes.hall = 'west'"),
	    "topicSpaces/all", SPACE("\"#\""),
	    "permissionBindings/a", BINDING("presses", "all", "Publisher"),
	    "permissionBindings/b", BINDING("ovens", "all", "Subscriber"),
	    NULL);

	why(a, "p7", "{}", PUB, "x", false, "no binding gives Publisher to a "
	    "group of this client: groups $all; not in 'presses' "
	    "(attributes.kind is absent, attributes.rank is absent)");
	why(a, "p7", "{\"a\":{\"hall\":\"west\",\"rank\":3}}", PUB, "", false,
	    "no binding gives Publisher to a group of this client: groups "
	    "$all, 'west'; not in 'presses' (attributes.kind is absent, "
	    "attributes.rank is 3)");
	access_free(a);
	a = load("topicSpaces/s", SPACE("\"${client.attributes.a}\""),
	    "topicSpaces/t", SPACE("\"t/${client.authenticationName}\""),
	    "permissionBindings/b", BINDING("$all", "s", "Publisher"),
	    "permissionBindings/c", BINDING("$all", "t", "Subscriber"), NULL);
	why(a, "p7", "{}", PUB, "", false, "no template of the topic spaces "
	    "bound for Publisher applies: template '${client.attributes.a}' "
	    "needs attributes.a, which is absent");
	why(a, "a/b", "{}", SUB, "t/a", false, "no template of the topic "
	    "spaces bound for Subscriber covers 't/a': template "
	    "'t/${client.authenticationName}' needs an authentication name "
	    "that can be in a level");
	access_free(a);
}

int
main(void)
{
	if (mkdtemp(dir) == NULL || (spool.fd = open(dir, O_RDONLY)) == -1)
		return 99;
	spool.path = dir;
	RUN(a_client_may_do_what_bindings_of_its_groups_say);
	RUN(nothing_is_allowed_that_no_binding_allows);
	RUN(a_template_without_its_value_grants_nothing);
	RUN(equal_grants_are_one);
	RUN(the_way_to_a_grant_makes_no_difference);
	RUN(a_fleet_without_variables_has_one_copy);
	RUN(many_templates_are_as_good_as_few);
	RUN(what_does_not_fit_is_refused_or_grants_nothing);
	RUN(a_reason_names_what_allows);
	RUN(a_reason_says_what_is_missing);
	RUN(a_reason_says_which_groups_it_is_not_in);
	spool_remove(spool.fd, "namespace");
	rmdir(dir);
	DONE();
}
