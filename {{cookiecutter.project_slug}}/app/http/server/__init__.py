"""The server: uvicorn with a protocol class of this service."""
