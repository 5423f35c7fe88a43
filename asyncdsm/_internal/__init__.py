"""Helpers that several packages share and no user needs: settings, logging, forks, URLs, ddtrace in this process."""
