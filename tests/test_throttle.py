from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from rest_framework.decorators import action, api_view, authentication_classes, permission_classes, throttle_classes
from rest_framework.exceptions import Throttled
from rest_framework.response import Response
from rest_framework.throttling import SimpleRateThrottle

from apikeys import clients, keys
from apikeys.drf import APIKeyAuthentication, HasScopes, KeyRateThrottle, counts_as, requires_scopes
from apikeys.registry import scope_registry
from apikeys.testing import make_key

from .drf_views import PlainViewSet, ask, derived
from .factories import ClientFactory
from .limited import Limited, limited, with_settings

pytestmark = pytest.mark.django_db


def statuses(*callbacks, key, **request):
    return [ask(callback, key=key, **request).status_code for callback in callbacks]


def test_requests_beyond_a_rate_are_refused(settings):
    with_settings(settings, RATES=["3/h"])
    key = make_key()

    responses = [ask(Limited, key=key) for _ in range(5)]

    assert [response.status_code for response in responses] == [200, 200, 200, 429, 429]
    refused = responses[-1]
    assert refused.json()["code"] == "rate_limited"
    assert refused.json()["violated_policies"] == ["hour"]
    assert refused.json()["detail"] == f"Too many requests. Try again in {refused['Retry-After']} seconds."
    assert 1 <= int(refused["Retry-After"]) <= 3600


def test_a_refusal_is_the_exception_that_handlers_of_rest_framework_know(settings):
    with_settings(settings, RATES=["1/h"])
    handled = []

    def handle_exception(self, error):
        handled.append(error)
        return super(Handling, self).handle_exception(error)

    Handling = limited(handle_exception=handle_exception)  # noqa: N806  # a class
    key = make_key()

    assert statuses(Handling, Handling, key=key) == [200, 429]
    [refused] = handled
    assert isinstance(refused, Throttled)
    assert refused.get_codes() == "rate_limited"


@pytest.mark.parametrize(
    ("project", "client", "key", "least"),
    [
        pytest.param(["2/h"], ["4/h"], ["3/h"], 2, id="project"),
        pytest.param(["4/h"], ["2/h"], ["3/h"], 2, id="client"),
        pytest.param(["4/h"], [], ["2/h"], 2, id="key"),
        pytest.param(["9/min"], ["3/h"], ["2/day"], 2, id="longest window"),
        pytest.param([], [], [], 6, id="none"),
    ],
)
def test_the_strictest_of_project_client_and_key_counts(settings, project, client, key, least):
    with_settings(settings, RATES=project)
    issued = make_key(client=ClientFactory(rates=client), rates=key)

    assert statuses(*[Limited] * 6, key=issued).count(200) == least


def test_a_key_and_its_replacement_share_one_budget(settings):
    with_settings(settings, RATES=["3/h"])
    old = make_key()
    new = keys.rotate(old.key)

    found = [ask(Limited, key=key).status_code for key in (old, new, old, new, old)]

    assert found == [200, 200, 200, 429, 429]


def test_keys_that_do_not_replace_each_other_share_no_budget(settings):
    with_settings(settings, RATES=["1/h"])
    client = clients.create(name="Fleet", allowed_scopes=list(scope_registry()))
    issued = [make_key(client=client, owner=None) for _ in range(3)]

    assert [ask(Limited, key=key).status_code for key in issued] == [200, 200, 200]


def test_a_changed_amount_counts_on_in_the_same_window():
    key = make_key(rates=["3/h"])
    statuses(*[Limited] * 4, key=key)

    keys.set_limits(key.key, rates=["5/h"], quotas=[])

    assert statuses(*[Limited] * 3, key=key) == [200, 200, 429]


def test_people_and_strangers_pass_untouched(settings):
    with_settings(settings, RATES=["1/h"])
    Open = limited(permission_classes=[])  # noqa: N806  # a class
    person = User.objects.create_user("person")

    people = [ask(Open, user=person) for _ in range(3)]
    strangers = [ask(Open) for _ in range(3)]

    assert [response.status_code for response in (*people, *strangers)] == [200] * 6
    assert "RateLimit" not in people[0]


def test_a_scope_counts_besides_the_other_rates_and_a_refused_request_spends_neither(settings):
    with_settings(settings, RATES=["4/h"], LIMIT_SCOPES={"search": ["2/h"]})
    Search = limited(limit_scope="search")  # noqa: N806  # a class
    key = make_key()

    found = statuses(Search, Search, Search, Search, Search, Limited, Limited, Limited, key=key)

    assert found == [200, 200, 429, 429, 429, 200, 200, 429]


def test_a_scope_that_the_settings_do_not_name_fails_closed(settings):
    with_settings(settings, LIMIT_SCOPES={"search": ["2/h"]})

    with pytest.raises(ImproperlyConfigured, match="no rates for 'serach'"):
        ask(limited(limit_scope="serach"), key=make_key())


@pytest.mark.parametrize("cost", [2.5, -1, True, None], ids=str)
def test_a_cost_that_is_no_number_of_requests_fails_closed(settings, cost):
    with_settings(settings, RATES=["10/h"])

    with pytest.raises(ImproperlyConfigured, match="can't cost"):
        ask(limited(limit_cost=cost), key=make_key())


def by_method(self, request):
    return 5 if request.method == "POST" else 0


@pytest.mark.parametrize(
    ("cost", "method", "admitted"),
    [
        pytest.param(1, "get", 10, id="one"),
        pytest.param(4, "get", 2, id="a number"),
        pytest.param(by_method, "post", 2, id="a method"),
        pytest.param(by_method, "get", 12, id="nothing"),
        pytest.param(11, "get", 0, id="more than there ever is"),
    ],
)
def test_a_view_says_what_its_requests_cost(settings, cost, method, admitted):
    with_settings(settings, RATES=["10/h"])
    Costly = limited(limit_cost=cost)  # noqa: N806  # a class

    assert statuses(*[Costly] * 12, key=make_key(), method=method).count(200) == admitted


def by_the_page(self, request):
    return 100 * int(request.GET["pages"])


def test_a_cost_of_more_digits_than_can_be_written_is_refused_and_lets_nobody_else_in(settings):
    with_settings(settings, RATES=["10/h"], QUOTAS=["1000/month"])
    Costly = limited(limit_cost=by_the_page)  # noqa: N806  # a class
    # As many as Python reads.
    address = f"/?pages={'9' * 4300}"

    greedy = [ask(Costly, key=key, address=address) for key in [make_key()] * 2]

    assert [response.status_code for response in greedy] == [429, 429]
    assert statuses(*[Limited] * 12, key=make_key()).count(200) == 10


@counts_as(cost=5)
def costly(request):
    return Response()


@counts_as(scope="search", cost=lambda request: 2)
def searching(request):
    return Response()


@pytest.mark.parametrize(("function", "admitted"), [(costly, 2), (searching, 3)], ids=["cost", "scope"])
def test_a_function_view_says_what_it_counts_as(settings, function, admitted):
    with_settings(settings, RATES=["10/h"], LIMIT_SCOPES={"search": ["6/h"]})
    callback = function
    for decorate in (
        requires_scopes("todo:read"),
        throttle_classes([KeyRateThrottle]),
        permission_classes([]),
        authentication_classes([APIKeyAuthentication]),
        api_view(["GET"]),
    ):
        callback = decorate(callback)

    assert statuses(*[callback] * 12, key=make_key()).count(200) == admitted


def test_an_action_says_what_it_counts_as(settings):
    with_settings(settings, RATES=["10/h"])

    class Todos(PlainViewSet):
        permission_classes = [HasScopes("todo:read")]
        throttle_classes = [KeyRateThrottle]

        @counts_as(cost=6)
        @action(detail=False)
        def export(self, request):
            return Response()

    key = make_key()
    listing, exporting = (Todos.as_view({"get": name}) for name in ("list", "export"))

    assert statuses(exporting, exporting, listing, key=key) == [200, 429, 200]


@pytest.mark.parametrize(
    ("said", "admitted"),
    [
        pytest.param({}, 2, id="nothing"),
        pytest.param({"scope": "search"}, 1, id="a scope"),
        pytest.param({"cost": 5}, 4, id="a cost"),
        pytest.param({"scope": "search", "cost": 5}, 3, id="both"),
    ],
)
def test_what_a_handler_does_not_say_is_as_its_view_has_it(settings, said, admitted):
    scopes = {"view": ["20/h"], "search": ["15/h"]}
    with_settings(settings, LIMIT_SCOPES=scopes)

    @counts_as(**said)
    def get(self, request):
        return Response()

    Costly = limited(limit_scope="view", limit_cost=10, get=get)  # noqa: N806  # a class

    assert statuses(*[Costly] * 6, key=make_key()).count(200) == admitted


@pytest.mark.parametrize(
    ("above", "below", "admitted"),
    [
        pytest.param({"cost": 5}, {"scope": "exports"}, 2, id="cost above scope"),
        pytest.param({"scope": "exports"}, {"cost": 5}, 2, id="scope above cost"),
        pytest.param({"cost": 5}, {"scope": "exports", "cost": 2}, 2, id="cost above both"),
        pytest.param({"scope": "exports"}, {"scope": "search"}, 10, id="scope above scope"),
    ],
)
@pytest.mark.parametrize("between", [lambda get: get, requires_scopes("todo:read")], ids=["", "with scopes between"])
def test_what_one_counts_as_says_is_kept_by_another_above_it(settings, above, below, admitted, between):
    with_settings(settings, LIMIT_SCOPES={"exports": ["10/h"], "search": ["1/h"]})

    @counts_as(**above)
    @between
    @counts_as(**below)
    def get(self, request):
        return Response()

    Exports = limited(get=get)  # noqa: N806  # a class

    assert statuses(*[Exports] * 12, key=make_key()).count(200) == admitted


@pytest.mark.parametrize("given", [{"RATES": ["10/h"]}, {"QUOTAS": ["10/month"]}], ids=["rate", "quota"])
def test_a_request_that_costs_more_than_there_ever_is_is_not_told_to_wait(settings, given):
    with_settings(settings, **given)

    refused = ask(limited(limit_cost=11), key=make_key())

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert "Retry-After" not in refused
    assert "waiting does not help" in refused.json()["detail"]


@pytest.mark.parametrize("target", [Limited, Limited.as_view()], ids=["class", "view"])
def test_counts_as_is_for_handlers(target):
    with pytest.raises(TypeError, match="takes limit_scope"):
        counts_as(cost=2)(target)


def guarded(self, request):
    return Response()


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({"permission_classes": [HasScopes("todo:write")]}, id="HasScopes"),
        pytest.param({"get": requires_scopes("todo:write")(guarded)}, id="requires_scopes"),
    ],
)
def test_a_request_that_permissions_refuse_spends_nothing(settings, attributes):
    with_settings(settings, RATES=["1/h"])
    key = make_key(scopes=["todo:read"])
    Closed = limited(**attributes)  # noqa: N806  # a class

    assert statuses(Closed, Closed, Limited, Limited, key=key) == [403, 403, 200, 429]


def test_a_throttle_that_is_listed_twice_spends_once(settings):
    with_settings(settings, RATES=["2/h"])
    Twice = limited(throttle_classes=[KeyRateThrottle, derived(KeyRateThrottle)])  # noqa: N806  # a class

    assert statuses(*[Twice] * 3, key=make_key()) == [200, 200, 429]


def test_a_view_that_hands_its_request_on_spends_once_and_for_another_scope_as_well(settings):
    with_settings(settings, RATES=["6/h"], LIMIT_SCOPES={"search": ["1/h"]})

    def to(inner):
        return limited(get=lambda self, request: inner.as_view()(request._request))

    key = make_key()

    assert statuses(*[to(Limited)] * 2, key=key) == [200, 200]
    # Each takes two of the six, or is refused by the scope and takes one.
    assert statuses(*[to(limited(limit_scope="search"))] * 4, key=key) == [200, 429, 429, 429]


class NeverAsked(SimpleRateThrottle):
    rate = "1/h"

    def allow_request(self, request, view):
        raise AssertionError


def test_a_refused_request_is_not_counted_by_the_throttles_behind(settings):
    with_settings(settings, RATES=["1/h"])
    key = make_key()
    ask(Limited, key=key)

    response = ask(limited(throttle_classes=[KeyRateThrottle, NeverAsked]), key=key)

    assert response.status_code == 429


def test_quotas_and_rates_are_spent_together_or_not_at_all(settings):
    with_settings(settings, RATES=["2/h"], QUOTAS=["4/month"], LIMIT_SCOPES={"search": ["1/h"]}, QUOTA_BLOCK=1)
    key = make_key()
    Search = limited(limit_scope="search")  # noqa: N806  # a class

    responses = [ask(callback, key=key) for callback in (Search, Search, Search, Limited)]

    assert [response.status_code for response in responses] == [200, 429, 429, 200]
    assert '"quota-month";r=2;' in responses[-1]["RateLimit"]
