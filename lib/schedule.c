#include "schedule.h"

#include <stdlib.h>

#include "clock.h"
#include "jq.h"

void
schedule_read(struct schedule *s, jv namespace, const char *property,
    const struct schedule *usual)
{
	jv properties = jq_get(namespace, "properties");
	jv list = jq_get(properties, property);

	s->n = 0;
	if (jv_get_kind(list) == JV_KIND_ARRAY)
		jv_array_foreach(list, i, one) {
			if (s->n < SCHEDULE_MAX)
				s->pause[s->n++] = (int64_t)jv_number_value(one);
			jv_free(one);
		}
	jv_free(list);
	jv_free(properties);
	if (s->n == 0)
		*s = *usual;
}

int64_t
schedule_pause(const struct schedule *s, unsigned i)
{
	return s->pause[i < s->n ? i : s->n - 1];
}

int64_t
schedule_delay(const struct schedule *s, unsigned i, int64_t retry_after)
{
	int64_t pause = schedule_pause(s, i);
	int64_t least = (retry_after + CLOCK_SECOND - 1) / CLOCK_SECOND;

	pause += arc4random_uniform((uint32_t)(pause / 10 + 1));
	return pause > least ? pause : least;
}
