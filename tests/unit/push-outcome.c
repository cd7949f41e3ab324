#include "../../cmd/egns-push/outcome.h"

#include <string.h>

#include "check.h"
#include "clock.h"

static struct outcome
of(long status, enum fetch_failure failure, const char *error)
{
	struct fetch_answer a = { .status = status, .failure = failure,
		.error = error, .retry_after = 7 };
	struct outcome o;

	memset(&o, 'x', sizeof(o));
	outcome_http(&o, &a);
	CHECK(o.status == status && o.retry_after == 7);
	return o;
}

static void
success_is_200_to_204(void)
{
	struct outcome o;

	for (long status = 200; status < 300; status++) {
		o = of(status, FETCH_WHOLE, NULL);
		CHECK((o.verdict == VERDICT_DELIVERED) == (status <= 204));
		if (status <= 204)
			CHECK(*o.words == '\0');
		else
			CHECK(o.verdict == VERDICT_LATER &&
			    o.result == DL_ABORTED);
	}
	/* whatever is the matter with the body */
	o = of(200, FETCH_TOO_LONG, "more than 65536 bytes");
	CHECK(o.verdict == VERDICT_DELIVERED && *o.words == '\0');
	CHECK(of(204, FETCH_BROKEN, "x").verdict == VERDICT_DELIVERED);
	CHECK(of(202, FETCH_TIMEOUT, "x").verdict == VERDICT_DELIVERED);
}

static void
some_are_final(void)
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
	size_t n = sizeof(rows) / sizeof(rows[0]), i = 0;
	char words[32];

	for (long status = 400; status < 1000; status++) {
		struct outcome o = of(status, FETCH_BROKEN, "x");

		CHECK((o.verdict == VERDICT_FINAL) ==
		    (i < n && rows[i].status == status));
		snprintf(words, sizeof(words), "status %ld", status);
		CHECK(strcmp(o.words, words) == 0);
		if (o.verdict != VERDICT_FINAL || i == n)
			continue;
		CHECK(o.reason == rows[i].reason);
		CHECK(o.result == rows[i].result);
		i++;
	}
	CHECK(i == n);
}

static void
others_may_go_well_later(void)
{
	static const struct {
		long status;
		enum fetch_failure failure;
		const char *error;
		enum dl_result result;
		const char *words;
	} rows[] = {
		{ 408, FETCH_WHOLE, NULL, DL_TIMED_OUT, "status 408" },
		{ 504, FETCH_WHOLE, NULL, DL_TIMED_OUT, "status 504" },
		{ 429, FETCH_WHOLE, NULL, DL_BUSY, "status 429" },
		{ 503, FETCH_WHOLE, NULL, DL_BUSY, "status 503" },
		{ 500, FETCH_WHOLE, NULL, DL_ABORTED, "status 500" },
		{ 502, FETCH_TIMEOUT, "x", DL_ABORTED, "status 502" },
		{ 599, FETCH_WHOLE, NULL, DL_ABORTED, "status 599" },
		{ 302, FETCH_WHOLE, NULL, DL_ABORTED,
		    "status 302, and redirects are not followed" },
		{ 304, FETCH_WHOLE, NULL, DL_ABORTED,
		    "status 304, and redirects are not followed" },
		{ 205, FETCH_WHOLE, NULL, DL_ABORTED, "status 205" },
		{ 206, FETCH_WHOLE, NULL, DL_ABORTED, "status 206" },
		{ 402, FETCH_WHOLE, NULL, DL_ABORTED, "status 402" },
		{ 405, FETCH_WHOLE, NULL, DL_ABORTED, "status 405" },
		{ 999, FETCH_WHOLE, NULL, DL_ABORTED, "status 999" },
		{ 0, FETCH_WHOLE, NULL, DL_ABORTED, "no status came" },
		{ 0, FETCH_RESOLVE, "why", DL_RESOLUTION_ERROR, "why" },
		{ 0, FETCH_CONNECT, "why", DL_SOCKET_ERROR, "why" },
		{ 0, FETCH_TLS, "why", DL_SOCKET_ERROR, "why" },
		{ 0, FETCH_TOO_LONG, "why", DL_SOCKET_ERROR, "why" },
		{ 0, FETCH_BROKEN, "100%s", DL_SOCKET_ERROR, "100%s" },
		{ 0, FETCH_TIMEOUT, "why", DL_TIMED_OUT, "why" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome o = of(rows[i].status, rows[i].failure,
		    rows[i].error);

		CHECK(o.verdict == VERDICT_LATER);
		CHECK(o.result == rows[i].result);
		CHECK(strcmp(o.words, rows[i].words) == 0);
	}
}

static void
words_are_cut(void)
{
	char error[1000];
	struct outcome o;

	memset(error, 'e', sizeof(error));
	error[sizeof(error) - 1] = '\0';
	o = of(0, FETCH_BROKEN, error);
	CHECK(strlen(o.words) == sizeof(o.words) - 1);
	outcome_unmade(&o, "no %s", "token");
	CHECK(o.verdict == VERDICT_UNMADE && strcmp(o.words, "no token") == 0);
	CHECK(o.status == 0 && o.retry_after == 0);
	outcome_final(&o, DL_UNAUTHORIZED, DL_FORBIDDEN, "%d", 1);
	CHECK(o.verdict == VERDICT_FINAL && o.reason == DL_UNAUTHORIZED &&
	    o.result == DL_FORBIDDEN && strcmp(o.words, "1") == 0);
	outcome_later(&o, DL_BUSY, "x");
	CHECK(o.verdict == VERDICT_LATER && o.result == DL_BUSY);
}

static void
probation(void)
{
	for (int r = 0; r < DL_RESULTS; r++) {
		int64_t s = outcome_probation((enum dl_result)r) /
		    CLOCK_SECOND;

		CHECK(s == (r == DL_BUSY || r == DL_TIMED_OUT ? 10 :
		    r == DL_SOCKET_ERROR ? 30 :
		    r == DL_RESOLUTION_ERROR ? 300 : 0));
	}
}

int
main(void)
{
	RUN(success_is_200_to_204);
	RUN(some_are_final);
	RUN(others_may_go_well_later);
	RUN(words_are_cut);
	RUN(probation);
	DONE();
}
