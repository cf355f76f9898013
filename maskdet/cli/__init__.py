"""The shell: ``python -m maskdet COMMAND``. Every command is one or two core calls and a printed table.

An error a person can act on is one line on stderr and exit status 1 (2 for a wrong command line). Tables go to
stdout; progress and timing go to stderr.
"""

# Each registers its commands, in the order in which they are listed: that of the work.
# isort: off
from maskdet.cli import data, models, mistakes, photos, attribution, reliability, bias, card, integrity
from maskdet.cli.shared import app, main
# isort: on

__all__ = [
    "app",
    "attribution",
    "bias",
    "card",
    "data",
    "integrity",
    "main",
    "mistakes",
    "models",
    "photos",
    "reliability",
]
