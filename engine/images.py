"""Images as a model is sent them: of a kind it takes, no larger than it looks at, and known to be whole. Knows no
paths, no threads and no protocol; decoding takes a while, so it is not for the event loop.

PNG, JPEG and WebP that fit stay as they are, byte for byte. Larger ones are made to fit in their own format, and a
GIF becomes the PNG of its first frame (observed)."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST_SIDE: Final = 2048
"""Pixels; what is larger the models' servers would make smaller themselves."""

_TYPES: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_READ: Final = (*_TYPES, "GIF")
_SAVING: Final[dict[str, dict[str, Any]]] = {"PNG": {}, "JPEG": {"quality": 85}, "WEBP": {"lossless": True}}
_CUT_OFF: Final = ("truncated", "unexpected end", "could not create decoder object")
"""How the decoders' words for an image without its end may be known."""


class UnsupportedImage(Exception):
    """The bytes are no image of a kind that models take, or only the beginning of one."""


class InvalidImage(Exception):
    """The bytes are an image that cannot be decoded; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def image_url(data: bytes, *, original: bool = False) -> str:
    """The data URL of an image, made to fit unless the `original` size is wanted.

    :raises UnsupportedImage: no image, or not all of it.
    :raises InvalidImage: it cannot be decoded.
    """
    kind, fitting = _fitting(data, original)
    return f"data:{_TYPES[kind]};base64,{base64.b64encode(fitting).decode('ascii')}"


def fitted(width: int, height: int) -> tuple[int, int]:
    """The size in pixels of an image that has been made to fit, in its own proportions."""
    ratio = min(LARGEST_SIDE / width, LARGEST_SIDE / height, 1.0)
    return max(round(width * ratio), 1), max(round(height * ratio), 1)


def _fitting(data: bytes, original: bool) -> tuple[str, bytes]:
    from PIL import Image, UnidentifiedImageError  # few threads see images

    try:
        with Image.open(BytesIO(data), formats=_READ) as image:
            size = image.size if original else fitted(*image.size)
            if image.format in _TYPES and size == image.size:
                if image.format != "JPEG":  # of which decoders bear with a missing end
                    image.load()
                return image.format, data
            kind = image.format if image.format in _TYPES else "PNG"
            return kind, _saved(_pixels(image, kind), kind, size)
    except UnidentifiedImageError as error:
        raise UnsupportedImage from error
    except Exception as error:  # a decoder may stumble over anything a file holds
        if any(words in str(error) for words in _CUT_OFF):
            raise UnsupportedImage from error
        raise InvalidImage(str(error) or type(error).__name__) from error


def _pixels(image: Image, kind: str) -> Image:
    if kind != "JPEG":
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _saved(image: Image, kind: str, size: tuple[int, int]) -> bytes:
    from PIL.Image import Resampling

    out = BytesIO()
    resized = image if size == image.size else image.resize(size, Resampling.BILINEAR)
    resized.save(out, kind, **_SAVING[kind])
    return out.getvalue()
