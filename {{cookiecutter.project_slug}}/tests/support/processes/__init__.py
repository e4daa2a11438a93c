"""The service and `manage` as processes of their own, started warm."""
