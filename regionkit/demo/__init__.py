"""`regionkit demo`: three regions, a story in half a minute, figures that were measured. Nothing but Python is needed.

python -m regionkit.demo [--fast] [--plain] [--json] [--seed N] [--real] [--folder FOLDER]
"""

from regionkit.demo.command import add_arguments, main, run

__all__ = ["add_arguments", "main", "run"]
