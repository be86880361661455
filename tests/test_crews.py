"""Many hands: what hangs, dies or is lost costs no more than it must, and nothing is told twice."""

import math
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from selfremaster.core import crews, diaries
from selfremaster.core.crews import Care, Crew, in_order
from selfremaster.core.diaries import Told
from selfremaster.core.errors import ComponentError, SelfRemasterError
from selfremaster.core.limits import TimeLimit
from selfremaster.core.workers import Done, Loss, Outcome, Raised, Stopped, packed, unpacked

Reply = Callable[[Any], Outcome | None]
LOST = Loss("lost", how="its machine is gone")
NOTHING = Told()


class Hand:
    """Gives outcomes as it is told to, at once; none: never."""

    def __init__(self, about: Outcome | None, reply: Reply, told: Told) -> None:
        self.about, self.reply, self.known = about, reply, told
        self.log: list[str] = []
        self.waiting: list[Future[Any]] = []

    def ready(self) -> "Future[Any]":
        """Begin."""
        return self._future(self.about)

    def do(self, item: bytes) -> "Future[Any]":
        """Reply."""
        return self._future(self.reply(unpacked(item)))

    def outcome(self, task: "Future[Any]") -> Outcome:
        """What was replied."""
        outcome: Outcome = task.result()
        return outcome

    def told(self) -> Told:
        """What is known."""
        return self.known

    def interrupt(self) -> None:
        """Stop at once."""
        self.log.append("interrupted")
        for task in self.waiting:
            task.set_result(Stopped())

    def end(self) -> None:
        """End."""
        self.log.append("ended")

    def _future(self, outcome: Outcome | None) -> "Future[Any]":
        task: Future[Any] = Future()
        if outcome is None:
            self.waiting.append(task)
        else:
            task.set_result(outcome)
        return task


class Hall:
    """Hands for hire, each of which begins with the next of some outcomes."""

    def __init__(self, reply: Reply, *abouts: Outcome | None, told: Told = NOTHING) -> None:
        self.reply, self.abouts, self.told = reply, list(abouts), told
        self.hired: list[Hand] = []

    def __call__(self) -> Hand:
        """Hire one."""
        about = self.abouts.pop(0) if self.abouts else Done(None)
        self.hired.append(Hand(about, self.reply, self.told))
        return self.hired[-1]


def doubled(item: int) -> Outcome:
    return Done(2 * item)


def care_for(lost: list[Loss], seconds: float = math.inf) -> Care:
    """Tells what was lost, and gives minus one for it."""

    def note(item: Any, loss: Loss) -> int:
        lost.append(loss)
        return -1

    return Care(lambda item, sound_seconds: seconds, note, seconds)


def test_every_item_is_done_by_as_few_hands_as_there_may_be() -> None:
    hall = Hall(doubled)
    crew: Crew[int, int] = Crew(hall, 3)
    assert list(in_order(crew.results(range(10)))) == [2 * item for item in range(10)]
    assert len(hall.hired) == 3
    crew.end()
    assert all(hand.log == ["ended"] for hand in hall.hired)
    few = Hall(doubled)
    assert list(in_order(Crew[int, int](few, 8).results([1, 2]))) == [2, 4]
    assert len(few.hired) == 2


def test_who_does_not_begin_in_time_is_ended_and_what_was_at_work_is_named() -> None:
    told = Told(pid=1, part="vocoder 'hangy' of stranger")
    hall = Hall(doubled, None, None, told=told)
    words = (
        "took longer than 0.0008333 minutes to begin while vocoder 'hangy' of stranger was at "
        "work and was ended"
    )
    with pytest.raises(SelfRemasterError, match=words):
        Crew[int, int](hall, 2, care_for([], seconds=0.05)).about()
    assert [hand.log for hand in hall.hired] == [["ended"], ["ended"]]


def test_who_waits_for_a_place_is_not_late() -> None:
    hall = Hall(doubled, None, Done("here"))
    crew = Crew[int, int](hall, 2, care_for([], seconds=0.0))
    assert crew.about() == "here"
    assert hall.hired[0].log == []


def test_what_is_lost_with_a_machine_is_done_again_elsewhere() -> None:
    tries: dict[int, int] = {}

    def reply(item: int) -> Outcome:
        tries[item] = tries.get(item, 0) + 1
        return LOST if item == 1 and tries[item] < 3 else Done(item)

    lost: list[Loss] = []
    hall = Hall(reply)
    assert list(in_order(Crew(hall, 2, care_for(lost)).results([0, 1, 2]))) == [0, 1, 2]
    assert (tries, lost) == ({0: 1, 1: 3, 2: 1}, [])
    assert sum("ended" in hand.log for hand in hall.hired) == 2


def test_what_is_lost_again_and_again_fails_with_its_reason() -> None:
    lost: list[Loss] = []
    hall = Hall(lambda item: LOST if item == 1 else Done(item))
    assert list(in_order(Crew(hall, 1, care_for(lost)).results([0, 1, 2]))) == [0, -1, 2]
    assert lost == [LOST]
    assert LOST.words() == "what worked on it was lost, 3 times (its machine is gone)"


def test_what_ends_its_process_is_not_tried_again() -> None:
    asked: list[int] = []

    def reply(item: int) -> Outcome:
        asked.append(item)
        return Loss("died", "vocoder 'odd' of odd 1.0", "EXIT(3)") if item == 1 else Done(item)

    lost: list[Loss] = []
    assert list(in_order(Crew(Hall(reply), 1, care_for(lost)).results([0, 1, 2]))) == [0, -1, 2]
    assert asked == [0, 1, 2]
    assert lost[0].words() == (
        "vocoder 'odd' of odd 1.0 ended the process (EXIT(3)); try `selfremaster check`, or leave "
        "the plugin out"
    )


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (
            Loss("died", "metric 'wer' of selfremaster", "SIGKILL(-9)"),
            "its process was ended from outside while metric 'wer' of selfremaster was at work, "
            "most likely for want of memory; take fewer processes (--jobs)",
        ),
        (Loss("died", how="SIGSEGV(-11)"), "its process ended (SIGSEGV(-11))"),
    ],
)
def test_the_words_of_a_loss(loss: Loss, words: str) -> None:
    assert loss.words() == words


def test_what_hangs_is_ended_with_its_part_named_and_the_rest_is_done() -> None:
    lost: list[Loss] = []
    hall = Hall(lambda item: None if item == 1 else Done(item), told=Told(7, 2.0, "vocoder 'odd'"))
    crew: Crew[int, int] = Crew(hall, 1, care_for(lost, 0.01))
    assert list(in_order(crew.results([0, 1, 2]))) == [0, -1, 2]
    assert [(one.why, one.part) for one in lost] == [("hung", "vocoder 'odd'")]
    assert lost[0].seconds == pytest.approx(0.01)
    assert hall.hired[0].log == ["ended"]


def test_a_long_sound_has_longer_once_it_is_known_to_be_long() -> None:
    asked: list[float] = []

    def limit(item: Any, sound_seconds: float) -> float:
        asked.append(sound_seconds)
        return 0.02 if sound_seconds else 0.01

    lost: list[Loss] = []
    hall = Hall(lambda item: None, told=Told(7, 3600.0))
    care = care_for(lost)._replace(limit_seconds=limit)
    assert list(Crew[int, int](hall, 1, care).results([0])) == [(0, -1)]
    assert asked[:2] == [0.0, 3600.0]
    assert lost[0].seconds == pytest.approx(0.02)


def test_limits_go_by_the_sound_unless_told() -> None:
    usual = TimeLimit(None, 1800, "--file-minutes")
    assert [usual.seconds(length) for length in (0, 10, 60, 3600)] == [1800, 1800, 1800, 108000]
    assert TimeLimit(0.5, 1800, "").seconds(3600) == 30
    assert math.isinf(TimeLimit(0, 1800, "").seconds(3600))
    assert usual.words(90, "vocoder 'odd'") == (
        "took longer than 1.5 minutes and was ended while vocoder 'odd' was at work; give it more "
        "by --file-minutes, or 0 for no limit"
    )


# who cannot begin


def test_one_who_cannot_begin_is_done_without() -> None:
    failing = Raised(ComponentError("needs the package absent"))
    hall = Hall(doubled, Done(None), failing, Loss("died", how="EXIT(1)"))
    assert list(in_order(Crew[int, int](hall, 3).results(range(6)))) == [0, 2, 4, 6, 8, 10]


@pytest.mark.parametrize(
    ("about", "words"),
    [
        (Raised(ComponentError("needs the package absent")), "^needs the package absent$"),
        (
            Loss("died", "vocoder 'odd'", "EXIT(1)"),
            r"^a process ended before it could begin while vocoder 'odd' was at work \(EXIT\(1\)\)",
        ),
        (LOST, r"ended before it could begin \(its machine is gone\)"),
    ],
)
def test_where_nobody_can_begin_that_is_told(about: Outcome, words: str) -> None:
    with pytest.raises(SelfRemasterError, match=words):
        Crew(Hall(doubled, *[about] * 9), 2).about()


def test_a_machine_that_is_lost_at_the_beginning_is_replaced() -> None:
    crew: Crew[int, int] = Crew(Hall(doubled, LOST, LOST, Done("model")), 1)
    assert crew.about() == "model"


def test_machines_with_other_models_are_refused() -> None:
    crew: Crew[int, int] = Crew(Hall(doubled, Done("one"), Done("other")), 2)
    with pytest.raises(SelfRemasterError, match=r"not have the same model .*\(one there, other "):
        list(crew.results([1, 2]))


# the end


def test_work_that_raises_ends_all_and_lets_the_others_tidy_up() -> None:
    replies = {0: Raised(SelfRemasterError("disk full")), 1: None}
    hall = Hall(lambda item: replies[item])
    with pytest.raises(SelfRemasterError, match="disk full"):
        list(Crew[int, int](hall, 2).results([1, 0]))
    assert [hand.log for hand in hall.hired if hand.log] == [["interrupted"]]


def test_who_wants_no_more_lets_the_others_tidy_up() -> None:
    hall = Hall(lambda item: None if item else Done(item))
    results = Crew[int, int](hall, 2).results([0, 1, 2])
    assert next(results) == (0, 0)
    results.close()  # type: ignore[attr-defined]  # a generator
    assert sorted(len(hand.log) for hand in hall.hired) == [0, 1]


def test_what_does_not_stop_is_ended_and_tidied_up_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crews, "GRACE_SECONDS", 0.01)
    monkeypatch.setattr(Hand, "interrupt", lambda hand: hand.log.append("deaf"))
    lost: list[Loss] = []
    hall = Hall(lambda item: Done(item) if item == 0 else Stopped() if item == 2 else None)
    results = Crew(hall, 2, care_for(lost)).results([0, 1, 2])
    found = []
    with pytest.raises(KeyboardInterrupt):
        found += list(results)
    assert [one.why for one in lost] == ["hung"]
    assert ["deaf", "ended"] in [hand.log for hand in hall.hired]


def test_a_stop_that_is_raised_lets_who_is_at_work_tidy_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As SIGTERM does, where Ctrl-C is ignored."""
    hall = Hall(lambda item: None)
    wait, calls = crews.wait, iter(range(100))

    def stopped(*given: Any, **how: Any) -> Any:
        if next(calls) == 1:
            raise KeyboardInterrupt
        return wait(*given, **how)

    monkeypatch.setattr(crews, "wait", stopped)
    with pytest.raises(KeyboardInterrupt):
        list(Crew[int, int](hall, 1).results([0]))
    assert hall.hired[0].log == ["interrupted"]


def test_results_that_came_early_are_told_when_all_is_stopped() -> None:
    def stopped() -> Any:
        yield 1, "b"
        raise KeyboardInterrupt

    told = in_order(stopped())
    assert next(told) == "b"
    with pytest.raises(KeyboardInterrupt):
        next(told)


# what a process tells of itself


def test_a_diary_tells_what_is_at_work_and_then_what_was_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diaries, "_diary", diaries._Diary())
    with diaries.at_work("nobody is told"):
        assert diaries.read(tmp_path / "diary") == Told()
    diaries.begin(tmp_path / "diary")
    diaries.tell_length(12.5)
    with diaries.at_work("vocoder 'blend'"), diaries.at_work("vocoder '\u00e4" + "x" * 500):
        assert diaries.read(tmp_path / "diary").part.startswith("vocoder '\u00e4xxx")
    with diaries.at_work("vocoder 'blend'"):
        with diaries.at_work("vocoder 'istft'"):
            pass
        told = diaries.read(tmp_path / "diary")
        assert (told.sound_seconds, told.part) == (12.5, "vocoder 'blend'")
    assert diaries.read(tmp_path / "diary").part == ""
    (tmp_path / "diary").write_bytes(b"no number")
    assert diaries.read(tmp_path / "diary") == Told()


def test_no_part_begins_once_work_is_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diaries, "_diary", diaries._Diary())
    with diaries.at_work("analyzer 'unet'"):
        diaries.end_work()
        with pytest.raises(KeyboardInterrupt), diaries.at_work("vocoder 'istft'"):
            pytest.fail("it began")
        assert diaries.at_work_now()[0] == "analyzer 'unet'"


def test_work_that_cannot_be_sent_is_one_line() -> None:
    with pytest.raises(SelfRemasterError, match=r"other processes \(.*generator.*\); take one pro"):
        packed(character for character in "work")
