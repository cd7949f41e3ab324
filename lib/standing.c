#include "standing.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "json.h"
#include "spool.h"

/* Far more than a whole one, whatever has to be escaped in it. */
#define FILE_MAX 65536
#define NAME_BYTES 128 /* a name has 50 */
#define PATH_BYTES (2 * NAME_BYTES + sizeof("push//.json"))

static const char *const states[] = {
	[HANDSHAKE_NONE] = "none",
	[HANDSHAKE_GRANTED] = "granted",
	[HANDSHAKE_PENDING] = "pending",
	[HANDSHAKE_REFUSED] = "refused",
};

static int
path_of(char path[PATH_BYTES], const char *topic, const char *subscription,
    struct fault *f)
{
	if ((size_t)snprintf(path, PATH_BYTES, "push/%s/%s.json", topic,
	    subscription) < PATH_BYTES)
		return 0;
	return fault_set(f, FAULT_INTERNAL, "push/: a name is too long");
}

static int
no_access(const char *path, struct fault *f)
{
	enum fault_code code = FAULT_INTERNAL;

	if (errno == EACCES || errno == EPERM)
		code = FAULT_FORBIDDEN;
	else if (file_no_room(errno))
		code = FAULT_TOO_MANY;
	return fault_errno(f, code, "%s", path);
}

/* ---- reading ---- */

/* A string member; "" when there is none. */
static void
text_of(const struct json *j, uint32_t obj, const char *name, char *out,
    size_t size)
{
	uint32_t t = json_member(j, obj, name, strlen(name));
	struct buf b = { 0 };

	out[0] = '\0';
	if (t != 0 && j->tok[t].type == JSON_STRING) {
		json_string(j, t, &b);
		snprintf(out, size, "%.*s", b.bad ? 0 : (int)b.len,
		    b.len == 0 ? "" : buf_data(&b));
	}
	buf_free(&b);
}

static int64_t
time_of(const struct json *j, uint32_t obj, const char *name)
{
	char text[64];
	int64_t us;

	text_of(j, obj, name, text, sizeof(text));
	return clock_parse(text, strlen(text), &us) == 0 ? us : 0;
}

static long
number_of(const struct json *j, uint32_t obj, const char *name)
{
	uint32_t t = json_member(j, obj, name, strlen(name));
	int64_t n;

	if (t == 0 || j->tok[t].type != JSON_NUMBER || !json_int64(j, t, &n) ||
	    n < 0)
		return 0;
	return (long)n;
}

static uint32_t
object_of(const struct json *j, const char *name)
{
	uint32_t t = json_member(j, 0, name, strlen(name));

	return t != 0 && j->tok[t].type == JSON_OBJECT ? t : 0;
}

static void
read_hold(struct standing *s, const struct json *j, uint32_t obj)
{
	s->hold.since = time_of(j, obj, "since");
	text_of(j, obj, "by", s->hold.by, sizeof(s->hold.by));
	text_of(j, obj, "reason", s->hold.reason, sizeof(s->hold.reason));
	/* it is on hold, whatever became of the time */
	if (s->hold.since == 0)
		s->hold.since = clock_now();
}

static void
read_handshake(struct standing *s, const struct json *j, uint32_t obj)
{
	char text[16];

	text_of(j, obj, "state", text, sizeof(text));
	for (int i = 0; i <= HANDSHAKE_REFUSED; i++)
		if (strcmp(text, states[i]) == 0)
			s->handshake.state = (enum handshake_state)i;
	s->handshake.time = time_of(j, obj, "time");
	text_of(j, obj, "endpoint", s->handshake.endpoint,
	    sizeof(s->handshake.endpoint));
	text_of(j, obj, "origin", s->handshake.origin,
	    sizeof(s->handshake.origin));
	text_of(j, obj, "rate", text, sizeof(text));
	s->handshake.rate = strcmp(text, "*") == 0 ? -1 :
	    number_of(j, obj, "rate");
	text_of(j, obj, "key", s->handshake.key, sizeof(s->handshake.key));
	s->handshake.status = number_of(j, obj, "status");
}

static int
read_text(struct standing *s, const char *path, const char *text, size_t len,
    struct fault *f)
{
	char uid[sizeof(s->uid)];
	struct json j = { 0 };
	uint32_t t;

	if (json_scan(&j, text, len, NULL) == -1 ||
	    j.tok[0].type != JSON_OBJECT) {
		json_free(&j);
		return fault_set(f, FAULT_INTERNAL, "%s: is not what egns-push "
		    "writes; without the file it is as new", path);
	}
	text_of(&j, 0, "uid", uid, sizeof(uid));
	if (strcmp(uid, s->uid) == 0) {
		if ((t = object_of(&j, "hold")) != 0)
			read_hold(s, &j, t);
		if ((t = object_of(&j, "handshake")) != 0)
			read_handshake(s, &j, t);
	}
	json_free(&j);
	return 0;
}

int
standing_load(struct standing *s, int spool, const char *topic,
    const char *subscription, const char *uid, struct fault *f)
{
	char path[PATH_BYTES], *text;
	size_t len;
	int rc;

	memset(s, 0, sizeof(*s));
	snprintf(s->uid, sizeof(s->uid), "%s", uid);
	if (path_of(path, topic, subscription, f) == -1)
		return -1;
	if ((text = spool_read(spool, path, FILE_MAX, &len)) == NULL)
		return errno == ENOENT ? 0 : no_access(path, f);
	rc = read_text(s, path, text, len, f);
	free(text);
	return rc;
}

/* ---- writing ---- */

static void
put_text(struct buf *b, const char *name, const char *value)
{
	if (value[0] == '\0')
		return;
	buf_printf(b, ",\"%s\":", name);
	buf_json(b, value, strlen(value));
}

static void
put_number(struct buf *b, const char *name, long n)
{
	if (n > 0)
		buf_printf(b, ",\"%s\":%ld", name, n);
}

static void
write_hold(struct buf *b, const struct standing *s)
{
	char text[CLOCK_TEXT + 1];

	clock_format(text, s->hold.since);
	buf_printf(b, ",\"hold\":{\"since\":\"%s\"", text);
	put_text(b, "by", s->hold.by);
	put_text(b, "reason", s->hold.reason);
	buf_str(b, "}");
}

/* What may be shown of it, without the brace at the end. */
static void
open_handshake(struct buf *b, const struct standing *s)
{
	char text[CLOCK_TEXT + 1];

	clock_format(text, s->handshake.time);
	buf_printf(b, "{\"state\":\"%s\",\"time\":\"%s\"",
	    states[s->handshake.state], text);
	put_text(b, "origin", s->handshake.origin);
	if (s->handshake.rate == -1)
		put_text(b, "rate", "*");
	put_number(b, "rate", s->handshake.rate);
	put_number(b, "status", s->handshake.status);
}

static void
write_handshake(struct buf *b, const struct standing *s)
{
	buf_str(b, ",\"handshake\":");
	open_handshake(b, s);
	put_text(b, "endpoint", s->handshake.endpoint);
	put_text(b, "key", s->handshake.key);
	buf_str(b, "}");
}

/* The file is gone for good when the directory is synced; that the topic's
 * directory goes, too, when it was the last is for tidiness. */
static int
remove_file(int spool, const char *path, const char *dir, struct fault *f)
{
	if (unlinkat(spool, path, 0) == -1)
		return errno == ENOENT ? 0 : no_access(path, f);
	if (spool_sync_dir(spool, dir) == -1)
		return no_access(path, f);
	unlinkat(spool, dir, AT_REMOVEDIR);
	return 0;
}

int
standing_save(const struct standing *s, int spool, const char *topic,
    const char *subscription, struct fault *f)
{
	char path[PATH_BYTES], dir[PATH_BYTES];
	struct buf b = { 0 };
	int rc = 0;

	if (path_of(path, topic, subscription, f) == -1)
		return -1;
	snprintf(dir, sizeof(dir), "%.*s",
	    (int)(strrchr(path, '/') - path), path);
	if (s->hold.since == 0 && s->handshake.state == HANDSHAKE_NONE)
		return remove_file(spool, path, dir, f);
	buf_str(&b, "{\"uid\":");
	buf_json(&b, s->uid, strlen(s->uid));
	if (s->hold.since != 0)
		write_hold(&b, s);
	if (s->handshake.state != HANDSHAKE_NONE)
		write_handshake(&b, s);
	buf_str(&b, "}\n");
	if (b.bad)
		rc = fault_set(f, FAULT_INTERNAL, "out of memory");
	else if (spool_mkdir(spool, dir, 0700) == -1 ||
	    spool_replace(spool, path, buf_data(&b), b.len, true) == -1)
		rc = no_access(path, f);
	buf_free(&b);
	return rc;
}

void
standing_show(const struct standing *s, struct buf *b)
{
	if (s->handshake.state == HANDSHAKE_NONE) {
		buf_str(b, "null");
		return;
	}
	open_handshake(b, s);
	buf_str(b, "}");
}

/* ---- sweeping ---- */

static bool
is_name(const char *s)
{
	size_t len = strlen(s);

	for (size_t i = 0; i < len; i++)
		if (!isascii((unsigned char)s[i]) ||
		    (!isalnum((unsigned char)s[i]) && s[i] != '-'))
			return false;
	return len > 0 && len < NAME_BYTES;
}

/* The subscription of "S.json", or of "S.json.tmp", which a crash has left. */
static bool
subscription_of(const char *file, char name[NAME_BYTES])
{
	size_t len = strcspn(file, ".");

	if (len >= NAME_BYTES || (strcmp(file + len, ".json") != 0 &&
	    strcmp(file + len, ".json.tmp") != 0))
		return false;
	snprintf(name, NAME_BYTES, "%.*s", (int)len, file);
	return is_name(name);
}

static void
sweep_topic(DIR *push, const char *topic, bool (*has)(const char *,
    const char *, void *), void *arg)
{
	DIR *dir = file_opendir(dirfd(push), topic, O_NOFOLLOW);
	char name[NAME_BYTES];
	struct dirent *e;

	if (dir == NULL)
		return;
	while ((e = readdir(dir)) != NULL)
		if (subscription_of(e->d_name, name) &&
		    !has(topic, name, arg))
			unlinkat(dirfd(dir), e->d_name, 0);
	closedir(dir);
	unlinkat(dirfd(push), topic, AT_REMOVEDIR);
}

void
standing_sweep(int spool, bool (*has)(const char *topic,
    const char *subscription, void *arg), void *arg)
{
	DIR *push = file_opendir(spool, "push", O_NOFOLLOW);
	struct dirent *e;

	if (push == NULL)
		return;
	while ((e = readdir(push)) != NULL)
		if (is_name(e->d_name))
			sweep_topic(push, e->d_name, has, arg);
	closedir(push);
}
