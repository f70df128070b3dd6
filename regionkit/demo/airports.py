"""The demo's data: 3,376 real airports (data/README.md names their source), and a count of landings that the demo writes."""

from __future__ import annotations

import csv
import gzip
import io
from importlib.resources import files
from typing import Any

from sqlalchemy import Column, Float, Integer, MetaData, String, Table

__all__ = ["AIRPORT", "METADATA", "airports"]

METADATA = MetaData()
AIRPORT = Table(
    "airport",
    METADATA,
    Column("iata", String(4), primary_key=True),
    Column("name", String(60), nullable=False),
    Column("city", String(60), nullable=False),
    Column("state", String(30), nullable=False),
    Column("latitude", Float, nullable=False),
    Column("longitude", Float, nullable=False),
    Column("landings", Integer, nullable=False),
)
"""The table of the demo's only store."""


def airports() -> list[dict[str, Any]]:
    """The rows that ship with the package, `landings` at 0."""
    packed = files("regionkit.demo").joinpath("data/airports.csv.gz").read_bytes()
    rows = csv.DictReader(io.StringIO(gzip.decompress(packed).decode()))
    return [
        {
            "iata": row["iata"],
            "name": row["name"],
            "city": row["city"],
            "state": row["state"],
            "latitude": float(row["latitude"]),
            "longitude": float(row["longitude"]),
            "landings": 0,
        }
        for row in rows
    ]
