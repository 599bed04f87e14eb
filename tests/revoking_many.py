"""The admin's page that revokes many keys, as a person fills it in and reads it."""

from __future__ import annotations

import re

from django.utils import timezone

from apikeys.models import APIKey, KeyRevocation
from tests.admin_pages import LIST, REVOKE_MANY, control_in


def choose(client, *chosen, address=LIST, **more):
    """Send the list with the action, as ticking the keys and pressing "Run" does."""
    ids = [getattr(key, "pk", key) for key in chosen]
    return client.post(
        address, {"action": "revoke_chosen", "_selected_action": ids, "select_across": "0", **more}, follow=True
    )


def fields(page, **changed):
    """Return the form of *page* as filled in by somebody who wants what it offers."""
    shown = [str(control_in(page, name=name).get("value", "")) for name in ("keys", "rotated")]
    phrase = f"REVOKE {len(shown[0].split())} KEYS"
    return {"keys": shown[0], "rotated": shown[1], "reason": "leaked", "note": "", "confirmation": phrase, **changed}


def send(client, form):
    return client.post(REVOKE_MANY, form, follow=True)


def text_of(response):
    return " ".join(re.sub("<[^>]*>", " ", response.content.decode()).split())


def rows_of(response):
    return re.findall(
        r'<td>(?:<a href="[^"]*">)?([^<]*?)(?:</a>)? <span', response.content.decode().split("<tbody>")[1]
    )[::2]


def messages_of(response):
    return [str(message) for message in response.context["messages"]]


def used(key, *, ago):
    APIKey.objects.filter(pk=key.pk).update(last_used_at=timezone.now() - ago)
    return key


def revoked():
    return {revocation.key.name for revocation in KeyRevocation.objects.select_related("key")}
