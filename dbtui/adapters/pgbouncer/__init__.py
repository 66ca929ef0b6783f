"""The console of PgBouncer: pools, counters, clients, and the orders that an operator may give."""
