"""The logs of a run: numbers as CSV and in TensorBoard, samples to hear and to see."""

import csv
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from selfremaster.core.files import cannot_write, write_atomically
from selfremaster.core.pictures import spectrogram_image

if TYPE_CHECKING:
    from selfremaster.core.models import Model

CSV_NAME, BOARD_NAME = "log.csv", "tensorboard"
COLUMNS = ("step", "phase", "name", "value")


class RunLog:
    """Writes ``log.csv`` (step, phase, name, value) and TensorBoard events into a run's folder.

    A run that goes on after ``last_step`` drops the lines that come later; one that begins has no
    such step, and drops all.
    """

    def __init__(self, folder: Path, last_step: int | None, *, active: bool = True) -> None:
        self.active = active
        if not active:
            return
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        self._folder = folder
        path = folder / CSV_NAME
        kept = [] if last_step is None else _rows_up_to(path, last_step)
        with (
            write_atomically(path) as temporary,
            temporary.open("w", newline="") as opened,
        ):
            csv.writer(opened).writerows([COLUMNS, *kept])
        with self._writing():
            self._file = path.open("a", newline="")
            self._rows = csv.writer(self._file)
            self._board = SummaryWriter(
                str(folder / BOARD_NAME), purge_step=None if last_step is None else last_step + 1
            )

    def numbers(self, step: int, phase: str, values: Mapping[str, float]) -> None:
        """Log named numbers of a step."""
        if not self.active:
            return
        with self._writing():
            for name, value in values.items():
                self._rows.writerow([step, phase, name, f"{value:.6g}"])
                self._board.add_scalar(f"{phase}/{name}", value, step)
            self._file.flush()

    def sounds(self, step: int, waves: Mapping[str, Tensor], model: "Model") -> None:
        """Log waves (samples,) at the model's rate, as sound and as spectrogram."""
        if not self.active:
            return
        with self._writing():
            for name, wave in waves.items():
                self._board.add_audio(name, wave.clamp(-1, 1)[None], step, model.sample_rate)
                image = spectrogram_image(wave, model.sample_rate)
                self._board.add_image(name, image, step, dataformats="HWC")

    def close(self) -> None:
        """Finish the files."""
        if self.active:
            with self._writing(), closing(self._board):
                self._file.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Say what cannot be written, such as on a full disk."""
        try:
            yield
        except OSError as error:
            raise cannot_write(self._folder, error) from None


def _rows_up_to(path: Path, step: int) -> list[list[str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as opened:
        rows = list(csv.reader(line.replace("\0", "") for line in opened))
    # what a machine left behind that stopped while it wrote is no row
    whole = [row for row in rows if len(row) == len(COLUMNS) and row[0].isdecimal()]
    return [row for row in whole if int(row[0]) <= step]
