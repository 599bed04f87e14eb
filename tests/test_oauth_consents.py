from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.test import override_settings
from oauth2_provider.models import (
    get_access_token_model,
    get_device_grant_model,
    get_grant_model,
    get_refresh_token_model,
)

from apikeys import clients
from apikeys.conf import settings
from apikeys.core import errors
from apikeys.models import ClientKind, KeyEvent
from apikeys.oauth import consents
from tests.factories import PersonFactory
from tests.oauth import get_code, get_token, make_app, make_person
from tests.oauth_pages import declaring

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def richard():
    return make_person("Richard")


@pytest.fixture
def app():
    return make_app()


def last_event(kind="consent_given"):
    return KeyEvent.objects.filter(kind=kind).latest("pk")


class TestGiving:
    """``consents.give``."""

    def test_first_consent_lasts_as_long_as_the_setting_says(self, richard, app):
        consent = consents.give(richard, app.client, scopes=["todo:read"], now=NOON)

        assert (consent.scopes, consent.given_at, consent.since) == (["todo:read"], NOON, NOON)
        assert consent.expires_at == NOON + timedelta(days=90)

    def test_more_is_added_to_what_there_is(self, richard, app):
        consents.give(richard, app.client, scopes=["todo:read"], now=NOON)

        later = NOON + timedelta(days=10)
        consent = consents.give(richard, app.client, scopes=["todo:write"], now=later)

        assert consent.scopes == ["todo:read", "todo:write"]
        assert (consent.since, consent.given_at) == (NOON, later)
        assert consent.expires_at == later + timedelta(days=90)

    @pytest.mark.parametrize(("late", "scopes"), [(0, ["todo:write"]), (-1, ["todo:read", "todo:write"])])
    def test_consent_that_is_over_adds_nothing(self, richard, app, late, scopes):
        ends = consents.give(richard, app.client, scopes=["todo:read"], now=NOON).expires_at

        consent = consents.give(richard, app.client, scopes=["todo:write"], now=ends + timedelta(seconds=late))

        assert consent.scopes == scopes

    def test_each_answer_leaves_an_event_with_what_was_added(self, richard, app):
        consents.give(richard, app.client, scopes=["todo:read"])
        consents.give(richard, app.client, scopes=["todo:read"])

        first, second = KeyEvent.objects.filter(kind="consent_given").order_by("pk")
        assert [first.details["scopes"], second.details["scopes"]] == [["todo:read"], []]
        assert (first.client, first.actor, first.source) == (app.client, richard, "page")

    def test_answer_of_the_person_makes_an_implied_consent_theirs(self, richard, app):
        consents.give(richard, app.client, scopes=["todo:read"], is_implied=True)

        assert not consents.give(richard, app.client, scopes=["todo:read"]).is_implied

    def test_implied_consent_leaves_the_answer_of_the_person_alone(self, richard, app):
        consents.give(richard, app.client, scopes=["todo:read"])

        assert not consents.give(richard, app.client, scopes=["todo:read"], is_implied=True).is_implied

    def test_answer_of_the_person_confirms_nothing_that_nobody_asked_for(self, richard, app):
        consents.give(richard, app.client, scopes=["todo:write"], is_implied=True)

        assert consents.give(richard, app.client, scopes=["todo:read"]).scopes == ["todo:read"]

    def test_what_is_added_without_asking_is_not_the_answer_of_the_person(self, richard):
        app = make_app(kind=ClientKind.FIRST_PARTY)
        consents.give(richard, app.client, scopes=["todo:read"])

        consent = consents.give(richard, app.client, scopes=["todo:write"], is_implied=True)

        assert (consent.scopes, consent.is_implied) == (["todo:read", "todo:write"], True)

    def test_answer_of_the_person_brings_back_nothing_above_the_ceiling(self, richard, app):
        consents.give(richard, app.client, scopes=["todo:read", "todo:write"])
        clients.set_ceiling(app.client, scopes=["todo:read"])

        assert consents.give(richard, app.client, scopes=["todo:read"]).scopes == ["todo:read"]

    def test_implied_consent_does_not_make_an_old_answer_fresh(self, richard, app):
        asked = consents.give(richard, app.client, scopes=["todo:read"], now=NOON)

        consents.give(richard, app.client, scopes=["todo:read"], is_implied=True, now=NOON + timedelta(days=1))

        asked.refresh_from_db()
        assert asked.given_at == NOON
        assert asked.expires_at == NOON + timedelta(days=1) + settings.CONSENT_LIFETIME

    @pytest.mark.parametrize(
        ("scopes", "error"),
        [
            pytest.param([], errors.NoScopesError, id="none"),
            pytest.param(["todo:all"], errors.UndeclaredScopeError, id="undeclared"),
            pytest.param(["usage:read"], errors.ScopeAboveCeilingError, id="above-ceiling"),
            pytest.param(["apikeys:introspect"], errors.ScopeNotGrantableError, id="reserved"),
        ],
    )
    def test_what_no_app_may_do_is_refused(self, richard, app, scopes, error):
        reserved = {"todo:read": "Read.", "todo:write": "Write.", "usage:read": "Use."}
        with declaring(reserved), pytest.raises(error):
            consents.give(richard, app.client, scopes=scopes)

        assert consents.live(richard, app.client) is None

    def test_disabled_client_is_refused(self, richard, app):
        clients.disable(app.client)

        with pytest.raises(errors.ClientNotActiveError):
            consents.give(richard, app.client, scopes=["todo:read"])

    def test_disabled_person_is_refused(self, richard, app):
        richard.is_active = False

        with pytest.raises(errors.OwnerNotActiveError):
            consents.give(richard, app.client, scopes=["todo:read"])

    def test_old_tokens_stay_dead_when_a_consent_that_ran_out_is_given_again(self, richard, app, time_machine):
        get_token(app, richard)
        time_machine.move_to(datetime.now(UTC) + timedelta(days=90))

        consents.give(richard, app.client, scopes=["todo:read"])

        assert not get_access_token_model().objects.exists()
        assert get_refresh_token_model().objects.get().revoked is not None

    def test_new_permissions_keep_the_tokens(self, richard, app):
        get_token(app, richard)

        consents.give(richard, app.client, scopes=["todo:write"])

        assert get_access_token_model().objects.count() == 1


class TestWithdrawing:
    """``consents.withdraw``."""

    def test_consent_tokens_and_codes_are_gone(self, richard, app):
        get_token(app, richard)
        get_code(app, richard)

        assert consents.withdraw(richard, app.client, by=richard)

        assert consents.live(richard, app.client) is None
        assert not get_access_token_model().objects.exists()
        assert not get_grant_model().objects.exists()
        assert get_refresh_token_model().objects.get().revoked is not None

    def test_what_others_let_the_app_do_stays(self, richard, app):
        dinesh = make_person("Dinesh")
        get_token(app, richard)
        get_token(app, dinesh)
        other = make_app()
        get_token(other, richard)

        consents.withdraw(richard, app.client, by=richard)

        assert consents.live(dinesh, app.client) is not None
        assert consents.live(richard, other.client) is not None
        assert get_access_token_model().objects.count() == 2
        assert get_refresh_token_model().objects.filter(revoked=None).count() == 2

    def test_device_that_was_let_in_is_told_no(self, richard, app):
        grants = get_device_grant_model()
        consents.give(richard, app.client, scopes=["todo:read"])
        grant = grants.objects.create(
            user=richard,
            client_id=app.client_id,
            device_code="digest",
            user_code="BCDFGHJK",
            status=grants.AUTHORIZED,
            expires=datetime.now(UTC) + timedelta(minutes=5),
        )

        consents.withdraw(richard, app.client, by=richard)

        grant.refresh_from_db()
        assert grant.status == grants.DENIED

    def test_event_says_what_was_withdrawn_and_by_whom(self, richard, app):
        consents.give(richard, app.client, scopes=["todo:read"])

        consents.withdraw(richard, app.client, by=richard)

        event = last_event("consent_withdrawn")
        assert (event.client, event.actor) == (app.client, richard)
        assert event.details == {"scopes": ["todo:read"], "person": "Richard"}

    def test_nothing_there_is_no_event(self, richard, app):
        assert not consents.withdraw(richard, app.client, by=richard)
        assert not KeyEvent.objects.filter(kind="consent_withdrawn").exists()

    def test_others_may_not_unless_they_may_stop_keys(self, richard, app):
        consents.give(richard, app.client, scopes=["todo:read"])

        with pytest.raises(errors.NotPermittedError):
            consents.withdraw(richard, app.client, by=make_person())
        assert consents.withdraw(richard, app.client, by=PersonFactory(rights=["revoke_apikey"]))


class TestLookingUp:
    """``live``, ``of``, ``lock_covering`` and ``record_use``."""

    @pytest.mark.parametrize(("early", "is_live"), [(timedelta(0), False), (timedelta(microseconds=1), True)])
    def test_consent_ends_at_its_end(self, richard, app, early, is_live):
        ends = consents.give(richard, app.client, scopes=["todo:read"], now=NOON).expires_at

        assert (consents.live(richard, app.client, now=ends - early) is not None) is is_live

    def test_list_is_the_persons_own_by_name(self, richard):
        for name in ("Watch", "Bank"):
            consents.give(richard, make_app(name=name).client, scopes=["todo:read"])
        consents.give(make_person(), make_app(name="Other").client, scopes=["todo:read"])

        assert [consent.client.name for consent in consents.of(richard)] == ["Bank", "Watch"]

    def test_covering_consent_is_returned(self, richard, app):
        given = consents.give(richard, app.client, scopes=["todo:read", "todo:write"], now=NOON)

        with transaction.atomic():
            assert consents.lock_covering(richard, app.client, scopes=["todo:read"], now=NOON) == given

    @pytest.mark.parametrize(
        ("scopes", "at"),
        [(["todo:write"], NOON), (["todo:read"], NOON + timedelta(days=90))],
        ids=["more-than-given", "over"],
    )
    def test_consent_that_does_not_cover_is_missing(self, richard, app, scopes, at):
        consents.give(richard, app.client, scopes=["todo:read"], now=NOON)

        with transaction.atomic(), pytest.raises(errors.ConsentMissingError):
            consents.lock_covering(richard, app.client, scopes=scopes, now=at)

    def test_use_is_written_once_a_minute(self, richard, app, django_assert_num_queries):
        consent = consents.give(richard, app.client, scopes=["todo:read"])

        for seconds in (0, 59, 60, 30):
            with django_assert_num_queries(1):
                consents.record_use(consent.pk, at=NOON + timedelta(seconds=seconds))

        consent.refresh_from_db()
        assert consent.last_used_at == NOON + timedelta(seconds=60)

    def test_use_after_withdrawal_is_no_fault(self, richard, app):
        consent = consents.give(richard, app.client, scopes=["todo:read"])
        pk = consent.pk
        consents.withdraw(richard, app.client, by=richard)

        consents.record_use(pk, at=NOON)

        assert consents.live(richard, app.client) is None


def test_setting_says_how_long_a_consent_lasts(richard, app):
    with override_settings(APIKEYS={**settings.given(), "CONSENT_LIFETIME": timedelta(days=7)}):
        consent = consents.give(richard, app.client, scopes=["todo:read"], now=NOON)

    assert consent.expires_at == NOON + timedelta(days=7)
