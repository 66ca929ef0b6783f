"""The dialect of PostgreSQL: psycopg2 for questions, PostgreSQL's own tools for dumps."""
