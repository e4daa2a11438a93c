"""The middleware, one concern for each module; `app/http/stack.py` has the order."""
