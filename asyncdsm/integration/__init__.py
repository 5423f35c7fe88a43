"""What an integration of a message client stands on."""
