"""Sinks: where the rows of a write-back cache stand. Each module is opened by the family that it is named for."""
