"""Packages that only some options need: imported when asked for, named where they are missing."""

from __future__ import annotations

import importlib
from typing import Any


def need(module: str, extra: str | None, what: str) -> Any:
    """A module of a package that need not be installed.

    Args:
        module: Its name, such as ``onnx.helper``.
        extra: The extra of elbax that brings it; None where it has to be installed by itself.
        what: The option that needs it, for the message.

    Raises:
        ValueError: It is not installed; in one line, with the command that mends it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # something that the package itself lacks
        package = module.partition(".")[0]
        install = package if extra is None else f"'elbax[{extra}]'"
        raise ValueError(
            f"{what} needs the package {package}, which is not installed: pip install {install}"
        ) from None
