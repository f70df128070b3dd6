"""Cassandra: one endpoint a data centre, no owner; SESSION by overlapping levels."""
