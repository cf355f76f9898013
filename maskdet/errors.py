"""The errors a person can act on. The text of each is one clear sentence, shown as it is by the app and the shell."""


class MaskDetError(Exception):
    """Something the user can put right: a missing folder, a broken file, a step that comes first."""


class PhotoError(MaskDetError):
    """A file that is not a photo one can look at: broken, truncated, too large, or no image at all."""


class WorkspaceError(MaskDetError):
    """The workspace cannot be read or written, or lacks what an earlier step makes."""


class RunError(MaskDetError):
    """A run is unknown, unfinished, or its files are damaged."""
