"""What the shop is plugged into: HTTP on the one side; PostgreSQL or memory, and argon2, on the other."""
