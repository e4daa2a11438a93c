"""API keys: long-lived credentials of programs that act for their owner, within scopes, networks and a lifetime."""
