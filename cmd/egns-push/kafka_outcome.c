/* what errors of librdkafka mean */
#include "producing.h"

const struct outcome kafka_delivered = { .verdict = VERDICT_DELIVERED };

static bool
is_final(rd_kafka_resp_err_t error, enum dl_reason *reason,
    enum dl_result *result)
{
	static const struct {
		rd_kafka_resp_err_t error;
		enum dl_reason reason;
		enum dl_result result;
	} rows[] = {
		{ RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, DL_PAYLOAD_TOO_LARGE,
		    DL_RESULT_PAYLOAD_TOO_LARGE },
		{ RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, DL_PAYLOAD_TOO_LARGE,
		    DL_RESULT_PAYLOAD_TOO_LARGE },
		{ RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
		    DL_PAYLOAD_TOO_LARGE, DL_RESULT_PAYLOAD_TOO_LARGE },
		{ RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
		    DL_UNAUTHORIZED, DL_FORBIDDEN },
		{ RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
		    DL_UNAUTHORIZED, DL_FORBIDDEN },
		{ RD_KAFKA_RESP_ERR__AUTHENTICATION, DL_UNAUTHORIZED,
		    DL_RESULT_UNAUTHORIZED },
		{ RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
		    DL_UNAUTHORIZED, DL_RESULT_UNAUTHORIZED },
		{ RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, DL_ENDPOINT_NOT_FOUND,
		    DL_NOT_FOUND },
		{ RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
		    DL_ENDPOINT_NOT_FOUND, DL_NOT_FOUND },
		{ RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, DL_ENDPOINT_NOT_FOUND,
		    DL_NOT_FOUND },
		{ RD_KAFKA_RESP_ERR__BAD_MSG, DL_SCHEMA_REJECTED,
		    DL_BAD_REQUEST },
		{ RD_KAFKA_RESP_ERR_INVALID_MSG, DL_SCHEMA_REJECTED,
		    DL_BAD_REQUEST },
		{ RD_KAFKA_RESP_ERR_INVALID_RECORD, DL_SCHEMA_REJECTED,
		    DL_BAD_REQUEST },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].error != error)
			continue;
		*reason = rows[i].reason;
		*result = rows[i].result;
		return true;
	}
	return false;
}

static enum dl_result
result_of(rd_kafka_resp_err_t error)
{
	switch (error) {
	case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
	case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT: return DL_TIMED_OUT;
	case RD_KAFKA_RESP_ERR__RESOLVE: return DL_RESOLUTION_ERROR;
	case RD_KAFKA_RESP_ERR__TRANSPORT:
	case RD_KAFKA_RESP_ERR__SSL:
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
	case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION: return DL_SOCKET_ERROR;
	case RD_KAFKA_RESP_ERR__QUEUE_FULL:
	case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED: return DL_BUSY;
	default: return DL_ABORTED;
	}
}

bool
kafka_is_trouble(const struct kafka *k, rd_kafka_resp_err_t error)
{
	return k->trouble != RD_KAFKA_RESP_ERR_NO_ERROR &&
	    k->trouble != RD_KAFKA_RESP_ERR__TIMED_OUT &&
	    (error == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT ||
	    error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN);
}

void
kafka_outcome(const struct kafka *k, rd_kafka_resp_err_t error,
    struct outcome *o)
{
	enum dl_reason reason;
	enum dl_result result;

	if (kafka_is_trouble(k, error)) {
		result = result_of(k->trouble);
		outcome_later(o, result == DL_RESOLUTION_ERROR ? result :
		    DL_SOCKET_ERROR, "%s", k->words);
	} else if (is_final(error, &reason, &result)) {
		outcome_final(o, reason, result, "topic '%s': %s",
		    k->conf.topic, error == RD_KAFKA_RESP_ERR__AUTHENTICATION ?
		    k->words : rd_kafka_err2str(error));
	} else {
		outcome_later(o, result_of(error), "topic '%s': %s",
		    k->conf.topic, rd_kafka_err2str(error));
	}
}

bool
kafka_is_of_topic(rd_kafka_resp_err_t error)
{
	return error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
	    error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
	    error == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION ||
	    error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
}
