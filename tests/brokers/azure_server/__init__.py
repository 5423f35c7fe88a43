"""A stand-in for Azure Service Bus and Event Hubs, which speaks AMQP 1.0 to Microsoft's own clients.

Microsoft's emulators need containers. `python -m tests.brokers.azure_server servicebus 5672 FOLDER` serves a namespace,
and `eventhubs` one of event hubs; what it has taken is in the folder, and survives a kill. What it does as Azure does:

- anonymous SASL, then a token by `$cbs`, without TLS, as Microsoft's emulators have it;
- links with credit and drain, both settle modes, batches in Azure's format, messages that are too large;
- locks that end, delivery counts, abandoning, deferring, dead-lettering, sessions, topics and
  subscriptions, schedules, `$management`;
- event hubs of two partitions, consumer groups, the selectors of positions, the ends of partitions, `$management`.

What it does not do: check tokens, rules of subscriptions, transactions, expiry, duplicates, quotas, epochs; any entity
exists as soon as somebody names it. A subscription gets what is sent after it was first opened.
"""
