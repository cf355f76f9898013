"""The shell: ``python -m maskdet COMMAND``. Every command is one or two core calls and a printed table.

An error a person can act on is one line on stderr and exit status 1 (2 for a wrong command line). Tables go to
stdout; progress and timing go to stderr.
"""

from maskdet.cli import (  # each registers its commands
    attribution,
    bias,
    card,
    data,
    mistakes,
    models,
    photos,
    reliability,
)
from maskdet.cli.shared import main

__all__ = ["attribution", "bias", "card", "data", "main", "mistakes", "models", "photos", "reliability"]
