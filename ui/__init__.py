"""What the pages share: the session's data, cached reads of the core, charts and galleries."""
