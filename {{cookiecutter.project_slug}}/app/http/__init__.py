"""What stands between the socket and the routes: the server, reading of requests, the middleware in `stack.py`."""
