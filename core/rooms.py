"""The answer of a room to a click: images in its walls first, then noise that dies away."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from selfremaster.core.damage import seeded

Array = NDArray[np.float64]

SOUND_METRES = 343.0  # a second
DECADES = 3 * math.log(10)  # of amplitude: what is 60 dB softer has lost them
HEARD = 1.2  # times the reverberation time, after which nothing is heard
MOST_IMAGES = 15_000
HALF_TAPS = 8  # of the click of an image that comes between two samples
JOINING = 0.8  # of the time of the images, from which on noise takes over
SLOW_SECONDS = 0.02  # what swings slower is the pressure of a closed box, which nobody hears
MARGIN = 0.1  # of each side, nearer to whose ends nobody stands
PLACES = 64  # that are tried
FIT_DB = (-5.0, -35.0)  # the part of the decay by which ISO 3382 measures its time
CORRECTIONS = 6
SLOWER = 1.1  # times the time told, that images are made to last: corrections only shorten
DRIEST = 0.97  # of the energy, which walls take: with more no echo is left to tell a time by
TOLERANCE = 0.07  # by which the time of a room may be off


class Room(NamedTuple):
    """A box with a source and a microphone in it, in metres from one corner."""

    size: Array
    source: Array
    microphone: Array

    @property
    def volume(self) -> float:
        """Cubic metres."""
        return float(np.prod(self.size))

    @property
    def distance(self) -> float:
        """From source to microphone."""
        return float(np.linalg.norm(self.microphone - self.source))


class Images(NamedTuple):
    """Where a microphone sees a source in the walls: metres of way, and walls on it."""

    distance: Array
    reflections: NDArray[np.int64]


def taps_of(rt60_seconds: float, sample_rate: int) -> int:
    """How many samples of a decay are heard."""
    return math.ceil(HEARD * rt60_seconds * sample_rate) + 2


def decaying_noise(rt60_seconds: float, sample_rate: int, seed: int) -> Array:
    """White noise that dies away by 60 dB in the time told, exactly, from 1, (taps,).

    Every sample is as large as the decay says, and its sign is chance: energy and decay are as told
    whatever the seed, and under a convolution it sounds as Gaussian noise does.
    """
    taps = taps_of(rt60_seconds, sample_rate)
    signs = torch.randint(0, 2, (taps,), generator=seeded(seed)).numpy() * 2.0 - 1
    time = np.arange(taps) / sample_rate
    decaying: Array = signs * np.exp(-DECADES / rt60_seconds * time)
    return decaying


def decay_seconds(response: Array, sample_rate: int) -> float:
    """The reverberation time of a response, by Schroeder's backward integration; 0 if it has none.

    Source: M. R. Schroeder, New Method of Measuring Reverberation Time (JASA 37, 1965), between
    the levels of ISO 3382.

    >>> noise = decaying_noise(0.5, 16000, seed=1)
    >>> round(decay_seconds(noise, 16000), 2)
    0.5
    """
    left = np.cumsum(np.square(response[::-1]))[::-1]
    level = 10 * np.log10(np.maximum(left, 1e-30 * left[0]) / max(left[0], 1e-300))
    first, last = (int(np.searchsorted(-level, -limit)) for limit in FIT_DB)
    if last - first < 2:
        return 0.0
    time = np.arange(first, last) / sample_rate
    slope = np.polyfit(time - time[0], level[first:last], 1)[0]
    return float(-60 / slope) if slope < 0 else 0.0


def placed(size: Sequence[float], distance: float, seed: int) -> Room:
    """A room in which source and microphone stand by chance, so far from each other.

    In a room that is too small they stand as far as it allows.
    """
    sides = np.array(size, dtype=np.float64)
    generator = seeded(seed)
    places = torch.rand(PLACES, 3, generator=generator, dtype=torch.float64).numpy()
    ways = torch.randn(PLACES, 3, generator=generator, dtype=torch.float64).numpy()
    sources = sides * (MARGIN + (1 - 2 * MARGIN) * places)
    microphones = sources + distance * ways / np.linalg.norm(ways, axis=1, keepdims=True)
    fits = (np.abs(microphones / sides - 0.5) <= 0.5 - MARGIN).all(axis=1)
    if fits.any():
        found = int(np.argmax(fits))
        return Room(sides, sources[found], microphones[found])
    diagonal = float(np.linalg.norm(sides))
    half = sides / diagonal * min(distance, (1 - 2 * MARGIN) * diagonal) / 2
    return Room(sides, sides / 2 - half, sides / 2 + half)


def images(room: Room, farthest: float) -> Images:
    """All images of the source up to a distance, the source itself first.

    Source: Allen and Berkley, Image method for efficiently simulating small-room acoustics (JASA
    65, 1979).

    >>> hall = Room(np.array([4.0, 9.0, 9.0]), np.array([1.0, 4, 4]), np.array([2.0, 4, 4]))
    >>> found = images(hall, 6)
    >>> found.distance.round(2).tolist(), found.reflections.tolist()
    ([1.0, 3.0, 5.0], [0, 1, 1])
    """
    ways, walls = [], []
    for side, source, microphone in zip(*room, strict=True):
        most = math.ceil(farthest / side) + 1
        number = np.arange(-most, most + 1)
        place = number * side + np.where(number % 2, side - source, source)
        ways.append(np.square(place - microphone))
        walls.append(np.abs(number))
    distance = np.sqrt(ways[0][:, None, None] + ways[1][:, None] + ways[2])
    reflections = walls[0][:, None, None] + walls[1][:, None] + walls[2]
    near = distance <= max(farthest, room.distance * (1 + 1e-9))
    order = np.lexsort((distance[near], reflections[near] > 0))
    return Images(distance[near][order], reflections[near][order])


def room_reverberation(room: Room, rt60_seconds: float, sample_rate: int, seed: int) -> Array:
    """What a room adds to a sound, from the moment and at the level that itself arrives, (taps,).

    Each image comes at its moment and has lost what its walls and its way take; where there would
    be too many, noise of the same energy takes over. What the walls take follows from the time of
    decay (Eyring). Images along the longest side, which meet fewest walls, are held to the decay of
    all, and the whole is brought to the time told as it is measured (`decay_seconds`), by making it
    shorter alone. A room that is too large to die away so fast, whatever its walls, is noise that
    dies away from the first moment, as diffuse sound in it would.

    Source: images by Allen and Berkley (1979), a diffuse tail as Lehmann and Johansson, Diffuse
    reverberation model for efficient image-source simulation of room impulse responses (IEEE TASLP
    18, 2010).
    """
    response = None
    if 1 - wall_reflection(room, rt60_seconds) ** 2 <= DRIEST:
        response = _mirrored(room, rt60_seconds, sample_rate, seed)
        off = decay_seconds(response, sample_rate) / rt60_seconds - 1
        response = response if abs(off) <= TOLERANCE else None
    if response is None:
        response = _diffuse(room, rt60_seconds, sample_rate, seed)
        response[0] = 0
    return response


def wall_reflection(room: Room, rt60_seconds: float) -> float:
    """What part of its amplitude a sound keeps at a wall, by Eyring.

    Source: C. F. Eyring, Reverberation Time in "Dead" Rooms (JASA 1, 1930).

    A cube of 6 m has a mean free path of 4 m, which takes 11.7 ms; in 0.35 s there are 30 of them:

    >>> cube = Room(np.array([6.0, 6, 6]), np.array([1.0, 2, 3]), np.array([4.0, 3, 2]))
    >>> round(20 * math.log10(wall_reflection(cube, 30 * 4 / 343)), 3)
    -2.0
    """
    surface = 2 * room.volume * float((1 / room.size).sum())
    return math.exp(-DECADES / (SOUND_METRES * rt60_seconds) * 4 * room.volume / surface)


def _diffuse(room: Room, rt60_seconds: float, sample_rate: int, seed: int) -> Array:
    """Noise as loud as diffuse sound in a room, from the moment that the sound itself arrives."""
    tail = decaying_noise(rt60_seconds, sample_rate, seed)
    return _density(room, sample_rate, rt60_seconds) * tail


def _mirrored(room: Room, rt60_seconds: float, sample_rate: int, seed: int) -> Array:
    taps = taps_of(rt60_seconds, sample_rate)
    time = np.arange(taps) / sample_rate
    longest = SOUND_METRES * float(time[-1]) + room.distance
    farthest = min(longest, (3 * room.volume * MOST_IMAGES / (4 * math.pi)) ** (1 / 3))
    response = _early(room, images(room, farthest), rt60_seconds, sample_rate, taps)
    if farthest < longest:
        join = (farthest - room.distance) / SOUND_METRES - SLOW_SECONDS
        share = np.clip((time / join - JOINING) / (1 - JOINING), 0, 1) * math.pi / 2
        late = _diffuse(room, SLOWER * rt60_seconds, sample_rate, seed)[:taps]
        response = response * np.cos(share) + late * np.sin(share)
    response[0] = 0
    for _ in range(CORRECTIONS):
        measured = decay_seconds(response, sample_rate)
        if measured <= rt60_seconds:
            break
        response *= np.exp(-DECADES * (1 / rt60_seconds - 1 / measured) * time)
    return response


def _density(room: Room, sample_rate: int, rt60_seconds: float) -> float:
    """The amplitude of a diffuse field in each sample when the sound itself, 1, arrives."""
    per_sample = 4 * math.pi * SOUND_METRES * room.distance**2 / (room.volume * sample_rate)
    lost = math.exp(-DECADES * room.distance / SOUND_METRES / rt60_seconds)
    return math.sqrt(per_sample) * lost


def _early(room: Room, seen: Images, rt60_seconds: float, sample_rate: int, taps: int) -> Array:
    """The images, each a click at its moment, without what swings too slowly, (taps,)."""
    wall = wall_reflection(room, rt60_seconds)
    decay = DECADES / (SOUND_METRES * SLOWER * rt60_seconds)  # a metre
    far = seen.distance[1:]
    even = np.exp(-decay * far) / _average_loss(room, wall, far)
    gain = room.distance / far * wall ** seen.reflections[1:] * even
    moment = (far - room.distance) / SOUND_METRES * sample_rate
    first = np.floor(moment).astype(np.int64) - HALF_TAPS + 1
    around = np.arange(2 * HALF_TAPS)
    off = around + (first - moment)[:, None]
    clicks = gain[:, None] * np.sinc(off) * (0.5 + 0.5 * np.cos(np.pi * off / HALF_TAPS))
    places = first[:, None] + around
    within = (places > 0) & (places < taps)
    response = np.bincount(places[within], clicks[within], minlength=taps)
    window = np.hanning(2 * math.ceil(SLOW_SECONDS * sample_rate) + 1)
    steady: Array = response - oaconvolve(response, window / window.sum(), mode="same")
    return steady


def _average_loss(room: Room, wall: float, distance: Array) -> Array:
    """What is left, in RMS, of images at distances in all directions, by their walls alone."""
    height, turn = np.meshgrid((np.arange(16) + 0.5) / 16, (np.arange(16) + 0.5) / 16 * np.pi / 2)
    flat = np.sqrt(1 - height**2)
    ways = np.stack([flat * np.cos(turn), flat * np.sin(turn), height]).reshape(3, -1)
    asked = np.linspace(0, float(distance.max()), 64) if len(distance) else np.zeros(1)
    power = np.ones((len(asked), ways.shape[1]))
    for side, way in zip(room.size, ways, strict=True):
        crossed = asked[:, None] * way / side
        whole = np.floor(crossed)
        # one wall more on a part of the ways
        power *= wall ** (2 * whole) * (1 + (crossed - whole) * (wall**2 - 1))
    found: Array = np.exp(np.interp(distance, asked, np.log(power.mean(axis=1)) / 2))
    return found
