"""The service. Start reading at `main.py`."""
