"""Motion-JPEG in AVI: the simplest file that every player shows. Pure.

Layout after "AVI RIFF File Reference" (Microsoft, 1997); the index is of the old kind (`idx1`).
"""

import struct
from collections.abc import Iterator, Sequence

_HAS_INDEX = 0x10
_KEY_FRAME = 0x10
_HEADERS = 224  # bytes from the start of the file to the first picture's chunk


def avi(pictures: Sequence[bytes], fps: float, size_wh: tuple[int, int]) -> Iterator[bytes]:
    """The pieces of a file, in order.

    Args:
        pictures: JPEGs of one size.
        fps: at which they are played.
        size_wh: their size in pixels.
    """
    chunks = [_padded(b"00dc", picture) for picture in pictures]
    index = _padded(b"idx1", b"".join(_entries(pictures, chunks)))
    movie = sum(map(len, chunks))
    yield struct.pack("<4sI4s", b"RIFF", _HEADERS - 8 + movie + len(index), b"AVI ")
    yield _list(b"hdrl", _header(pictures, fps, size_wh) + _stream(pictures, fps, size_wh))
    yield struct.pack("<4sI4s", b"LIST", 4 + movie, b"movi")
    yield from chunks
    yield index


def _entries(pictures: Sequence[bytes], chunks: Sequence[bytes]) -> Iterator[bytes]:
    offset = 4  # counted from the word `movi`
    for picture, chunk in zip(pictures, chunks, strict=True):
        yield struct.pack("<4s3I", b"00dc", _KEY_FRAME, offset, len(picture))
        offset += len(chunk)


def _header(pictures: Sequence[bytes], fps: float, size_wh: tuple[int, int]) -> bytes:
    largest = max(map(len, pictures), default=0)
    words = (round(1e6 / fps), round(largest * fps), 0, _HAS_INDEX, len(pictures), 0, 1, largest)
    return _padded(b"avih", struct.pack("<10I16x", *words, *size_wh))


def _stream(pictures: Sequence[bytes], fps: float, size_wh: tuple[int, int]) -> bytes:
    largest = max(map(len, pictures), default=0)
    rate = (1000, round(fps * 1000))  # frames a second as a fraction: rate over scale
    kind = struct.pack("<4s4s3I", b"vids", b"MJPG", 0, 0, 0)
    kind += struct.pack("<6Ii4H", *rate, 0, len(pictures), largest, 0xFFFFFFFF, 0, 0, 0, *size_wh)
    width, height = size_wh
    form = struct.pack("<3I2H4sI16x", 40, width, height, 1, 24, b"MJPG", width * height * 3)
    return _list(b"strl", _padded(b"strh", kind) + _padded(b"strf", form))


def _padded(name: bytes, content: bytes) -> bytes:
    """A chunk: name, length, content, and a zero where that makes the length even."""
    return struct.pack("<4sI", name, len(content)) + content + b"\0" * (len(content) % 2)


def _list(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI4s", b"LIST", 4 + len(content), name) + content
