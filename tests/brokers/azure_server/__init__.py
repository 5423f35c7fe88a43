"""A stand-in for Azure Service Bus, which speaks AMQP 1.0 to Microsoft's own clients.

Microsoft's emulator needs containers and a SQL Server. `python -m tests.brokers.azure_server 5672 FOLDER` serves a
namespace; what it has taken is in the folder, and survives a kill. What it does as Azure does:

- anonymous SASL, then a token by `$cbs`, without TLS, as Microsoft's emulators have it;
- links with credit and drain, both settle modes, batches in Azure's format, messages that are too large;
- locks that end, delivery counts, abandoning, deferring, dead-lettering, sessions, topics and
  subscriptions, schedules, `$management`;

What it does not do: check tokens, rules of subscriptions, transactions, expiry, duplicates, quotas; any entity exists
as soon as somebody names it. A subscription gets what is sent after it was first opened.
"""
