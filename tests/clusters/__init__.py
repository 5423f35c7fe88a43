"""Clusters of Apache Kafka with a configuration of their own: several nodes, listeners, many partitions, cleaning."""
