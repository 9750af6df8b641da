"""What the dashboard's pages cost over a large database: time, plans of their queries, paint."""
