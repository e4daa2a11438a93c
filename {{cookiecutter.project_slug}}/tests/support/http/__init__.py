"""HTTP below a client: bytes, ASGI messages, connections, and the time that they take."""
