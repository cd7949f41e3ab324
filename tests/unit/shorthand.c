#include "shorthand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* In: a value for a property of a noun; out: JSON, or "! words of the fault". */
static const struct {
	enum schema_kind noun;
	const char *property, *in, *out;
} values[] = {
	{ SCHEMA_NAMESPACE, "topicSpacesConfiguration", "{state:Enabled}",
	    "{\"state\":\"Enabled\"}" },
	{ SCHEMA_NAMESPACE, "identity", "{type:SystemAssigned}",
	    "{\"type\":\"SystemAssigned\"}" },
	{ SCHEMA_NAMESPACE, "sku", "{capacity:2,name:Standard,}",
	    "{\"capacity\":2,\"name\":\"Standard\"}" },
	{ SCHEMA_CLIENT, "clientCertificateAuthentication",
	    "{validationScheme:ThumbprintMatch,allowedThumbprints:[A1B2C3]}",
	    "{\"validationScheme\":\"ThumbprintMatch\","
	    "\"allowedThumbprints\":[\"A1B2C3\"]}" },
	{ SCHEMA_CLIENT, "clientCertificateAuthentication",
	    "{validation-scheme:x,allowed_thumbprints:[1,2]}",
	    "{\"validationScheme\":\"x\",\"allowedThumbprints\":"
	    "[\"1\",\"2\"]}" },
	{ SCHEMA_CLIENT, "attributes", "{building:'b12',role:'sensor'}",
	    "{\"building\":\"b12\",\"role\":\"sensor\"}" },
	{ SCHEMA_CLIENT, "attributes", "{'room':'345','floor':5}",
	    "{\"room\":\"345\",\"floor\":5}" },
	{ SCHEMA_CLIENT, "attributes", "{\"a\": 1, \"b\": [\"x\", \"y\"]}",
	    "{\"a\":1,\"b\":[\"x\",\"y\"]}" },
	{ SCHEMA_CLIENT, "attributes", "{a:true,b:null,c:'true',d:'null'}",
	    "{\"a\":true,\"b\":null,\"c\":\"true\",\"d\":\"null\"}" },
	{ SCHEMA_CLIENT, "attributes", "{a:'it'/s'}", "{\"a\":\"it's\"}" },
	{ SCHEMA_CLIENT, "attributes", "{\"a\":\"\\u00e9\"}",
	    "{\"a\":\"\303\251\"}" },
	{ SCHEMA_CLIENT, "attributes", "{}", "{}" },
	{ SCHEMA_CLIENT, "description", "two words", "\"two words\"" },
	{ SCHEMA_CLIENT, "description", "'it'/s'", "\"it's\"" },
	{ SCHEMA_CLIENT, "description", "'", "\"'\"" },
	{ SCHEMA_CLIENT, "description", "null", "null" },
	{ SCHEMA_CLIENT, "description", "'null'", "\"null\"" },
	{ SCHEMA_CLIENT, "description", "5", "\"5\"" },
	{ SCHEMA_TOPIC, "eventRetentionInDays", "7", "7" },
	{ SCHEMA_NAMESPACE, "isZoneRedundant", "Yes", "true" },
	{ SCHEMA_NAMESPACE, "isZoneRedundant", "0", "false" },
	{ SCHEMA_SUBSCRIPTION, "deliveryConfiguration",
	    "{deliveryMode:Push,push:{destination:{endpointType:WebHook,"
	    "properties:{endpointUrl:'https://x:1/y'}},orderBySubject}}",
	    "{\"deliveryMode\":\"Push\",\"push\":{\"destination\":"
	    "{\"endpointType\":\"WebHook\",\"properties\":{\"endpointUrl\":"
	    "\"https://x:1/y\"}},\"orderBySubject\":true}}" },
	{ SCHEMA_SUBSCRIPTION, "deliveryConfiguration", "{queue}",
	    "{\"queue\":{}}" },
	{ SCHEMA_TOPIC, "eventRetentionInDays", "many", "! must be a number" },
	{ SCHEMA_NAMESPACE, "isZoneRedundant", "maybe", "! must be true or" },
	{ SCHEMA_NAMESPACE, "sku", "{capacty:2}", "! 'capacty'" },
	{ SCHEMA_NAMESPACE, "sku", "{capacity:}", "! a value is missing" },
	{ SCHEMA_NAMESPACE, "sku", "{capacity:1,capacity:2}",
	    "! is given twice" },
	{ SCHEMA_NAMESPACE, "sku", "{capacity:1", "! expected , or }" },
	{ SCHEMA_NAMESPACE, "sku", "{capacity:1}}", "! more than one value" },
	{ SCHEMA_NAMESPACE, "sku", "Standard", "! must be an object" },
	{ SCHEMA_NAMESPACE, "sku", "[1]", "! must not be an array" },
	{ SCHEMA_NAMESPACE, "sku", "{name:'x}", "! no closing quote" },
	{ SCHEMA_NAMESPACE, "sku", "{name:a b}", "! expected , or }" },
	{ SCHEMA_CLIENT, "description", "\377", "! not UTF-8" },
	{ SCHEMA_CLIENT, "description", "@/nowhere/at/all", "! No such file" },
	{ SCHEMA_CLIENT, "attributes", "{a:[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
	    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
	    "! nested too deeply" },
};

static void
compare(const char *in, jv v, const char *out, const struct fault *f)
{
	jv text;

	if (!jv_is_valid(v)) {
		jv_free(v);
		if (out[0] != '!' || strstr(f->text, out + 2) == NULL)
			printf("# %s: %s\n", in, f->text);
		CHECK(out[0] == '!' && strstr(f->text, out + 2) != NULL);
		return;
	}
	text = jv_dump_string(v, 0);
	if (strcmp(jv_string_value(text), out) != 0)
		printf("# %s: %s\n", in, jv_string_value(text));
	CHECK(strcmp(jv_string_value(text), out) == 0);
	jv_free(text);
}

static void
whole_values_become_what_the_property_wants(void)
{
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct fault f = { 0 };
		struct shorthand sh = { .fault = &f };
		const struct schema *s = schema_member(
		    &schema_nouns[values[i].noun].self, values[i].property,
		    strlen(values[i].property));

		compare(values[i].in, shorthand_value(&sh, s, values[i].in),
		    values[i].out, &f);
	}
}

/* Arguments of one flag, in order, apart by a blank. */
static void
partial_values_change_what_was_there(void)
{
	static const struct {
		const char *property, *in, *out;
	} cases[] = {
		{ "clientCertificateAuthentication",
		    "{validationScheme:a} allowedThumbprints[0]=x "
		    "allowedThumbprints[1]=y allowedThumbprints[-1]=z",
		    "{\"validationScheme\":\"a\",\"allowedThumbprints\":"
		    "[\"x\",\"z\"]}" },
		{ "clientCertificateAuthentication", "validation-scheme=b",
		    "{\"validationScheme\":\"b\"}" },
		{ "clientCertificateAuthentication",
		    "allowedThumbprints=[p,q]",
		    "{\"allowedThumbprints\":[\"p\",\"q\"]}" },
		{ "clientCertificateAuthentication", "allowedThumbprints=",
		    "{\"allowedThumbprints\":[]}" },
		{ "attributes", "a=1 'b.c'=x a=2",
		    "{\"a\":2,\"b.c\":\"x\"}" },
		{ "attributes", "a=null", "{\"a\":null}" },
		{ "clientCertificateAuthentication",
		    "allowedThumbprints[3]=x", "! outside of the list" },
		{ "clientCertificateAuthentication",
		    "allowedThumbprints[-1]=x", "! outside of the list" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fault f = { 0 };
		struct shorthand sh = { .fault = &f };
		const struct schema *s = schema_member(
		    &schema_nouns[SCHEMA_CLIENT].self, cases[i].property,
		    strlen(cases[i].property));
		char *words = strdup(cases[i].in), *save = NULL, *w;
		jv v = jv_invalid();

		for (w = strtok_r(words, " ", &save); w != NULL;
		    w = strtok_r(NULL, " ", &save)) {
			v = shorthand_argument(&sh, s, v, w);
			if (!jv_is_valid(v))
				break;
		}
		compare(cases[i].in, v, cases[i].out, &f);
		free(words);
	}
}

static void
words_add_to_a_list(void)
{
	struct fault f = { 0 };
	struct shorthand sh = { .fault = &f };
	const struct schema *s = schema_member(
	    &schema_nouns[SCHEMA_TOPIC_SPACE].self, "topicTemplates", 14);
	jv v = shorthand_argument(&sh, s, jv_invalid(), "a/b");

	v = shorthand_argument(&sh, s, v, "c/${client.authenticationName}/#");
	v = shorthand_argument(&sh, s, v, "[d,e]");
	compare("words", v,
	    "[\"a/b\",\"c/${client.authenticationName}/#\",\"d\",\"e\"]", &f);
}

static void
set_add_and_remove_follow_paths(void)
{
	struct fault f = { 0 };
	struct shorthand sh = { .fault = &f };
	const struct schema *s = &schema_nouns[SCHEMA_NAMESPACE].self;
	jv v = jv_object();

	v = shorthand_set(&sh, s, v, "topicSpacesConfiguration.state=Enabled");
	v = shorthand_set(&sh, s, v, "properties.listeners.mqtts=[::1]:0");
	v = shorthand_add(&sh, s, v, "endpoints", "{resourceId:/a,url:b}");
	v = shorthand_add(&sh, s, v, "endpoints", "{resourceId:/c,url:d}");
	v = shorthand_add(&sh, s, v, "tags", "k=v");
	v = shorthand_remove(&sh, s, v, "endpoints[0].url");
	v = shorthand_remove(&sh, s, v, "endpoints[-1]");
	compare("set", v, "{\"topicSpacesConfiguration\":{\"state\":"
	    "\"Enabled\"},\"listeners\":{\"mqtts\":\"[::1]:0\"},"
	    "\"endpoints\":[{\"resourceId\":\"/a\"}],\"tags\":"
	    "{\"k\":\"v\"}}", &f);
	v = shorthand_set(&sh, s, jv_object(), "nothing.like=this");
	compare("set", v, "! no such property", &f);
}

static void
question_marks_ask_for_help(void)
{
	struct fault f = { 0 };
	struct shorthand sh = { .fault = &f };
	const struct schema *s = schema_member(
	    &schema_nouns[SCHEMA_SUBSCRIPTION].self, "deliveryConfiguration",
	    21);

	jv_free(shorthand_value(&sh, s, "{queue:??}"));
	CHECK(sh.help != NULL && strcmp(sh.help->name, "queue") == 0);
	sh.help = NULL;
	jv_free(shorthand_value(&sh, s, "??"));
	CHECK(sh.help == s);
}

int
main(void)
{
	RUN(whole_values_become_what_the_property_wants);
	RUN(partial_values_change_what_was_there);
	RUN(words_add_to_a_list);
	RUN(set_add_and_remove_follow_paths);
	RUN(question_marks_ask_for_help);
	DONE();
}
