"""Routing: which endpoint serves this read or this write, and the proof that it may."""
