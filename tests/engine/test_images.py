"""Images as a model is sent them."""

import base64
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from engine.images import InvalidImage, UnsupportedImage, fitted, image_url


def picture(kind: str, size: tuple[int, int] = (30, 20), mode: str = "RGB", **options: Any) -> bytes:
    out = BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(out, kind, **options)
    return out.getvalue()


def sent(data: bytes, *, original: bool = False) -> tuple[str, bytes]:
    head, encoded = image_url(data, original=original).split(",")
    return head, base64.b64decode(encoded)


def decoded(data: bytes) -> tuple[str | None, tuple[int, int], str]:
    with Image.open(BytesIO(data)) as image:
        return image.format, image.size, image.mode


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_what_fits_stays_as_it_is(kind: str) -> None:
    data = picture(kind)
    assert sent(data) == (f"data:image/{kind.lower()};base64", data)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (picture("PNG", (3000, 10)), ("PNG", (2048, 7), "RGBA")),
        (picture("PNG", (10, 2049), "P"), ("PNG", (10, 2048), "RGBA")),
        (picture("JPEG", (10, 2049)), ("JPEG", (10, 2048), "RGB")),
        (picture("JPEG", (2049, 10), "CMYK"), ("JPEG", (2048, 10), "RGB")),
        (picture("GIF"), ("PNG", (30, 20), "RGBA")),
    ],
)
def test_what_is_too_large_or_a_gif_is_made_anew(data: bytes, shown: tuple[str, tuple[int, int], str]) -> None:
    head, made = sent(data)
    assert head == f"data:image/{shown[0].lower()};base64"
    assert decoded(made) == shown


def test_a_large_webp_stays_a_webp() -> None:
    head, made = sent(picture("WEBP", (2049, 10), lossless=True))
    assert head == "data:image/webp;base64"
    assert decoded(made)[:2] == ("WEBP", (2048, 10))


def test_the_original_size_may_be_wanted() -> None:
    data = picture("PNG", (3000, 10))
    assert sent(data, original=True) == ("data:image/png;base64", data)
    assert decoded(sent(picture("GIF", (3000, 10)), original=True)[1])[1] == (3000, 10)


@pytest.mark.parametrize(
    ("size", "made"),
    [
        ((2048, 2048), (2048, 2048)),
        ((2048, 2049), (2047, 2048)),
        ((3000, 2000), (2048, 1365)),
        ((10, 5000), (4, 2048)),
        ((1, 90000), (1, 2048)),
    ],
)
def test_proportions_are_kept(size: tuple[int, int], made: tuple[int, int]) -> None:
    assert fitted(*size) == made


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        picture("BMP"),
        picture("PNG")[:40],
        picture("WEBP", (300, 200))[:200],
        picture("PNG", (300, 300))[:200],
    ],
)
def test_other_things_and_beginnings_are_no_images(data: bytes) -> None:
    with pytest.raises(UnsupportedImage):
        image_url(data)


def test_a_jpeg_may_lack_its_end() -> None:
    data = picture("JPEG", (300, 200))[:-200]
    assert sent(data) == ("data:image/jpeg;base64", data)


def test_a_broken_image_says_why() -> None:
    data = bytearray(picture("PNG", (300, 300)))
    at = data.index(b"IDAT") + 4
    data[at : at + 20] = bytes(20)
    with pytest.raises(InvalidImage) as caught:
        image_url(bytes(data))
    assert caught.value.reason
