"""What recordings of each era have been through: data alone, parts as mappings and text.

Every chain goes in the order of a recording's life. Bands and speeds are those of the sources;
levels of what is added are over the speech, from those of good copies to those of worn ones.
Nearly all levels, chances and amounts of wear are our choice, by ear and by what was common.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

Era = Literal[
    "acoustic-1910",
    "shellac-1930",
    "radio-1940",
    "tape-1960",
    "telephone",
    "cassette-1980",
    "early-digital",
]
Part = str | dict[str, Any]


def chain(*steps: Part) -> dict[str, Any]:
    """Steps one after another."""
    return {"name": "chain", "steps": list(steps)}


def one_of(*choices: Part) -> dict[str, Any]:
    """One of several."""
    return {"name": "one-of", "choices": list(choices)}


def sometimes(chance: float, part: Part) -> dict[str, Any]:
    """By a chance."""
    return {"name": "sometimes", "chance": chance, "degradation": part}


HUM = "hum:mains_hz=[50, 60]"
TRANSFER = ("gain:gain_db=[-9, 0]", "bit-depth:bits=16")
"""The archive's own converter, which ends at full scale."""

# The horn let through about 168 to 2000 Hz, and rang. Maxfield and Harrison, Methods of High
# Quality Recording and Reproducing of Music and Speech Based on Telephone Research (Bell System
# Technical Journal 5, 1926), compare it with their electrical recorder. Nothing is amplified; what
# is loud blasts. A disc at 78 turns a minute with its hole off the middle has wow of 1.3 Hz.
ACOUSTIC_1910 = chain(
    sometimes(0.5, "reverb:rt60_seconds=[0.15, 0.5],drr_db=[5, 15]"),
    "horn:low_hz=[140, 260],high_hz=[1800, 2600],resonance_db=[5, 14]",
    sometimes(0.4, one_of("clip:ratio=[0.4, 0.9]", "overdrive:gain=[3, 18],colour=[0, 40]")),
    "hiss:level_db=[-32, -12],slope_db=[0, 3]",
    "crackle:per_second=[10, 200],level_db=[-25, -3]",
    sometimes(0.5, "clicks:per_second=[0.2, 4],level_db=[0, 10],turns_per_minute=[78, null]"),
    "wow-flutter:wow_percent=[0.2, 1.5],wow_hz=1.3,flutter_percent=[0, 0.2]",
    sometimes(0.4, f"{HUM},level_db=[-55, -35]"),
    "filter:low_hz=[50, 120],high_hz=[2200, 3000],order=[4, 6]",
    *TRANSFER,
)

# By microphone the band was 100 to 5000 Hz, and 6000 by 1940 (Maxfield and Harrison, as above; P.
# Copeland, Manual of Analogue Sound Restoration Techniques, British Library, 2008, on the curves
# that discs were cut and are played with, which seldom fit).
SHELLAC_1930 = chain(
    sometimes(0.5, "reverb:rt60_seconds=[0.2, 0.8],drr_db=[3, 12]"),
    "eq:spread_db=[2, 6]",
    sometimes(0.5, "agc:ratio=[1.5, 4],attack_seconds=[0.1, 0.5],release_seconds=[1, 6]"),
    "filter:low_hz=[60, 120],high_hz=[4500, 6000],order=[2, 5]",
    sometimes(0.5, "overdrive:gain=[0, 12],colour=[0, 20]"),
    "hiss:level_db=[-40, -18],slope_db=[0, 3]",
    "crackle:per_second=[10, 300],level_db=[-30, -5]",
    sometimes(0.5, "clicks:per_second=[0.2, 4],level_db=[0, 10],turns_per_minute=[78, null]"),
    "wow-flutter:wow_percent=[0.1, 0.8],wow_hz=1.3,flutter_percent=[0, 0.1]",
    sometimes(0.4, f"{HUM},level_db=[-60, -38]"),
    "eq:spread_db=[1, 5],octaves=2,tilt_db_per_octave=[-2, 2]",
    "filter:high_hz=[6000, 8000],order=[2, 4]",
    *TRANSFER,
)

# Stations lie 9 or 10 kHz apart, so that 4.5 to 5 kHz are heard (F. E. Terman, Radio Engineers'
# Handbook, 1943); from 1937 on programme amplifiers held the level. What was kept is on discs of
# 33.3 turns a minute, or on wire, which runs unevenly.
RADIO_1940 = chain(
    sometimes(0.3, "reverb:rt60_seconds=[0.2, 0.6],drr_db=[6, 15]"),
    "agc:target_db=[-22, -16],ratio=[2, 10],attack_seconds=[0.005, 0.05],release_seconds=[0.3, 3]",
    "overdrive:gain=[0, 8],colour=[0, 40]",
    "filter:low_hz=[80, 150],high_hz=[4000, 5000],order=[4, 8]",
    "hiss:level_db=[-45, -20],slope_db=0",
    sometimes(0.5, "crackle:per_second=[0.5, 20],level_db=[-15, 6],resonance_hz=[1500, 4000]"),
    sometimes(0.7, f"{HUM},level_db=[-50, -28]"),
    "filter:high_hz=[4500, 5500],order=[3, 6]",
    one_of(
        chain(
            "crackle:per_second=[5, 100],level_db=[-35, -10]",
            "wow-flutter:wow_percent=[0.1, 0.5],wow_hz=0.56,flutter_percent=[0, 0.1]",
        ),
        chain(
            "hiss:level_db=[-40, -28],slope_db=0",
            "wow-flutter:wow_percent=[0.3, 1],wow_hz=[0.5, 2],flutter_percent=[0.1, 0.5]",
        ),
    ),
    "filter:high_hz=[5000, 6000],order=[3, 6]",
    *TRANSFER,
)

# Open reels at 9.5 or 19.05 cm/s in private and radio use (IEC 60094). Tape saturates softly, its
# layers print on each other, and a badly adjusted head is dull.
TAPE_1960 = chain(
    sometimes(0.6, "reverb:rt60_seconds=[0.2, 0.8],drr_db=[2, 12]"),
    "eq:spread_db=[1, 5],tilt_db_per_octave=[-1, 1]",
    sometimes(0.4, "agc:ratio=[1.5, 5],attack_seconds=[0.02, 0.2],release_seconds=[1, 6]"),
    "overdrive:gain=[0, 12],colour=[0, 10]",
    "filter:low_hz=[30, 80],high_hz=[7000, 14000],order=[2, 4]",
    "hiss:level_db=[-52, -30],corner_hz=[1500, 4547]",
    sometimes(0.4, "print-through:level_db=[-50, -32],seconds=[0.8, 2]"),
    sometimes(0.4, "dropout:per_second=[0.1, 2],speed_cm_s=[9.5, 19.05],depth_db=[3, 25]"),
    "wow-flutter:wow_percent=[0.03, 0.3],wow_hz=[0.5, 3],flutter_percent=[0.02, 0.2]",
    sometimes(
        0.4,
        one_of(
            "azimuth:minutes=[2, 15],track_mm=2.2,speed_cm_s=9.5",
            "azimuth:minutes=[2, 10],track_mm=6.3,speed_cm_s=19.05",
        ),
    ),
    sometimes(0.5, f"{HUM},level_db=[-62, -38]"),
    *TRANSFER,
)

# 300 to 3400 Hz, then 8000 Hz in 64 kbit/s (ITU-T G.711), half of that (G.726), or 13 kbit/s as on
# mobile telephones (ETSI GSM 06.10). Carbon microphones, which bend the wave unevenly, were in use
# into the eighties; packets came later.
TELEPHONE = chain(
    sometimes(0.4, "reverb:rt60_seconds=[0.15, 0.6],drr_db=[3, 15]"),
    sometimes(0.4, "noise:snr_db=[8, 35],kind=[white, pink, brown],level=speech"),
    "eq:spread_db=[2, 8]",
    sometimes(0.5, "overdrive:gain=[0, 20],colour=[0, 60]"),
    sometimes(0.6, f"{HUM},level_db=[-50, -25],rolloff_db=[3, 9]"),
    "hiss:level_db=[-50, -25],slope_db=0",
    "filter:low_hz=[200, 300],high_hz=[3100, 3400],order=[5, 8]",
    sometimes(0.7, "codec:kind=[a-law, mu-law, g726, gsm]"),
    # what is cut off in the middle of a wave has no heights either: the line's end is a filter
    sometimes(
        0.2,
        chain(
            "packet-loss:loss_percent=[0.5, 10],burst_packets=[1, 4]",
            "filter:high_hz=3400,order=8,kind=chebyshev2",
        ),
    ),
    *TRANSFER,
)

# 4.76 cm/s (IEC 60094-7), heights to 8 to 13 kHz, a microphone in the case that hears the motor,
# and a recorder that sets its level by itself. Hiss rises above 1326 Hz (120 us).
CASSETTE_1980 = chain(
    sometimes(0.8, "reverb:rt60_seconds=[0.2, 0.9],drr_db=[0, 10]"),
    sometimes(0.3, f"{HUM},level_db=[-55, -35]"),
    "agc:target_db=[-22, -16],ratio=[3, 20],attack_seconds=[0.01, 0.1],release_seconds=[1, 8]",
    "eq:spread_db=[2, 7]",
    "overdrive:gain=[0, 10],colour=[0, 15]",
    "filter:low_hz=[60, 150],high_hz=[7000, 13000],order=[2, 5]",
    "hiss:level_db=[-45, -26],corner_hz=1326",
    sometimes(0.3, "print-through:level_db=[-48, -34],seconds=[1, 2.5],strongest_hz=[600, 1000]"),
    sometimes(0.5, "dropout:per_second=[0.1, 2],depth_db=[3, 20]"),
    "wow-flutter:wow_percent=[0.05, 0.4],wow_hz=[0.5, 3],flutter_percent=[0.05, 0.3]",
    sometimes(0.4, "azimuth:minutes=[3, 18]"),
    sometimes(0.3, "stereo-imbalance:balance_db=[-6, 6]"),
    *TRANSFER,
)

# The Multimedia PC of 1991 records eight bits at 11025 Hz; workstations had mu-law at 8000 Hz, and
# ADPCM kept files small. Filters were cheap or missing, microphones too.
EARLY_DIGITAL = chain(
    sometimes(0.6, "reverb:rt60_seconds=[0.15, 0.6],drr_db=[2, 12]"),
    "filter:low_hz=[60, 250],high_hz=[6000, 16000],order=[1, 3]",
    "hiss:level_db=[-42, -22],slope_db=0",
    sometimes(0.5, f"{HUM},level_db=[-50, -30]"),
    "agc:target_db=[-24, -12],ratio=[1.5, 10],release_seconds=[0.5, 5]",
    sometimes(0.3, "clip:ratio=[0.3, 0.9]"),
    sometimes(0.4, "dc-offset:offset=[-0.03, 0.03]"),
    one_of(
        chain(
            "bit-depth:bits=[6, 8]",
            "resample:rate_hz=[8000, 11025],aliasing=[true, false],"
            "rebuilt=[filtered, linear, held]",
        ),
        "codec:kind=[mu-law, ima-adpcm],rate_hz=[8000, 11025]",
    ),
    "gain:gain_db=[-9, 0]",
)

ERAS: Mapping[Era, dict[str, Any]] = MappingProxyType(
    {
        "acoustic-1910": ACOUSTIC_1910,
        "shellac-1930": SHELLAC_1930,
        "radio-1940": RADIO_1940,
        "tape-1960": TAPE_1960,
        "telephone": TELEPHONE,
        "cassette-1980": CASSETTE_1980,
        "early-digital": EARLY_DIGITAL,
    }
)
"""The chain of each era."""
