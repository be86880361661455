"""Real codecs, of telephones, networks, recorders and files."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import (
    Drawn,
    PeakDb,
    SettledDegradation,
    ValueOrChoices,
    ValueOrRange,
)
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig
from selfremaster.core.levels import resample
from selfremaster.core.signals import fit_length
from selfremaster.plugins.degradations.coders import CODERS, Kind, require, settle_rates
from selfremaster.plugins.degradations.coding import code

Kbps = Annotated[float, Field(ge=1, le=512)]
Rate = Annotated[int, Field(ge=1000, le=192000)]
Passes = Annotated[int, Field(ge=1, le=100)]


class CodecConfig(ComponentConfig):
    """Settings of `Codec`."""

    kind: Annotated[
        ValueOrChoices[Kind],
        Drawn("choice"),
        Field(description=f"one of {', '.join(CODERS)}; a list draws one of it"),
    ] = "gsm"
    bitrate_kbps: Annotated[
        ValueOrRange[Kbps] | None,
        Drawn("log"),
        Field(
            description="bit rate, kbit/s, or the nearest that there is; none: what is usual for "
            "speech; [low, high] draws it"
        ),
    ] = None
    rate_hz: Annotated[
        ValueOrChoices[Rate] | None,
        Drawn("choice"),
        Field(
            description="sampling rate that the codec runs at, Hz, or the next that there is; "
            "none: 8000 for telephones, else that of the wave; a list draws one of it"
        ),
    ] = None
    passes: Annotated[
        ValueOrRange[Passes],
        Drawn(step=1),
        Field(description="how often it is encoded and decoded; [low, high] draws it"),
    ] = 1
    peak_db: PeakDb = None


class Codec(SettledDegradation):
    """Encode and decode the sound as telephones, recorders, networks and sound files do.

    The codecs themselves are run in memory, at a rate of their own: those of libsndfile, and
    through PyAV (``pip install 'selfremaster[codecs]'``) aac, amr-nb, amr-wb, g722, g723-1, mp2 and
    wma. Of telephones: a-law and mu-law (G.711), g726 (once G.721 and G.723), gsm (full rate), amr
    (narrow and wide band), g722, g723-1; of voice loggers and multimedia: vox-, ima- and ms-adpcm;
    of broadcasts, recorders and files: mp2, mp3, wma, aac, vorbis, opus. Nothing lags: how late a
    codec is, is measured once and made good. What is beyond full scale is clipped. Several
    ``passes`` are several generations of copies.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: ETSI GSM 06.10; 3GPP TS 26.071 and 26.171 (AMR); ITU-T G.711, G.722, G.723.1, G.726;
    ISO/IEC 11172-3 and 14496-3 (MP2, MP3, AAC); RFC 6716 (Opus); Xiph.Org (Vorbis).
    Raises `ComponentError` for parameters that are not settings or out of their range, and for a
    codec that the libraries installed do not have.

    The loudest that mu-law has is 8031 / 8192 of full scale, in steps of 256 / 8192 there:

    >>> telephone = Codec(CodecConfig(kind="mu-law"))
    >>> loud = torch.tensor([[0.0, 0.7, 0.99]])
    >>> (telephone.apply(loud, {}, sample_rate=8000) * 8192).tolist()
    [[0.0, 5727.0, 8031.0]]
    """

    Config = CodecConfig
    config: CodecConfig
    scales = False

    def __init__(self, config: CodecConfig) -> None:
        super().__init__(config)
        kinds = (config.kind,) if isinstance(config.kind, str) else config.kind
        for kind in kinds:
            require(kind)
        named = " or ".join(kinds)
        if config.bitrate_kbps is not None and not any(CODERS[kind].bitrates for kind in kinds):
            raise ComponentError(f"kind={named} has one bit rate only; leave bitrate_kbps out")
        if config.rate_hz is not None and all(len(CODERS[kind].rates_hz) == 1 for kind in kinds):
            raise ComponentError(f"kind={named} has one sampling rate only; leave rate_hz out")
        self.adds_sound = any(CODERS[kind].hisses for kind in kinds)

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Take every wave of a batch through the same codec."""
        kind = values["kind"]
        require(kind)
        wished = values["rate_hz"] or CODERS[kind].usual_hz or sample_rate
        rate_hz, kbps = settle_rates(kind, wished, values["bitrate_kbps"])
        rows = []
        for row in wave.detach():
            low = resample(row.clamp(-1, 1), sample_rate, rate_hz).cpu().numpy()
            heard = torch.from_numpy(code(low, kind, rate_hz, kbps, values["passes"]))
            rows.append(fit_length(resample(heard, rate_hz, sample_rate), wave.shape[-1]))
        return torch.stack(rows).to(wave)
