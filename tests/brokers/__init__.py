"""Real brokers for the tests: each module starts one kind on loopback and stops it again."""
