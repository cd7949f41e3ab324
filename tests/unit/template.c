#include "template.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "check.h"

#define NAME "${client.authenticationName}"
#define LEVEL16 "/////" "/////" "/////" /* 15 slashes: 16 levels */

/* "a/<name>-x/+/#", or "! " and the words of the fault. */
static void
show(struct buf *b, const struct template *t)
{
	for (size_t i = 0; i < t->nlevels; i++) {
		const struct template_level *l = &t->levels[i];

		buf_str(b, i == 0 ? "" : "/");
		if (l->type != TEMPLATE_PIECED)
			buf_str(b, l->type == TEMPLATE_ONE ? "+" : "#");
		for (size_t j = l->piece; j < l->piece + l->npieces; j++) {
			const struct template_piece *p = &t->pieces[j];

			if (p->type == TEMPLATE_NAME)
				buf_str(b, "<name>");
			else
				buf_printf(b, p->type == TEMPLATE_TEXT ?
				    "%.*s" : "<%.*s>", (int)p->len, p->text);
		}
	}
	buf_add(b, "", 1);
}

static void
try(const char *text, const char *want)
{
	struct template t;
	struct fault f = { 0 };
	struct buf b = { 0 };
	bool good;

	if (template_parse(&t, text, &f) == -1) {
		buf_printf(&b, "! %s", f.text);
		buf_add(&b, "", 1);
		good = want[0] == '!' && strstr(f.text, want + 2) != NULL;
	} else {
		show(&b, &t);
		good = strcmp(buf_data(&b), want) == 0;
	}
	if (!good)
		printf("# %s: %s\n", text, buf_data(&b));
	CHECK(good);
	buf_free(&b);
}

static void
filters_are_those_of_mqtt(void)
{
	try("a", "a");
	try("a/b/c", "a/b/c");
	try("/", "/");
	try("/a//b/", "/a//b/");
	try("#", "#");
	try("+", "+");
	try("+/+/#", "+/+/#");
	try("a b/\xc3\xa9", "a b/\xc3\xa9");
	try("a/#/b", "! '#' is the last level at '#/b', byte 3");
	try("#/", "! '#' is the last level");
	try("a#", "! a wildcard is a level of its own at '#', byte 2");
	try("a/b+/c", "! a wildcard is a level of its own at '+/c', byte 4");
	try("+a", "! a wildcard is a level of its own");
	try("++", "! a wildcard is a level of its own");
	try("##", "! a wildcard is a level of its own");
	try("#+", "! a wildcard is a level of its own");
}

static void
variables_are_levels_or_parts_of_them(void)
{
	try("devices/" NAME "/#", "devices/<name>/#");
	try(NAME, "<name>");
	try("a-" NAME "-b", "a-<name>-b");
	try(NAME NAME, "<name><name>");
	try("x/${client.attributes.hall_3}", "x/<hall_3>");
	try("x/" NAME "${client.attributes.A}", "x/<name><A>");
	try("${client.authenticationName|.west}/t", "<name>.west/t");
	try("${client.attributes.a|-1}2", "<a>-12");
	try("a|b/}{", "a|b/}{");
	try("a/${dollar}SYS/b${dollar}", "a/$SYS/b$");
}

static void
what_is_no_variable_is_refused(void)
{
	try("a/${client.name}", "! expected at '${client.name}', byte 3");
	try("a/${}", "! expected at '${}'");
	try("a/${", "! expected at '${'");
	try("a/$", "! '$' begins no variable; a literal one is ${dollar}");
	try("a/$b", "! '$' begins no variable");
	try("a/${client.authenticationName", "! '}' expected at its end");
	try("a/${client.authenticationName/b}", "! '}' expected at '/b}'");
	try("a/${client.authenticationNames}", "! '}' expected at 's}'");
	try("a/${CLIENT.authenticationName}", "! expected at '${CLIENT.");
	try("a/${client.attributes.}", "! a name of letters, digits and _");
	try("a/${client.attributes.a-b}", "! '}' expected at '-b}'");
	try("a/${client.attributes.a b}", "! '}' expected at ' b}'");
	try("a/${client.authenticationName|}", "! '|' needs text");
	try("a/${client.authenticationName|b", "! '|' needs text");
	try("a/${client.authenticationName|b/c}", "! at '/c}'");
	try("a/${client.authenticationName|+}", "! at '+}'");
	try("a/${client.authenticationName|" NAME "}", "! at '${client");
	try("a/${client.authenticationName|b|c}", "! at '|c}'");
	try("a/" NAME "+", "! a wildcard is a level of its own");
	try("a/+" NAME, "! a wildcard is a level of its own");
	try("a/#" NAME, "! a wildcard is a level of its own");
	try("${principal.name}", "! is now ${client.authenticationName}");
	try("${principal.attributes.a}", "! or ${client.attributes.KEY}");
}

static void
the_services_topics_are_its_own(void)
{
	try("$share/g/a", "! topics that begin with '$' are reserved");
	try("$SYS/#", "! topics that begin with '$' are reserved");
	try("${dollar}SYS", "! topics that begin with '$' are reserved");
	try("$", "! topics that begin with '$' are reserved");
}

static void
there_are_limits(void)
{
	char text[TOPIC_MAX + 2], want[64];

	try("", "! has 0 bytes; must have 1 to 256");
	memset(text, 'a', sizeof(text));
	text[TOPIC_MAX + 1] = '\0';
	try(text, "! has 257 bytes; must have 1 to 256");
	text[TOPIC_MAX] = '\0';
	try(text, text);
	try(&LEVEL16[1], &LEVEL16[1]);
	try(LEVEL16, "! more than 15 levels");
	/* many pieces */
	strcpy(text, "///////");
	for (int i = 0; i < 24; i++)
		strcat(text, "a${dollar}");
	strcpy(want, "///////");
	for (int i = 0; i < 24; i++)
		strcat(want, "a$");
	try(text, want);
	text[0] = '\0';
	for (int i = 0; i < 10; i++)
		strcat(text, "${client.attributes.a|b}c");
	try(text, "<a>bc<a>bc<a>bc<a>bc<a>bc<a>bc<a>bc<a>bc<a>bc<a>bc");
}

/* What a template is for the client press-07 with some attributes. */
static void
expand(const char *text, const char *name, const char *want)
{
	static const char attributes[] = "{\"a\":{\"hall\":3,\"kind\":"
	    "\"press\",\"tags\":[\"x\"],\"low\":-9223372036854775808,"
	    "\"big\":9223372036854775808,\"half\":1.5,\"yes\":true,"
	    "\"empty\":\"\",\"plus\":\"+\",\"hash\":\"a#\","
	    "\"slash\":\"a/b\",\"dollar\":\"$x\",\"nul\":\"a\\u0000\","
	    "\"escaped\":\"\\u00e9\\\"\",\"hidden\":\"\\u002f\"}}";
	const struct template_piece *blame = NULL;
	struct json js = { 0 };
	struct template t;
	struct buf b = { 0 };
	bool good;
	int rc;

	CHECK(json_scan(&js, attributes, sizeof(attributes) - 1, NULL) == 0);
	CHECK(template_parse(&t, text, NULL) == 0);
	buf_str(&b, "before ");
	rc = template_expand(&t, name, strlen(name), &js,
	    json_member(&js, 0, "a", 1), &b, &blame);
	buf_add(&b, "", 1);
	good = strcmp(buf_data(&b) + 7, want) == 0 &&
	    (rc == 0 ? want[0] != '\0' : want[0] == '\0' && blame != NULL);
	if (!good)
		printf("# %s: %d %s\n", text, rc, buf_data(&b));
	CHECK(good);
	buf_free(&b);
	json_free(&js);
}

#define ATTRIBUTE(key) "${client.attributes." key "}"

static void
variables_become_what_they_stand_for(void)
{
	expand("a/+/b//#", "press-07", "a/+/b//#");
	expand("m/" NAME "/t", "press-07", "m/press-07/t");
	expand("${client.authenticationName|.west}/t", "p", "p.west/t");
	expand("a-" NAME "-" ATTRIBUTE("hall"), "p", "a-p-3");
	expand("h/" ATTRIBUTE("kind") "/#", "p", "h/press/#");
	expand("h/" ATTRIBUTE("low"), "p", "h/-9223372036854775808");
	expand("h/" ATTRIBUTE("escaped"), "p", "h/\xc3\xa9\"");
	expand("h/" ATTRIBUTE("dollar"), "p", "h/$x");
	expand("h${dollar}/" NAME, "$p", "h$/$p");
}

static void
a_value_never_widens_a_template(void)
{
	expand("h/" ATTRIBUTE("slash") "/t", "p", "");
	expand("h/" ATTRIBUTE("hidden"), "p", "");
	expand("h/" ATTRIBUTE("plus"), "p", "");
	expand("h/" ATTRIBUTE("hash"), "p", "");
	expand("h/" ATTRIBUTE("nul"), "p", "");
	expand("h/" NAME, "a/b", "");
	expand("h/" NAME, "+", "");
	expand("h/" NAME, "", "");
	expand(NAME "/t", "$SYS", "");
	expand(ATTRIBUTE("dollar"), "p", "");
}

static void
without_its_value_it_does_not_apply(void)
{
	expand("h/" ATTRIBUTE("none"), "p", "");
	expand("h/" ATTRIBUTE("Hall"), "p", "");
	expand("h/" ATTRIBUTE("empty"), "p", "");
	expand("h/" ATTRIBUTE("tags"), "p", "");
	expand("h/" ATTRIBUTE("yes"), "p", "");
	expand("h/" ATTRIBUTE("half"), "p", "");
	expand("h/" ATTRIBUTE("big"), "p", "");
}

static void
what_gets_too_long_does_not_apply(void)
{
	char name[129], text[TOPIC_MAX + 1], want[TOPIC_MAX + 1];

	memset(name, 'n', sizeof(name));
	name[128] = '\0';
	strcpy(text, NAME "/" NAME);
	snprintf(want, sizeof(want), "%.127s/%.127s", name, name);
	expand(text, name + 1, want);
	strcpy(text, NAME "/" NAME "/#");
	expand(text, name, "");
	strcpy(text, NAME "/" NAME);
	expand(text, name, "");
}

int
main(void)
{
	RUN(filters_are_those_of_mqtt);
	RUN(variables_are_levels_or_parts_of_them);
	RUN(what_is_no_variable_is_refused);
	RUN(the_services_topics_are_its_own);
	RUN(there_are_limits);
	RUN(variables_become_what_they_stand_for);
	RUN(a_value_never_widens_a_template);
	RUN(without_its_value_it_does_not_apply);
	RUN(what_gets_too_long_does_not_apply);
	DONE();
}
