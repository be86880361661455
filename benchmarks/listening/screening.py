"""Which listeners' answers count: stated rules, and who broke which."""

from collections.abc import Sequence
from statistics import fmean, median
from typing import Annotated, NamedTuple

from pydantic import Field

from selfremaster.benchmarks.listening.agreement import agreements
from selfremaster.benchmarks.listening.answers import Rating, Session, decided_in, too_fast
from selfremaster.benchmarks.listening.designs import Key
from selfremaster.core.experiments import Settings

FEWEST_REPEATED = 3  # ratings that came again, below which consistency is not judged
FEWEST_ALIKE = 8  # answers, below which the same answer each time may be meant
FEWEST_TO_AGREE = 4  # listeners, below which nobody is judged by the others


class Rules(Settings):
    """What a listener's answers must keep to count."""

    worst_of_good: Annotated[int, Field(description="a copy rated so or below fails")] = 2
    worst_of_same: Annotated[int, Field(description="the reference itself, smos: so or below")] = 3
    best_of_noise: Annotated[int, Field(description="noise rated so or above fails")] = 3
    share_of_checks: Annotated[float, Field(description="of checks, that many may not fail")] = 0.5
    typical_agreement: Annotated[float, Field(description="median, that judges listeners")] = 0.4
    share_of_agreement: Annotated[float, Field(description="of the median, at least")] = 0.5
    reference_below: Annotated[float, Field(description="hidden reference, mushra")] = 90
    anchor_above: Annotated[float, Field(description="anchor, mushra")] = 90
    share_of_trials: Annotated[float, Field(description="of mushra trials that may do so")] = 0.15
    opinions_apart: Annotated[float, Field(description="mean, between repeats, 1 to 5")] = 1.5
    points_apart: Annotated[float, Field(description="mean, between repeats, 0 to 100")] = 25
    share_too_fast: Annotated[float, Field(description="of trials that may be too fast")] = 0.15
    decided_in: Annotated[float, Field(description="median seconds, after hearing")] = 0.3


class Verdict(NamedTuple):
    """Whether a listener's answers count, and if not, why."""

    listener: str
    playlist: int
    reasons: tuple[str, ...]
    device: str
    minutes: float

    @property
    def kept(self) -> bool:
        """Whether the answers count."""
        return not self.reasons


def screen(
    sessions: Sequence[Session], ratings: Sequence[Rating], key: Key, rules: Rules | None = None
) -> list[Verdict]:
    """Judge every listener by the rules.

    Of simulated listeners, 12 careful ones beside 4 who answer at random, the rules find 98 % or
    more of the latter. Of the former they lose 1 % or fewer when their answers scatter by 0.6
    (mushra: 4 points), and 3 % (mos), 6 % (smos) and 2 % (preference) when they scatter by 0.8.
    """
    stated = rules or Rules()
    by_listener: dict[str, list[Rating]] = {session.listener: [] for session in sessions}
    for rating in ratings:
        by_listener[rating.listener].append(rating)
    agreed = agreements(ratings)
    telling = len(agreed) >= FEWEST_TO_AGREE and median(agreed.values()) >= stated.typical_agreement
    least = stated.share_of_agreement * median(agreed.values()) if telling else None
    verdicts = []
    for session in sessions:
        own = by_listener[session.listener]
        found = (
            _sound_check(session),
            _checks(own, key, stated, strict=not telling),
            _agreement(agreed.get(session.listener, 0.0), least),
            _mushra(own, key, stated),
            _repeats(own, key, stated),
            _alike(own, key),
            _speed(session, key, stated),
        )
        minutes = (session.finished - session.started).total_seconds() / 60
        verdicts.append(
            Verdict(
                session.listener,
                session.playlist,
                tuple(reason for reason in found if reason),
                session.sound_check.device or "unknown",
                round(minutes, 1),
            )
        )
    return verdicts


def rules_in_words(key: Key, rules: Rules | None = None) -> list[str]:
    """What a report says of the rules that apply to a test."""
    stated = rules or Rules()
    words = ["failed the sound check (three wrong counts of quiet beeps)"]
    if key.test == "mos":
        words.append(
            f"failed attention checks: rated speech drowned in noise (ITU-T P.810, Q = 0 dB) "
            f"{stated.best_of_noise} or better, or an original {stated.worst_of_good} or worse, "
            f"both hidden among the others"
        )
    if key.test == "smos":
        words.append(
            f"failed attention checks: rated the reference beside itself {stated.worst_of_same} or "
            f"worse"
        )
    if key.test == "preference":
        words.append(
            "failed attention checks: did not prefer the sound itself to the same drowned in noise "
            "(ITU-T P.810)"
        )
    if key.test != "mushra":
        words[-1] += (
            f"; {stated.share_of_checks:.0%} of the checks or more, or any at all where the next "
            f"rule cannot judge"
        )
    words.append(
        f"agreed with the others less than {stated.share_of_agreement:g} times as well as the "
        f"median listener: Pearson's correlation of the answers with the means of all others for "
        f"the same systems and conditions (after ITU-T P.913); it judges where "
        f"{FEWEST_TO_AGREE} or more listened and the median is {stated.typical_agreement:g} or more"
    )
    if key.test == "mushra":
        words.append(
            f"rated the hidden reference below {stated.reference_below:g}, or an anchor above "
            f"{stated.anchor_above:g}, in more than {stated.share_of_trials:.0%} of the trials "
            f"(ITU-R BS.1534-3, section 4.1.2)"
        )
        apart = f"{stated.points_apart:g} points"
    else:
        apart = f"{stated.opinions_apart:g}"
    if key.test != "preference":
        words.append(
            f"rated the same sounds more than {apart} apart on average, of {FEWEST_REPEATED} or "
            f"more that came twice"
        )
    if key.test != "mushra":
        side = "chose the same side" if key.test == "preference" else "gave the same rating"
        words.append(f"{side} in every one of {FEWEST_ALIKE} or more trials")
    words.append(
        f"answered more than {stated.share_too_fast:.0%} of the trials in less time than the "
        f"sounds take, or within {stated.decided_in:g} seconds of hearing them (median)"
    )
    return words


def _sound_check(session: Session) -> str:
    return "" if session.sound_check.passed else "failed the sound check"


def _agreement(own: float, least: float | None) -> str:
    if least is None or own >= least:
        return ""
    return f"agreed little with the others (correlation {own:.2f}, at least {least:.2f})"


def _checks(ratings: Sequence[Rating], key: Key, rules: Rules, *, strict: bool) -> str:
    checks = [rating for rating in ratings if rating.role == "check"]
    if key.test == "preference":
        checks = [rating for rating in checks if rating.kind == "copy"]
        failed = [rating for rating in checks if rating.value < 1]
    else:
        worst = rules.worst_of_same if key.test == "smos" else rules.worst_of_good
        failed = [
            rating
            for rating in checks
            if (rating.kind == "noise" and rating.value >= rules.best_of_noise)
            or (rating.kind == "copy" and rating.value <= worst)
        ]
    enough = 1 if strict else max(1, rules.share_of_checks * len(checks))
    if len(failed) < enough:
        return ""
    return f"failed {len(failed)} of {len(checks)} attention checks"


def _mushra(ratings: Sequence[Rating], key: Key, rules: Rules) -> str:
    if key.test != "mushra":
        return ""
    rated = [rating for rating in ratings if rating.role == "rated"]
    references = [rating.value for rating in rated if rating.kind == "reference"]
    low = sum(value < rules.reference_below for value in references)
    if low > rules.share_of_trials * len(references):
        return (
            f"rated the hidden reference below {rules.reference_below:g} in {low} of "
            f"{len(references)} trials"
        )
    anchors = [rating.value for rating in rated if rating.kind == "anchor"]
    high = sum(value > rules.anchor_above for value in anchors)
    if high > rules.share_of_trials * len(anchors):
        return f"rated an anchor above {rules.anchor_above:g} in {high} of {len(anchors)} trials"
    return ""


def differences_of_repeats(ratings: Sequence[Rating]) -> list[float]:
    """How far apart the ratings of the same sound are, where a trial came twice."""
    first = {
        (rating.trial, rating.label): rating.value for rating in ratings if rating.role == "rated"
    }
    return [
        abs(rating.value - first[rating.repeats, rating.label])
        for rating in ratings
        if rating.role == "repeat" and rating.repeats is not None
    ]


def _repeats(ratings: Sequence[Rating], key: Key, rules: Rules) -> str:
    apart = differences_of_repeats(ratings)
    if key.test == "preference" or len(apart) < FEWEST_REPEATED:
        return ""
    allowed = rules.points_apart if key.test == "mushra" else rules.opinions_apart
    if fmean(apart) <= allowed:
        return ""
    return f"rated the same sounds {fmean(apart):.1f} apart on average"


def _alike(ratings: Sequence[Rating], key: Key) -> str:
    if key.test == "mushra":
        return ""
    given = [rating.value for rating in ratings if rating.role != "check"]
    if key.test == "preference":
        given = given[::2]  # of the first side of each trial
    if len(given) < FEWEST_ALIKE or len(set(given)) > 1:
        return ""
    if key.test == "preference":
        side = {1.0: "A", 0.0: "B"}.get(given[0], "neither")
        return f"chose {side} in all {len(given)} trials"
    return f"gave {given[0]:g} in all {len(given)} trials"


def _speed(session: Session, key: Key, rules: Rules) -> str:
    trials = key.playlists[session.playlist - 1]
    fast = sum(
        too_fast(answer, trial, key) for answer, trial in zip(session.answers, trials, strict=True)
    )
    if fast > rules.share_too_fast * len(trials):
        return f"answered {fast} of {len(trials)} trials in less time than the sounds take"
    typical = median(map(decided_in, session.answers))
    if typical < rules.decided_in:
        return f"answered within {max(typical, 0):.2f} seconds of hearing"
    return ""
