#ifndef TEST_HTTP_H
#define TEST_HTTP_H

/*
 * An HTTP server of a test, on a thread: it gives the answers that it was told,
 * one after another whatever is asked, and remembers the questions.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"

#define HTTP_MAX 16

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more; /* questions */
	int fd;
	unsigned port, connections;
	char *answers[HTTP_MAX], *asked[HTTP_MAX];
	unsigned nanswers, given, nasked;
	unsigned held; /* no answer goes before so many questions */
} http = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER };

/* The next answer: a status line with headers behind, and a body. NULL: hang
 * up. */
static void
http_say(const char *head, const char *body)
{
	struct buf b = { 0 };

	if (head != NULL)
		buf_printf(&b, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
		    head, strlen(body), body);
	buf_add(&b, "", 1);
	pthread_mutex_lock(&http.lock);
	http.answers[http.nanswers++] = buf_data(&b);
	pthread_mutex_unlock(&http.lock);
}

/* The same byte for byte; one that is not whole leaves who asks waiting. */
static inline void
http_say_raw(const char *text)
{
	pthread_mutex_lock(&http.lock);
	http.answers[http.nanswers++] = strdup(text);
	pthread_mutex_unlock(&http.lock);
}

/* Answer nobody before so many have asked. */
static inline void
http_hold(unsigned n)
{
	pthread_mutex_lock(&http.lock);
	http.held = n;
	pthread_mutex_unlock(&http.lock);
}

/* What was asked as the n-th, counting from 0; "" when nothing was. */
static const char *
http_asked(unsigned n)
{
	const char *text;

	pthread_mutex_lock(&http.lock);
	text = n < http.nasked ? http.asked[n] : "";
	pthread_mutex_unlock(&http.lock);
	return text;
}

/* Begin anew. */
static void
http_reset(void)
{
	pthread_mutex_lock(&http.lock);
	while (http.nanswers > 0)
		free(http.answers[--http.nanswers]);
	while (http.nasked > 0)
		free(http.asked[--http.nasked]);
	http.given = http.held = 0;
	pthread_mutex_unlock(&http.lock);
}

/* A request with its body and a NUL, or false at the end. */
static bool
http_read(int fd, struct buf *in)
{
	const char *end = NULL, *length;
	size_t body = 0;
	ssize_t n;

	while (end == NULL || strlen(end + 4) < body) {
		if ((n = read(fd, buf_room(in, 65536), 65535)) <= 0)
			return false;
		buf_grew(in, (size_t)n);
		buf_data(in)[in->len] = '\0';
		end = strstr(buf_data(in), "\r\n\r\n");
		length = strstr(buf_data(in), "Content-Length: ");
		if (length != NULL)
			body = strtoul(length + 16, NULL, 10);
	}
	return true;
}

/* The answer to a request, the caller's; "" when there is none left. */
static char *
http_take(struct buf *in)
{
	char *answer;

	pthread_mutex_lock(&http.lock);
	if (http.nasked < HTTP_MAX)
		http.asked[http.nasked++] = strdup(buf_data(in));
	answer = strdup(http.given < http.nanswers ?
	    http.answers[http.given++] : "");
	pthread_cond_broadcast(&http.more);
	while (http.nasked < http.held)
		pthread_cond_wait(&http.more, &http.lock);
	pthread_mutex_unlock(&http.lock);
	return answer;
}

static void *
http_serve(void *arg)
{
	int fd = *(int *)arg;
	struct buf in = { 0 };
	bool more = true;
	char *answer;

	free(arg);
	while (more && http_read(fd, &in)) {
		answer = http_take(&in);
		more = *answer != '\0' &&
		    send(fd, answer, strlen(answer), MSG_NOSIGNAL) != -1;
		free(answer);
		buf_reset(&in, 1 << 20);
	}
	close(fd);
	buf_free(&in);
	return NULL;
}

static void *
http_listen(void *arg)
{
	pthread_t t;
	int *fd;

	for (;;) {
		fd = malloc(sizeof(*fd));
		if ((*fd = accept(http.fd, NULL, NULL)) == -1)
			abort();
		http.connections++;
		pthread_create(&t, NULL, http_serve, fd);
		pthread_detach(t);
	}
	return arg;
}

/* Somebody who takes connections, and says nothing by itself; its port. */
static inline unsigned
http_silence(int *listening)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd == -1 || bind(fd, (struct sockaddr *)&in, len) == -1 ||
	    listen(fd, 16) == -1 ||
	    getsockname(fd, (struct sockaddr *)&in, &len) == -1)
		abort();
	*listening = fd;
	return ntohs(in.sin_port);
}

static void
http_start(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	pthread_t t;

	http.fd = socket(AF_INET, SOCK_STREAM, 0);
	if (http.fd == -1 ||
	    bind(http.fd, (struct sockaddr *)&in, len) == -1 ||
	    listen(http.fd, 16) == -1 ||
	    getsockname(http.fd, (struct sockaddr *)&in, &len) == -1)
		abort();
	http.port = ntohs(in.sin_port);
	pthread_create(&t, NULL, http_listen, NULL);
	pthread_detach(t);
}

#endif
