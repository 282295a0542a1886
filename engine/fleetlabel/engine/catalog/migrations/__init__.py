"""How the catalog's schema came to be, step by step; alembic runs what a database lacks."""
