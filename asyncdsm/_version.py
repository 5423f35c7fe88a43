"""The version, for the payload and for users."""

__version__ = "0.1.0"
