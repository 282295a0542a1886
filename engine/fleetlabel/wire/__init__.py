"""Between the API's messages and the engine's own values, both ways: what server and client have in common."""
