"""A visitor's connection to Pied Piper Todo, as requests-oauthlib makes and keeps it."""

from __future__ import annotations

import threading
import time
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest
from oauthlib.oauth2 import MismatchingStateError, OAuth2Error
from requests_oauthlib import OAuth2Session

from .pages import handover, registration

#: Where Pied Piper Todo speaks OAuth.
_MOUNT = "/o"
#: What it calls itself in its metadata (RFC 8414 section 2), and so in its answers.
_ISSUER = "/authority"
_TIMEOUT_SECONDS = 10
#: A token that has no longer to live is not sent: it might expire on its way.
_SPARE_SECONDS = 10
#: For the sessions of all visitors: more than refresh at a time.
_locks = [threading.Lock() for _each in range(64)]


class NotConnectedError(Exception):
    """Pied Piper Todo does not let this app in for this visitor, or no longer."""


class NotAllowedError(Exception):
    """The token is good, but not for this."""


class Connection:
    """
    What one app holds for one visitor: nothing, a sign-in that has begun, or a token.

    All of it is in the visitor's session, which is in this process's memory.
    """

    def __init__(self, request: HttpRequest, name: str, *, scopes: tuple[str, ...], callback: str = "") -> None:
        self._kept = request.session
        self._name = name
        self._app = registration(name)
        self._scopes = scopes
        # The address that is registered, whatever the browser calls this machine.
        self._callback = f"http://localhost:{handover().port}{callback}" if callback else None

    @property
    def is_there(self) -> bool:
        """Whether there is a token."""
        return f"{self._name}.token" in self._kept

    def address_of_consent(self) -> str:
        """Return where the visitor goes to sign in and consent (RFC 6749 section 4.1.1, RFC 7636 section 4.3)."""
        session = self._session()
        verifier = session._client.create_code_verifier(64)  # noqa: SLF001  # its only door to the client
        address, state = session.authorization_url(
            endpoint("authorize"),
            code_challenge=session._client.create_code_challenge(verifier, "S256"),  # noqa: SLF001  # likewise
            code_challenge_method="S256",
        )
        self._kept[f"{self._name}.begun"] = {"state": state, "verifier": verifier}
        return str(address)

    def finish(self, address: str, *, issuer: str | None) -> None:
        """
        Exchange the code in *address*, which the visitor came back with, for a token.

        Raises:
            OAuth2Error: If the visitor declined, did not begin here, or the code is refused.
        """
        # Taken, not read: it serves one answer.
        begun = self._kept.pop(f"{self._name}.begun", None)
        # From whom the answer is, it says itself (RFC 9207).
        if begun is None or issuer != f"{handover().site}{_ISSUER}":
            raise MismatchingStateError
        session = self._session(state=begun["state"])
        self.begin(
            session.fetch_token(
                endpoint("token"),
                authorization_response=address,
                client_secret=self._app.client_secret,
                code_verifier=begun["verifier"],
                timeout=_TIMEOUT_SECONDS,
            )
        )

    def begin(self, token: dict[str, Any]) -> None:
        """Keep *token*, the first one, under a new name of the session: who knew the old one gets nothing of it."""
        self._kept.cycle_key()
        self.keep(token)

    def keep(self, token: dict[str, Any]) -> None:
        """Keep *token* for the visitor."""
        self._kept[f"{self._name}.token"] = dict(token)

    def call(self, method: str, path: str, **options: Any) -> Any:
        """
        Return what the API answers, as JSON.

        Raises:
            NotConnectedError: If there is no token, or it was refused; it is forgotten.
            NotAllowedError: If it, or its person, lacks the permission.
        """
        if not self.is_there:
            raise NotConnectedError
        session = self._session(token=self._working_token())
        response = session.request(method, f"{handover().site}{path}", timeout=_TIMEOUT_SECONDS, **options)
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            self.forget()
            raise NotConnectedError
        if response.status_code == HTTPStatus.FORBIDDEN:
            raise NotAllowedError
        response.raise_for_status()
        return response.json()

    def forget(self) -> None:
        """Throw the token away, here alone."""
        self._kept.pop(f"{self._name}.token", None)

    def revoke(self) -> None:
        """Throw the token away, here and there (RFC 7009)."""
        token = self._kept.pop(f"{self._name}.token", None)
        if token is not None:
            self._session().post(
                endpoint("revoke_token"),
                data={"token": token.get("refresh_token") or token["access_token"]},
                auth=(self._app.client_id, self._app.client_secret or ""),
                timeout=_TIMEOUT_SECONDS,
            )

    def _working_token(self) -> dict[str, Any]:
        """
        Return the token, a new one in place of one that has expired.

        Raises:
            NotConnectedError: If there is no new one; the old one is forgotten.
        """
        name, key = f"{self._name}.token", self._kept.session_key
        if not _is_expired(self._kept[name]):
            return dict(self._kept[name])
        # A refresh token works once: of two requests that find the token expired, the second takes what the first got.
        with _locks[hash(key) % len(_locks)]:
            stored = type(self._kept)(key)
            token = stored.get(name)
            if token is not None and _is_expired(token):
                # Saved at once, for the requests that wait; this one's own session is at its end.
                del stored[name]
                token = self._refreshed(token)
                if token is not None:
                    stored[name] = token
                stored.save()
        if token is None:
            self.forget()
            raise NotConnectedError
        self.keep(token)
        return dict(token)

    def _refreshed(self, token: dict[str, Any]) -> dict[str, Any] | None:
        """Return what *token* is exchanged for (RFC 6749 section 6), None where that is refused."""
        app = self._app
        # The library's automatic way would send here what is meant for the API, and no id of an app without a secret.
        # No scopes are named: the person may have left some out.
        who = {"auth": (app.client_id, app.client_secret)} if app.client_secret else {"client_id": app.client_id}
        session = OAuth2Session(app.client_id, token=token)
        try:
            return dict(session.refresh_token(endpoint("token"), timeout=_TIMEOUT_SECONDS, **who))
        except OAuth2Error:
            return None

    def _session(self, **options: Any) -> Any:
        return OAuth2Session(self._app.client_id, scope=list(self._scopes), redirect_uri=self._callback, **options)


def _is_expired(token: dict[str, Any]) -> bool:
    return bool(token["expires_at"] - time.time() < _SPARE_SECONDS)


def endpoint(name: str) -> str:
    """Return the address of an endpoint of Pied Piper Todo: ``"token"``."""
    return f"{handover().site}{_MOUNT}/{name}/"
