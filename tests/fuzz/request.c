/* a header line of the local protocol: whatever it is, it has an answer */
#include <stdlib.h>
#include <string.h>

#include "../../cmd/egns-topicd/request.c"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct json json;
	struct fault fault = { 0 };
	struct request r;
	char *text = malloc(size);
	uint32_t t;

	if (text == NULL || size == 0) {
		free(text);
		return 0;
	}
	memcpy(text, data, size);
	switch (request_parse(&r, &json, text, size, &fault)) {
	case REQUEST_OK:
		if (r.op != OP_STATS && r.op != OP_RELOAD && !r.topic[0])
			abort();
		if (r.op == OP_PRODUCER && !r.producer[0])
			abort();
		if (r.after >= 0 && (uint64_t)r.after >= r.sequence)
			abort();
		if (r.undelivered &&
		    (r.op != OP_RELEASE || r.reason >= 0 || r.result >= 0))
			abort();
		if (r.delayed && r.op != OP_RECLAIM)
			abort();
		if (r.tokens != 0)
			for (t = r.tokens + 1; t < json.tok[r.tokens].next;
			     t = json.tok[t].next)
				if (json.tok[t].end - json.tok[t].start < 2)
					abort();
		break;
	case REQUEST_BAD:
	case REQUEST_LOST:
		if (fault.code == FAULT_NONE || fault.text[0] == '\0')
			abort();
		break;
	}
	json_trim(&json);
	free(text);
	return 0;
}
