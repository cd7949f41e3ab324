#include "outcome.h"

#include <stdarg.h>
#include <stdio.h>

#include "clock.h"

static void
say(struct outcome *o, enum verdict verdict, const char *fmt, va_list ap)
{
	o->verdict = verdict;
	vsnprintf(o->words, sizeof(o->words), fmt, ap);
}

/* What an endpoint has said for good. False: this status is none of that. */
static bool
is_final(long status, enum dl_reason *reason, enum dl_result *result)
{
	static const struct {
		long status;
		enum dl_reason reason;
		enum dl_result result;
	} rows[] = {
		{ 400, DL_SCHEMA_REJECTED, DL_BAD_REQUEST },
		{ 401, DL_UNAUTHORIZED, DL_RESULT_UNAUTHORIZED },
		{ 403, DL_UNAUTHORIZED, DL_FORBIDDEN },
		{ 404, DL_ENDPOINT_NOT_FOUND, DL_NOT_FOUND },
		{ 410, DL_ENDPOINT_NOT_FOUND, DL_NOT_FOUND },
		{ 413, DL_PAYLOAD_TOO_LARGE, DL_RESULT_PAYLOAD_TOO_LARGE },
		{ 414, DL_PAYLOAD_TOO_LARGE, DL_RESULT_PAYLOAD_TOO_LARGE },
		{ 415, DL_SCHEMA_REJECTED, DL_BAD_REQUEST },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].status != status)
			continue;
		*reason = rows[i].reason;
		*result = rows[i].result;
		return true;
	}
	return false;
}

static enum dl_result
result_of(long status)
{
	switch (status) {
	case 408:
	case 504: return DL_TIMED_OUT;
	case 429:
	case 503: return DL_BUSY;
	default: return DL_ABORTED;
	}
}

static enum dl_result
result_of_failure(enum fetch_failure failure)
{
	switch (failure) {
	case FETCH_WHOLE: return DL_ABORTED; /* it ended behind a 1xx */
	case FETCH_RESOLVE: return DL_RESOLUTION_ERROR;
	case FETCH_TIMEOUT: return DL_TIMED_OUT;
	case FETCH_CONNECT:
	case FETCH_TLS:
	case FETCH_TOO_LONG:
	case FETCH_BROKEN: break;
	}
	return DL_SOCKET_ERROR;
}

void
outcome_http(struct outcome *o, const struct fetch_answer *a)
{
	enum dl_reason reason;
	enum dl_result result;
	long status = a->status;

	if (status >= 200 && status <= 204)
		*o = (struct outcome){ .verdict = VERDICT_DELIVERED };
	else if (status == 0)
		outcome_later(o, result_of_failure(a->failure), "%s",
		    a->error != NULL ? a->error : "no status came");
	else if (is_final(status, &reason, &result))
		outcome_final(o, reason, result, "status %ld", status);
	else
		outcome_later(o, result_of(status), "status %ld%s", status,
		    status >= 300 && status < 400 ?
		    ", and redirects are not followed" : "");
	o->status = status;
	o->retry_after = a->retry_after;
}

void
outcome_later(struct outcome *o, enum dl_result result, const char *fmt, ...)
{
	va_list ap;

	*o = (struct outcome){ .result = result };
	va_start(ap, fmt);
	say(o, VERDICT_LATER, fmt, ap);
	va_end(ap);
}

void
outcome_final(struct outcome *o, enum dl_reason reason, enum dl_result result,
    const char *fmt, ...)
{
	va_list ap;

	*o = (struct outcome){ .reason = reason, .result = result };
	va_start(ap, fmt);
	say(o, VERDICT_FINAL, fmt, ap);
	va_end(ap);
}

void
outcome_unmade(struct outcome *o, const char *fmt, ...)
{
	va_list ap;

	*o = (struct outcome){ 0 };
	va_start(ap, fmt);
	say(o, VERDICT_UNMADE, fmt, ap);
	va_end(ap);
}

int64_t
outcome_probation(enum dl_result result)
{
	switch (result) {
	case DL_BUSY:
	case DL_TIMED_OUT: return 10 * CLOCK_SECOND;
	case DL_SOCKET_ERROR: return 30 * CLOCK_SECOND;
	case DL_RESOLUTION_ERROR: return 300 * CLOCK_SECOND;
	default: return 0;
	}
}
