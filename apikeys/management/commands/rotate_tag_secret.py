from __future__ import annotations

from typing import Any

from django.db import router
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ... import tag_secrets
from ...models import TagSecret
from ..key_command import KeyCommand
from ..output import Listing, json_listing


class Command(KeyCommand):
    """Makes a new tag secret."""

    help = (
        "Tag new keys with a new secret from now on. Keys that exist keep working: older secrets still admit theirs. "
        "Do it when the secret may have been seen, such as in a copy of the database."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        older = TagSecret.objects.using(router.db_for_write(TagSecret)).count()
        if not options["dry_run"]:
            tag_secrets.make()
        if options["as_json"]:
            listing: Listing[Any] = json_listing(
                (), self.stdout, command="rotate_tag_secret", dry_run=options["dry_run"], limit=None
            )
            listing.close({"made": int(not options["dry_run"]), "older": older})
        if options["dry_run"]:
            self.remark(_("Nothing was changed. Run without --dry-run to make a new tag secret."))
            return
        self.remark(_("New keys are tagged with a new secret from now on."))
        self.remark(
            ngettext(
                "Keys that exist keep working: %(count)d older secret still admits them.",
                "Keys that exist keep working: %(count)d older secrets still admit them.",
                older,
            )
            % {"count": older}
        )
