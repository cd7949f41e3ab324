/*
 * cluster [-n BROKERS] [-r FD] - librdkafka's mock cluster on loopback. Once it
 * runs, cluster.servers holds what bootstraps it. It does what is written to the
 * FIFO cluster.orders, which it makes, a line each, and says so in cluster.done:
 *
 *	create TOPIC PARTITIONS      0 for one with an error in Metadata
 *	fail REQUEST ERROR [TIMES]   the next requests: Produce, Metadata,
 *	                             InitProducerId; names as in the protocol
 *	topic TOPIC ERROR            what Metadata says of it
 *	rtt MILLISECONDS             before each answer
 *	down | up                    all brokers
 */
#include <ctype.h>
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

static rd_kafka_mock_cluster_t *cluster;

static rd_kafka_resp_err_t
error_named(const char *name)
{
	const struct rd_kafka_err_desc *descs;
	size_t n;

	rd_kafka_get_err_descs(&descs, &n);
	for (size_t i = 0; i < n; i++)
		if (descs[i].name != NULL && strcmp(descs[i].name, name) == 0)
			return descs[i].code;
	errx(64, "no error '%s'", name);
}

static int16_t
request_named(const char *name)
{
	static const struct {
		const char *name;
		int16_t key;
	} rows[] = { { "Produce", 0 }, { "Metadata", 3 },
		{ "InitProducerId", 22 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].key;
	errx(64, "no request '%s'", name);
}

static void
fail(const char *request, const char *error, int times)
{
	for (int i = 0; i < times; i++)
		rd_kafka_mock_push_request_errors(cluster,
		    request_named(request), 1, error_named(error));
}

static void
obey(const char *line)
{
	char verb[16] = "", a[256] = "", b[64] = "", c[16] = "";

	sscanf(line, "%15s %255s %63s %15s", verb, a, b, c);
	if (strcmp(verb, "create") == 0)
		rd_kafka_mock_topic_create(cluster, a, atoi(b), 1);
	else if (strcmp(verb, "fail") == 0)
		fail(a, b, *c != '\0' ? atoi(c) : 1);
	else if (strcmp(verb, "topic") == 0)
		rd_kafka_mock_topic_set_error(cluster, a, error_named(b));
	else if (strcmp(verb, "rtt") == 0)
		rd_kafka_mock_broker_set_rtt(cluster, -1, atoi(a));
	else if (strcmp(verb, "down") == 0)
		rd_kafka_mock_broker_set_down(cluster, -1);
	else if (strcmp(verb, "up") == 0)
		rd_kafka_mock_broker_set_up(cluster, -1);
	else
		errx(64, "no order '%s'", verb);
}

static void
on_term(int signal)
{
	(void)signal;
	_exit(0);
}

static void
write_line(const char *file, const char *line)
{
	FILE *f = fopen(file, "a");

	if (f == NULL || fprintf(f, "%s\n", line) < 0 || fclose(f) != 0)
		err(74, "%s", file);
}

static void
serve(void)
{
	char line[512];
	FILE *orders = fopen("cluster.orders", "r+"); /* never at its end */

	if (orders == NULL)
		err(66, "cluster.orders");
	while (fgets(line, sizeof(line), orders) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		obey(line);
		write_line("cluster.done", line);
	}
}

int
main(int argc, char *argv[])
{
	int ch, ready = -1, brokers = 1;
	rd_kafka_conf_t *conf;
	char why[256];
	rd_kafka_t *rk;

	while ((ch = getopt(argc, argv, "n:r:")) != -1)
		switch (ch) {
		case 'n': brokers = atoi(optarg); break;
		case 'r': ready = atoi(optarg); break;
		default: return 64;
		}
	signal(SIGTERM, on_term);
	conf = rd_kafka_conf_new();
	rd_kafka_conf_set(conf, "log_level", "0", why, sizeof(why));
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (rk == NULL)
		errx(71, "%s", why);
	if ((cluster = rd_kafka_mock_cluster_new(rk, brokers)) == NULL)
		errx(71, "no cluster");
	if (mkfifo("cluster.orders", 0600) == -1)
		err(73, "cluster.orders");
	write_line("cluster.servers", rd_kafka_mock_cluster_bootstraps(cluster));
	if (ready != -1 && (write(ready, "\n", 1) != 1 || close(ready) == -1))
		err(74, "-r");
	serve();
	return 0;
}
