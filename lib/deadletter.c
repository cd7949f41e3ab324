/* what becomes of an event that nobody acknowledged */
#include <string.h>
#include <strings.h>

#include "base64.h"
#include "clock.h"
#include "daybook.h"
#include "deadletter.h"

static const char *const reasons[DL_REASONS] = {
	[DL_MAX_DELIVERY_COUNT] = "MaxDeliveryCountExceeded",
	[DL_TIME_TO_LIVE] = "TimeToLiveExceeded",
	[DL_UNAUTHORIZED] = "Unauthorized",
	[DL_ENDPOINT_NOT_FOUND] = "EndpointNotFound",
	[DL_SCHEMA_REJECTED] = "SchemaRejected",
	[DL_PAYLOAD_TOO_LARGE] = "PayloadTooLarge",
	[DL_REJECTED] = "Rejected",
	[DL_CORRUPT] = "Corrupt",
};

static const char *const results[DL_RESULTS] = {
	[DL_NOT_ACKNOWLEDGED] = "NotAcknowledged",
	[DL_RESULT_REJECTED] = "Rejected",
	[DL_BAD_REQUEST] = "BadRequest",
	[DL_RESULT_UNAUTHORIZED] = "Unauthorized",
	[DL_FORBIDDEN] = "Forbidden",
	[DL_NOT_FOUND] = "NotFound",
	[DL_RESULT_PAYLOAD_TOO_LARGE] = "PayloadTooLarge",
	[DL_TIMED_OUT] = "TimedOut",
	[DL_BUSY] = "Busy",
	[DL_ABORTED] = "Aborted",
	[DL_SOCKET_ERROR] = "SocketError",
	[DL_RESOLUTION_ERROR] = "ResolutionError",
};

static int
find_name(const char *const *names, int n, const char *s, size_t len)
{
	int i;

	for (i = 0; i < n; i++)
		if (strlen(names[i]) == len &&
		    strncasecmp(names[i], s, len) == 0)
			return i;
	return -1;
}

const char *
dl_reason_name(enum dl_reason reason)
{
	return reasons[reason];
}

int
dl_reason_parse(const char *s, size_t len)
{
	return find_name(reasons, DL_REASONS, s, len);
}

const char *
dl_result_name(enum dl_result result)
{
	return results[result];
}

int
dl_result_parse(const char *s, size_t len)
{
	return find_name(results, DL_RESULTS, s, len);
}

/* "name":"text", of text that needs no escapes, behind another member. */
static void
add_plain(struct buf *b, const char *name, const char *text)
{
	buf_str(b, ",\"");
	buf_str(b, name);
	buf_str(b, "\":\"");
	buf_str(b, text);
	buf_str(b, "\"");
}

static void
add_time(struct buf *b, const char *name, int64_t us)
{
	char text[CLOCK_TEXT + 1];

	clock_format(text, us);
	add_plain(b, name, text);
}

static void
add_properties(struct buf *b, const struct dl_record *r)
{
	buf_str(b, ",\"deadletterProperties\":{\"deadletterreason\":\"");
	buf_str(b, dl_reason_name(r->reason));
	buf_str(b, "\",\"deliveryattempts\":");
	buf_u64(b, r->attempts);
	add_plain(b, "deliveryresult", dl_result_name(r->result));
	if (r->last_attempt != 0)
		add_time(b, "lastDeliveryAttemptTime", r->last_attempt);
	if (r->line->time != 0)
		add_time(b, "publishTime", r->line->time);
	buf_str(b, "}");
}

void
dl_format(struct buf *b, const struct dl_record *r)
{
	char time[CLOCK_TEXT + 1];

	clock_format(time, r->now);
	buf_str(b, "{\"time\":\"");
	buf_str(b, time);
	buf_str(b, "\",\"topic\":");
	buf_json(b, r->topic, strlen(r->topic));
	buf_str(b, ",\"subscription\":");
	buf_json(b, r->subscription, strlen(r->subscription));
	buf_str(b, ",\"offset\":");
	buf_u64(b, r->line->offset);
	if (r->destination != NULL) {
		buf_str(b, ",\"destination\":");
		buf_str(b, r->destination);
	} else {
		add_plain(b, "reason", dl_reason_name(r->reason));
	}
	add_properties(b, r);
	if (r->destination != NULL && r->custom != NULL) {
		buf_str(b, ",\"customDeliveryProperties\":");
		buf_str(b, r->custom);
	}
	if (r->reason == DL_CORRUPT) {
		buf_str(b, ",\"line_base64\":\"");
		base64_add(b, r->line->event, r->line->event_len);
		buf_str(b, "\"");
	} else {
		buf_str(b, ",\"event\":");
		buf_add(b, r->line->event, r->line->event_len);
	}
	buf_str(b, "}\n");
}

int
dropped_append(int spool, int64_t now, const void *lines, size_t len)
{
	return daybook_append(spool, "dropped", now, lines, len);
}
