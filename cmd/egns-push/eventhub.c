/* an event hub over HTTPS, as a target */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "endpoint.h"
#include "http.h"
#include "hub_format.h"
#include "jq.h"
#include "late.h"
#include "quote.h"
#include "sas.h"
#include "target.h"

#define AUDIENCE "https://eventhubs.azure.net"
#define QUERY "/messages?timeout=60&api-version=2014-01"
#define LIFE 3600 /* seconds that a signature is good for */
#define EARLY 600 /* and how long before its end another one is made */

struct eventhub {
	struct target target; /* first */
	struct http *http;
	char *hub, *url; /* what is signed; where events go */
	struct hub_format format;
	/* a signature, and the connection string that it was made with */
	struct buf signature, string;
	int64_t made; /* clock_now() */
	struct late late;
};

/* ---- attempts ---- */

static void
request_free(struct http_request *q)
{
	buf_free(&q->head);
	buf_free(&q->secret);
	buf_free(&q->body);
}

static int
make(struct eventhub *h, const struct attempt *a, bool shown,
    struct http_request *q, struct fault *f)
{
	*q = (struct http_request){ .method = "POST", .url = h->url };
	if (hub_format_request(&h->format, a, shown, q, f) == 0)
		return 0;
	request_free(q);
	return -1;
}

static void
on_answer(const struct outcome *o, const struct fetch_answer *answer,
    void *arg)
{
	struct attempt *a = arg;
	struct eventhub *h = a->data;

	(void)answer;
	h->target.hooks->answered(a, o, h->target.arg);
}

static void
eventhub_send(struct target *target, struct attempt *a)
{
	struct eventhub *h = (struct eventhub *)target;
	struct fault f = { FAULT_INTERNAL, "out of memory" };
	struct http_request q;

	if (make(h, a, false, &q, &f) == 0) {
		a->data = h;
		if (http_send(h->http, &q, on_answer, a) != NULL)
			return;
		request_free(&q);
	}
	late_fail(&h->late, a, &f);
}

static void
eventhub_show(struct target *target, const struct attempt *a, struct buf *b)
{
	struct eventhub *h = (struct eventhub *)target;
	struct http_request q;
	struct fault f;

	if (make(h, a, true, &q, &f) == -1) {
		buf_printf(b, "no request: %s\n", f.text);
		return;
	}
	if (q.head.bad || q.secret.bad || q.body.bad)
		buf_str(b, "no request: out of memory\n");
	else
		http_show(h->http, &q, b);
	request_free(&q);
}

static bool
eventhub_joins(struct target *target, const struct item *first,
    const struct item *item)
{
	return hub_format_joins(&((struct eventhub *)target)->format, first,
	    item);
}

/* There is nobody to ask. */
static void
eventhub_prepare(struct target *target)
{
	late_ready(&((struct eventhub *)target)->late);
}

static void
eventhub_drop(struct target *target)
{
	struct eventhub *h = (struct eventhub *)target;

	http_drop_all(h->http);
	late_drop(&h->late);
}

static void
eventhub_free(struct target *target)
{
	struct eventhub *h = (struct eventhub *)target;

	late_drop(&h->late);
	http_free(h->http);
	hub_format_free(&h->format);
	buf_wipe(&h->signature);
	buf_wipe(&h->string);
	free(h->hub);
	free(h->url);
	free(h);
}

/* ---- who we are ---- */

/* Is there a signature of this connection string that is good for a while? */
static bool
has_signature(const struct eventhub *h, const char *string)
{
	int64_t age = clock_now() - h->made;

	return h->signature.len > 0 && strcmp(buf_data(&h->string), string) ==
	    0 && age >= 0 && age < (LIFE - EARLY) * CLOCK_SECOND;
}

static int
sign(struct eventhub *h, const char *string, struct fault *f)
{
	struct sas_connection c = { .host = NULL };
	int rc = sas_parse(&c, string, f);

	buf_wipe(&h->signature);
	buf_wipe(&h->string);
	h->made = clock_now();
	if (rc == 0) {
		sas_sign(&h->signature, h->hub, c.rule, c.key,
		    h->made / CLOCK_SECOND + LIFE);
		buf_add(&h->signature, "", 1);
		buf_add(&h->string, string, strlen(string) + 1);
		if (h->signature.bad || h->string.bad)
			rc = fault_set(f, FAULT_INTERNAL, "out of memory");
	}
	if (rc == -1)
		buf_wipe(&h->signature);
	explicit_bzero(&c, sizeof(c));
	return rc;
}

static int
prove(const struct credential *c, const char *token, const char *url,
    void *arg, struct buf *head, struct fault *f)
{
	static const char scheme[] = "SharedAccessSignature ";
	struct eventhub *h = arg;
	const char *type = credential_type(c);

	(void)url;
	if (strcmp(type, "bearer") == 0) {
		credential_header(c, token, head);
		return 0;
	}
	if (strcmp(type, "connectionString") == 0) {
		if (!has_signature(h, token) && sign(h, token, f) == -1)
			return -1;
		token = buf_data(&h->signature);
	}
	buf_str(head, "Authorization: ");
	if (strncasecmp(token, scheme, sizeof(scheme) - 1) != 0)
		buf_str(head, scheme);
	buf_add(head, token, strlen(token) + 1);
	return 0;
}

/* ---- settings ---- */

/* The length of a name of letters, digits and these; 0 when it has others, up
 * to `end`. */
static size_t
name_len(const char *name, const char *also, char end)
{
	size_t n = 0;

	while ((name[n] >= 'a' && name[n] <= 'z') ||
	    (name[n] >= 'A' && name[n] <= 'Z') ||
	    (name[n] >= '0' && name[n] <= '9') ||
	    (name[n] != '\0' && strchr(also, name[n]) != NULL))
		n++;
	return name[n] == end ? n : 0;
}

/* Where the service has the hub of a resource id. */
static int
add_service_url(const char *id, struct buf *b, struct fault *f)
{
	static const char hubs[] = "/providers/Microsoft.EventHub/namespaces/";
	static const char hub[] = "/eventhubs/";
	const char *name = strcasestr(id, hubs);
	char q[QUOTE_MAX];
	size_t len, rest = 0;

	if (name != NULL) {
		name += sizeof(hubs) - 1;
		len = name_len(name, "-", '/');
		if (len > 0 &&
		    strncasecmp(name + len, hub, sizeof(hub) - 1) == 0)
			rest = name_len(name + len + sizeof(hub) - 1, "-._",
			    '\0');
	}
	if (rest == 0)
		return fault_set(f, FAULT_BAD_REQUEST, "resourceId: '%s' is "
		    "no .../Microsoft.EventHub/namespaces/NAME/eventhubs/NAME",
		    quote(q, id, strlen(id)));
	buf_printf(b, "https://%.*s.servicebus.windows.net/%s", (int)len, name,
	    name + len + sizeof(hub) - 1);
	return 0;
}

static int
add_local_url(const char *url, struct buf *b, struct fault *f)
{
	size_t len = strlen(url);
	struct fault why;

	if (endpoint_check_url(url, &why) == -1)
		return fault_set(f, why.code, "endpoints: url: %s", why.text);
	if (strpbrk(url, "?#") != NULL)
		return fault_set(f, FAULT_BAD_REQUEST, "endpoints: url: of an "
		    "event hub it has no query, https://HOST[:PORT]/HUB");
	while (len > 0 && url[len - 1] == '/')
		len--;
	buf_add(b, url, len);
	return 0;
}

static int
take_urls(struct eventhub *h, const struct target_use *use, const char *id,
    struct fault *f)
{
	jv entry = endpoint_find(use->namespace, id);
	const char *url = jq_str(entry, "url");
	struct buf b = { 0 };
	int rc = url != NULL ? add_local_url(url, &b, f) :
	    add_service_url(id, &b, f);

	jv_free(entry);
	if (rc == 0) {
		buf_add(&b, "", 1);
		h->hub = b.bad ? NULL : strdup(buf_data(&b));
		b.len -= !b.bad;
		buf_add(&b, QUERY, sizeof(QUERY));
		h->url = b.bad ? NULL : strdup(buf_data(&b));
		if (h->hub == NULL || h->url == NULL)
			rc = fault_set(f, FAULT_INTERNAL, "out of memory");
	}
	buf_free(&b);
	return rc;
}

static int
take_format(struct eventhub *h, const struct target_use *use, jv properties,
    struct fault *f)
{
	jv list = jq_get(properties, "deliveryAttributeMappings");
	int rc = hub_format_init(&h->format, use->name,
	    target_binary(use->subscription), list, f);

	jv_free(list);
	return rc == -1 ? -1 : hub_format_limits(&h->format, &h->target.batch,
	    &h->target.batch_bytes, f);
}

static int
take_http(struct eventhub *h, const struct target_use *use, const char *id,
    jv push, struct fault *f)
{
	struct http_settings s = {
		.credential = target_credential(use, id),
		.audience = AUDIENCE,
		.proof = prove,
		.proof_arg = h,
		.connections = (unsigned)jq_int(jq_get(push, "maxInFlight"),
		    HTTP_IN_FLIGHT),
		.timeout_ms = target_timeout_ms(use->subscription),
	};
	const char *type = jq_str(s.credential, "type");

	if (type != NULL && strcmp(type, "key") == 0) {
		jv_free(s.credential);
		return fault_set(f, FAULT_BAD_REQUEST, "credential: an event "
		    "hub takes no key; the type is bearer, sas or "
		    "connectionString");
	}
	h->http = http_new(use, &s, f);
	return h->http == NULL ? -1 : 0;
}

static int
set_up(struct eventhub *h, const struct target_use *use, struct fault *f)
{
	jv push = jq_get(use->subscription,
	    "properties.deliveryConfiguration.push");
	jv properties = target_properties(use->subscription);
	const char *id = jq_str(properties, "resourceId");
	int rc = -1;

	if (id == NULL)
		fault_set(f, FAULT_BAD_REQUEST, "no resourceId");
	else if (take_urls(h, use, id, f) == 0 &&
	    take_format(h, use, properties, f) == 0)
		rc = take_http(h, use, id, push, f);
	jv_free(properties);
	jv_free(push);
	return rc;
}

struct target *
eventhub_new(const struct target_use *use, struct fault *f)
{
	static const struct target_calls calls = { eventhub_prepare,
		eventhub_send, eventhub_joins, eventhub_show, eventhub_drop,
		eventhub_free };
	struct eventhub *h = calloc(1, sizeof(*h));

	if (h == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	h->target.calls = &calls;
	h->target.in_flight = HTTP_IN_FLIGHT;
	h->target.connects = true;
	late_init(&h->late, use->loop, &h->target);
	if (set_up(h, use, f) == 0)
		return &h->target;
	eventhub_free(&h->target);
	return NULL;
}
