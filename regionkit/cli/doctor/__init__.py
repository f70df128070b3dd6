"""`regionkit doctor`: facts are collected from every endpoint, and pure rules find in them what is not right yet."""
