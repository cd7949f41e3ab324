/* when what has failed is tried again */
#include "schedule.h"

#include <stdlib.h>

#include "clock.h"
#include "jq.h"

void
schedule_read(struct schedule *s, jv namespace)
{
	/* attempts at 0, 10 s, 30 s, 1 min, 5 min, then every 5 min */
	static const struct schedule usual = { { 10, 20, 30, 240, 300 }, 5 };
	jv list = jq_get(namespace, "properties.deliverySchedule");

	s->n = 0;
	if (jv_get_kind(list) == JV_KIND_ARRAY)
		jv_array_foreach(list, i, one) {
			if (s->n < SCHEDULE_MAX)
				s->pause[s->n++] = (int64_t)jv_number_value(one);
			jv_free(one);
		}
	jv_free(list);
	if (s->n == 0)
		*s = usual;
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
