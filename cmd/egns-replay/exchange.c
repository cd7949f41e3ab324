/* requests to topicd and its answers */
#include "exchange.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"

/* Requests under way at a time: topicd checks one while it syncs another. */
#define WINDOW 4
/* topicd answers sooner, unless it is stopped; all others wait meanwhile. */
#define ANSWER_MS 60000

int
exchange_open(struct exchange *x, struct fault *f)
{
	/* topicd may have been started anew since the last round */
	if (x->client.fd != -1 && client_move(&x->client, NULL) == 0)
		return 0;
	client_close(&x->client);
	if (client_open(&x->client, x->spool, "topicd", f) == -1)
		return -1;
	x->client.timeout_ms = ANSWER_MS;
	return 0;
}

void
exchange_close(struct exchange *x)
{
	exchange_reset(x);
	client_close(&x->client);
}

void
exchange_reset(struct exchange *x)
{
	for (size_t i = 0; i < x->n; i++)
		free(x->requests[i].fault);
	free(x->requests);
	x->requests = NULL;
	x->n = 0;
}

struct request *
exchange_add(struct exchange *x)
{
	struct request *r = array_room(x->requests, x->n, sizeof(*r));

	if (r == NULL)
		return NULL;
	x->requests = r;
	r += x->n++;
	*r = (struct request){ .outcome = OUTCOME_LATER };
	return r;
}

static enum outcome
outcome_of(enum fault_code code)
{
	switch (code) {
	case FAULT_CONFLICT: return OUTCOME_BEHIND;
	case FAULT_BAD_REQUEST:
	case FAULT_UNAUTHORIZED:
	case FAULT_FORBIDDEN:
	case FAULT_NOT_FOUND:
	case FAULT_TOO_LARGE: return OUTCOME_REFUSED;
	default: return OUTCOME_LATER;
	}
}

enum outcome
exchange_position(struct exchange *x, const char *topic, uint64_t *sequence,
    struct fault *f)
{
	struct buf text = { 0 };

	buf_str(&text, "{\"op\":\"producer\",\"topic\":");
	buf_json(&text, topic, strlen(topic));
	buf_str(&text, ",\"producer\":\"" EXCHANGE_PRODUCER "\"}\n");
	client_add(&x->client, buf_data(&text), text.len);
	buf_free(&text);
	if (client_flush(&x->client, f) == -1)
		return OUTCOME_LATER;
	if (client_answer(&x->client, f) == -1)
		return outcome_of(f->code);
	*sequence = client_number(&x->client, "sequence");
	return OUTCOME_STORED;
}

/* ---- a round that is left ---- */

/* Where n lines end; 0: they do not. */
static size_t
behind_lines(const struct buf *b, size_t at, uint32_t n)
{
	const char *nl;

	for (; n > 0; n--) {
		nl = memchr(buf_data(b) + at, '\n', b->len - at);
		if (nl == NULL)
			return 0;
		at = (size_t)(nl - buf_data(b)) + 1;
	}
	return at;
}

/* The request that begins behind another, or at the front. false: none. */
static bool
find_request(const struct ledger_round *round, struct json *js,
    const struct request *before, struct request *r)
{
	size_t header, end, lines_end;
	uint32_t t;
	int64_t n;

	r->at = before == NULL ? 0 : before->at + before->len;
	r->lines_at = before == NULL ? 0 :
	    before->lines_at + before->lines_len;
	if ((header = behind_lines(&round->requests, r->at, 1)) == 0 ||
	    json_scan(js, buf_data(&round->requests) + r->at, header - r->at,
		NULL) == -1 ||
	    (t = json_member(js, 0, "count", 5)) == 0 ||
	    !json_int64(js, t, &n) || n < 1 || n > UINT32_MAX)
		return false;
	r->count = (uint32_t)n;
	end = behind_lines(&round->requests, header, r->count);
	lines_end = behind_lines(&round->lines, r->lines_at, r->count);
	r->len = end - r->at;
	r->lines_len = lines_end - r->lines_at;
	return end != 0 && lines_end != 0;
}

int
exchange_find(struct exchange *x, const struct ledger_round *round,
    struct fault *f)
{
	struct json js = { 0 };
	struct request *r;
	size_t end = 0;
	int rc = 0;

	exchange_reset(x);
	while (rc == 0 && end < round->requests.len) {
		if ((r = exchange_add(x)) == NULL)
			rc = fault_set(f, FAULT_INTERNAL, "out of memory");
		else if (!find_request(round, &js, x->n > 1 ? r - 1 : NULL, r))
			rc = fault_set(f, FAULT_INTERNAL,
			    "replay/pending.ndjson: a line is none of ours");
		else
			end = r->at + r->len;
	}
	json_free(&js);
	return rc;
}

/* ---- the exchange ---- */

static bool
is_duplicate(const struct client *c)
{
	uint32_t t = json_member(&c->json, 0, "duplicate", 9);

	return t != 0 && c->json.tok[t].type == JSON_TRUE;
}

/* The next answer, which is this request's. */
static int
hear(struct exchange *x, struct request *r, struct fault *f)
{
	if (client_answer(&x->client, f) == 0) {
		r->outcome = is_duplicate(&x->client) ? OUTCOME_DUPLICATE :
		    OUTCOME_STORED;
		return 0;
	}
	if (x->client.fd == -1)
		return -1;
	r->outcome = outcome_of(f->code);
	if ((r->fault = malloc(sizeof(*f))) != NULL)
		*r->fault = *f;
	return 0;
}

int
exchange_run(struct exchange *x, const struct ledger_round *round,
    struct fault *f)
{
	size_t sent = 0, heard;

	for (heard = 0; heard < x->n; heard++) {
		for (; sent < x->n && sent < heard + WINDOW; sent++)
			client_add(&x->client, buf_data(&round->requests) +
			    x->requests[sent].at, x->requests[sent].len);
		if (hear(x, &x->requests[heard], f) == -1)
			return -1;
	}
	return 0;
}

void
exchange_lines(const struct exchange *x, struct ledger_round *round)
{
	char *lines = buf_data(&round->lines);
	const struct request *r;
	size_t kept = 0;

	for (r = x->requests; r < x->requests + x->n; r++) {
		if (r->outcome != OUTCOME_STORED &&
		    r->outcome != OUTCOME_DUPLICATE)
			continue;
		memmove(lines + kept, lines + r->lines_at, r->lines_len);
		kept += r->lines_len;
	}
	round->lines.len = kept;
}
