"""Programs that write down what is said, with models that lie on this machine."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from selfremaster.core.errors import ComponentError, one_line
from selfremaster.plugins.metrics.pairs import require

RATE_HZ = 16000
MODEL_FILES = ("model.bin", "config.json", "tokenizer.json")
MOST_ACTIVE = 3000  # states followed in a frame; without a limit, noise takes four times as long
HOW_TO_GET_ONE = (
    "give the folder of a model for faster-whisper, such as a copy of "
    "huggingface.co/Systran/faster-whisper-small; nothing is downloaded"
)


class Recogniser(Protocol):
    """Anything that can write speech down."""

    def transcribe(self, wave: Tensor) -> str:
        """What is said, wave (samples,) float32 at 16000 Hz; no words: an empty text."""
        ...


class PocketSphinx:
    """Write down American English with the model that comes in the package pocketsphinx.

    Much weaker than Whisper, and light: up to a third of real time on one core.

    Raises `ComponentError` without the package, and for a model or another language.
    """

    def __init__(self, model: str | None = None, language: str | None = None) -> None:
        if model is not None:
            raise ComponentError(
                f"model={model}: pocketsphinx has its own; take recogniser: faster-whisper"
            )
        if language not in {None, "en"}:
            raise ComponentError(
                f"language={language}: pocketsphinx hears English; take recogniser: faster-whisper"
            )
        package = require("pocketsphinx", "wer")
        package.set_loglevel("FATAL")
        self.decoder = package.Decoder(samprate=float(RATE_HZ), cmn="batch", maxhmmpf=MOST_ACTIVE)

    def transcribe(self, wave: Tensor) -> str:
        """What is said."""
        samples = (wave.clamp(-1, 1) * 32767).numpy().round().astype("<i2")
        self.decoder.reinit_feat()  # otherwise the mean of the wave before is taken for this one
        self.decoder.start_utt()
        self.decoder.process_raw(samples.tobytes(), full_utt=True)
        self.decoder.end_utt()
        found = self.decoder.hyp()
        return str(found.hypstr) if found else ""


class FasterWhisper:
    """Write down any of Whisper's languages, with a model in a folder.

    By beam search at temperature 0, so that chance has no part in it, on one thread of the
    processor. The tests have no model to try it with, and use something that stands for one.

    Raises `ComponentError` without the package, without a model, and for a folder that is none.
    """

    def __init__(self, model: str | None, language: str | None = None) -> None:
        if model is None:
            raise ComponentError(f"faster-whisper has no model of its own; {HOW_TO_GET_ONE}")
        folder = Path(model).expanduser()
        missing = [name for name in MODEL_FILES if not (folder / name).is_file()]
        if missing:
            raise ComponentError(f"model={model}: holds no {', '.join(missing)}; {HOW_TO_GET_ONE}")
        package = require("faster_whisper", "wer")
        try:
            self.network: Any = package.WhisperModel(
                str(folder), device="cpu", cpu_threads=1, num_workers=1, local_files_only=True
            )
        except Exception as error:
            raise ComponentError(
                f"model={model}: cannot be loaded ({one_line(error)}); {HOW_TO_GET_ONE}"
            ) from error
        self.language = language

    def transcribe(self, wave: Tensor) -> str:
        """What is said."""
        segments, _ = self.network.transcribe(
            wave.numpy().astype(np.float32),
            language=self.language,
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
        )
        return " ".join(segment.text.strip() for segment in segments)
