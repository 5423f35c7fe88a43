"""`asyncdsm demo`: a shop, a billing and a shipping service as processes of their own, and something slow to find.

`shop`, `billing` and `shipping` are what a user would write; `service` is what they share, `broker` the Kafka in
this process, `run` starts and ends it all.
"""
