#include "blob_answer.h"

#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "quote.h"

static bool
is(const struct blob_error *e, const char *code)
{
	return strcmp(e->code, code) == 0;
}

static bool
is_one_of(const struct blob_error *e, const char *const *codes)
{
	while (*codes != NULL && !is(e, *codes))
		codes++;
	return *codes != NULL;
}

/* Those of the service are words without blanks. */
static bool
is_code(const char *text)
{
	return text[strspn(text, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")] == '\0';
}

void
blob_answer_error(const struct fetch_answer *a, struct blob_error *e)
{
	const char *code = fetch_header(a, "x-ms-error-code");

	blob_xml_error(a->body, a->body_len, e);
	if (code != NULL && is_code(code) && strlen(code) < sizeof(e->code))
		snprintf(e->code, sizeof(e->code), "%s", code);
	else if (!is_code(e->code))
		e->code[0] = '\0';
}

bool
blob_answer_disbelieves(const struct fetch_answer *a,
    const struct blob_error *e)
{
	return a->status == 401 ||
	    (a->status == 403 && is(e, "AuthenticationFailed"));
}

/* ---- the result ---- */

static enum blob_result
conflict(const struct blob_asked *q, const struct blob_error *e)
{
	static const char *const later[] = { "", "AccountBeingCreated",
		"ContainerBeingDeleted", "ContainerDisabled", NULL };

	if (is(e, "BlobAlreadyExists") && q->what == BLOB_PUT)
		return BLOB_EXISTS;
	return is_one_of(e, later) ? BLOB_LATER : BLOB_REFUSED;
}

static enum blob_result
condition(const struct blob_asked *q, const struct blob_error *e)
{
	/* a lease is somebody's for a while */
	if (strncmp(e->code, "Lease", 5) == 0)
		return BLOB_LATER;
	if (!q->if_absent)
		return BLOB_CHANGED;
	/* who says no more may not have seen what is there */
	return is(e, "ConditionNotMet") ? BLOB_EXISTS : BLOB_LATER;
}

static enum blob_result
failed(const struct blob_asked *q, long status, const struct blob_error *e)
{
	switch (status) {
	case 400:
		/* damaged on its way */
		return is(e, "Md5Mismatch") ? BLOB_LATER : BLOB_REFUSED;
	case 403:
		/* a signature for new blobs alone meets one that is there */
		return q->if_absent && is(e, "UnauthorizedBlobOverwrite") ?
		    BLOB_EXISTS : BLOB_LATER;
	case 404:
		return is(e, "BlobNotFound") ? BLOB_MISSING : BLOB_LATER;
	case 409:
		return conflict(q, e);
	case 412:
		return condition(q, e);
	case 401:
	case 408:
	case 429:
		return BLOB_LATER;
	}
	/* below 400 it is none of the service's: somebody is in between */
	return status >= 500 || status < 400 ? BLOB_LATER : BLOB_REFUSED;
}

/* What the service says when it is done: others that are asked in its place,
 * a proxy or a page to log in, have a status of their own. */
static long
success(const struct blob_asked *q)
{
	return q->what == BLOB_PUT ? 201 : q->what == BLOB_DELETE ? 202 : 200;
}

static enum blob_result
result_of(const struct blob_asked *q, const struct fetch_answer *a,
    const struct blob_error *e)
{
	bool body = q->what == BLOB_GET || q->what == BLOB_LIST;

	if (a->status != success(q))
		return failed(q, a->status, e);
	if (!body || a->failure == FETCH_WHOLE)
		return BLOB_DONE;
	return q->what == BLOB_GET && a->failure == FETCH_TOO_LONG ?
	    BLOB_REFUSED : BLOB_LATER;
}

/* May what was to be changed have been changed without our knowing? */
static bool
is_unsure(const struct blob_asked *q, const struct fetch_answer *a)
{
	if (q->what != BLOB_PUT && q->what != BLOB_DELETE)
		return false;
	return a->status == 0 ? a->sent :
	    a->status == 408 || a->status >= 500;
}

/* ---- words ---- */

static const char *
account_of(const struct blob_asked *q)
{
	return *q->proof->account != '\0' ? q->proof->account : "?";
}

static void
no_container(const struct blob_asked *q, struct buf *words)
{
	const char *url = q->proof->url;
	char c[QUOTE_MAX], u[QUOTE_MAX];
	bool azure = strstr(url, ".blob.core.") != NULL;

	quote(c, q->container, strlen(q->container));
	quote(u, url, strlen(url));
	buf_printf(words, "there is no container '%s'; make it: az storage "
	    "container create --name %s --account-name %s%s%s", c, c,
	    account_of(q), azure ? "" : " --blob-endpoint ", azure ? "" : u);
}

static void
no_role(const struct blob_asked *q, struct buf *words)
{
	const char *who = q->identity, *id = q->resource_id;
	const char *part = who != NULL ? strrchr(who, '/') : NULL;
	char w[QUOTE_MAX] = "the token's owner", scope[QUOTE_MAX];
	/* which az takes; for the rest it has other names */
	bool client = who != NULL && part == NULL && strlen(who) == 36;

	if (part != NULL)
		who = part + 1;
	if (who != NULL)
		quote(w, who, strlen(who));
	if (id == NULL)
		id = "ACCOUNT-ID";
	buf_printf(words, "%s%s lacks the role 'Storage Blob Data "
	    "Contributor' here; grant it: az role assignment create "
	    "--assignee %s --role 'Storage Blob Data Contributor' --scope "
	    "%s/blobServices/default/containers/%s",
	    who != NULL ? "identity " : "", w, client ? w : "PRINCIPAL-ID",
	    quote(scope, id, strlen(id)), q->container);
}

/* What to do about a 401 or 403, unless the service knows better than we. */
static void
forbidden(const struct blob_asked *q, const struct blob_error *e,
    struct buf *words)
{
	static const char *const how[] = {
		[BLOB_BEARER] = "the token is good no more, or not for "
		    BLOB_AUDIENCE,
		[BLOB_KEY] = "the key is not this account's, or this machine's "
		    "clock is wrong",
		[BLOB_SAS] = "the shared access signature is not this "
		    "account's, or has ended",
	};

	if (is(e, "AuthorizationPermissionMismatch") &&
	    q->proof->how == BLOB_BEARER)
		no_role(q, words);
	else if (is(e, "AuthorizationPermissionMismatch"))
		buf_printf(words, "the shared access signature does not "
		    "permit it; create, read, write, delete and list are "
		    "needed: sp=rcwdl");
	else if (is(e, "KeyBasedAuthenticationNotPermitted"))
		buf_printf(words, "the account takes no keys; give the "
		    "endpoint the credential of an identity");
	else if (is(e, "AuthenticationFailed") ||
	    is(e, "NoAuthenticationInformation") ||
	    is(e, "InvalidAuthenticationInfo"))
		buf_printf(words, "%s", how[q->proof->how]);
	else if (is(e, "AuthorizationFailure"))
		buf_printf(words, "%s, or the account's network rules keep "
		    "this machine out: az storage account network-rule add "
		    "--account-name %s --ip-address ADDRESS",
		    how[q->proof->how], account_of(q));
}

/* Words of ours, where we know what to do. */
static void
advise(const struct blob_asked *q, long status, const struct blob_error *e,
    struct buf *words)
{
	if (status == 401 || status == 403)
		forbidden(q, e, words);
	else if (is(e, "ContainerNotFound"))
		no_container(q, words);
	else if (is(e, "SnapshotsPresent"))
		buf_printf(words, "it has snapshots, which are not ours to "
		    "delete");
	else if (is(e, "BlobImmutableDueToPolicy"))
		buf_printf(words, "a policy of the container keeps blobs as "
		    "they are");
	else if (status < 400)
		buf_printf(words, "Blob Storage does not answer so; is it "
		    "the right URL?");
}

static void
explain(struct fault *f, enum fault_code code, const struct blob_asked *q,
    long status, const struct blob_error *e)
{
	bool told = blob_proof_told(q->proof, e->code) ||
	    blob_proof_told(q->proof, e->message);
	struct buf words = { 0 };
	char message[QUOTE_MAX];

	advise(q, status, e, &words);
	if (words.len == 0 && !told)
		buf_str(&words, quote(message, e->message,
		    strlen(e->message)));
	buf_add(&words, "", 1);
	fault_set(f, code, "status %ld%s%s%s%s", status,
	    e->code[0] == '\0' || told ? "" : " ", told ? "" : e->code,
	    words.len <= 1 ? "" : ": ", words.bad ? "" : buf_data(&words));
	buf_free(&words);
}

static enum fault_code
code_of(enum blob_result result, const struct fetch_answer *a)
{
	switch (result) {
	case BLOB_EXISTS:
	case BLOB_CHANGED:
		return FAULT_CONFLICT;
	case BLOB_MISSING:
		return FAULT_NOT_FOUND;
	case BLOB_REFUSED:
		return a->status == 413 || a->failure == FETCH_TOO_LONG ?
		    FAULT_TOO_LARGE : FAULT_BAD_REQUEST;
	case BLOB_LATER:
	case BLOB_DONE:
		break;
	}
	return FAULT_UNAVAILABLE;
}

void
blob_answer_read(struct blob_answer *b, const struct blob_asked *q,
    const struct fetch_answer *a, const struct blob_error *e)
{
	enum fault_code code;

	b->result = result_of(q, a, e);
	b->unsure = b->result == BLOB_LATER && is_unsure(q, a);
	b->silent = a->failure == FETCH_TIMEOUT;
	if (b->result == BLOB_DONE)
		return;
	code = code_of(b->result, a);
	if (a->status == 0 || a->status == success(q))
		fault_set(&b->fault, code, "%s", a->error);
	else
		explain(&b->fault, code, q, a->status, e);
}
