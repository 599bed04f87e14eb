"""``HasAPIKey`` of djangorestframework-api-key. It has no scopes, no clients and no users."""

from __future__ import annotations

from typing import Any

from ..contender import Case, Credentials, Package


class DRFAPIKey(Package):
    """A key asked for again and again, many keys, and keys that nobody issued."""

    name = "drfapikey"
    distribution = "djangorestframework-api-key"
    apps = ("rest_framework_api_key",)
    cases = (
        Case(name="drf-api-key", label="djangorestframework-api-key", sends="hot"),
        Case(
            name="drf-api-key-distinct",
            label="djangorestframework-api-key, 10,000 keys",
            sends="distinct",
            warm_up="once",
        ),
        Case(name="drf-api-key-forged", label="djangorestframework-api-key, forged", sends="forged", expects=403),
    )

    def view_attributes(self, case: Case) -> dict[str, Any]:
        from rest_framework_api_key.permissions import HasAPIKey

        return {"permission_classes": [HasAPIKey]}

    def fill(self, *, rows: int, sent: int) -> Credentials:
        from rest_framework_api_key.models import APIKey

        keys = [APIKey(name=f"key {number}") for number in range(rows)]
        texts = [f"Api-Key {APIKey.objects.assign_key(key)}" for key in keys]
        APIKey.objects.bulk_create(keys)
        unknown = [APIKey.objects.key_generator.generate()[0] for _ in range(min(sent, 1000))]
        return {
            "hot": [texts[len(texts) // 2]],
            "distinct": texts[:sent],
            "forged": [f"Api-Key {text}" for text in unknown],
        }
