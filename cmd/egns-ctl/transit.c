/* dead letters on their way */
#include <stddef.h>

#include "file.h"
#include "maildir.h"
#include "transit.h"

static bool
is_mail(const char *name)
{
	struct maildir_name parts;

	return maildir_parse(name, &parts);
}

/* TOPIC.SUBSCRIPTION.HOUR.FIRST-LAST.GUID, none of which has a dot; what is not
 * finished has one more. */
static bool
is_parcel(const char *name)
{
	int dots = 0;

	if (name[0] == '.')
		return false;
	while (*name != '\0')
		dots += *name++ == '.';
	return dots == 4;
}

const struct transit transit[TRANSIT_STAGES] = {
	{ "deadletter/new", is_mail },
	{ "deadletter/cur", is_mail },
	{ "deadletter/batch", is_parcel },
	{ "deadletter/sorted", is_parcel },
	{ "deadletter/sending", is_parcel },
};

bool
transit_any(const struct spool *spool)
{
	struct dirent *e;
	bool any = false;
	DIR *dir;

	for (size_t i = 0; !any && i < TRANSIT_STAGES; i++) {
		if ((dir = file_opendir(spool->fd, transit[i].path, 0)) == NULL)
			continue;
		while (!any && (e = readdir(dir)) != NULL)
			any = transit[i].is_ours(e->d_name);
		closedir(dir);
	}
	return any;
}

/* A name of a maildir says how many, and since when. */
static uint64_t
count_file(int dir, const char *name, int64_t *oldest)
{
	struct maildir_name parts;

	if (!maildir_parse(name, &parts))
		return file_lines(dir, name);
	if (*oldest == 0 || parts.time < *oldest)
		*oldest = parts.time;
	return parts.lines;
}

uint64_t
transit_count(const struct spool *spool, bool sorted, int64_t *oldest)
{
	size_t stages = sorted ? TRANSIT_STAGES : TRANSIT_MAILDIRS;
	uint64_t n = 0;
	struct dirent *e;
	DIR *dir;

	*oldest = 0;
	for (size_t i = 0; i < stages; i++) {
		if ((dir = file_opendir(spool->fd, transit[i].path, 0)) == NULL)
			continue;
		while ((e = readdir(dir)) != NULL) {
			if (transit[i].is_ours(e->d_name))
				n += count_file(dirfd(dir), e->d_name, oldest);
		}
		closedir(dir);
	}
	return n;
}
