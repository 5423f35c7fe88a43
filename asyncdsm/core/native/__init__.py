"""The native core: `_native.pyx` and what it includes, compiled when the package is built."""
