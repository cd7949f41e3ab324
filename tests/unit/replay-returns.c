#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../cmd/egns-replay/returns.h"
#include "check.h"
#include "clock.h"

#define EVENTS 4000

static char dir[] = "/tmp/egns-unit-XXXXXX";
static struct spool spool;
static struct fault f;

/* ---- an egns-topicd of one topic, which fails as it is told to ---- */

enum failure {
	NOTHING,
	REFUSE_EVENT, /* the third of a publish; again and again */
	NO_ROOM,      /* once, as all below */
	LOSE_BEFORE,  /* the connection, and the publish */
	LOSE_AFTER,   /* the connection, when it is stored */
	KILL_AFTER,   /* who has sent it */
	STRANGE,      /* somebody else uses the producer's name */
};

static struct topicd {
	_Atomic enum failure failure;
	_Atomic unsigned stored[EVENTS]; /* how often */
	_Atomic unsigned publishes, largest;
	_Atomic uint64_t position;
} *topicd; /* shared with its process */
static pid_t topicd_pid;

static enum failure
fails(enum failure which)
{
	if (topicd->failure != which)
		return NOTHING;
	topicd->failure = NOTHING;
	return which;
}

static long long
member(const char *header, const char *name)
{
	const char *p = strstr(header, name);

	return p == NULL ? -1 : strtoll(p + strlen(name), NULL, 10);
}

static void
answer(FILE *peer, const char *text)
{
	dprintf(fileno(peer), "{\"ok\":true%s}\n", text);
}

static void
refuse(FILE *peer, const char *code, const char *message)
{
	dprintf(fileno(peer), "{\"ok\":false,\"error\":{\"code\":\"%s\","
	    "\"message\":\"%s\"}}\n", code, message);
}

static void
kill_peer(FILE *peer)
{
	struct ucred who;
	socklen_t n = sizeof(who);

	if (getsockopt(fileno(peer), SOL_SOCKET, SO_PEERCRED, &who, &n) == 0)
		kill(who.pid, SIGKILL);
}

/* Event lines; which of them is bad, from 1, or 0. */
static int
read_events(FILE *peer, long long n, int *ids, bool look)
{
	static char *line;
	static size_t cap;
	int bad = 0;

	for (int i = 0; i < n; i++) {
		if (getline(&line, &cap, peer) == -1)
			_exit(1);
		ids[i] = (int)member(line, "\"id\":\"");
		if (look && ids[i] % 100 == 3 && bad == 0)
			bad = i + 1;
	}
	return bad;
}

/* As the real one: duplicates, the chain, then what is bad. false: hang up. */
static bool
publish(FILE *peer, const char *header)
{
	static int ids[RETURNS_EVENTS];
	long long n = member(header, "\"count\":");
	uint64_t sequence = (uint64_t)member(header, "\"sequence\":");
	uint64_t after = (uint64_t)member(header, "\"after\":");
	int bad = read_events(peer, n, ids, topicd->failure == REFUSE_EVENT);
	char words[64];

	topicd->publishes++;
	if ((unsigned)n > topicd->largest)
		topicd->largest = (unsigned)n;
	if (fails(LOSE_BEFORE))
		return false;
	if (fails(STRANGE))
		topicd->position += 10;
	snprintf(words, sizeof(words), "event %d: it is bad", bad);
	if (strstr(header, "\"subscription\":\"gone\"") != NULL) {
		refuse(peer, "NotFound", "it is gone");
	} else if (sequence <= topicd->position) {
		answer(peer, ",\"duplicate\":true");
	} else if (after != topicd->position) {
		refuse(peer, "Conflict", "it is elsewhere");
	} else if (fails(NO_ROOM)) {
		refuse(peer, "TooManyRequests", "the disk is full");
	} else if (bad != 0) {
		refuse(peer, "BadRequest", words);
	} else {
		topicd->position = sequence;
		for (int i = 0; i < n; i++)
			topicd->stored[ids[i]]++;
		if (fails(LOSE_AFTER))
			return false;
		if (fails(KILL_AFTER))
			kill_peer(peer);
		answer(peer, "");
	}
	return true;
}

static void
serve_peer(int fd)
{
	FILE *peer = fdopen(fd, "r");
	static char *line;
	static size_t cap;
	char position[64];
	bool more = true;

	dprintf(fd, "{\"egns\":\"topicd\",\"version\":1}\n");
	while (more && getline(&line, &cap, peer) != -1) {
		snprintf(position, sizeof(position), ",\"sequence\":%llu",
		    (unsigned long long)topicd->position);
		if (strstr(line, "\"op\":\"publish\"") != NULL)
			more = publish(peer, line);
		else if (strstr(line, "\"topic\":\"none\"") != NULL)
			refuse(peer, "NotFound", "no such topic");
		else
			answer(peer, position);
	}
	fclose(peer);
}

static void
start_topicd(void)
{
	int fd = spool_listen(&spool, "topicd", &f), peer;

	CHECK(fd != -1);
	fcntl(fd, F_SETFL, 0);
	if ((topicd_pid = fork()) == 0) {
		setpgid(0, 0);
		signal(SIGPIPE, SIG_IGN);
		/* each peer has a process, as real ones do not wait */
		signal(SIGCHLD, SIG_IGN);
		while ((peer = accept(fd, NULL, NULL)) != -1) {
			if (fork() == 0) {
				serve_peer(peer);
				_exit(0);
			}
			close(peer);
		}
		_exit(1);
	}
	close(fd);
}

static void
stop_topicd(void)
{
	if (topicd_pid == 0)
		return;
	setpgid(topicd_pid, topicd_pid);
	kill(-topicd_pid, SIGKILL);
	waitpid(topicd_pid, NULL, 0);
	topicd_pid = 0;
}

/* ---- what tests do ---- */

static struct ledger *ledger;
static struct returns *returns;
static enum returns_result results[EVENTS];
static unsigned given, told;
static struct fault why;

static void
done(const struct returned *is, enum returns_result result,
    const struct fault *fault, void *arg)
{
	(void)arg;
	CHECK(is->owner == &results[told]); /* in their order */
	CHECK((result == RETURNS_REFUSED || result == RETURNS_LATER) ==
	    (fault != NULL));
	results[told++] = result;
	if (fault != NULL)
		why = *fault;
}

/* One more letter, known by a number. */
static int
add_to(unsigned i, const char *topic, const char *subscription)
{
	char event[128], id[16];
	struct returned is = { .container = "local/deadletter", .blob = "b",
		.line = i + 1, .id = id, .topic = topic,
		.subscription = subscription, .reason = "Rejected",
		.offset = i };

	is.owner = &results[given++];
	memcpy(is.key, &i, sizeof(i));
	is.key[15] = 1;
	snprintf(id, sizeof(id), "%u", i);
	snprintf(event, sizeof(event), "{\"specversion\":\"1.0\","
	    "\"id\":\"%u\",\"source\":\"/s\",\"type\":\"t\"}", i);
	return returns_add(returns, &is, false, event, strlen(event), &f);
}

static int
add(unsigned from, unsigned n)
{
	int rc = 0;

	for (unsigned i = from; rc == 0 && i < from + n; i++)
		rc = add_to(i, "t", "s");
	return rc;
}

static void
open_again(uint64_t rate)
{
	ledger = ledger_open(&spool, true, &f);
	CHECK(ledger != NULL);
	returns = returns_new(&spool, ledger, rate, done, NULL, &f);
	CHECK(returns != NULL);
	given = told = 0;
}

static void
end(void)
{
	returns_free(returns);
	ledger_close(ledger);
	returns = NULL;
	ledger = NULL;
}

/* All anew, with an egns-topicd that has nothing. */
static void
begin(void)
{
	stop_topicd();
	CHECK(spool_remove(spool.fd, "replay") == 0);
	memset((void *)topicd, 0, sizeof(*topicd));
	start_topicd();
	open_again(0);
}

static bool
all(enum returns_result want, unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++)
		if (results[i] != want || i >= told)
			return false;
	return true;
}

static bool
stored_once(unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++)
		if (topicd->stored[i] != 1)
			return false;
	return true;
}

/* Lines of the ledger. */
static unsigned
lines(void)
{
	char day[CLOCK_TEXT + 1], name[64];
	unsigned n = 0;
	size_t len;
	char *text;

	clock_format(day, clock_now());
	snprintf(name, sizeof(name), "replay/%.10s.ndjson", day);
	text = spool_read(spool.fd, name, 1 << 24, &len);
	for (char *p = text; p != NULL && (p = strchr(p, '\n')) != NULL; p++)
		n++;
	free(text);
	return n;
}

/* ---- tests ---- */

static void
each_is_stored_once(void)
{
	begin();
	CHECK(add(0, 2500) == 0 && returns_flush(returns, &f) == 0);
	CHECK(told == 2500 && all(RETURNS_STORED, 0, 2500));
	CHECK(stored_once(0, 2500) && topicd->stored[2500] == 0);
	CHECK(topicd->publishes == 3 && topicd->largest == RETURNS_EVENTS);
	CHECK(lines() == 2500);
	CHECK(returns_flush(returns, &f) == 0 && told == 2500);
	end();
	open_again(0);
	CHECK(add(2000, 1000) == 0 && returns_flush(returns, &f) == 0);
	CHECK(all(RETURNS_BEFORE, 0, 500) && all(RETURNS_STORED, 500, 500));
	CHECK(stored_once(0, 3000) && lines() == 3000);
	end();
}

static void
a_second_one_of_a_letter_is_done_by_the_first(void)
{
	begin();
	CHECK(add(0, 5) == 0 && add(2, 2) == 0 && add(7, 1) == 0);
	CHECK(returns_flush(returns, &f) == 0);
	CHECK(all(RETURNS_STORED, 0, 5) && all(RETURNS_BEFORE, 5, 2) &&
	    all(RETURNS_STORED, 7, 1));
	CHECK(stored_once(0, 5) && stored_once(7, 1) && lines() == 6);
	end();
}

static void
a_bad_event_is_refused_alone(void)
{
	bool ok = true;

	begin();
	topicd->failure = REFUSE_EVENT;
	CHECK(add(0, 1300) == 0 && returns_flush(returns, &f) == 0);
	for (unsigned i = 0; i < 1300; i++)
		ok = ok && topicd->stored[i] == (i % 100 != 3) &&
		    results[i] == (i % 100 == 3 ? RETURNS_REFUSED :
		    RETURNS_STORED);
	CHECK(ok);
	CHECK(why.code == FAULT_BAD_REQUEST &&
	    strstr(why.text, "it is bad") != NULL);
	CHECK(told == 1300 && lines() == 1300 - 13);
	end();
}

static void
what_has_no_place_keeps_nothing_from_its_own(void)
{
	bool ok = true;

	begin();
	for (unsigned i = 0; i < 40; i++)
		CHECK(add_to(i, i % 10 == 7 ? "none" : "t",
		    i % 4 == 1 ? "gone" : "s") == 0);
	CHECK(returns_flush(returns, &f) == 0 && told == 40);
	for (unsigned i = 0; i < 40; i++)
		ok = ok && results[i] == (i % 10 == 7 || i % 4 == 1 ?
		    RETURNS_REFUSED : RETURNS_STORED);
	CHECK(ok);
	/* what was refused is not asked again: two rounds */
	CHECK(topicd->publishes <= 36);
	CHECK(why.code == FAULT_NOT_FOUND);
	end();
}

static void
what_cannot_be_an_event_is_not_sent(void)
{
	struct returned is = { .container = "c", .blob = "b", .id = "1",
		.topic = "t", .subscription = "s", .reason = "",
		.offset = -1, .owner = &results[0] };

	begin();
	CHECK(returns_add(returns, &is, false, "{}\n{}", 5, &f) == 0);
	CHECK(returns_flush(returns, &f) == 0);
	CHECK(told == 1 && results[0] == RETURNS_REFUSED);
	CHECK(topicd->publishes == 0);
	end();
}

static void
without_room_it_is_for_later(void)
{
	begin();
	topicd->failure = NO_ROOM;
	CHECK(add(0, 1500) == 0 && returns_flush(returns, &f) == 0);
	CHECK(all(RETURNS_LATER, 0, 1500) && told == 1500);
	CHECK(why.code == FAULT_TOO_MANY && lines() == 0);
	end();
	open_again(0);
	CHECK(add(0, 1500) == 0 && returns_flush(returns, &f) == 0);
	CHECK(all(RETURNS_STORED, 0, 1500) && stored_once(0, 1500));
	end();
}

/* Whatever becomes of a request that has no answer: the next one knows. */
static void
lose(enum failure failure, bool same)
{
	begin();
	topicd->failure = failure;
	CHECK(add(0, 1500) == 0 && returns_flush(returns, &f) == 0);
	CHECK(told == 1500 && all(RETURNS_LATER, 0, 1500));
	CHECK(why.code == FAULT_UNAVAILABLE && lines() == 0);
	if (same) {
		given = told = 0;
	} else {
		end();
		open_again(0);
	}
	CHECK(add(0, 1600) == 0 && returns_flush(returns, &f) == 0);
	CHECK(all(RETURNS_BEFORE, 0, 1500) && all(RETURNS_STORED, 1500, 100));
	CHECK(stored_once(0, 1600) && lines() == 1600);
	end();
}

static void
a_connection_that_is_lost_loses_nothing(void)
{
	lose(LOSE_BEFORE, false);
	lose(LOSE_BEFORE, true);
	lose(LOSE_AFTER, false);
	lose(LOSE_AFTER, true);
}

static void
killed_before_the_answer_the_next_one_finishes_it(void)
{
	int status;
	pid_t pid;

	begin();
	end();
	topicd->failure = KILL_AFTER;
	if ((pid = fork()) == 0) {
		open_again(0);
		add(0, 1500);
		returns_flush(returns, &f);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	CHECK(lines() == 0);
	open_again(0);
	CHECK(add(0, 1600) == 0 && returns_flush(returns, &f) == 0);
	CHECK(all(RETURNS_BEFORE, 0, 1500) && all(RETURNS_STORED, 1500, 100));
	CHECK(stored_once(0, 1600) && lines() == 1600);
	end();
}

static void
what_a_stranger_has_published_was_not_stored(void)
{
	begin();
	topicd->failure = STRANGE;
	CHECK(add(0, 1500) == 0 && returns_flush(returns, &f) == 0);
	CHECK(all(RETURNS_LATER, 0, 1500) && why.code == FAULT_CONFLICT);
	CHECK(lines() == 0);
	end();
	open_again(0);
	CHECK(add(0, 1500) == 0 && returns_flush(returns, &f) == 0);
	CHECK(all(RETURNS_STORED, 0, 1500) && stored_once(0, 1500));
	end();
}

static void
two_at_once_store_each_once(void)
{
	unsigned stored[2];
	int status, fds[2];

	begin();
	end();
	CHECK(pipe(fds) == 0);
	for (int i = 0; i < 2; i++)
		if (fork() == 0) {
			stored[0] = 0;
			open_again(0);
			for (unsigned k = 0; k < 600; k += 20) {
				add(k, 20);
				returns_flush(returns, &f);
			}
			for (unsigned k = 0; k < told; k++)
				stored[0] += results[k] == RETURNS_STORED;
			CHECK(told == 600);
			if (write(fds[1], stored, sizeof(*stored)) == -1)
				_exit(1);
			end();
			_exit(check_bad);
		}
	CHECK(read(fds[0], &stored[0], sizeof(*stored)) == sizeof(*stored));
	CHECK(read(fds[0], &stored[1], sizeof(*stored)) == sizeof(*stored));
	for (int i = 0; i < 2; i++)
		CHECK(waitpid(-1, &status, 0) != -1 &&
		    (!WIFEXITED(status) || WEXITSTATUS(status) == 0));
	CHECK(stored[0] + stored[1] == 600);
	CHECK(stored_once(0, 600) && lines() == 600);
	close(fds[0]);
	close(fds[1]);
}

static void
it_goes_on_when_topicd_is_back(void)
{
	begin();
	CHECK(add(0, 10) == 0 && returns_flush(returns, &f) == 0);
	stop_topicd();
	start_topicd(); /* nobody noticed */
	CHECK(add(10, 10) == 0 && returns_flush(returns, &f) == 0);
	CHECK(told == 20 && all(RETURNS_STORED, 0, 20));
	end();
	stop_topicd();
	ledger = ledger_open(&spool, true, &f);
	CHECK(returns_new(&spool, ledger, 0, done, NULL, &f) == NULL);
	CHECK(f.code == FAULT_UNAVAILABLE);
	end();
}

static void
a_rate_is_kept_and_nothing_waits_for_the_last(void)
{
	int64_t started;

	begin();
	end();
	open_again(100);
	started = clock_mono();
	CHECK(add(0, 40) == 0);
	CHECK(told == 40); /* in steps of ten */
	CHECK(clock_mono() - started >= 3 * CLOCK_SECOND / 10);
	CHECK(all(RETURNS_STORED, 0, 40) && topicd->largest == 10);
	end();
	open_again(5);
	CHECK(add(40, 1) == 0 && told == 1);
	end();
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	CHECK(mkdtemp(dir) != NULL);
	spool = (struct spool){ .fd = open(dir, O_PATH), .path = dir };
	CHECK(spool_mkdir(spool.fd, "run", 0700) == 0);
	topicd = mmap(NULL, sizeof(*topicd), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(topicd != MAP_FAILED);
	RUN(each_is_stored_once);
	RUN(a_second_one_of_a_letter_is_done_by_the_first);
	RUN(a_bad_event_is_refused_alone);
	RUN(what_has_no_place_keeps_nothing_from_its_own);
	RUN(what_cannot_be_an_event_is_not_sent);
	RUN(without_room_it_is_for_later);
	RUN(a_connection_that_is_lost_loses_nothing);
	RUN(killed_before_the_answer_the_next_one_finishes_it);
	RUN(what_a_stranger_has_published_was_not_stored);
	RUN(two_at_once_store_each_once);
	RUN(it_goes_on_when_topicd_is_back);
	RUN(a_rate_is_kept_and_nothing_waits_for_the_last);
	stop_topicd();
	CHECK(spool_remove(AT_FDCWD, dir) == 0);
	DONE();
}
