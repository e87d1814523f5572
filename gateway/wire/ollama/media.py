"""Ollama's ``images``: bare base64 strings, whose kind only their first bytes tell.

Source: llm/media.go of Ollama's server, which also takes sound there, for models that can hear.
"""

from __future__ import annotations

import base64
import binascii

from gateway.chat import Audio, Image

#: The media type of a picture whose kind is not known.
UNKNOWN = "application/octet-stream"

#: Enough of a file to know it by, in base64: 24 characters are 18 bytes.
_HEAD = 24


def decode(data: str) -> Image | Audio | None:
    """A picture or a sound; None if ``data`` does not begin as base64 does.

    The rest is not read: a file of megabytes is passed on as it came.
    """
    head = data[:_HEAD]
    try:
        start = base64.b64decode(head, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not start:
        return None
    if (sound := _audio_format(start)) is not None:
        return Audio(data, sound)
    return Image(_image_type(start), data)


def _image_type(start: bytes) -> str:
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if start.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if start.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "image/webp"
    return UNKNOWN


def _audio_format(start: bytes) -> str | None:
    if start.startswith(b"RIFF") and start[8:12] == b"WAVE":
        return "wav"
    # An MPEG audio frame begins with eleven set bits; FF D8 is a JPEG.
    if start.startswith(b"ID3") or (start[0] == 0xFF and start[1:2] >= b"\xe0"):
        return "mp3"
    return None
