"""Whether a server can listen where it is told to, found out before anything slow is loaded."""

import socket

from worldloom.errors import InputError


def check_free(host: str, port: int, what: str) -> None:
    """Listen there for a moment.

    Args:
        what: is to be served, in a word.
    Raises:
        InputError: a port that cannot be or is in use, a name that nobody knows, or a port for root only.
    """
    if not 1 <= port <= 65535:
        raise InputError(f"--port must be 1 to 65535, got {port}")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: one just closed is none
        try:
            probe.bind((host, port))
        except socket.gaierror as error:
            raise InputError(
                f"no {what} can be served at {host}:{port}: {error.strerror}; try another --host"
            ) from error
        except OSError as error:
            raise InputError(
                f"no {what} can be served at {host}:{port}: {error.strerror}; try another --port"
            ) from error
