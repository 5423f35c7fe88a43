"""What several rooms need and no user does: logging, forks, URLs, and ddtrace in the same process."""
