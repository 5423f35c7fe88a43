"""The core in plain Python: the reference, used where the native core is not built or not wanted."""
