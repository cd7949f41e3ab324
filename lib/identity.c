#include "identity.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wolfssl/options.h>
#include <wolfssl/openssl/x509.h>
#include <wolfssl/openssl/x509v3.h>

#include "clock.h"
#include "hex.h"
#include "json.h"
#include "quote.h"
#include "utf8.h"

#define SHOWN_MAX 200 /* bytes of a certificate's values in a fault */

/* How the registry spells schemes, and what people call what they look at. */
static const struct {
	const char *scheme, *source, *field;
} schemes[] = {
	[IDENTITY_SUBJECT] = { "SubjectMatchesAuthenticationName",
	    "ClientCertificateSubject", "subject" },
	[IDENTITY_DNS] = { "DnsMatchesAuthenticationName",
	    "ClientCertificateDns", "DNS name" },
	[IDENTITY_URI] = { "UriMatchesAuthenticationName",
	    "ClientCertificateUri", "URI" },
	[IDENTITY_IP] = { "IpMatchesAuthenticationName",
	    "ClientCertificateIp", "IP address" },
	[IDENTITY_EMAIL] = { "EmailMatchesAuthenticationName",
	    "ClientCertificateEmail", "e-mail address" },
	[IDENTITY_THUMBPRINT] = { "ThumbprintMatch", NULL, "thumbprint" },
};
#define SCHEMES (sizeof(schemes) / sizeof(schemes[0]))

/* ---- what the registry says ---- */

/* A string's text, which the caller frees; NULL when it is none. */
static char *
text_of(const struct json *js, uint32_t token)
{
	struct buf b = { 0 };

	if (token == 0 || js->tok[token].type != JSON_STRING)
		return NULL;
	json_string(js, token, &b);
	buf_add(&b, "", 1);
	if (b.bad) {
		buf_free(&b);
		return NULL;
	}
	return b.mem; /* nothing was taken from its front */
}

/* Without colons, in lower case. */
static char *
plain_thumbprint(char *text)
{
	char *to = text;

	if (text == NULL)
		return NULL;
	for (const char *p = text; *p != '\0'; p++)
		if (*p != ':')
			*to++ = (char)tolower((unsigned char)*p);
	*to = '\0';
	return text;
}

static void
read_scheme(struct identity *id, const struct json *js, uint32_t certificate)
{
	uint32_t scheme, list, i;
	size_t n = 0;

	if (certificate == 0)
		return;
	scheme = json_member(js, certificate, "validationScheme", 16);
	for (i = 0; scheme != 0 && i < SCHEMES; i++)
		if (json_is(js, scheme, schemes[i].scheme,
		    strlen(schemes[i].scheme)))
			id->scheme = (enum identity_scheme)i;
	list = json_member(js, certificate, "allowedThumbprints", 18);
	if (list == 0 || js->tok[list].type != JSON_ARRAY)
		return;
	for (i = list + 1; i < js->tok[list].next && n < 2;
	    i = js->tok[i].next)
		id->thumbprints[n++] = plain_thumbprint(text_of(js, i));
}

/* Everything that has to be there is there. */
static bool
read_client(struct identity *id, const struct json *js)
{
	uint32_t p = json_member(js, 0, "properties", 10), state, attributes;
	const struct json_token *t;

	if (p == 0)
		return false;
	id->client = text_of(js, json_member(js, 0, "name", 4));
	id->uid = text_of(js, json_member(js, 0, "uid", 3));
	id->name = text_of(js, json_member(js, p, "authenticationName", 18));
	state = json_member(js, p, "state", 5);
	id->disabled = state == 0 || !json_is(js, state, "Enabled", 7);
	attributes = json_member(js, p, "attributes", 10);
	t = &js->tok[attributes];
	id->attributes = attributes == 0 || t->type != JSON_OBJECT ?
	    strdup("{}") : strndup(js->text + t->start, t->end - t->start);
	read_scheme(id, js, json_member(js, p,
	    "clientCertificateAuthentication", 31));
	return id->client != NULL && id->uid != NULL && id->name != NULL &&
	    id->attributes != NULL;
}

int
identity_find(struct registry *r, const char *name, size_t len,
    struct identity *id, struct fault *f)
{
	struct json js = { 0 };
	char q[QUOTE_MAX];
	size_t text_len;
	char *text = registry_client(r, name, len, &text_len);
	int rc;

	if (text == NULL)
		return fault_set(f, FAULT_NOT_FOUND,
		    "there is no client '%s'", quote(q, name, len));
	rc = json_scan(&js, text, text_len, f);
	if (rc == 0 && !read_client(id, &js)) {
		identity_free(id);
		rc = fault_set(f, FAULT_INTERNAL, "client '%s': no memory, or "
		    "not what the registry holds", quote(q, name, len));
	}
	json_free(&js);
	free(text);
	return rc;
}

void
identity_free(struct identity *id)
{
	free(id->client);
	free(id->uid);
	free(id->name);
	free(id->attributes);
	free(id->thumbprints[0]);
	free(id->thumbprints[1]);
	memset(id, 0, sizeof(*id));
}

/* ---- what the certificate says ---- */

/* Calls fn with each value of a field, until it returns true. */
struct values {
	bool (*fn)(const char *, size_t, void *);
	void *arg;
};

/* A NUL in a name is an old trick to show two programs two names: such a value
 * is none at all, like one that is no text. */
static bool
good_value(const char *s, size_t len)
{
	return len > 0 && memchr(s, '\0', len) == NULL && utf8_text(s, len);
}

static bool
offer(const struct values *v, const void *s, int len)
{
	return len > 0 && good_value(s, (size_t)len) &&
	    v->fn(s, (size_t)len, v->arg);
}

static bool
offer_address(const struct values *v, const unsigned char *bytes, int len)
{
	char text[INET6_ADDRSTRLEN];

	if ((len != 4 && len != 16) || inet_ntop(len == 4 ? AF_INET : AF_INET6,
	    bytes, text, sizeof(text)) == NULL)
		return false;
	return v->fn(text, strlen(text), v->arg);
}

/* The field of each alternative name; -1: of no interest. */
static int
field_of(int type)
{
	switch (type) {
	case GEN_DNS:
		return IDENTITY_DNS;
	case GEN_URI:
		return IDENTITY_URI;
	case GEN_IPADD:
		return IDENTITY_IP;
	case GEN_EMAIL:
		return IDENTITY_EMAIL;
	}
	return -1;
}

static bool
each_alternative(WOLFSSL_X509 *x, enum identity_scheme field,
    const struct values *v)
{
	WOLFSSL_STACK *names = wolfSSL_X509_get_ext_d2i(x,
	    NID_subject_alt_name, NULL, NULL);
	int n = names == NULL ? 0 : wolfSSL_sk_GENERAL_NAME_num(names);
	bool done = false;

	/* wolfSSL 5.5 has the last one first */
	for (int i = n - 1; !done && i >= 0; i--) {
		WOLFSSL_GENERAL_NAME *g = wolfSSL_sk_GENERAL_NAME_value(names,
		    i);
		const WOLFSSL_ASN1_STRING *s = g->d.ia5;

		if (field_of(g->type) != (int)field || s == NULL)
			continue;
		if (field == IDENTITY_IP)
			done = offer_address(v, (unsigned char *)s->data,
			    s->length);
		else
			done = offer(v, s->data, s->length);
	}
	wolfSSL_sk_GENERAL_NAME_pop_free(names, wolfSSL_GENERAL_NAME_free);
	return done;
}

/* A value as RFC 4514 writes it. */
static void
add_escaped(struct buf *b, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (strchr(",+\"\\<>;", s[i]) != NULL ||
		    (i == 0 && (s[i] == '#' || s[i] == ' ')) ||
		    (i == len - 1 && s[i] == ' '))
			buf_add(b, "\\", 1);
		buf_add(b, s + i, 1);
	}
}

/* The distinguished name as RFC 4514 writes it, the last part first; false when
 * a part of it has no name or is no text. */
static bool
add_subject(struct buf *b, WOLFSSL_X509_NAME *subject, const char *separator)
{
	for (int i = wolfSSL_X509_NAME_entry_count(subject) - 1; i >= 0; i--) {
		WOLFSSL_X509_NAME_ENTRY *e = wolfSSL_X509_NAME_get_entry(
		    subject, i);
		const WOLFSSL_ASN1_STRING *s =
		    wolfSSL_X509_NAME_ENTRY_get_data(e);
		const char *type = wolfSSL_OBJ_nid2sn(wolfSSL_OBJ_obj2nid(
		    wolfSSL_X509_NAME_ENTRY_get_object(e)));

		if (type == NULL || s == NULL || s->length < 0 ||
		    !good_value(s->data, (size_t)s->length))
			return false;
		if (b->len != 0)
			buf_str(b, separator);
		buf_printf(b, "%s=", type);
		add_escaped(b, s->data, (size_t)s->length);
	}
	return !b->bad && b->len != 0;
}

static bool
offer_subject(const struct values *v, WOLFSSL_X509_NAME *subject,
    const char *separator)
{
	struct buf b = { 0 };
	bool done = add_subject(&b, subject, separator) &&
	    v->fn(buf_data(&b), b.len, v->arg);

	buf_free(&b);
	return done;
}

/* Its common names, the most specific first, which is the last; and all of it,
 * in both spellings that are about. */
static bool
each_subject(WOLFSSL_X509 *x, const struct values *v)
{
	WOLFSSL_X509_NAME *subject = wolfSSL_X509_get_subject_name(x);

	if (subject == NULL)
		return false;
	for (int i = wolfSSL_X509_NAME_entry_count(subject) - 1; i >= 0; i--) {
		WOLFSSL_X509_NAME_ENTRY *e = wolfSSL_X509_NAME_get_entry(
		    subject, i);
		const WOLFSSL_ASN1_STRING *s =
		    wolfSSL_X509_NAME_ENTRY_get_data(e);

		if (s != NULL && wolfSSL_OBJ_obj2nid(
		    wolfSSL_X509_NAME_ENTRY_get_object(e)) == NID_commonName &&
		    offer(v, s->data, s->length))
			return true;
	}
	return offer_subject(v, subject, ",") ||
	    offer_subject(v, subject, ", ");
}

static bool
each_value(const struct tls_certificate *c, enum identity_scheme field,
    const struct values *v)
{
	WOLFSSL_X509 *x = wolfSSL_X509_load_certificate_buffer(c->der[0],
	    (int)c->len[0], WOLFSSL_FILETYPE_ASN1);
	bool done;

	if (x == NULL)
		return false;
	done = field == IDENTITY_SUBJECT ? each_subject(x, v) :
	    each_alternative(x, field, v);
	wolfSSL_X509_free(x);
	return done;
}

/* ---- is it the client's? ---- */

struct match {
	enum identity_scheme scheme;
	const char *wanted;
	size_t len;
	struct buf seen; /* for a fault */
};

static bool
is_match(const char *s, size_t len, void *arg)
{
	struct match *m = arg;
	char q[QUOTE_MAX], shown[QUOTE_MAX + 2];
	int n;

	if (len == m->len && (m->scheme == IDENTITY_DNS ?
	    strncasecmp(s, m->wanted, len) : memcmp(s, m->wanted, len)) == 0)
		return true;
	/* both spellings of a subject may be one */
	n = snprintf(shown, sizeof(shown), "'%s'", quote(q, s, len));
	if (m->seen.len == 0 || (m->seen.len < SHOWN_MAX &&
	    memmem(buf_data(&m->seen), m->seen.len, shown, (size_t)n) == NULL))
		buf_printf(&m->seen, "%s%s", m->seen.len == 0 ? "" : ", ",
		    shown);
	return false;
}

/* An address as inet_ntop writes it, so that spellings do not differ. */
static const char *
canonical(const char *name, char text[INET6_ADDRSTRLEN])
{
	unsigned char bytes[16];
	int family = strchr(name, ':') != NULL ? AF_INET6 : AF_INET;

	return inet_pton(family, name, bytes) != 1 ? name :
	    inet_ntop(family, bytes, text, INET6_ADDRSTRLEN);
}

static int
check_field(const struct identity *id, const struct tls_certificate *c,
    struct fault *f)
{
	char address[INET6_ADDRSTRLEN], q[QUOTE_MAX];
	struct match m = { .scheme = id->scheme, .wanted = id->name };
	bool same;

	if (id->scheme == IDENTITY_IP)
		m.wanted = canonical(id->name, address);
	m.len = strlen(m.wanted);
	same = each_value(c, id->scheme, &(struct values){ is_match, &m });
	if (!same && m.seen.len == 0)
		fault_set(f, FAULT_UNAUTHORIZED, "certificate has no %s; '%s' "
		    "is wanted", schemes[id->scheme].field,
		    quote(q, m.wanted, m.len));
	else if (!same)
		fault_set(f, FAULT_UNAUTHORIZED, "certificate's %s is %.*s; "
		    "'%s' is wanted", schemes[id->scheme].field,
		    (int)m.seen.len, buf_data(&m.seen),
		    quote(q, m.wanted, m.len));
	buf_free(&m.seen);
	return same ? 0 : -1;
}

static int
check_thumbprint(const struct identity *id, const struct tls_certificate *c,
    struct fault *f)
{
	char sha1[2 * sizeof(c->sha1) + 1], sha256[2 * sizeof(c->sha256) + 1];

	hex_text(sha1, c->sha1, sizeof(c->sha1));
	hex_text(sha256, c->sha256, sizeof(c->sha256));
	for (int i = 0; i < 2; i++) {
		const char *t = id->thumbprints[i];

		if (t != NULL &&
		    (strcmp(t, sha1) == 0 || strcmp(t, sha256) == 0))
			return 0;
	}
	return fault_set(f, FAULT_UNAUTHORIZED, "certificate's thumbprint is "
	    "%s (SHA-1 %s); the client has another", sha256, sha1);
}

static int
check_dates(const struct tls_certificate *c, struct fault *f)
{
	char text[CLOCK_TEXT + 1];
	int64_t now = clock_now();

	if (now >= c->begins && now <= c->ends)
		return 0;
	clock_format(text, now < c->begins ? c->begins : c->ends);
	return fault_set(f, FAULT_UNAUTHORIZED, "certificate %s %.19sZ",
	    now < c->begins ? "is not valid before" : "has expired at", text);
}

int
identity_check(const struct identity *id, const struct tls_certificate *c,
    struct fault *f)
{
	if (c == NULL || c->n == 0)
		return fault_set(f, FAULT_UNAUTHORIZED,
		    "no certificate was shown; %s needs one",
		    schemes[id->scheme].scheme);
	if (check_dates(c, f) == -1)
		return -1;
	if (id->scheme == IDENTITY_THUMBPRINT)
		return check_thumbprint(id, c, f);
	if (!c->trusted)
		return fault_set(f, FAULT_UNAUTHORIZED,
		    "certificate is not trusted: %s",
		    c->why != NULL ? c->why : "its chain");
	return check_field(id, c, f);
}

/* ---- a name from the certificate ---- */

int
identity_sources(struct identity_sources *s, jv list)
{
	const size_t max = sizeof(s->list) / sizeof(s->list[0]);
	int rc = 0;

	s->n = 0;
	if (jv_get_kind(list) != JV_KIND_ARRAY) {
		rc = jv_get_kind(list) == JV_KIND_NULL ? 0 : -1;
		jv_free(list);
		return rc;
	}
	jv_array_foreach(list, i, name) {
		const char *text = jv_get_kind(name) == JV_KIND_STRING ?
		    jv_string_value(name) : "";
		size_t k = 0;

		while (k < IDENTITY_THUMBPRINT &&
		    strcmp(schemes[k].source, text) != 0)
			k++;
		if (k == IDENTITY_THUMBPRINT || s->n == max)
			rc = -1;
		else
			s->list[s->n++] = (enum identity_scheme)k;
		jv_free(name);
	}
	jv_free(list);
	return rc;
}

struct taken {
	char *out;
	size_t len;
};

static bool
take(const char *s, size_t len, void *arg)
{
	struct taken *t = arg;

	if (len > IDENTITY_NAME_MAX)
		return false;
	memcpy(t->out, s, len);
	t->out[len] = '\0';
	t->len = len;
	return true;
}

size_t
identity_name(const struct identity_sources *s,
    const struct tls_certificate *c, char out[IDENTITY_NAME_MAX + 1])
{
	struct taken t = { .out = out };

	out[0] = '\0';
	for (size_t i = 0; c != NULL && c->n > 0 && i < s->n; i++)
		if (each_value(c, s->list[i], &(struct values){ take, &t }))
			return t.len;
	return 0;
}
