"""What everything that speaks through libpq shares: PostgreSQL itself and the console of PgBouncer."""
