"""Dual learning: forward on degraded recordings alone, backward on unrelated clean speech."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import mse_loss

from selfremaster.core.domains import in_domain
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import (
    AnalysisOutput,
    ComponentConfig,
    Loss,
    LossSpec,
    Objective,
    StepContext,
    StepLosses,
    default_part,
)
from selfremaster.core.models import Model
from selfremaster.plugins.objectives.channel_turns import channel_and_analysis
from selfremaster.plugins.objectives.label_predictor import LabelPredictor
from selfremaster.plugins.objectives.noise_floors import steady_noise_of

Weight = Annotated[float, Field(ge=0)]
BETA = 0.001
LEAST_PEAK = 1e-4  # of what comes from the channel: hardly anything is not blown up


class SslDualConfig(ComponentConfig):
    """Settings of `SslDual`; the defaults are those of the Interspeech version, but for eps."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "mended": {},
        "v1": {"reconstruction": "multiscale-spectral:preset=v1"},
        "v2": {"feature": "feature-l2"},
    }

    preset: Annotated[
        Literal["mended", "v1", "v2"],
        Field(
            description="v1: Interspeech 2022, exactly; v2: IEEE Access 2024, with squared feature "
            "distances; mended: v1 with v2's spectra, which silence does not upset"
        ),
    ] = "mended"
    beta: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="weight of forward learning; backward learning has the rest; of no use "
            "with forward=channel, where each has its own update",
        ),
    ] = BETA
    reconstruction: Annotated[
        LossSpec, Field(description="reconstruction against the recording")
    ] = default_part("multiscale-spectral")
    feature: Annotated[
        LossSpec, Field(description="features found against those of the clean speech")
    ] = default_part("feature-l1")
    backward: Annotated[
        Literal["analysis", "channel", "channel-features"],
        Field(
            description="what backward learning teaches: the analysis module alone, as published; "
            "the channel module as well; or also what finds the channel features"
        ),
    ] = "analysis"
    forward: Annotated[
        Literal["all", "channel"],
        Field(
            description="what forward learning teaches: the analysis module as well, as published; "
            "or the channel module and the channel features alone, so that the analysis module "
            "learns from clean speech only"
        ),
    ] = "all"
    channel_steps: Annotated[
        int,
        Field(
            ge=0,
            description="with forward=channel: steps before backward learning begins; a channel "
            "module that does not know the damage yet teaches the analysis module another",
        ),
    ] = 0
    match_peaks: Annotated[
        bool,
        Field(
            description="bring clean speech that went through the channel to the peak of the "
            "recordings beside it, by one factor for the whole batch, since every recording comes "
            "at one peak level, while a channel module may be louder or softer; not published"
        ),
    ] = False
    noise_floor: Annotated[
        bool,
        Field(
            description="add the steady noise of each recording to what the channel module makes, "
            "both ways: a channel module makes none out of silence, so that the analysis module "
            "would unlearn to take it away; not published"
        ),
    ] = False
    fix_channel: Annotated[
        bool, Field(description="keep the channel module as it is, as pretraining left it")
    ] = False
    perceptual: Annotated[
        LossSpec | None,
        Field(description="loss of the restored wave itself, such as perceptual; none by default"),
    ] = None
    perceptual_weight: Annotated[Weight, Field(description="factor of that loss")] = 0.1
    label_weight: Annotated[
        Weight,
        Field(
            description="factor of the squared error of a label guessed from the channel features; "
            "published: 0.1, above 0 the manifest has to give labels"
        ),
    ] = 0.0
    label_channel_dim: Annotated[
        int, Field(ge=1, le=4096, description="how many channel features the guess is made from")
    ] = 128

    @model_validator(mode="after")
    def _check_that_backward_teaches(self) -> Self:
        if self.fix_channel and self.backward == "channel":
            raise ValueError(
                "backward=channel teaches the channel module, which fix_channel=true keeps as it "
                "is; use analysis or channel-features"
            )
        return self

    @model_validator(mode="after")
    def _check_that_turns_are_apart(self) -> Self:
        if self.forward == "all":
            if self.channel_steps:
                raise ValueError(
                    f"channel_steps={self.channel_steps} needs forward=channel, which parts what "
                    "both ways of learning teach"
                )
            return self
        for name, usual in (
            ("beta", BETA),
            ("backward", "analysis"),
            ("fix_channel", False),
            ("perceptual", None),
            ("label_weight", 0.0),
        ):
            if getattr(self, name) != usual:
                raise ValueError(
                    f"{name}={getattr(self, name)} does not go with forward=channel; leave it out, "
                    "or use forward=all"
                )
        return self


class SslDual(Objective):
    """Learn from recordings alone: say what they hold, put their sound back, compare.

    Forward: recording -> analysis -> vocoder (frozen) -> channel, compared with the recording.
    Backward: clean speech -> channel with the channel features of some recording -> analysis,
    compared with the features of the clean speech; the channel is not trained by this task, unless
    ``backward`` says so. With ``forward: channel``, which the paper does not have, each way of
    learning has its own parameters and its own update: forward learning cannot move what is said
    towards the damage. Options of the journal version: a loss of the restored wave, and a label
    that the channel features are to tell.

    Source: SelfRemaster (Interspeech 2022), sections 3.1 and 3.2; dual learning: IEEE Access 2024.
    """

    Config = SslDualConfig
    config: SslDualConfig
    passes_through = ("vocoder",)

    def __init__(
        self,
        config: SslDualConfig,
        reconstruction: Loss,
        feature: Loss,
        perceptual: Loss | None = None,
    ) -> None:
        super().__init__(config)
        self.reconstruction = reconstruction
        self.feature = feature
        self.perceptual = perceptual
        labelled = config.label_weight > 0
        self.label_predictor = LabelPredictor(config.label_channel_dim) if labelled else None
        self.streams = ("degraded", "clean")
        self.needs = {
            "degraded": ("source", "label") if labelled else ("source",),
            "clean": ("target",),
        }
        self.trained = ("analyzer",) if config.fix_channel else ("analyzer", "channel")
        self.uses = ("vocoder", "channel") if config.fix_channel else ("vocoder",)

    def updates(self, model: Model) -> dict[str, list[Parameter]]:
        """The trained modules, and what guesses labels, at once; or those of each way apart."""
        if self.config.forward == "channel":
            return channel_and_analysis(model)
        (named,) = super().updates(model).values()
        if self.label_predictor is None:
            return {"model": named}
        found = model.analyzer.channel_dim if model.analyzer else 0
        if found != self.config.label_channel_dim:
            raise ComponentError(
                f"label_channel_dim={self.config.label_channel_dim}, while the analysis module "
                f"gives {found} channel features; set label_channel_dim to {found}"
            )
        return {"model": [*named, *self.label_predictor.parameters()]}

    def losses(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> Iterator[StepLosses]:
        """Beta * forward (reconstruction) + (1 - beta) * backward (task), and the options.

        With ``forward: channel`` first the one, then the other, neither weighed.
        """
        if self.config.forward == "channel":
            reconstruction, channel_features = self._explained(model, batch, context)
            yield StepLosses(reconstruction, {"reconstruction": reconstruction}, "channel")
            if context.step >= self.config.channel_steps:
                task = self._task(model, batch, channel_features, context)
                yield StepLosses(task, {"task": task}, "analysis")
            return
        degraded = batch["degraded"]
        analysis = model.analyse(degraded)
        source = model.source(batch, "degraded")
        speech = model.features.complete(analysis.features, degraded, source)
        spoken = model.vocoder(speech, degraded)
        again = self._degraded(model, spoken, analysis.channel_features, degraded, context)
        reconstruction = self.reconstruction(again, degraded)
        task = self._task(model, batch, analysis.channel_features, context)
        beta = self.config.beta
        total = beta * reconstruction + (1 - beta) * task
        parts = {"reconstruction": reconstruction, "task": task}
        for name, weight, loss in self._options(batch, spoken, analysis):
            parts[name] = loss
            total = total + weight * loss
        yield StepLosses(total, parts)

    def validation_losses(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> Mapping[str, Tensor]:
        """Both ways of learning together, whatever is taught at the step.

        With ``forward: channel`` their sum, since nothing weighs the one against the other there.
        """
        if self.config.forward != "channel":
            return super().validation_losses(model, batch, context)
        reconstruction, channel_features = self._explained(model, batch, context)
        task = self._task(model, batch, channel_features, context)
        return {"reconstruction": reconstruction, "task": task, "total": reconstruction + task}

    def _explained(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> tuple[Tensor, Tensor]:
        """How well the channel alone explains the recordings, and their channel features."""
        degraded = batch["degraded"]
        analysis = model.analyse(degraded)
        with torch.no_grad():
            source = model.source(batch, "degraded")
            speech = model.features.complete(analysis.features, degraded, source)
            spoken = model.vocoder(speech, degraded)
        again = self._degraded(model, spoken, analysis.channel_features, degraded, context)
        return self.reconstruction(again, degraded), analysis.channel_features

    def _degraded(
        self,
        model: Model,
        wave: Tensor,
        channel_features: Tensor,
        recordings: Tensor,
        context: StepContext,
    ) -> Tensor:
        """Waves with the sound of recordings, and with their noise where that is asked for."""
        damaged = model.degrade(wave, channel_features)
        if not self.config.noise_floor:
            return damaged
        chances = context.item_generators(len(wave))
        return damaged + steady_noise_of(recordings, wave.shape[-1], chances)

    def _task(
        self,
        model: Model,
        batch: Mapping[str, Tensor],
        channel_features: Tensor,
        context: StepContext,
    ) -> Tensor:
        """Undo the learned damage of clean speech; each wave gets the sound of some recording."""
        clean, backward = batch["clean"], self.config.backward
        of = torch.arange(len(clean)) % len(channel_features)
        chosen, recordings = channel_features[of], batch["degraded"][of]
        if backward != "channel-features":
            chosen = chosen.detach()
        with in_domain("simulated"):
            with torch.set_grad_enabled(torch.is_grad_enabled() and backward != "analysis"):
                damaged = self._degraded(model, clean, chosen, recordings, context)
                if self.config.match_peaks:
                    damaged = damaged * _peak_ratio(batch["degraded"], damaged)
            predicted = model.predict(damaged)
        task: Tensor = self.feature(predicted, model.target(batch, "clean"))
        return task

    def _options(
        self, batch: Mapping[str, Tensor], spoken: Tensor, analysis: AnalysisOutput
    ) -> Iterator[tuple[str, float, Tensor]]:
        """Name, weight and value of each further loss."""
        if self.perceptual is not None:
            loss = self.perceptual(spoken, batch["degraded"])
            yield "perceptual", self.config.perceptual_weight, loss
        if self.label_predictor is not None:
            guessed = self.label_predictor(analysis.channel_features)
            label = batch["degraded/label"].to(guessed)
            yield "label", self.config.label_weight, mse_loss(guessed, label)


def _peak_ratio(wanted: Tensor, found: Tensor) -> Tensor:
    """The factor that brings the peak of one batch to that of another."""
    ratio: Tensor = wanted.detach().abs().max() / found.detach().abs().max().clamp(min=LEAST_PEAK)
    return ratio
