#include "blob_auth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base64.h"
#include "connection.h"
#include "endpoint.h"
#include "hex.h"
#include "hmac.h"
#include "jq.h"
#include "secret.h"
#include "storage.h"

/* Of the emulator, as its manual publishes them. */
#define EMULATOR "http://127.0.0.1:10000/devstoreaccount1"
#define EMULATOR_ACCOUNT "devstoreaccount1"
#define EMULATOR_KEY "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2" \
	"UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

static int
out_of_memory(struct fault *f)
{
	return fault_set(f, FAULT_INTERNAL, "out of memory");
}

/* ---- an account ---- */

/* What is behind the scheme of a URL. */
static const char *
authority_of(const char *url)
{
	const char *slashes = strstr(url, "://");

	return slashes == NULL ? url : slashes + 3;
}

/* What is behind its authority, or its end. */
static const char *
path_of(const char *url)
{
	const char *authority = authority_of(url);

	return authority + strcspn(authority, "/?");
}

/* The account's name in a URL, and its length, or 0: a path begins with it, as
 * an emulator's; else it is before ".blob.". */
static size_t
name_in_url(const char *url, const char **name)
{
	const char *path = path_of(url), *host = authority_of(url);
	const char *blob = strstr(host, ".blob.");

	if (path[0] == '/' && path[1] != '\0') {
		*name = path + 1;
		return strcspn(path + 1, "/");
	}
	*name = host;
	return blob != NULL && blob < path ? strcspn(host, ".") : 0;
}

/* A URL that may be sent to, without what it need not have; the caller's. */
static char *
copy_url(const char *url, const char *whose, struct fault *f)
{
	size_t len = strlen(url);
	struct fault why;
	char *copy;

	if (endpoint_check_url(url, &why) == -1) {
		fault_set(f, why.code, "%s: %s", whose, why.text);
		return NULL;
	}
	if (strpbrk(url, "?#") != NULL) {
		fault_set(f, FAULT_BAD_REQUEST, "%s: of a storage account it "
		    "has no query; a shared access signature is a credential",
		    whose);
		return NULL;
	}
	while (url[len - 1] == '/')
		len--;
	if ((copy = strndup(url, len)) == NULL)
		out_of_memory(f);
	return copy;
}

int
blob_account_init(struct blob_account *a, jv endpoint, struct fault *f)
{
	const char *url = jq_str(endpoint, "url"), *name;
	const char *id = jq_str(endpoint, "resourceId");
	char account[STORAGE_ACCOUNT] = "", made[64];
	size_t len;

	*a = (struct blob_account){ .given = url != NULL };
	if (id != NULL)
		storage_account(account, id);
	if (url == NULL) {
		if (account[0] == '\0')
			return fault_set(f, FAULT_BAD_REQUEST, "endpoints: a "
			    "resourceId that is no .../Microsoft.Storage/"
			    "storageAccounts/NAME needs a url");
		snprintf(made, sizeof(made),
		    "https://%s.blob.core.windows.net", account);
		url = made;
	}
	if ((a->url = copy_url(url, "endpoints: url", f)) == NULL)
		return -1;
	len = name_in_url(a->url, &name);
	a->name = len > 0 ? strndup(name, len) : strdup(account);
	if (a->name != NULL)
		return 0;
	blob_account_free(a);
	return out_of_memory(f);
}

void
blob_account_free(struct blob_account *a)
{
	free(a->url);
	free(a->name);
	*a = (struct blob_account){ .url = NULL };
}

/* ---- a proof ---- */

static int
take_sas(struct blob_proof *p, const char *query, struct fault *f)
{
	if (*query == '?')
		query++;
	if ((strncmp(query, "sig=", 4) != 0 &&
	    strstr(query, "&sig=") == NULL) || strpbrk(query, " #") != NULL)
		return fault_set(f, FAULT_UNAVAILABLE, "the credential is no "
		    "shared access signature, a query like sv=...&sig=...");
	p->how = BLOB_SAS;
	p->secret = query;
	return 0;
}

static int
take_key(struct blob_proof *p, const char *key, struct fault *f)
{
	if (base64_decode(NULL, key, strlen(key)) <= 0)
		return fault_set(f, FAULT_UNAVAILABLE,
		    "the credential is no key of an account: not base64");
	if (*p->account == '\0')
		return fault_set(f, FAULT_UNAVAILABLE, "the endpoint does not "
		    "say which account the key is of: its url is "
		    "https://ACCOUNT.blob... or https://HOST/ACCOUNT");
	p->how = BLOB_KEY;
	p->secret = key;
	return 0;
}

struct parts {
	const char *protocol, *name, *key, *blob, *sas, *suffix, *emulator;
};

/* The place that the connection string says. */
static int
take_place(struct blob_proof *p, const struct parts *c, struct fault *f)
{
	char *url;

	if (c->emulator != NULL)
		buf_str(&p->made, EMULATOR);
	else if (c->blob != NULL)
		buf_str(&p->made, c->blob);
	else if (c->name != NULL)
		buf_printf(&p->made, "%s://%s.blob.%s",
		    c->protocol != NULL ? c->protocol : "https", c->name,
		    c->suffix != NULL ? c->suffix : "core.windows.net");
	else
		return fault_set(f, FAULT_UNAVAILABLE, "the connection string "
		    "has neither BlobEndpoint nor AccountName");
	buf_add(&p->made, "", 1);
	if (p->made.bad)
		return out_of_memory(f);
	url = copy_url(buf_data(&p->made), "the connection string's endpoint",
	    f);
	if (url == NULL)
		return -1;
	buf_reset(&p->made, SIZE_MAX);
	buf_add(&p->made, url, strlen(url) + 1);
	free(url);
	if (p->made.bad)
		return out_of_memory(f);
	p->url = buf_data(&p->made);
	return 0;
}

static int
take_connection(struct blob_proof *p, bool given, struct fault *f)
{
	struct parts c;
	const struct connection_part parts[] = {
		{ "DefaultEndpointsProtocol", &c.protocol },
		{ "AccountName", &c.name },
		{ "AccountKey", &c.key },
		{ "BlobEndpoint", &c.blob },
		{ "SharedAccessSignature", &c.sas },
		{ "EndpointSuffix", &c.suffix },
		{ "UseDevelopmentStorage", &c.emulator },
	};

	if (connection_parse(buf_data(&p->text), parts,
	    sizeof(parts) / sizeof(parts[0]), f) == -1)
		return -1;
	if (c.emulator != NULL && strcasecmp(c.emulator, "true") != 0)
		c.emulator = NULL;
	if (c.emulator != NULL) {
		c.name = EMULATOR_ACCOUNT;
		c.key = EMULATOR_KEY;
	}
	if (!given && take_place(p, &c, f) == -1)
		return -1;
	if (c.name != NULL)
		p->account = c.name;
	if (c.key != NULL)
		return take_key(p, c.key, f);
	if (c.sas != NULL)
		return take_sas(p, c.sas, f);
	return fault_set(f, FAULT_UNAVAILABLE, "the connection string has "
	    "neither AccountKey nor SharedAccessSignature");
}

int
blob_proof_init(struct blob_proof *p, const struct blob_account *a,
    const char *type, const char *token, struct fault *f)
{
	int rc = 0;

	*p = (struct blob_proof){ .url = a->url, .account = a->name };
	buf_add(&p->text, token, strlen(token) + 1);
	if (p->text.bad)
		rc = out_of_memory(f);
	else if (strcmp(type, "key") == 0)
		rc = take_key(p, buf_data(&p->text), f);
	else if (strcmp(type, "sas") == 0)
		rc = take_sas(p, buf_data(&p->text), f);
	else if (strcmp(type, "connectionString") == 0)
		rc = take_connection(p, a->given, f);
	else
		p->secret = buf_data(&p->text);
	if (rc == -1)
		blob_proof_free(p);
	return rc;
}

void
blob_proof_free(struct blob_proof *p)
{
	buf_wipe(&p->text);
	buf_wipe(&p->signature);
	buf_free(&p->made);
	*p = (struct blob_proof){ .url = NULL };
}

/* The value of `sig` as whoever takes it reads it. */
static void
add_decoded(struct buf *b, const char *query)
{
	int code;

	for (; *query != '\0'; query++) {
		code = *query == '%' ? hex_byte(query + 1) : -1;
		buf_add(b, code == -1 ? query : &(char){ (char)code }, 1);
		if (code != -1)
			query += 2;
	}
}

bool
blob_proof_told(const struct blob_proof *p, const char *text)
{
	struct buf decoded = { 0 };
	size_t len = strlen(text);
	bool told;

	if (p->secret == NULL)
		return false;
	told = secret_told(text, len, p->secret, strlen(p->secret));
	if (p->signature.len > 0)
		told |= secret_told(text, len, buf_data(&p->signature),
		    p->signature.len - 1);
	if (p->how == BLOB_SAS && !told) {
		add_decoded(&decoded, p->secret);
		told = decoded.bad || secret_told(text, len,
		    buf_data(&decoded), decoded.len);
		buf_wipe(&decoded);
	}
	return told;
}

/* ---- a request ---- */

static void
make_url(const struct blob_call *c, const struct blob_proof *p, struct buf *url)
{
	const struct blob_param *q = c->params;
	char sign = '?';

	buf_printf(url, "%s/%s", p->url, c->container);
	if (c->name != NULL) {
		buf_str(url, "/");
		buf_uri(url, c->name, "/");
	}
	for (; q < c->params + BLOB_PARAMS && q->name != NULL; q++) {
		buf_printf(url, "%c%s=", sign, q->name);
		buf_uri(url, q->value, "");
		sign = '&';
	}
	if (p->how == BLOB_SAS)
		buf_printf(url, "%c%s", sign, p->secret);
	buf_add(url, "", 1);
}

static const char *
or_nothing(const char *value)
{
	return value != NULL ? value : "";
}

/* What Shared Key signs. */
static void
add_canonical(const struct blob_call *c, const char *account, const char *url,
    const char *date, struct buf *b)
{
	const struct blob_param *q = c->params;
	const char *path = path_of(url);

	buf_printf(b, "%s\n\n\n", c->method);
	if (c->length > 0)
		buf_u64(b, c->length);
	buf_printf(b, "\n%s\n%s\n\n\n%s\n%s\n\n\n", or_nothing(c->content_md5),
	    or_nothing(c->content_type), or_nothing(c->if_match),
	    or_nothing(c->if_none_match));
	if (c->put)
		buf_str(b, "x-ms-blob-type:BlockBlob\n");
	buf_printf(b, "x-ms-date:%s\nx-ms-version:" BLOB_VERSION "\n", date);
	buf_printf(b, "/%s%.*s", account, (int)strcspn(path, "?"), path);
	for (; q < c->params + BLOB_PARAMS && q->name != NULL; q++)
		buf_printf(b, "\n%s:%s", q->name, q->value);
}

static int
make_signature(const struct blob_call *c, struct blob_proof *p,
    const char *url, const char *date)
{
	size_t room = strlen(p->secret) / 4 * 3;
	uint8_t mac[HMAC_LEN], *key = malloc(room + 1);
	struct buf text = { 0 };
	long len = -1;
	int rc = -1;

	add_canonical(c, p->account, url, date, &text);
	if (key != NULL && !text.bad)
		len = base64_decode(key, p->secret, strlen(p->secret));
	buf_wipe(&p->signature);
	if (len > 0 && hmac_sha256(mac, key, (size_t)len, buf_data(&text),
	    text.len) == 0) {
		base64_add(&p->signature, mac, sizeof(mac));
		buf_add(&p->signature, "", 1);
		rc = p->signature.bad ? -1 : 0;
	}
	if (key != NULL)
		explicit_bzero(key, room + 1);
	free(key);
	buf_free(&text);
	return rc;
}

static void
add_header(struct buf *head, const char *name, const char *value)
{
	if (value != NULL)
		buf_printf(head, "%s: %s%c", name, value, '\0');
}

int
blob_call_sign(const struct blob_call *c, struct blob_proof *p, time_t now,
    struct buf *url, struct buf *head, struct fault *f)
{
	char date[64];
	struct tm tm;

	gmtime_r(&now, &tm);
	/* no program has a locale of its own */
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	make_url(c, p, url);
	if (url->bad)
		return out_of_memory(f);
	add_header(head, "x-ms-date", date);
	add_header(head, "x-ms-version", BLOB_VERSION);
	add_header(head, "x-ms-blob-type", c->put ? "BlockBlob" : NULL);
	add_header(head, "Content-MD5", c->content_md5);
	add_header(head, "Content-Type", c->content_type);
	add_header(head, "If-Match", c->if_match);
	add_header(head, "If-None-Match", c->if_none_match);
	if (p->how == BLOB_KEY) {
		if (make_signature(c, p, buf_data(url), date) == -1)
			return out_of_memory(f);
		buf_printf(head, "Authorization: SharedKey %s:%s%c",
		    p->account, buf_data(&p->signature), '\0');
	} else if (p->how == BLOB_BEARER) {
		buf_printf(head, "Authorization: Bearer %s%c", p->secret,
		    '\0');
	}
	return head->bad ? out_of_memory(f) : 0;
}
