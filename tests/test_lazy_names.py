from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

PACKAGES = pytest.mark.parametrize(
    "package", [f"apikeys.{name}" for name in ("drf", "middleware", "oauth", "resource_server", "testing")]
)


def names_for_type_checkers(module):
    """Return what *module* imports to give it out again, as ``name as name``."""
    imports = [
        node for node in ast.walk(ast.parse(Path(module.__file__).read_text())) if isinstance(node, ast.ImportFrom)
    ]
    return {alias.asname for node in imports for alias in node.names if alias.asname}


@PACKAGES
def test_a_package_lists_the_names_that_type_checkers_know_and_each_loads(package):
    module = import_module(package)

    assert set(dir(module)) == names_for_type_checkers(module)
    for name in dir(module):
        assert getattr(module, name).__name__ == name


@PACKAGES
def test_an_unknown_name_is_an_attribute_error_as_of_any_module(package):
    with pytest.raises(AttributeError, match=f"^module '{package}' has no attribute 'Nothing'$"):
        import_module(package).Nothing  # noqa: B018  # to ask is to load


@PACKAGES
def test_a_package_is_imported_before_there_are_settings_and_loads_no_module_of_its_own(package):
    program = f"import sys, {package}; print(*(name for name in sys.modules if name.startswith('{package}.')))"

    ended = subprocess.run(  # noqa: S603  # this very project
        [sys.executable, "-c", program],
        env={"PATH": ""},
        cwd=Path(__file__).parents[1],
        check=True,
        capture_output=True,
    )

    assert ended.stdout.split() == []
