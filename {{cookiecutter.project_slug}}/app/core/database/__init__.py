"""The database: transactions, migrations, upkeep in batches, and what SQLite and PostgreSQL need."""
