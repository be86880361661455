"""Packages that may be missing: those that come with an extra, and those that are the user's."""

from importlib import import_module
from typing import Any

from selfremaster.core.errors import ComponentError


def require(package: str, extra: str | None = None) -> Any:
    """Import a package that comes with an extra, or with none; raises `ComponentError`.

    >>> require("a_package_that_is_nowhere", "metrics")
    Traceback (most recent call last):
    selfremaster.core.errors.ComponentError: needs the package a_package_that_is_nowhere; pip in...
    """
    try:
        return import_module(package)
    except ImportError as error:
        missing = getattr(error, "name", None) or package
        remedy = f"pip install 'selfremaster[{extra}]'" if extra else f"pip install {missing}"
        raise ComponentError(f"needs the package {missing}; {remedy}") from error
