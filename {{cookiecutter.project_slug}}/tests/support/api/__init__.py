"""What clients send to the API: good calls, stolen ones, and texts that it must refuse or keep."""
