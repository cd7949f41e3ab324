/* cert: the local authority, and what it signs for the server and for
 * devices */
#include "authority.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "address.h"
#include "cert.h"
#include "ctl.h"
#include "expiry.h"
#include "file.h"
#include "issue.h"
#include "jq.h"
#include "num.h"
#include "quote.h"
#include "schema.h"

#define DIR_NAME "namespace/tls"
#define CA_KEY DIR_NAME "/ca.key"
#define CA_PEM EXPIRY_CA
#define SERVER_KEY DIR_NAME "/server.key"
#define SERVER_PEM EXPIRY_SERVER
#define RESOURCE "caCertificates/local"

#define CA_DAYS 3650
#define SERVER_DAYS 825
#define DEVICE_DAYS 365
#define PEM_MAX (1024 * 1024)
#define NAMES_MAX 32 /* alternative names of a certificate */
#define NAME_SIZE 512

/* PEM texts of the local authority; zeros to begin with. */
struct authority {
	char *pem, *key;
};

static void
wipe(char *key)
{
	if (key != NULL)
		explicit_bzero(key, strlen(key));
	free(key);
}

static void
authority_free(struct authority *a)
{
	free(a->pem);
	wipe(a->key);
	*a = (struct authority){ 0 };
}

/* A whole file below the spool; NULL and a fault. */
static char *
read_file(struct session *s, const char *path, struct fault *f)
{
	size_t len;
	char *text = spool_read(s->spool.fd, path, PEM_MAX, &len);

	if (text == NULL)
		fault_errno(f, errno == EACCES ? FAULT_FORBIDDEN : errno ==
		    ENOENT ? FAULT_NOT_FOUND : FAULT_INTERNAL, "%s", path);
	return text;
}

static bool
is_there(struct session *s, const char *path)
{
	return faccessat(s->spool.fd, path, F_OK, 0) == 0;
}

/* Replace a file of the spool whole; certificates are for everybody. */
static int
replace(struct session *s, const char *path, const struct buf *b,
    struct fault *f)
{
	bool key = strcmp(path, CA_KEY) == 0 || strcmp(path, SERVER_KEY) == 0;

	if (spool_replace(s->spool.fd, path, buf_data(b), b->len, true) == -1 ||
	    (!key && fchmodat(s->spool.fd, path, 0644, 0) == -1))
		return fault_errno(f, FAULT_INTERNAL, "%s", path);
	return 0;
}

/* A certificate, with a NUL behind it. */
static int
certify(const struct issue *how, struct buf *pem, struct fault *f)
{
	if (issue_certificate(how, pem, f) == -1)
		return -1;
	buf_add(pem, "", 1);
	if (pem->bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	pem->len--;
	return 0;
}

static char *
new_key(struct fault *f)
{
	struct buf b = { 0 };
	char *text = NULL;

	if (issue_key(&b, f) == 0 && (text = strndup(buf_data(&b), b.len))
	    == NULL)
		fault_set(f, FAULT_INTERNAL, "out of memory");
	buf_wipe(&b);
	return text;
}

static int
replace_key(struct session *s, const char *path, const char *key,
    struct fault *f)
{
	const struct buf b = { .mem = (char *)(uintptr_t)key,
		.len = strlen(key) };

	return replace(s, path, &b, f);
}

/* ---- the authority ---- */

/* A certificate of its own for the authority's key, which it then has. */
static int
self_sign(struct authority *a, jv namespace, struct fault *f)
{
	struct buf pem = { 0 };
	char name[ISSUE_NAME_MAX + 1];

	snprintf(name, sizeof(name), "%s CA", jq_str(namespace, "name"));
	if (certify(&(struct issue){ .use = ISSUE_AUTHORITY, .name = name,
	    .days = CA_DAYS, .key = a->key }, &pem, f) == -1) {
		buf_free(&pem);
		return -1;
	}
	free(a->pem);
	a->pem = pem.mem; /* nothing was taken from its front */
	return 0;
}

static int
write_pem(struct session *s, const struct authority *a, struct fault *f)
{
	const struct buf b = { .mem = a->pem, .len = strlen(a->pem) };

	return replace(s, CA_PEM, &b, f);
}

struct search {
	const char *pem;
	char path[SCHEMA_PATH]; /* "": not found */
};

static int
is_ours(const char *path, jv v, void *arg)
{
	struct search *search = arg;
	const char *pem = jq_str(v, "properties.encodedCertificate");
	bool same = pem != NULL && cert_same_key(pem, search->pem);

	if (same)
		snprintf(search->path, sizeof(search->path), "%s", path);
	jv_free(v);
	return same;
}

/* The resource that the local authority is registered as, by its key. */
static struct search
find_resource(struct session *s, const struct authority *a)
{
	struct search search = { .pem = a->pem };

	registry_each(s->registry, "caCertificates/", is_ours, &search);
	return search;
}

/* Make the resource say what its certificate is now. */
static int
put_resource(struct session *s, const char *path, const struct authority *a,
    struct fault *f)
{
	bool changed;
	jv v = registry_get(s->registry, path);

	if (jv_is_valid(v))
		v = schema_hoist(v);
	else
		v = JV_OBJECT(jv_string("description"), jv_string(
		    "signs what egns-ctl cert issue makes"));
	v = jv_object_set(v, jv_string("encodedCertificate"),
	    jv_string(a->pem));
	v = schema_make(s->registry, path, v, s->who, &changed, f);
	return jv_is_valid(v) ? registry_put(s->registry, path, v, f) : -1;
}

static int
read_authority(struct session *s, struct authority *a, struct fault *f)
{
	a->key = read_file(s, CA_KEY, f);
	a->pem = a->key == NULL ? NULL : read_file(s, CA_PEM, f);
	return a->pem == NULL ? -1 : 0;
}

/* A new one. The certificate is the proof that the key is there, too. */
static int
make_authority(struct session *s, jv namespace, struct authority *a,
    struct fault *f)
{
	if (registry_has(s->registry, RESOURCE))
		return fault_set(f, FAULT_CONFLICT, RESOURCE " is there, but "
		    CA_KEY " is not: delete the one, or restore the other");
	if (spool_mkdir(s->spool.fd, DIR_NAME, 0711) == -1)
		return fault_errno(f, FAULT_INTERNAL, DIR_NAME);
	if ((a->key = new_key(f)) == NULL || self_sign(a, namespace, f) == -1 ||
	    replace_key(s, CA_KEY, a->key, f) == -1)
		return -1;
	return write_pem(s, a, f) == -1 ? -1 :
	    put_resource(s, RESOURCE, a, f);
}

/* ---- the server ---- */

struct names {
	char text[NAMES_MAX][NAME_SIZE];
	const char *list[NAMES_MAX];
	size_t n;
};

/* A name or address; what cannot stand in a certificate is left out. */
static void
add_name(struct names *n, const char *name, size_t len)
{
	char *text;

	if (n->n == NAMES_MAX || len == 0 || len >= NAME_SIZE)
		return;
	text = n->text[n->n];
	snprintf(text, NAME_SIZE, "%.*s", (int)len, name);
	for (size_t i = 0; i < n->n; i++)
		if (strcasecmp(n->text[i], text) == 0)
			return;
	for (const char *p = text; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return;
	n->list[n->n++] = text;
}

static void
add_at(struct names *n, jv namespace, const char *path)
{
	const char *name = jq_str(namespace, path);

	if (name != NULL)
		add_name(n, name, strlen(name));
}

/* The host of HOST:PORT, unless it stands for all. */
static void
add_listeners(struct names *n, jv namespace)
{
	static const char *const paths[] = { "properties.listeners.mqtts",
		"properties.listeners.wss", "properties.listeners.https",
		"properties.listeners.callback" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const char *text = jq_str(namespace, paths[i]);
		struct address a;

		if (text == NULL)
			continue;
		address_split(&a, text, strlen(text));
		if (!address_is_any(&a) && *a.host != '*')
			add_name(n, a.host, a.host_len);
	}
}

static void
add_domains(struct names *n, jv namespace, const char *path)
{
	jv domains = jq_get(namespace, path);

	if (jv_get_kind(domains) == JV_KIND_ARRAY)
		jv_array_foreach(domains, i, d) {
			add_at(n, d, "fullyQualifiedDomainName");
			jv_free(d);
		}
	jv_free(domains);
}

/* All that the server may be called. */
static void
server_names(struct names *n, jv namespace)
{
	char host[256] = "";

	add_at(n, namespace, "properties.topicSpacesConfiguration.hostname");
	add_at(n, namespace, "properties.topicsConfiguration.hostname");
	add_name(n, "localhost", 9);
	add_name(n, "127.0.0.1", 9);
	add_name(n, "::1", 3);
	if (gethostname(host, sizeof(host) - 1) == 0)
		add_name(n, host, strlen(host));
	add_listeners(n, namespace);
	add_domains(n, namespace,
	    "properties.topicSpacesConfiguration.customDomains");
	add_domains(n, namespace,
	    "properties.topicsConfiguration.customDomains");
}

/* A new key for the server. Its old certificate goes first: half a pair is
 * never there. */
static char *
make_server_key(struct session *s, struct fault *f)
{
	char *key = new_key(f);

	if (key == NULL)
		return NULL;
	if ((unlinkat(s->spool.fd, SERVER_PEM, 0) == -1 && errno != ENOENT) ||
	    spool_sync_dir(s->spool.fd, DIR_NAME) == -1)
		fault_errno(f, FAULT_INTERNAL, SERVER_PEM);
	else if (replace_key(s, SERVER_KEY, key, f) == 0)
		return key;
	wipe(key);
	return NULL;
}

/* A new certificate for the server, for the key that it has, or a new one. */
static int
make_server(struct session *s, jv namespace, const struct authority *a,
    bool new, struct fault *f)
{
	struct names *names = calloc(1, sizeof(*names));
	struct buf pem = { 0 };
	char *key;
	int rc = -1;

	if (names == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	key = new || !is_there(s, SERVER_KEY) ? make_server_key(s, f) :
	    read_file(s, SERVER_KEY, f);
	server_names(names, namespace);
	if (key != NULL)
		rc = certify(&(struct issue){ .use = ISSUE_SERVER,
		    .name = jq_str(namespace, "name"), .key = key,
		    .alternatives = names->list, .n = names->n,
		    .days = SERVER_DAYS, .authority = a->pem,
		    .authority_key = a->key }, &pem, f);
	if (rc == 0)
		rc = replace(s, SERVER_PEM, &pem, f);
	wipe(key);
	buf_free(&pem);
	free(names);
	return rc;
}

int
authority_make(struct session *s, jv namespace, struct fault *f)
{
	struct authority a = { 0 };
	int rc = make_authority(s, namespace, &a, f);

	/* what is there is of a namespace whose creation was cut short */
	if (rc == 0)
		rc = make_server(s, namespace, &a, true, f);
	authority_free(&a);
	return rc;
}

/* ---- cert renew-server, cert renew-ca ---- */

/* A certificate of somebody else's is not ours to replace. */
static int
check_server(struct session *s, const struct authority *a, struct fault *f)
{
	char *pem;
	int rc = 0;

	if (!is_there(s, SERVER_PEM))
		return 0;
	if ((pem = read_file(s, SERVER_PEM, f)) == NULL)
		return -1;
	if (!cert_signed_by(pem, a->pem))
		rc = fault_set(f, FAULT_CONFLICT, SERVER_PEM " was not issued "
		    "here: --force replaces it, and its key");
	free(pem);
	return rc;
}

/* The authority as it is, or a new one when there never was one. */
static int
have_authority(struct session *s, jv namespace, struct authority *a,
    struct fault *f)
{
	return is_there(s, CA_PEM) ? read_authority(s, a, f) :
	    make_authority(s, namespace, a, f);
}

static int
renew_server(struct session *s, jv namespace, bool force, struct fault *f)
{
	struct authority a = { 0 };
	int rc = have_authority(s, namespace, &a, f);

	if (rc == 0 && !force)
		rc = check_server(s, &a, f);
	if (rc == 0)
		rc = make_server(s, namespace, &a, force, f);
	authority_free(&a);
	return rc;
}

/*
 * A new certificate for the authority's old key and name: what it has signed
 * stays good. The server's is renewed, too, which ended no later.
 */
static int
renew_ca(struct session *s, jv namespace, bool force, struct fault *f)
{
	struct authority a = { 0 };
	struct search found;
	int rc = read_authority(s, &a, f);

	if (rc == 0)
		rc = self_sign(&a, namespace, f);
	if (rc == 0)
		rc = write_pem(s, &a, f);
	if (rc == 0) {
		found = find_resource(s, &a);
		if (found.path[0] != '\0')
			rc = put_resource(s, found.path, &a, f);
	}
	if (rc == 0 && (force || check_server(s, &a, NULL) == 0))
		rc = make_server(s, namespace, &a, force, f);
	authority_free(&a);
	return rc;
}

static int
renew(struct ctl *ctl, const struct verb *verb, int argc, char *argv[],
    int (*how)(struct session *, jv, bool, struct fault *))
{
	struct session s = { 0 };
	struct fault f;
	bool force = argc == 1 && strcmp(argv[0], "--force") == 0;
	jv namespace;
	int rc;

	if (argc > (force ? 1 : 0))
		return argv[0][0] == '-' && !force ?
		    ctl_unknown_flag(verb, argv[0]) : ctl_usage(verb);
	if ((rc = session_open(&s, ctl, true)) != 0)
		return rc;
	namespace = registry_get(s.registry, "namespace");
	rc = how(&s, namespace, force, &f) == -1 ? ctl_fault(&f) :
	    session_commit(&s);
	jv_free(namespace);
	session_close(&s);
	return rc;
}

int
verb_cert_renew_server(struct ctl *ctl, const struct verb *verb, int argc,
    char *argv[])
{
	return renew(ctl, verb, argc, argv, renew_server);
}

int
verb_cert_renew_ca(struct ctl *ctl, const struct verb *verb, int argc,
    char *argv[])
{
	return renew(ctl, verb, argc, argv, renew_ca);
}

/* ---- cert issue ---- */

struct issuing {
	const char *name, *dir;
	const char *names[NAMES_MAX];
	size_t n;
	int days;
	bool force;
};

/* Create a file that is not there, or with force replace it, whole. */
static int
write_file(int dir, const char *name, const char *text, mode_t mode,
    bool force, struct fault *f)
{
	char tmp[NAME_MAX + 1], q[QUOTE_MAX];
	int fd, rc;

	quote(q, name, strlen(name));
	if (snprintf(tmp, sizeof(tmp), "%s.tmp", name) >= (int)sizeof(tmp))
		return fault_set(f, FAULT_BAD_REQUEST, "%s: too long", q);
	/* whoever left it, it must not be theirs */
	unlinkat(dir, tmp, 0);
	fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd == -1)
		return fault_errno(f, FAULT_FORBIDDEN, "%s", q);
	rc = file_pwrite(fd, text, strlen(text), 0);
	if (rc == 0)
		rc = fsync(fd);
	rc = file_close(fd, rc);
	if (rc == 0)
		rc = force ? renameat(dir, tmp, dir, name) :
		    linkat(dir, tmp, dir, name, 0);
	if (rc == -1)
		fault_errno(f, errno == EEXIST ? FAULT_CONFLICT :
		    FAULT_INTERNAL, "%s", q);
	unlinkat(dir, tmp, 0);
	return rc;
}

/* The authority's may be there already, when it is the same. */
static int
write_ca(int dir, const struct issuing *how, const struct authority *a,
    struct fault *f)
{
	size_t len;
	char *text = spool_read(dir, "ca.pem", PEM_MAX, &len);
	bool there = text != NULL, same = there && strcmp(text, a->pem) == 0;

	free(text);
	if (there && !same && !how->force)
		return fault_set(f, FAULT_CONFLICT, "ca.pem is another one, or "
		    "was renewed meanwhile: remove it, or -o DIR");
	return same ? 0 :
	    write_file(dir, "ca.pem", a->pem, 0644, how->force, f);
}

/* The key before the certificate, so that one that is there has a key. */
static int
write_pair(int dir, const struct issuing *how, const char *key,
    const char *pem, struct fault *f)
{
	char name[NAME_MAX + 1];

	snprintf(name, sizeof(name), "%s.key", how->name);
	if (write_file(dir, name, key, 0600, how->force, f) == -1)
		return -1;
	snprintf(name, sizeof(name), "%s.pem", how->name);
	if (write_file(dir, name, pem, 0644, how->force, f) == -1)
		return -1;
	return fsync(dir) == 0 ? 0 :
	    fault_errno(f, FAULT_INTERNAL, "%s", how->dir);
}

static int
exists(int dir, const struct issuing *how, const char *suffix, struct fault *f)
{
	char name[NAME_MAX + 1], q[QUOTE_MAX];

	snprintf(name, sizeof(name), "%s%s", how->name, suffix);
	if (how->force || faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW)
	    == -1)
		return 0;
	return fault_set(f, FAULT_CONFLICT, "%s exists already: --force "
	    "replaces it", quote(q, name, strlen(name)));
}

static int
issue_pair(const struct issuing *how, const struct authority *a, int dir,
    struct fault *f)
{
	struct buf pem = { 0 };
	char *key;
	int rc;

	if (exists(dir, how, ".key", f) == -1 ||
	    exists(dir, how, ".pem", f) == -1 || (key = new_key(f)) == NULL)
		return -1;
	rc = certify(&(struct issue){ .use = ISSUE_CLIENT, .name = how->name,
	    .key = key, .alternatives = how->names, .n = how->n,
	    .days = how->days, .authority = a->pem,
	    .authority_key = a->key }, &pem, f);
	if (rc == 0)
		rc = write_ca(dir, how, a, f);
	if (rc == 0)
		rc = write_pair(dir, how, key, buf_data(&pem), f);
	wipe(key);
	buf_free(&pem);
	return rc;
}

static int
issue_into(const struct issuing *how, const struct authority *a,
    struct fault *f)
{
	int dir, rc;

	if (spool_mkdir(AT_FDCWD, how->dir, 0755) == -1 ||
	    (dir = open(how->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return fault_errno(f, FAULT_FORBIDDEN, "%s", how->dir);
	rc = issue_pair(how, a, dir, f);
	close(dir);
	return rc;
}

static void
warn_unregistered(struct session *s, const struct authority *a)
{
	if (find_resource(s, a).path[0] == '\0')
		fprintf(stderr, "egns-ctl: " CA_PEM " is not registered, so "
		    "the broker does not trust what it signs: egns-ctl "
		    "namespace ca-certificate create -n NAME "
		    "--encoded-certificate @%s/" CA_PEM "\n", s->spool.path);
}

/* Words behind --subject-alternative-name up to the next flag; how many. */
static int
read_names(struct issuing *how, int argc, char *argv[])
{
	int n = 0;

	while (n < argc && argv[n][0] != '-' && how->n < NAMES_MAX)
		how->names[how->n++] = argv[n++];
	return n;
}

static int
read_flags(struct issuing *how, const struct verb *verb, int argc,
    char *argv[])
{
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--force") == 0)
			how->force = true;
		else if (strcmp(argv[i], "--days") == 0 && i + 1 < argc)
			how->days = (int)num_option("--days", argv[++i], 1,
			    ISSUE_DAYS_MAX);
		else if (strcmp(argv[i], "--subject-alternative-name") == 0)
			i += read_names(how, argc - i - 1, argv + i + 1);
		else if (argv[i][0] == '-')
			return ctl_unknown_flag(verb, argv[i]);
		else if (how->name != NULL)
			return ctl_usage(verb);
		else
			how->name = argv[i];
	}
	if (how->name == NULL)
		return ctl_usage(verb);
	/* it names files, too */
	if (how->name[0] == '.' || strchr(how->name, '/') != NULL ||
	    strcmp(how->name, "ca") == 0)
		return ctl_bad_usage(verb, "NAME is that of files: it is not "
		    "ca, does not begin with a dot, and has no /");
	return 0;
}

int
verb_cert_issue(struct ctl *ctl, const struct verb *verb, int argc,
    char *argv[])
{
	struct issuing how = { .days = DEVICE_DAYS,
		.dir = ctl->output_given ? ctl->output : "." };
	struct authority a = { 0 };
	struct session s = { 0 };
	struct fault f;
	int rc = read_flags(&how, verb, argc, argv);

	if (rc != 0 || (rc = session_open(&s, ctl, false)) != 0)
		return rc;
	if (read_authority(&s, &a, &f) == -1 || issue_into(&how, &a, &f) == -1)
		rc = ctl_fault(&f);
	else
		warn_unregistered(&s, &a);
	authority_free(&a);
	session_close(&s);
	return rc;
}
