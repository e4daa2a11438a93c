"""The tests: they mirror `app/` one to one; `security/` holds the proofs that cut across."""
