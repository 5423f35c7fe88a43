"""The native core and the plain one do the same."""
