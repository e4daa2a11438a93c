"""The audit trail: every security event as a row that nobody can change unnoticed."""
