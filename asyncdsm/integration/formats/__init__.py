"""What several clients of one broker have in common: headers, edges and offsets of Kafka, AMQP and AWS."""
