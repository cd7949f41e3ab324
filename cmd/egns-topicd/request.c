/* a request's header line, taken apart by a table of members */
#include <string.h>

#include "deadletter.h"
#include "event.h"
#include "quote.h"
#include "request.h"

#define BIT(op) (1u << (op))
#define SETTLE \
	(BIT(OP_ACKNOWLEDGE) | BIT(OP_RELEASE) | BIT(OP_REJECT) | BIT(OP_RENEW))
#define ALL_OPS (BIT(OP_RELOAD + 1) - 1)

static const char *const ops[] = {
	[OP_PUBLISH] = "publish",
	[OP_RECEIVE] = "receive",
	[OP_PEEK] = "peek",
	[OP_ACKNOWLEDGE] = "acknowledge",
	[OP_RELEASE] = "release",
	[OP_REJECT] = "reject",
	[OP_RENEW] = "renewLock",
	[OP_RECLAIM] = "reclaim",
	[OP_PRODUCER] = "producer",
	[OP_STATS] = "stats",
	[OP_RELOAD] = "reload",
};

enum member_id {
	M_OP,
	M_TOPIC,
	M_SUBSCRIPTION,
	M_COUNT,
	M_PRODUCER,
	M_SEQUENCE,
	M_AFTER,
	M_MAX_EVENTS,
	M_MAX_WAIT,
	M_TOKENS,
	M_DELAY,
	M_REASON,
	M_RESULT,
	M_UNDELIVERED,
	M_DELAYED,
	MEMBERS,
};

/* The grammar: which operation takes which member, and which it needs. */
static const struct {
	const char *name;
	unsigned takes, needs; /* bits of operations */
	int64_t min, max;      /* of numbers; of the bytes of strings */
} members[MEMBERS] = {
	[M_OP] = { "op", ALL_OPS, 0, 1, 32 },
	[M_TOPIC] = { "topic", ALL_OPS & ~BIT(OP_RELOAD),
	    ALL_OPS & ~BIT(OP_RELOAD) & ~BIT(OP_STATS), 1, REQUEST_NAME_MAX },
	[M_SUBSCRIPTION] = { "subscription",
	    ALL_OPS & ~BIT(OP_RELOAD) & ~BIT(OP_PRODUCER),
	    BIT(OP_RECEIVE) | BIT(OP_PEEK) | BIT(OP_RECLAIM) | SETTLE, 1,
	    REQUEST_NAME_MAX },
	[M_COUNT] = { "count", BIT(OP_PUBLISH), BIT(OP_PUBLISH), 0,
	    UINT32_MAX },
	[M_PRODUCER] = { "producer", BIT(OP_PUBLISH) | BIT(OP_PRODUCER),
	    BIT(OP_PRODUCER), 1, JOURNAL_NAME_MAX },
	[M_SEQUENCE] = { "sequence", BIT(OP_PUBLISH), 0, 1,
	    REQUEST_SEQUENCE_MAX },
	[M_AFTER] = { "after", BIT(OP_PUBLISH), 0, 0, REQUEST_SEQUENCE_MAX },
	[M_MAX_EVENTS] = { "maxEvents", BIT(OP_RECEIVE) | BIT(OP_PEEK), 0, 1,
	    REQUEST_EVENTS_MAX },
	[M_MAX_WAIT] = { "maxWaitTime", BIT(OP_RECEIVE), 0, 0,
	    REQUEST_WAIT_MAX },
	[M_TOKENS] = { "lockTokens", SETTLE, SETTLE, 1, REQUEST_TOKENS_MAX },
	[M_DELAY] = { "releaseDelayInSeconds", BIT(OP_RELEASE), 0, 0,
	    REQUEST_DELAY_MAX },
	[M_REASON] = { "reason", BIT(OP_REJECT) | BIT(OP_RELEASE), 0, 1, 64 },
	[M_RESULT] = { "result", BIT(OP_REJECT) | BIT(OP_RELEASE), 0, 1, 64 },
	[M_UNDELIVERED] = { "undelivered", BIT(OP_RELEASE), 0, 0, 0 },
	[M_DELAYED] = { "delayed", BIT(OP_RECLAIM), 0, 0, 0 },
};

static int
get_string(const struct json *j, uint32_t t, enum member_id m, char *out,
    size_t size, struct fault *fault)
{
	struct buf b = { 0 };
	int rc = -1;

	if (j->tok[t].type == JSON_STRING)
		json_string(j, t, &b);
	if (b.bad)
		fault_set(fault, FAULT_INTERNAL, "out of memory");
	else if (b.len == 0 || b.len >= size || memchr(buf_data(&b), 0, b.len))
		fault_set(fault, FAULT_BAD_REQUEST,
		    "\"%s\" must be a string of 1 to %zu bytes",
		    members[m].name, size - 1);
	else {
		memcpy(out, buf_data(&b), b.len);
		out[b.len] = '\0';
		rc = 0;
	}
	buf_free(&b);
	return rc;
}

static int
get_number(const struct json *j, uint32_t t, enum member_id m, int64_t *out,
    struct fault *fault)
{
	if (j->tok[t].type == JSON_NUMBER && json_int64(j, t, out) &&
	    *out >= members[m].min && *out <= members[m].max)
		return 0;
	return fault_set(fault, FAULT_BAD_REQUEST,
	    "\"%s\" must be a whole number from %lld to %lld", members[m].name,
	    (long long)members[m].min, (long long)members[m].max);
}

static int
get_bool(const struct json *j, uint32_t t, enum member_id m, bool *out,
    struct fault *fault)
{
	*out = j->tok[t].type == JSON_TRUE;
	if (*out || j->tok[t].type == JSON_FALSE)
		return 0;
	return fault_set(fault, FAULT_BAD_REQUEST,
	    "\"%s\" must be true or false", members[m].name);
}

static int
get_tokens(const struct json *j, uint32_t t, struct fault *fault)
{
	uint32_t i;
	int n = 0;

	if (j->tok[t].type == JSON_ARRAY)
		for (i = t + 1; i < j->tok[t].next; i = j->tok[i].next, n++)
			if (j->tok[i].type != JSON_STRING)
				return fault_set(fault, FAULT_BAD_REQUEST,
				    "lockTokens[%d] is not a string", n);
	if (n < 1 || n > REQUEST_TOKENS_MAX)
		return fault_set(fault, FAULT_BAD_REQUEST,
		    "\"lockTokens\" must be an array of 1 to %d strings",
		    REQUEST_TOKENS_MAX);
	return 0;
}

/* A reason that a consumer can give: that a line is corrupt, we find. */
static int
final_reason(const char *text, size_t len)
{
	int reason = dl_reason_parse(text, len);

	return reason == DL_CORRUPT ? -1 : reason;
}

static int
get_token_of(int (*parse)(const char *, size_t), const struct json *j,
    uint32_t t, enum member_id m, int *out, struct fault *fault)
{
	char text[65], shown[QUOTE_MAX];

	if (get_string(j, t, m, text, sizeof(text), fault) == -1)
		return -1;
	if ((*out = parse(text, strlen(text))) == -1)
		return fault_set(fault, FAULT_BAD_REQUEST,
		    "\"%s\" is '%s', which is none of the names known",
		    members[m].name, quote(shown, text, strlen(text)));
	return 0;
}

/* It stands in the log as it is: no quotes, no control characters. */
static int
get_producer(struct request *r, const struct json *j, uint32_t t,
    struct fault *fault)
{
	if (get_string(j, t, M_PRODUCER, r->producer, sizeof(r->producer),
		fault) == -1)
		return -1;
	if (!journal_name(r->producer, strlen(r->producer)))
		return fault_set(fault, FAULT_BAD_REQUEST,
		    "\"producer\" must have no quotes, backslashes or control "
		    "characters");
	return 0;
}

static int
take_member(struct request *r, const struct json *j, enum member_id m,
    uint32_t t, struct fault *fault)
{
	int64_t n = 0;
	int rc = 0;

	switch (m) {
	case M_OP: break;
	case M_TOPIC:
		return get_string(j, t, m, r->topic, sizeof(r->topic), fault);
	case M_SUBSCRIPTION:
		return get_string(j, t, m, r->subscription,
		    sizeof(r->subscription), fault);
	case M_PRODUCER: return get_producer(r, j, t, fault);
	case M_COUNT:
		rc = get_number(j, t, m, &n, fault);
		r->count = (uint32_t)n;
		break;
	case M_SEQUENCE:
		rc = get_number(j, t, m, &n, fault);
		r->sequence = (uint64_t)n;
		break;
	case M_AFTER: return get_number(j, t, m, &r->after, fault);
	case M_MAX_EVENTS:
		rc = get_number(j, t, m, &n, fault);
		r->max_events = (uint32_t)n;
		break;
	case M_MAX_WAIT: return get_number(j, t, m, &r->wait, fault);
	case M_DELAY: return get_number(j, t, m, &r->delay, fault);
	case M_TOKENS: r->tokens = t; return get_tokens(j, t, fault);
	case M_REASON:
		return get_token_of(final_reason, j, t, m, &r->reason, fault);
	case M_RESULT:
		return get_token_of(dl_result_parse, j, t, m, &r->result,
		    fault);
	case M_UNDELIVERED:
		return get_bool(j, t, m, &r->undelivered, fault);
	case M_DELAYED: return get_bool(j, t, m, &r->delayed, fault);
	case MEMBERS: break;
	}
	return rc;
}

static enum member_id
find_member(const struct json *j, uint32_t t)
{
	int m;

	for (m = 0; m < MEMBERS; m++)
		if (json_is(j, t, members[m].name, strlen(members[m].name)))
			break;
	return (enum member_id)m;
}

/* What members say together. */
static int
check_members(const struct request *r, struct fault *fault)
{
	if (r->op == OP_PUBLISH && !r->producer[0] != !r->sequence)
		return fault_set(fault, FAULT_BAD_REQUEST,
		    "\"producer\" and \"sequence\" go together");
	if (r->after >= 0 && (uint64_t)r->after >= r->sequence)
		return fault_set(fault, FAULT_BAD_REQUEST,
		    "\"after\" needs a higher \"sequence\"");
	if (r->op == OP_STATS && r->subscription[0] && !r->topic[0])
		return fault_set(fault, FAULT_BAD_REQUEST,
		    "\"subscription\" needs \"topic\"");
	if (r->undelivered && (r->reason >= 0 || r->result >= 0))
		return fault_set(fault, FAULT_BAD_REQUEST,
		    "\"undelivered\" has no \"reason\" and no \"result\"");
	return 0;
}

static int
take_members(struct request *r, const struct json *j, struct fault *fault)
{
	unsigned seen = 0;
	char shown[QUOTE_MAX];
	enum member_id m;
	uint32_t i;
	int k;

	for (i = 1; i < j->tok[0].next; i = j->tok[i + 1].next) {
		m = find_member(j, i);
		if (m == MEMBERS || (members[m].takes & BIT(r->op)) == 0)
			return fault_set(fault, FAULT_BAD_REQUEST,
			    "%s takes no member %s", ops[r->op],
			    quote(shown, j->text + j->tok[i].start,
				j->tok[i].end - j->tok[i].start));
		if (seen & BIT(m))
			return fault_set(fault, FAULT_BAD_REQUEST,
			    "\"%s\" is given twice", members[m].name);
		seen |= BIT(m);
		if (take_member(r, j, m, i + 1, fault) == -1)
			return -1;
	}
	for (k = 0; k < MEMBERS; k++)
		if ((members[k].needs & BIT(r->op)) && !(seen & BIT(k)))
			return fault_set(fault, FAULT_BAD_REQUEST,
			    "%s needs \"%s\"", ops[r->op], members[k].name);
	return check_members(r, fault);
}

/* Event lines follow whatever else is wrong: their number must be right. */
static enum request_status
read_count(struct request *r, const struct json *j, struct fault *fault)
{
	uint32_t t = json_member(j, 0, "count", 5);
	int64_t n = 0;

	if (t == 0)
		return REQUEST_OK;
	if (get_number(j, t, M_COUNT, &n, fault) == -1)
		return REQUEST_LOST;
	r->count = (uint32_t)n;
	return REQUEST_OK;
}

enum request_status
request_parse(struct request *r, struct json *j, const char *text, size_t len,
    struct fault *fault)
{
	char shown[QUOTE_MAX];
	uint32_t op;
	size_t i;

	memset(r, 0, sizeof(*r));
	r->max_events = 1;
	r->wait = 60;
	r->after = r->reason = r->result = -1;
	if (json_scan(j, text, len, fault) == -1)
		return REQUEST_LOST;
	if (j->tok[0].type != JSON_OBJECT ||
	    (op = json_member(j, 0, "op", 2)) == 0 ||
	    j->tok[op].type != JSON_STRING) {
		fault_set(fault, FAULT_BAD_REQUEST,
		    "a request is an object with \"op\"");
		return REQUEST_LOST;
	}
	if (read_count(r, j, fault) == REQUEST_LOST)
		return REQUEST_LOST;
	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (json_is(j, op, ops[i], strlen(ops[i])))
			break;
	if (i == sizeof(ops) / sizeof(ops[0])) {
		fault_set(fault, FAULT_BAD_REQUEST, "unknown operation %s",
		    quote(shown, text + j->tok[op].start,
			j->tok[op].end - j->tok[op].start));
		return REQUEST_BAD;
	}
	r->op = (enum op)i;
	return take_members(r, j, fault) == -1 ? REQUEST_BAD : REQUEST_OK;
}
