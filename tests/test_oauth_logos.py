from __future__ import annotations

import pytest

from apikeys.core.errors import LogoRefusedError
from apikeys.oauth.logos import clean_logo
from apikeys.oauth.models import MOST_LOGO_BYTES
from tests.oauth_clients import PNG, png, png_chunk


def png_of(size):
    """Return a whole PNG of *size* bytes."""
    return png(extra=png_chunk(b"tEXt", b"x" * (size - len(PNG) - len(png_chunk(b"tEXt", b"")))))


@pytest.mark.parametrize(
    "logo",
    [
        pytest.param(PNG, id="one-pixel"),
        pytest.param(png(width=512, height=512), id="largest"),
        pytest.param(png_of(MOST_LOGO_BYTES), id="most-bytes"),
    ],
)
def test_whole_png_is_taken_as_it_is(logo):
    assert clean_logo(logo) == logo


@pytest.mark.parametrize(
    ("logo", "why"),
    [
        pytest.param(b"", "The logo must be a PNG file.", id="nothing"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "The logo must be a PNG file.", id="svg"),
        pytest.param(b"GIF89a" + PNG, "The logo must be a PNG file.", id="gif-first"),
        pytest.param(PNG[:8], "The logo must be a PNG file.", id="signature-alone"),
        pytest.param(PNG[:-1], "The logo must be a PNG file.", id="cut-off"),
        pytest.param(PNG + b"<script>", "The logo must be a PNG file.", id="something-behind-it"),
        pytest.param(PNG.replace(b"IDAT", b"JDAT"), "The logo must be a PNG file.", id="wrong-checksum"),
        pytest.param(png(depth=3), "The logo must be a PNG file.", id="impossible-depth"),
        pytest.param(png(extra=png_chunk(b"IHDR", b"")), "The logo must be a PNG file.", id="two-headers"),
        pytest.param(png(extra=png_chunk(b"acTL", bytes(8))), "The logo must be a PNG file.", id="animated"),
        pytest.param(png(width=513), "The logo may have at most 512 × 512 pixels.", id="too-wide"),
        pytest.param(png(height=513), "The logo may have at most 512 × 512 pixels.", id="too-high"),
        pytest.param(png(height=0), "The logo may have at most 512 × 512 pixels.", id="no-height"),
        pytest.param(png_of(MOST_LOGO_BYTES + 1), "The logo may have at most 64 KiB.", id="too-large"),
    ],
)
def test_other_file_is_refused(logo, why):
    with pytest.raises(LogoRefusedError) as caught:
        clean_logo(logo)

    assert str(caught.value) == why
