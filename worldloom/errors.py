"""The two errors a user can mend: bad input, and a part that is not installed."""

import importlib
from types import ModuleType


class InputError(ValueError):
    """Something from outside is not what we expect. The message names what was expected and what came, in one line.

    The command line prints it without a traceback and exits with 2.
    """


class MissingExtra(ImportError):
    """An optional dependency is not installed. The message holds the install line."""


def require(module: str, extra: str, why: str) -> ModuleType:
    """Import an optional dependency where it is used.

    Raises:
        MissingExtra: with the install line, where the module cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(f"{why} needs {module} ({error}); pip install 'worldloom[{extra}]'") from error
