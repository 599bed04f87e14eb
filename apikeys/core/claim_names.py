"""
Names of claims that mean something already, so that no project can give them another meaning.

Of the registries of JSON Web Token claims (RFC 7519 section 10.1), of members of introspection answers (RFC 7662
section 3.1) and of parameters of a token exchange (RFC 8693 section 7.1) those that a declared claim could have. What
begins with an underscore, holds a capital or a hyphen is no name of a claim here.
"""

from __future__ import annotations

import re

#: Lower case, so that two names never differ in case alone, and nothing that a header or a log would have to escape.
_NAME = re.compile("[a-z][a-z0-9_]{0,63}")

#: What a signed token says of itself and of its client (RFC 7519, RFC 9068), and what an introspection answer does.
_OF_TOKENS = """
    iss sub aud exp nbf iat jti
    scope client_id roles groups entitlements
    active username token_type permissions token_introspection
    act may_act cnf authorization_details
    acr amr auth_time azp nonce at_hash c_hash s_hash sid sub_id sub_jwk
"""
#: OpenID Connect, its federation and its identity assurance.
_OF_PEOPLE = """
    name given_name family_name middle_name nickname preferred_username profile picture website email email_verified
    gender birthdate zoneinfo locale phone_number phone_number_verified address updated_at
    verified_claims place_of_birth nationalities birth_family_name birth_given_name birth_middle_name salutation title
    msisdn also_known_as
    jwks metadata constraints crit ref delegation logo_uri authority_hints trust_anchor_hints trust_marks
    trust_mark_issuers trust_mark_owners metadata_policy metadata_policy_crit source_endpoint keys trust_mark_type
    trust_chain trust_anchor
"""
#: Everything else that is registered.
_OF_OTHERS = """
    sip_from_tag sip_date sip_callid sip_cseq_num sip_via_branch orig dest mky rph sph attest origid jcard div opt rcd
    rcdi crn msgi atc
    events toe txn vot vtm at_use_nbr vc vp vct sd_hash status status_list ttl htm htu ath
    ace_profile cnonce cti exi geohash stpl cmw rdap_allowed_purposes rdap_dnt_allowed
    eat_nonce ueid sueids oemid hwmodel hwversion oemboot secboot dbgstat location eat_profile submods uptime bootcount
    bootseed dloas swname swversion manifests measurements measres intuse
    cdniv cdnicrit cdniip cdniuc cdniets cdnistt cdnistd sig_val_claims
"""
_OF_EXCHANGES = """
    audience resource requested_token_type subject_token subject_token_type actor_token actor_token_type
    issued_token_type
"""
#: What this authority says besides, in tokens and in introspection answers.
_OF_THE_AUTHORITY = "key_id family networks kind client_name"

#: No declared claim has one of these names, and no answer or token has one from a project.
TAKEN = frozenset(f"{_OF_TOKENS} {_OF_PEOPLE} {_OF_OTHERS} {_OF_EXCHANGES} {_OF_THE_AUTHORITY}".split())


def is_claim_name(name: object) -> bool:
    """Whether *name* is written as the name of a claim is: lower case, digits and underscores, at most 64."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def may_be_declared(name: object) -> bool:
    """Whether a project may give *name* a meaning."""
    return is_claim_name(name) and name not in TAKEN
