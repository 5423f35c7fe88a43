"""The store in a file of SQLite, or in memory."""
