"""Wrong uses of `cache_endpoint` are told at once, in every framework."""

from __future__ import annotations

from typing import Any

import pytest

import web_apps
import zoocache
from web_apps import Reply, Site

SITES = pytest.mark.parametrize("kind", web_apps.THERE)


def site_of(kind: str, **options: Any) -> None:
    Site(kind).add("/page", lambda request: Reply(), **options)


@SITES
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vary": "Cookie"}, "user="),
        ({"vary": "*"}, "vary='\\*'"),
        ({"vary": "no header"}, "name of a request header"),
        ({"ignore": "nothing"}, "nothing"),
        ({"key": "nothing.id"}, "nothing"),
        ({"user": 5}, "user=5"),
        ({"user": "nobody"}, "nobody"),
        ({"ttl": -1}, "ttl=-1"),
        ({"max_body_bytes": -1}, "max_body_bytes=-1"),
        ({"max_bytes": "many"}, "max_bytes='many'"),
        ({"cache_status": [200]}, "cache_status=200"),
        ({"cache_control": "no\ncache"}, "cache_control="),
        ({"deps": ["item:{nothing}"]}, "nothing"),
        ({"deps": [" "]}, "tag"),
        ({"cache": "mine"}, "cache='mine'"),
    ],
)
def test_wrong_options_are_refused_at_once(kind: str, options: Any, message: str) -> None:
    with pytest.raises((zoocache.InvalidOption, zoocache.InvalidTag), match=message):
        site_of(kind, **options)


@SITES
def test_unknown_options_are_refused_at_once(kind: str) -> None:
    with pytest.raises(TypeError, match="no option 'time_to_live'"):
        site_of(kind, time_to_live=5)
