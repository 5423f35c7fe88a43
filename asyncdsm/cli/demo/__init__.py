"""`asyncdsm demo`: a shop and its services as processes of their own, and something slow to find.

`shop`, `billing`, `shipping` and `mailing` are what a user would write, `invoices` and `shipments` the queues between
them; `service` is what they share; `broker` is the Kafka in this process and `rabbitmq` the server that may be
installed, `guard` what ends it; `run` starts and ends it all.
"""
