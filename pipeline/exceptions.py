"""What can the user mend? One base class; its text is one sentence or two, shown on the page and on stderr as it is."""


class WorkbenchError(Exception):
    """Something the user can mend. Says what was expected, what was found, what to do."""

    exit_status = 2         # of a command: the request could not be understood


class ConfigError(WorkbenchError):
    """A field of a RunConfig is unknown or out of bounds."""

    def __init__(self, sentence: str, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field      # dotted name of the field to mend, where it is one


class DataError(WorkbenchError):
    """A data source cannot be found, read or trained on."""


class ModelError(WorkbenchError):
    """A model cannot be found or loaded."""


class StorageError(WorkbenchError):
    """A folder cannot be written."""

    exit_status = 1         # of a command: it could not be carried out


class RunError(WorkbenchError):
    """A run record is missing, damaged, or in a state that forbids what was asked."""
