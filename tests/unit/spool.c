#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "spool.h"

static char base[] = "/tmp/egns-spool-XXXXXX";
static char deep[400]; /* a spool whose path no sun_path could hold */
static struct spool sp = { .fd = -1 };

static void
a_spool_is_made_and_found(void)
{
	struct fault f;
	size_t len;
	int i;

	len = (size_t)snprintf(deep, sizeof(deep), "%s", base);
	for (i = 0; i < 8; i++)
		len += (size_t)snprintf(deep + len, sizeof(deep) - len,
		    "/%s", "thirty-bytes-of-a-directory...");
	CHECK(spool_open(&sp, deep, &f) == -1 && f.code == FAULT_NOT_FOUND);
	CHECK(sp.fd == -1 && sp.path == NULL);
	CHECK(spool_mkdir(AT_FDCWD, deep, 0755) == 0);
	CHECK(spool_open(&sp, deep, &f) == -1 && f.code == FAULT_NOT_FOUND);
	CHECK(strstr(f.text, "namespace create") != NULL);
	CHECK(chdir(deep) == 0);
	CHECK(spool_mkdir(AT_FDCWD, "namespace", 0755) == 0);
	CHECK(spool_replace(AT_FDCWD, "namespace/changes.ndjson", "", 0,
	    true) == 0);
	CHECK(chdir("/") == 0);
	CHECK(spool_open(&sp, deep, &f) == 0);
	CHECK(sp.fd >= 0 && strcmp(sp.path, deep) == 0);
}

/* Is it looked for there, be it there or not? */
static bool
is_at(const char *flag, const char *path)
{
	struct spool it;
	struct fault f;
	bool is;

	if (spool_open(&it, flag, &f) == -1)
		return strstr(f.text, path) != NULL;
	is = strcmp(it.path, path) == 0;
	spool_close(&it);
	return is;
}

static void
where_it_is(void)
{
	CHECK(is_at("x", "'x'"));
	CHECK(is_at(NULL, "/var/spool/egns"));
	setenv("EGNS_SPOOL", deep, 1);
	CHECK(is_at(NULL, deep));
	CHECK(is_at("x", "'x'"));
	unsetenv("EGNS_SPOOL");
	CHECK(chdir(deep) == 0 && mkdir("spool", 0755) == 0);
	CHECK(is_at(NULL, "/var/spool/egns"));
	CHECK(rename("namespace", "spool/namespace") == 0);
	CHECK(is_at(NULL, "./spool"));
	CHECK(rename("spool/namespace", "namespace") == 0);
	CHECK(chdir("/") == 0);
}

/* Another process holds the lock until the returned descriptor is closed. */
static pid_t
holder_begin(int *leash)
{
	int ready[2], hold[2];
	char c;
	pid_t pid;

	fflush(stdout);
	if (pipe(ready) == -1 || pipe(hold) == -1)
		return -1;
	if ((pid = fork()) == 0) {
		close(hold[1]);
		if (spool_lock(&sp, "d", NULL) == -1 ||
		    write(ready[1], "", 1) != 1)
			_exit(1);
		_exit(read(hold[0], &c, 1) == 0 ? 0 : 1);
	}
	close(hold[0]);
	close(ready[1]);
	CHECK(read(ready[0], &c, 1) == 1);
	close(ready[0]);
	*leash = hold[1];
	return pid;
}

static void
one_instance_holds_the_lock(void)
{
	char words[64], text[64];
	struct fault f;
	char *read;
	size_t len;
	int leash = -1, fd;
	pid_t pid;

	CHECK(spool_holder(&sp, "d") == 0);
	pid = holder_begin(&leash);
	CHECK(spool_holder(&sp, "d") == pid);
	CHECK(spool_lock(&sp, "d", &f) == -1 && f.code == FAULT_CONFLICT);
	snprintf(words, sizeof(words), "pid %ld", (long)pid);
	CHECK(strstr(f.text, words) != NULL);
	snprintf(text, sizeof(text), "%ld\n", (long)pid);
	read = spool_read(sp.fd, "run/d.lock", 100, &len);
	CHECK(read != NULL && strcmp(read, text) == 0);
	free(read);
	close(leash);
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(spool_holder(&sp, "d") == 0);
	CHECK((fd = spool_lock(&sp, "d", &f)) >= 0);
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	close(fd);
}

static void
a_deep_spool_has_sockets_too(void)
{
	struct fault f;
	struct stat st;
	int l, c, a;
	char byte;

	CHECK(strlen(deep) > 108);
	CHECK(spool_connect(&sp, "d", &f) == -1 &&
	    f.code == FAULT_UNAVAILABLE);
	CHECK((l = spool_listen(&sp, "d", &f)) >= 0);
	CHECK((fcntl(l, F_GETFL) & O_NONBLOCK) != 0);
	CHECK(fstatat(sp.fd, "run/d.sock", &st, 0) == 0 &&
	    (st.st_mode & 0777) == 0666);
	CHECK(accept(l, NULL, NULL) == -1 && errno == EAGAIN);
	CHECK((c = spool_connect(&sp, "d", &f)) >= 0);
	CHECK((a = accept(l, NULL, NULL)) >= 0);
	CHECK(write(c, "x", 1) == 1 && read(a, &byte, 1) == 1 && byte == 'x');
	close(a);
	close(c);
	close(l);
	/* the socket is still there, as after a crash */
	CHECK(spool_connect(&sp, "d", &f) == -1 &&
	    f.code == FAULT_UNAVAILABLE);
	CHECK(strcmp(f.text, "d: not running") == 0);
	CHECK((l = spool_listen(&sp, "d", &f)) >= 0);
	CHECK((c = spool_connect(&sp, "d", &f)) >= 0);
	close(c);
	close(l);
	CHECK(spool_listen(&sp, "a-name-that-is-longer-than-any-daemon-of-ours-"
	    "has-and-than-we-have-room-for", &f) == -1);
}

static void
directories_are_made_at_any_depth(void)
{
	struct stat st;

	CHECK(spool_mkdir(sp.fd, "a/b//c/", 0755) == 0);
	CHECK(fstatat(sp.fd, "a/b/c", &st, 0) == 0 && S_ISDIR(st.st_mode));
	CHECK(spool_mkdir(sp.fd, "a/b/c/d", 0755) == 0);
	CHECK(spool_mkdir(sp.fd, "a/b", 0755) == 0);
	CHECK(spool_replace(sp.fd, "a/file", "x", 1, false) == 0);
	CHECK(spool_mkdir(sp.fd, "a/file", 0755) == -1 && errno == ENOTDIR);
	CHECK(spool_mkdir(sp.fd, "a/file/x", 0755) == -1 && errno == ENOTDIR);
	CHECK(spool_sync_dir(sp.fd, "a") == 0);
	CHECK(spool_sync_dir(sp.fd, ".") == 0);
	CHECK(spool_sync_dir(sp.fd, "none") == -1 && errno == ENOENT);
}

static void
files_are_replaced_whole(void)
{
	struct stat st;
	char *text;
	size_t len = 0;

	CHECK(spool_replace(sp.fd, "a/f", "first", 5, true) == 0);
	CHECK(fstatat(sp.fd, "a/f", &st, 0) == 0 && (st.st_mode & 077) == 0);
	CHECK(spool_replace(sp.fd, "a/f", "second\0!", 8, true) == 0);
	text = spool_read(sp.fd, "a/f", 8, &len);
	CHECK(text != NULL && len == 8 && memcmp(text, "second\0!", 9) == 0);
	free(text);
	CHECK(spool_read(sp.fd, "a/f", 7, &len) == NULL && errno == EFBIG);
	CHECK(spool_read(sp.fd, "a/none", 7, &len) == NULL && errno == ENOENT);
	CHECK(spool_read(sp.fd, "a/b", 1 << 20, &len) == NULL &&
	    errno == EISDIR);
	CHECK(faccessat(sp.fd, "a/f.tmp", F_OK, 0) == -1);
	/* a directory cannot be replaced, and what was tried is cleared away */
	CHECK(spool_replace(sp.fd, "a/b", "x", 1, true) == -1);
	CHECK(faccessat(sp.fd, "a/b.tmp", F_OK, 0) == -1);
	CHECK(spool_replace(sp.fd, "none/f", "x", 1, true) == -1 &&
	    errno == ENOENT);
	/* /proc says that its files are empty, and they are not */
	text = spool_read(AT_FDCWD, "/proc/self/status", 1 << 20, &len);
	CHECK(text != NULL && len > 500 && strlen(text) == len);
	free(text);
}

static void
trees_are_removed(void)
{
	CHECK(symlinkat(deep, sp.fd, "a/b/link") == 0);
	CHECK(spool_remove(sp.fd, "a") == 0);
	CHECK(faccessat(sp.fd, "a", F_OK, 0) == -1);
	CHECK(faccessat(sp.fd, "namespace", F_OK, 0) == 0);
	CHECK(spool_remove(sp.fd, "a") == 0);
	CHECK(spool_remove(sp.fd, "a/b") == 0);
}

int
main(void)
{
	unsetenv("EGNS_SPOOL");
	if (mkdtemp(base) == NULL || chdir("/") == -1)
		return 1;
	RUN(a_spool_is_made_and_found);
	RUN(where_it_is);
	RUN(one_instance_holds_the_lock);
	RUN(a_deep_spool_has_sockets_too);
	RUN(directories_are_made_at_any_depth);
	RUN(files_are_replaced_whole);
	RUN(trees_are_removed);
	spool_close(&sp);
	spool_remove(AT_FDCWD, base);
	DONE();
}
