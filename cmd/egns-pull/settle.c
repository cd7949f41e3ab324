#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "line.h"
#include "pull.h"
#include "quote.h"

struct settling {
	const struct options *opt;
	const struct verb *verb;
	struct client client;
	struct request request;
	struct json json;
	struct buf token;
	bool failed; /* some token, or some line */
};

static void
say_failed(void *arg, const char *token, const char *code, const char *message)
{
	char q[QUOTE_MAX];
	struct settling *s = arg;

	warnx("%s: %s: %s", quote(q, token, strlen(token)), code, message);
	s->failed = true;
}

static void
begin(struct settling *s)
{
	request_begin(&s->request, s->opt, s->verb->op);
	if (strchr(s->verb->options, 'D') != NULL)
		request_number(&s->request, "releaseDelayInSeconds",
		    s->opt->delay);
}

/* Send the tokens gathered, and hear what became of them. */
static int
settle(struct settling *s, struct fault *f)
{
	if (s->request.tokens == 0)
		return 0;
	request_end(&s->request);
	client_add(&s->client, buf_data(&s->request.text), s->request.text.len);
	if (client_flush(&s->client, f) == -1 ||
	    client_answer(&s->client, f) == -1)
		return -1;
	request_failed(&s->client, say_failed, s);
	begin(s);
	return 0;
}

static int
add(struct settling *s, const char *token, size_t len, struct fault *f)
{
	char q[QUOTE_MAX];

	if (len > TOKEN_MAX) {
		warnx("%s: BadToken: too long", quote(q, token, len));
		s->failed = true;
		return 0;
	}
	request_token(&s->request, token, len);
	return request_full(&s->request) ? settle(s, f) : 0;
}

/* The token in a line that receive printed, or in a JSON string. */
static int
take_json(struct settling *s, const char *line, size_t len, struct fault *f)
{
	struct json *j = &s->json;
	uint32_t t = 0;

	if (json_scan(j, line, len, f) == -1)
		return -1;
	if (j->tok[0].type == JSON_OBJECT) {
		t = json_member(j, 0, "brokerProperties", 16);
		if (t == 0 || j->tok[t].type != JSON_OBJECT ||
		    (t = json_member(j, t, "lockToken", 9)) == 0)
			return fault_set(f, FAULT_BAD_REQUEST,
			    "no brokerProperties.lockToken");
	}
	if (j->tok[t].type != JSON_STRING)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "the lock token is not a string");
	buf_reset(&s->token, TOKEN_MAX);
	json_string(j, t, &s->token);
	return 0;
}

static int
take_line(struct settling *s, const char *line, size_t len, uint64_t number,
    struct fault *f)
{
	struct fault why;

	while (len > 0 && isspace((unsigned char)line[len - 1]))
		len--;
	while (len > 0 && isspace((unsigned char)*line))
		line++, len--;
	if (len == 0)
		return 0;
	if (*line != '{' && *line != '"')
		return add(s, line, len, f);
	if (take_json(s, line, len, &why) == -1) {
		warnx("standard input: line %llu: %s",
		    (unsigned long long)number, why.text);
		s->failed = true;
		return 0;
	}
	return add(s, buf_data(&s->token), s->token.len, f);
}

/* Tokens from a pipe; what is there is settled whenever the pipe pauses. */
static int
take_input(struct settling *s, struct fault *f)
{
	struct line_reader in = { .fd = STDIN_FILENO, .max = CLIENT_LINE_MAX };
	const char *line;
	int n, rc = 0;
	size_t len;

	while (rc == 0 && (n = line_next(&in, &line, &len)) == 1) {
		rc = take_line(s, line, len, in.number, f);
		if (rc == 0 && line_pauses(&in))
			rc = settle(s, f);
	}
	if (rc == 0 && n == -1) {
		warnx("standard input: line %llu: %s",
		    (unsigned long long)in.number, errno == EMSGSIZE ?
		    "too long" : strerror(errno));
		s->failed = true;
	}
	line_free(&in);
	return rc;
}

static int
take_all(struct settling *s, char *argv[], struct fault *f)
{
	begin(s);
	for (; *argv != NULL; argv++) {
		if (strcmp(*argv, "-") == 0) {
			if (take_input(s, f) == -1)
				return -1;
		} else if (add(s, *argv, strlen(*argv), f) == -1) {
			return -1;
		}
	}
	return settle(s, f);
}

int
verb_settle(const struct options *opt, const struct verb *v, char *argv[])
{
	struct settling s = { .opt = opt, .verb = v };
	struct spool spool;
	struct fault f;
	int status;

	if (spool_open(&spool, opt->spool, &f) == -1)
		return pull_fault(&f);
	if (client_open(&s.client, &spool, "topicd", &f) == -1) {
		status = pull_fault(&f);
	} else {
		if (take_all(&s, argv, &f) == -1)
			status = pull_fault(&f);
		else
			status = s.failed ? EX_DATAERR : EX_OK;
		client_close(&s.client);
	}
	buf_free(&s.request.text);
	buf_free(&s.token);
	json_free(&s.json);
	spool_close(&spool);
	return status;
}
