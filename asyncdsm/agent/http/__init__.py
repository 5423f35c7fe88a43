"""The agent over HTTP: routes, connections, tokens, and the program that runs them."""
