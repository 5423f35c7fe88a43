"""The functions for a mock cluster of the librdkafka that the confluent-kafka package brought along."""

from ctypes import CDLL, POINTER, c_char_p, c_int, c_size_t, c_void_p

from confluent_kafka import cimpl

# A name is looked up in all that the extension is linked to as well, and that is librdkafka.
library = CDLL(cimpl.__file__)

for name, result, arguments in [
    ("rd_kafka_conf_new", c_void_p, []),
    ("rd_kafka_conf_set", c_int, [c_void_p, c_char_p, c_char_p, c_char_p, c_size_t]),
    ("rd_kafka_new", c_void_p, [c_int, c_void_p, c_char_p, c_size_t]),
    ("rd_kafka_destroy", None, [c_void_p]),
    ("rd_kafka_err2str", c_char_p, [c_int]),
    ("rd_kafka_mock_cluster_new", c_void_p, [c_void_p, c_int]),
    ("rd_kafka_mock_cluster_destroy", None, [c_void_p]),
    ("rd_kafka_mock_cluster_bootstraps", c_char_p, [c_void_p]),
    ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, [c_void_p, c_int]),
    ("rd_kafka_mock_topic_create", c_int, [c_void_p, c_char_p, c_int, c_int]),
    ("rd_kafka_mock_push_request_errors_array", c_int, [c_void_p, c_int, c_size_t, POINTER(c_int)]),
    ("rd_kafka_mock_clear_request_errors", None, [c_void_p, c_int]),
    ("rd_kafka_mock_broker_set_down", c_int, [c_void_p, c_int]),
    ("rd_kafka_mock_broker_set_up", c_int, [c_void_p, c_int]),
    ("rd_kafka_mock_broker_set_rtt", c_int, [c_void_p, c_int, c_int]),
]:
    function = getattr(library, name, None)
    if function is None:
        continue  # a release before it
    function.restype, function.argtypes = result, arguments


def check(code: int) -> None:
    """Raise what an error code says; 0 is none."""
    if code:
        raise RuntimeError(f"librdkafka: {library.rd_kafka_err2str(code).decode()}")
