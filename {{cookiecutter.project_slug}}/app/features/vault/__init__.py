"""The sample feature: secrets that their owner keeps here, sealed at rest. Copy it for a feature of your own."""
