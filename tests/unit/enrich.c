#include "enrich.h"

#include <stdbool.h>
#include <string.h>

#include "check.h"

static void
key(const char *text, const char *words)
{
	struct fault f = { 0 };
	int rc = enrich_check_key(text, &f);
	bool good = words == NULL ? rc == 0 :
	    rc == -1 && strstr(f.text, words) != NULL;

	if (!good)
		printf("# %s: %s\n", text, f.text);
	CHECK(good);
}

static void
keys_are_names_of_extension_attributes(void)
{
	key("plant", NULL);
	key("mqtttopic", NULL);
	key("7", NULL);
	key("datas", NULL);
	key("azs", NULL);
	key("", "only a to z and 0 to 9");
	key("Plant", "'Plant': only a to z and 0 to 9");
	key("a_b", "only a to z and 0 to 9");
	key("\xc3\xa9", "only a to z and 0 to 9");
	key("azsp", "must not begin with azsp");
	key("azspx", "must not begin with azsp");
	key("data", "'data' is an attribute of every event");
	key("data_base64", "'data_base64' is an attribute of every event");
	key("id", "is an attribute of every event");
}

static const struct {
	const char *text;
	enum enrich_source source;
	const char *key;
} good[] = {
	{ "${client.authenticationName}", ENRICH_NAME, "" },
	{ "${client.attributes.kind_2}", ENRICH_ATTRIBUTE, "kind_2" },
	{ "${mqtt.message.userProperties.a-b}", ENRICH_USER_PROPERTY, "a-b" },
	{ "${mqtt.message.userProperties['a b']}", ENRICH_USER_PROPERTY,
	    "a b" },
	{ "${mqtt.message.userProperties['it\\'s \\\\']}",
	    ENRICH_USER_PROPERTY, "it\\'s \\\\" },
	{ "${mqtt.message.userProperties['}']}", ENRICH_USER_PROPERTY, "}" },
	{ "${mqtt.message.topicName}", ENRICH_TOPIC, "" },
	{ "${mqtt.message.responseTopic}", ENRICH_RESPONSE, "" },
	{ "${mqtt.message.correlationData}", ENRICH_CORRELATION, "" },
	{ "${mqtt.message.pfi}", ENRICH_PFI, "" },
};

static void
expressions_name_a_source(void)
{
	struct enrich e;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		CHECK(enrich_parse(&e, good[i].text, NULL) == 0);
		CHECK(e.source == good[i].source);
		CHECK(e.key_len == strlen(good[i].key) && (e.key_len == 0 ||
		    memcmp(e.key, good[i].key, e.key_len) == 0));
	}
}

static void
what_is_none_is_refused(void)
{
	static const char *const bad[] = {
		"", "west", "${", "${}", "${client.authenticationName",
		"${client.authenticationName} ", " ${mqtt.message.pfi}",
		"${mqtt.message.pfi}${mqtt.message.pfi}",
		"${client.authenticationNames}", "${client.attributes}",
		"${client.attributes.}", "${client.attributes.a-b}",
		"${mqtt.message.topic}", "${mqtt.message.userProperties}",
		"${mqtt.message.userProperties.}",
		"${mqtt.message.userProperties.a b}",
		"${mqtt.message.userProperties[a]}",
		"${mqtt.message.userProperties['']}",
		"${mqtt.message.userProperties['a}",
		"${mqtt.message.userProperties['a'}",
		"${mqtt.message.userProperties['a\\b']}",
		"${mqtt.message.userProperties['a\\",
		"${mqtt.message.userProperties['a'b']}",
	};
	struct enrich e;
	struct fault f;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(enrich_parse(&e, bad[i], &f) == -1);
		CHECK(strstr(f.text, "is none of ${client.") != NULL);
	}
}

int
main(void)
{
	RUN(keys_are_names_of_extension_attributes);
	RUN(expressions_name_a_source);
	RUN(what_is_none_is_refused);
	DONE();
}
