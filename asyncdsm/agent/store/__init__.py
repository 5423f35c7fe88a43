"""Keeps what services report, in a SQLite file or in memory. `store.Store` is the one door for all others."""
