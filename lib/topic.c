#include "topic.h"

#include <stdbool.h>
#include <string.h>

#define SHARE "$share/"

static const char *
bad_length(const char *s, size_t len)
{
	size_t levels = 1;

	if (len == 0)
		return "is empty";
	if (len > TOPIC_MAX)
		return "has more than 256 bytes";
	for (size_t i = 0; i < len; i++) {
		levels += s[i] == '/';
		if (s[i] == '\0')
			return "has a NUL"; /* MQTT-1.5.4-2 */
	}
	return levels > TOPIC_LEVELS ? "has more than 15 levels" : NULL;
}

const char *
topic_bad_name(const char *s, size_t len)
{
	const char *why = bad_length(s, len);

	if (why == NULL &&
	    (memchr(s, '+', len) != NULL || memchr(s, '#', len) != NULL))
		why = "has a wildcard"; /* MQTT-3.3.2-2 */
	return why;
}

const char *
topic_bad_filter(const char *s, size_t len)
{
	const char *why = bad_length(s, len);

	for (size_t i = 0; why == NULL && i < len; i++) {
		if (s[i] != '+' && s[i] != '#')
			continue;
		/* MQTT-4.7.1-1, MQTT-4.7.1-2 */
		if ((i > 0 && s[i - 1] != '/') ||
		    (i + 1 < len && s[i + 1] != '/'))
			why = "has a wildcard that is not a level of its own";
		else if (s[i] == '#' && i + 1 < len)
			why = "has levels behind '#'";
	}
	return why;
}

int
topic_share(const char *s, size_t len, struct topic_share *share)
{
	const size_t head = strlen(SHARE);
	const char *slash;

	*share = (struct topic_share){ .filter = s, .len = len };
	if (len < head || memcmp(s, SHARE, head) != 0)
		return 0;
	s += head, len -= head;
	slash = memchr(s, '/', len);
	if (slash == NULL)
		return -1;
	share->group = s;
	share->group_len = (size_t)(slash - s);
	share->filter = slash + 1;
	share->len = len - share->group_len - 1;
	/* MQTT-4.8.2-1, MQTT-4.8.2-2 */
	if (share->group_len == 0 || share->len == 0 ||
	    memchr(s, '+', share->group_len) != NULL ||
	    memchr(s, '#', share->group_len) != NULL)
		return -1;
	return 1;
}

/*
 * Does filter f cover s, which is a name or a filter? *agreed is where in s the
 * last level ends that does.
 */
static inline bool
covers(const char *f, size_t flen, const char *s, size_t slen,
    const char **agreed)
{
	const char *fend = f + flen, *end = s + slen;

	*agreed = s;
	if (s < end && *s == '$' && f < fend && (*f == '+' || *f == '#'))
		return false;
	for (;; f++, s++) {
		if (f < fend && *f == '#') {
			*agreed = end;
			return true;
		}
		if (f < fend && *f == '+') {
			if (s < end && *s == '#')
				return false;
			for (f++; s < end && *s != '/'; s++)
				continue;
		}
		for (; f < fend && *f != '/'; f++, s++)
			if (s == end || *s != *f)
				return false;
		if (s < end && *s != '/')
			return false;
		*agreed = s;
		if (s == end)
			return f == fend || (fend - f == 2 && f[1] == '#');
		if (f == fend)
			return false;
	}
}

bool
topic_matches(const char *filter, size_t len, const char *name,
    size_t name_len)
{
	const char *agreed;

	return covers(filter, len, name, name_len, &agreed);
}

bool
topic_covers(const char *t, size_t tlen, const char *f, size_t flen)
{
	const char *agreed;

	return covers(t, tlen, f, flen, &agreed);
}

size_t
topic_agrees(const char *filter, size_t len, const char *text,
    size_t text_len)
{
	const char *agreed;

	covers(filter, len, text, text_len, &agreed);
	return (size_t)(agreed - text);
}
