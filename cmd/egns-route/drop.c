/* drop: the end of what will never arrive */
#include "drop.h"

#include <inttypes.h>
#include <string.h>

#include "base64.h"
#include "clock.h"
#include "log.h"

#define SAY_PERIOD (60 * CLOCK_SECOND)

const char *
drop_name(enum drop drop)
{
	static const char *const names[] = {
		[DROP_TOPIC_NOT_FOUND] = "TopicNotFoundError",
		[DROP_AUTHENTICATION] = "AuthenticationError",
		[DROP_BAD_REQUEST] = "BadRequest",
		[DROP_TOO_LARGE] = "PayloadTooLarge",
	};

	return names[drop];
}

enum drop
drop_of(const struct fault *f)
{
	return f->code == FAULT_TOO_LARGE ? DROP_TOO_LARGE : DROP_BAD_REQUEST;
}

void
drop_record(struct buf *b, enum drop drop, const char *words,
    const char *target, const char *line, size_t len, struct json *j)
{
	char now[CLOCK_TEXT + 1];

	clock_format(now, clock_now());
	buf_printf(b, "{\"time\":\"%s\",\"reason\":\"%s\",\"message\":", now,
	    drop_name(drop));
	buf_json(b, words, strlen(words));
	buf_str(b, ",\"target\":");
	buf_json(b, target, strlen(target));
	if (json_scan(j, line, len, NULL) == 0) {
		buf_str(b, ",\"record\":");
		buf_add(b, line, len);
		buf_str(b, "}\n");
	} else {
		buf_str(b, ",\"line_base64\":\"");
		base64_add(b, line, len);
		buf_str(b, "\"}\n");
	}
}

bool
drop_may_say(struct drop_log *log, enum drop drop, uint64_t n)
{
	int64_t now = clock_mono();

	if (log->unsaid[drop].since != 0 &&
	    now - log->unsaid[drop].since < SAY_PERIOD) {
		log->unsaid[drop].n += n;
		return false;
	}
	log->unsaid[drop].since = now;
	return true;
}

void
drop_say_rest(struct drop_log *log, const char *lane, const char *target,
    bool over)
{
	int64_t now = clock_mono();

	for (int i = 0; i < DROPS; i++) {
		int64_t since = log->unsaid[i].since;
		uint64_t n = log->unsaid[i].n;

		if (since == 0 || (!over && now - since < SAY_PERIOD))
			continue;
		if (n > 0)
			log_warn("%s: %s: %" PRIu64 " more dropped, which "
			    "dropped/ has now: %s", lane, target, n,
			    drop_name((enum drop)i));
		log->unsaid[i].since = n > 0 && !over ? now : 0;
		log->unsaid[i].n = 0;
	}
}
