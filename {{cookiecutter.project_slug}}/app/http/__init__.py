"""The middleware stack: one concern for each file, pure ASGI, in the order of `stack.py`."""
