"""What tells places in samples, for a sound that was brought to another rate."""

import re
import struct
from collections.abc import Callable, Iterator

from selfremaster.core.iff import Piece

MOST = 2**32 - 1
ADTL = b"adtl"

BEXT_TIME = 338  # where the time reference stands (EBU Tech 3285)
CART_TIMERS = 684  # eight of them (AES46)
CUE_BYTES, LOOP_BYTES, TIMER_BYTES = 24, 24, 8

IXML_RATES = (b"FILE_SAMPLE_RATE", b"TIMESTAMP_SAMPLE_RATE")
IXML_PLACES = (
    (b"TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI", b"TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO"),
    (b"BWF_TIME_REFERENCE_HIGH", b"BWF_TIME_REFERENCE_LOW"),
)

Scaling = Callable[[int], int]


def at_another_rate(piece: Piece, from_hz: int, to_hz: int) -> Piece | None:
    """The chunk with its places where they are at the other rate; nothing where that cannot be.

    >>> marks = struct.pack(">HHIBc", 1, 7, 100, 1, b"a")  # one, whose number is 7
    >>> struct.unpack(">HHIBc", at_another_rate((b"MARK", marks), 8000, 16000)[1])
    (1, 7, 200, 1, b'a')
    """

    def scaled(place: int) -> int:
        return (2 * place * to_hz + from_hz) // (2 * from_hz)

    name, body = piece
    worker = WORKERS.get(name)
    if worker is None:
        return piece
    try:
        return name, worker(bytearray(body), scaled, to_hz)
    except (struct.error, ValueError, OverflowError):
        return None


def _bext(body: bytearray, scaled: Scaling, to_hz: int) -> bytes:
    (time,) = struct.unpack_from("<Q", body, BEXT_TIME)
    struct.pack_into("<Q", body, BEXT_TIME, scaled(time))
    return bytes(body)


def _cue(body: bytearray, scaled: Scaling, to_hz: int) -> bytes:
    (count,) = struct.unpack_from("<I", body)
    if 4 + count * CUE_BYTES > len(body):
        raise ValueError("fewer marks than it says")
    for place in range(4, 4 + count * CUE_BYTES, CUE_BYTES):
        for offset in (4, 20):  # in the play order, and in the data
            _scale(body, place + offset, "<I", scaled)
    return bytes(body)


def _smpl(body: bytearray, scaled: Scaling, to_hz: int) -> bytes:
    struct.pack_into("<I", body, 8, round(1e9 / to_hz))  # nanoseconds of a sample
    (count,) = struct.unpack_from("<I", body, 28)
    if 36 + count * LOOP_BYTES > len(body):
        raise ValueError("fewer loops than it says")
    for place in range(36, 36 + count * LOOP_BYTES, LOOP_BYTES):
        for offset in (8, 12):
            _scale(body, place + offset, "<I", scaled)
    return bytes(body)


def _list(body: bytearray, scaled: Scaling, to_hz: int) -> bytes:
    if body[:4] != ADTL:
        return bytes(body)
    for name, place in _inner(body):
        if name == b"ltxt":
            _scale(body, place + 4, "<I", scaled)
    return bytes(body)


def _inner(body: bytearray) -> Iterator[tuple[bytes, int]]:
    place = 4
    while place + 8 <= len(body):
        name, size = struct.unpack_from("<4sI", body, place)
        if place + 8 + size > len(body):
            raise ValueError("cut off")
        yield name, place + 8
        place += 8 + size + size % 2


def _cart(body: bytearray, scaled: Scaling, to_hz: int) -> bytes:
    for place in range(CART_TIMERS, CART_TIMERS + 8 * TIMER_BYTES, TIMER_BYTES):
        _scale(body, place + 4, "<I", scaled)
    return bytes(body)


def _mark(body: bytearray, scaled: Scaling, to_hz: int) -> bytes:
    (count,) = struct.unpack_from(">H", body)
    place = 2
    for _ in range(count):
        _scale(body, place + 2, ">I", scaled)
        letters = body[place + 6] if place + 6 < len(body) else 0
        place += 6 + (letters + 2) // 2 * 2
    return bytes(body)


def _scale(body: bytearray, place: int, layout: str, scaled: Scaling) -> None:
    (value,) = struct.unpack_from(layout, body, place)
    struct.pack_into(layout, body, place, scaled(value))


def _ixml(body: bytearray, scaled: Scaling, to_hz: int) -> bytes:
    text = bytes(body)
    for name in IXML_RATES:
        text = re.sub(_element(name), rb"\g<1>%d\g<3>" % to_hz, text)
    for names in IXML_PLACES:
        halves = [re.search(_element(name), text) for name in names]
        if not any(halves):
            continue
        high, low = (int(half[2]) if half else 0 for half in halves)
        time = scaled((high << 32) + low)
        for name, half in zip(names, (time >> 32, time & MOST), strict=True):
            text = re.sub(_element(name), rb"\g<1>%d\g<3>" % half, text)
    return text


def _element(name: bytes) -> bytes:
    """An element of XML whose text is a whole number."""
    return rb"(<%s>\s*)(\d{1,20})(\s*</%s>)" % (name, name)


WORKERS: dict[bytes, Callable[[bytearray, Scaling, int], bytes]] = {
    b"bext": _bext,
    b"cue ": _cue,
    b"smpl": _smpl,
    b"LIST": _list,
    b"cart": _cart,
    b"MARK": _mark,
    b"iXML": _ixml,
}
