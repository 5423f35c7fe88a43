"""`asyncdsm demo`: a shop of several services, each in a process of its own, with one slow step to find.

`shop`, `billing`, `shipping` and `mailing` are the services, as a user would write them. `invoices` and `shipments` are
the queues between them, and `service` holds what the services share. `broker` is a Kafka in the process of the demo,
`rabbitmq` starts the installed RabbitMQ, and `guard` makes sure that it ends. `run` starts and stops everything.
"""
