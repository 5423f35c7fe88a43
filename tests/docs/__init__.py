"""The manual: its pages are true, their links lead somewhere, and all of their code runs."""
