from __future__ import annotations

import re
from datetime import timedelta
from types import FunctionType
from typing import Any

import pytest
from django.core.management import load_command_class
from django.dispatch import Signal
from rest_framework.test import APIRequestFactory

from apikeys import __version__, clients, conf, keys, signals, testing
from apikeys.drf import refusals
from apikeys.testing import ApiKeyClient, make_key
from tests.documents import PAGES, ROOT, blocks, commands

DOCS = ROOT / "docs"
SETTINGS = DOCS / "reference" / "settings.md"
ERRORS = DOCS / "reference" / "errors.md"
CHECKS = DOCS / "reference" / "checks.md"
COMMANDS = DOCS / "reference" / "commands.md"
LOGGING = DOCS / "reference" / "logging.md"
PYTHON = DOCS / "reference" / "python.md"

#: The app of each command.
APPS_OF_COMMANDS = {
    file.stem: ".".join(file.relative_to(ROOT).parts[:-3])
    for file in (ROOT / "apikeys").rglob("management/commands/[a-z]*.py")
}


def test_every_setting_is_documented_with_its_default():
    rows = re.findall(r"^\| `([A-Z_0-9]+)` \| `(.*?)` \|", SETTINGS.read_text(), flags=re.MULTILINE)

    documented = {name: eval(default, {"timedelta": timedelta}) for name, default in rows}  # noqa: S307  # our own page
    assert documented == conf.DEFAULTS


def test_every_error_code_is_documented_with_its_status_and_an_anchor():
    rows = re.findall(r'^\| (\d+) \| <a id="(\w+)"></a>`(\w+)` \|', ERRORS.read_text(), flags=re.MULTILINE)

    assert all(anchor == code for _, anchor, code in rows)
    assert {code: int(status) for status, _, code in rows} == {
        code: answer[0] for code, answer in refusals.ANSWERS.items()
    }


def test_every_check_is_documented_under_a_heading_of_its_own():
    files = (file for file in (ROOT / "apikeys").rglob("*.py") if "checks" in str(file.relative_to(ROOT)))
    sources = "".join(file.read_text() for file in files)
    ids = {f"apikeys.{name}" for name in re.findall(r'(?:apikeys\.|id=")([EW]\d{3})', sources)}

    assert ids == set(re.findall(r"^## (apikeys\.[EW]\d{3})$", CHECKS.read_text(), flags=re.MULTILINE))


def test_every_logger_is_documented_under_a_heading_of_its_own():
    sources = "".join(file.read_text() for file in (ROOT / "apikeys").rglob("*.py"))
    names = set(re.findall(r'getLogger\("([\w.]+)"\)', sources))

    assert names == set(re.findall(r"^## (apikeys\.\w+)$", LOGGING.read_text(), flags=re.MULTILINE))


def test_every_command_is_documented_under_a_heading_of_its_own():
    assert set(APPS_OF_COMMANDS) == set(re.findall(r"^## (\w+)$", COMMANDS.read_text(), flags=re.MULTILINE))


def test_every_signal_and_writer_is_documented():
    text = PYTHON.read_text()

    declared = {name for name, value in vars(signals).items() if isinstance(value, Signal)}
    assert {name for name in declared if f"`{name}`" not in text} == set()
    writers = {f"{module.__name__.split('.')[-1]}.{name}" for module in (keys, clients) for name in _functions(module)}
    internal = {"keys.record_use", "keys.rehash"}
    assert {name for name in writers - internal if f"`{name}(" not in text} == set()


def test_every_public_name_for_tests_is_documented():
    text = (DOCS / "how-to" / "test-your-api.md").read_text()

    assert {name for name in dir(testing) if name not in text} == set()


def test_the_architecture_page_names_every_module():
    text = (DOCS / "explanation" / "architecture.md").read_text()
    modules = {file.stem for file in (ROOT / "apikeys").iterdir() if not file.name.startswith(("_", "."))}

    assert {name for name in modules - {"py", "static", "templates", "locale"} if name not in text} == set()


def _functions(module):
    functions = {name: value for name, value in vars(module).items() if isinstance(value, FunctionType)}
    own = {name for name, value in functions.items() if value.__module__.startswith(module.__name__)}
    return {name for name in own if not name.startswith("_")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_pages_and_headings_that_exist(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http:", "https:")):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        if anchor:
            assert anchor in _anchors(linked.read_text()), target


def _anchors(text):
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)"', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_in_the_documents_compiles(page):
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_documents_parse(page):
    for command in commands(page):
        words = command.split()
        if words[:2] == ["python", "manage.py"] and words[2] in APPS_OF_COMMANDS:
            options = {word for word in words[3:] if word.startswith("--")}
            shown = (
                load_command_class(APPS_OF_COMMANDS[words[2]], words[2])
                .create_parser("manage.py", words[2])
                .format_help()
            )
            assert {option for option in options if option not in shown} == set()


@pytest.fixture
def protected_views():
    """The views of the how-to, made by its own code."""
    page = DOCS / "how-to" / "protect-a-view.md"
    views: dict[str, Any] = {}
    for block in blocks(page, "python"):
        if not block.startswith(("Todo.objects", "APIKEYS")):
            exec(block, views)  # noqa: S102  # the documents' own code
    return views


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("view", "method", "scopes", "status"),
    [
        pytest.param("Report", "get", ["todo:read", "usage:read"], 200, id="both scopes"),
        pytest.param("Report", "get", ["todo:read"], 403, id="one of both"),
        pytest.param("Todos", "get", ["todo:read"], 200, id="by method, read"),
        pytest.param("Todos", "post", ["todo:read"], 403, id="by method, write refused"),
        pytest.param("Todos", "post", ["todo:write"], 201, id="by method, write"),
        pytest.param("todos", "get", ["todo:read"], 200, id="function, read"),
        pytest.param("todos", "post", ["todo:read"], 403, id="function, write refused"),
        pytest.param("Mine", "get", ["todo:read"], 200, id="people and keys"),
        pytest.param("Mine", "get", ["usage:read"], 403, id="people and keys, refused"),
        pytest.param("Ping", "get", ["usage:read"], 200, id="any key"),
    ],
)
def test_the_views_of_the_how_to_do_what_it_says(protected_views, view, method, scopes, status):
    served = protected_views[view]
    call = served.as_view() if hasattr(served, "as_view") else served
    issued = make_key(scopes=scopes)
    request = getattr(APIRequestFactory(), method)(
        "/", secure=True, headers={"Authorization": f"Bearer {issued.plaintext}"}
    )

    assert call(request).status_code == status


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("actions", "method", "scopes", "status"),
    [
        pytest.param({"get": "list"}, "get", ["todo:read"], 200, id="list"),
        pytest.param({"post": "purge"}, "post", ["todo:read"], 403, id="purge without its scope"),
        pytest.param({"post": "purge"}, "post", ["todo:read", "todo:write"], 204, id="purge"),
    ],
)
def test_the_viewset_of_the_how_to_does_what_it_says(protected_views, actions, method, scopes, status):
    view = protected_views["TodoViewSet"].as_view(actions)
    issued = make_key(scopes=scopes)
    request = getattr(APIRequestFactory(), method)(
        "/", secure=True, headers={"Authorization": f"Bearer {issued.plaintext}"}
    )

    assert view(request).status_code == status


@pytest.mark.django_db
def test_the_python_of_the_reference_runs():
    names: dict[str, Any] = {}
    for block in blocks(PYTHON, "python")[:2]:
        exec(block, names)  # noqa: S102  # the documents' own code

    assert ApiKeyClient(names["replacement"]).get("/apikeys/whoami/").status_code == 200
    assert ApiKeyClient(names["issued"]).get("/apikeys/whoami/").json()["code"] == "key_revoked"


@pytest.mark.django_db
def test_the_tests_of_the_how_to_pass(api_key_client, make_api_key):
    names: dict[str, Any] = {}
    for block in blocks(DOCS / "how-to" / "test-your-api.md", "python"):
        exec(block, names)  # noqa: S102  # the documents' own code

    names["test_a_reader_sees_who_it_is"](None)
    names["test_writing_needs_its_scope"](api_key_client)
    names["test_two_keys_are_two"](make_api_key)


def test_each_guarantee_of_the_readme_names_tests_that_exist():
    rows = re.findall(
        r"^\| ([^|]+) \| ((?:`tests/[^`]+`(?:, )?)+) \|$", (ROOT / "README.md").read_text(), flags=re.MULTILINE
    )

    assert len(rows) >= 10
    for guarantee, named in rows:
        for file, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", named):
            assert f"def {test}(" in (ROOT / file).read_text(), f"{guarantee}: {file}::{test}"


def test_the_changelog_and_the_package_agree_on_the_version():
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 160
