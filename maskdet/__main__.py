"""``python -m maskdet``: the shell."""

from maskdet.cli import main

if __name__ == "__main__":
    main()
