"""Pages that a project made its own, by a template of the same name in a directory of its own."""

from __future__ import annotations

import copy

import pytest

from tests.oauth import browser_of, make_app, make_person
from tests.oauth_pages import ask, text_of

pytestmark = pytest.mark.django_db

OWN = """{{% extends "apikeys/oauth/{name}" %}}
{{% block main %}}<p>We are Pied Piper.</p>{{{{ block.super }}}}{{% endblock %}}"""


def consent_page(person):
    return ask(make_app(), person)


def code_page(person):
    return browser_of(person).get("/o/device/", secure=True)


def apps_page(person):
    return browser_of(person).get("/o/connected-apps/", secure=True)


@pytest.mark.parametrize(
    ("name", "page"),
    [("consent.html", consent_page), ("device_code.html", code_page), ("connected.html", apps_page)],
)
def test_page_of_the_project_stands_in_place_of_ours_with_what_protects_it(settings, tmp_path, name, page):
    before = page(make_person())
    directory = tmp_path / "apikeys" / "oauth"
    directory.mkdir(parents=True)
    (directory / name).write_text(OWN.format(name=name))
    templates = copy.deepcopy(settings.TEMPLATES)
    templates[0]["DIRS"] = [tmp_path]
    settings.TEMPLATES = templates

    after = page(make_person())

    assert "We are Pied Piper." in text_of(after)
    protecting = ("Content-Security-Policy", "X-Frame-Options", "Cache-Control", "Referrer-Policy")
    assert {header: after.get(header) for header in protecting} == {header: before.get(header) for header in protecting}
    assert after["Content-Security-Policy"].startswith("default-src 'none'")
    assert after.content.count(b"<button") == before.content.count(b"<button")
