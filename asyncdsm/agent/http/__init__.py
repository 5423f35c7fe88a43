"""The agent over HTTP: endpoints, authentication, limits on connections, the server, and the program around it."""
