"""What the modules of a model promise: analysis, synthesis and channel."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Analyzer, Channel, Vocoder
from selfremaster.core.promises.inputs import (
    DELAY_TOLERANCE_SECONDS,
    RATE_HZ,
    log_mels,
    noise,
    speech_like,
)
from selfremaster.core.promises.judging import (
    demand,
    demand_close,
    demand_finite,
    demand_gradient,
    demand_shape,
    evaluating,
    untouched,
)

LASTING_FRAMES = 24  # enough around the one in the middle, whose place is sought
LOUDER = 3.0  # log-mel, 26 dB: what a frame is raised by, to be heard above its neighbours


def analyses_any_length(part: Analyzer, log_mel: Tensor) -> None:
    """Gives finite features for every frame, and channel_dim channel features for each item."""
    batch, _, frames = log_mel.shape
    with torch.no_grad(), evaluating(part), untouched(log_mel):
        features, channel_features = part(log_mel)
    demand_shape(features, (batch, part.predicted_channels, frames), "features")
    wanted = (batch, part.channel_dim, *_times(channel_features, part.over_time))
    demand_shape(channel_features, wanted, "channel_features")
    demand_finite(features, "features")
    demand_finite(channel_features, "channel_features")


def _times(channel_features: Any, over_time: bool) -> tuple[int, ...]:
    """How many times there are, of which any number from 1 is right; nothing if not over time."""
    if not over_time:
        return ()
    many = isinstance(channel_features, Tensor) and channel_features.dim() == 3
    return (max(1, channel_features.shape[2]),) if many else (1,)


def hears_more_times_in_more_sound(part: Analyzer, log_mel: Tensor) -> None:
    """Gives no fewer times for a recording four times as long, if it says that it is over_time."""
    if not part.over_time:
        return
    with torch.no_grad(), evaluating(part):
        short, long = (
            part(sound).channel_features.shape[-1] for sound in (log_mel, log_mel.repeat(1, 1, 4))
        )
    demand(
        1 <= short <= long,
        f"{log_mel.shape[-1]} frames have {short} times, four times as many frames {long}",
    )


def analyses_each_item_alone(part: Analyzer, log_mel: Tensor) -> None:
    """Gives for a batch what it gives for its items one by one, in evaluation mode."""
    with torch.no_grad(), evaluating(part):
        together = part(log_mel)
        alone = [part(item[None]) for item in log_mel]
    for index, name in enumerate(("features", "channel_features")):
        wanted = torch.cat([output[index] for output in alone])
        demand_close(together[index], wanted, f"{name} of a batch")


def can_be_trained(part: Analyzer, log_mel: Tensor) -> None:
    """Sends finite gradients from both of its outputs to its parameters."""
    parameters = [parameter for parameter in part.parameters() if parameter.requires_grad]
    if not parameters:
        return
    with torch.enable_grad(), evaluating(part):
        for name, output in part(log_mel)._asdict().items():
            gradients = torch.autograd.grad(
                output.square().sum(), parameters, allow_unused=True, retain_graph=True
            )
            found = [gradient for gradient in gradients if gradient is not None]
            demand(found, f"no gradient of {name} reaches a parameter")
            for gradient in found:
                demand_finite(gradient, f"a gradient of {name}")


def analyzer_cases(part: Analyzer, context: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Log-mel spectrograms of silence and sound, from one frame on."""
    del context
    for frames in (1, 2, 17, 40):
        log_mel = log_mels(part.mel_bands, part.silence, 1, frames)
        yield f"{frames} frames" if frames > 1 else "one frame", {"log_mel": log_mel}
    yield "silence", {"log_mel": torch.full((1, part.mel_bands, 20), part.silence)}
    yield "a batch", {"log_mel": log_mels(part.mel_bands, part.silence, 3, 20)}


def speaks_every_frame(part: Vocoder, features: Tensor, source: Tensor) -> None:
    """Gives frames * hop finite samples, and leaves what it is given alone."""
    with torch.no_grad(), evaluating(part), untouched(features, source):
        wave = _spoken(part, features, source)
    demand_shape(wave, (features.shape[0], features.shape[-1] * part.hop_samples), "the wave")
    demand_finite(wave, "the wave")


def speaks_each_item_alone(part: Vocoder, features: Tensor, source: Tensor) -> None:
    """Gives for a batch what it gives for its items one by one, in evaluation mode."""
    with torch.no_grad(), evaluating(part):
        alone = [
            _spoken(part, item[None], sound[None])
            for item, sound in zip(features, source, strict=True)
        ]
        demand_close(_spoken(part, features, source), torch.cat(alone), "the wave of a batch", 1e-3)


def lets_features_learn(part: Vocoder, features: Tensor, source: Tensor) -> None:
    """Sends a finite gradient to the features, if it says that it is differentiable."""
    if not part.differentiable:
        return
    asking = features.clone().requires_grad_()
    with torch.enable_grad(), evaluating(part):
        demand_gradient(_spoken(part, asking, source), asking, "the features", allow_zero=True)


def speaks_each_frame_where_it_lies(
    part: Vocoder, lasting: Tensor, lasting_source: Tensor, source_rows: int = 0
) -> None:
    """Changes the sound around sample k * hop when frame k changes, to within one hop.

    The source rows stay as they are: another F0 in one frame moves every later pulse.

    The bound cannot be half a hop: upsampling that was never trained puts frame k half a hop late,
    between k * hop and (k + 1) * hop, and it is training that moves it to its place.
    """
    frame = lasting.shape[-1] // 2
    louder = lasting.clone()
    louder[:, source_rows:, frame] += LOUDER
    with torch.no_grad(), evaluating(part):
        changed = _spoken(part, louder, lasting_source) - _spoken(part, lasting, lasting_source)
    demand(changed.any(), f"nothing sounds otherwise when frame {frame} is 26 dB louder")
    centre = float(_centre(changed)) / part.hop_samples
    demand(
        abs(centre - frame) <= 1,
        f"frame {frame} of {lasting.shape[-1]} is heard at {centre:.2f} hops",
    )


def says_that_it_needs_a_source(part: Vocoder, features: Tensor) -> None:
    """Without a source, speaks all the same or raises `ComponentError`, as it says."""
    try:
        with torch.no_grad(), evaluating(part):
            wave = part(features)
    except ComponentError:
        demand(part.needs_source, "raises without a source; say needs_source = True")
        return
    demand(not part.needs_source, "says needs_source = True, and takes no source without a word")
    demand_finite(wave, "the wave without a source")


def says_that_it_needs_a_filling(part: Vocoder, features: Tensor, source: Tensor) -> None:
    """If it says that it needs one, raises `ComponentError` without a filling."""
    if not part.needs_filling:
        return
    try:
        with torch.no_grad(), evaluating(part):
            part(features, source)
    except ComponentError:
        return
    demand(False, "says needs_filling = True, and takes no filling without a word")


def _spoken(part: Vocoder, features: Tensor, source: Tensor) -> Tensor:
    """What it speaks; where it needs a filling, the source backwards is one of its own spectrum."""
    wave: Tensor = (
        part(features, source, source.flip(-1)) if part.needs_filling else part(features, source)
    )
    return wave


def vocoder_cases(part: Vocoder, context: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Features of real waves where the features object is known, else something like a log-mel."""
    sounds = [speech_like(4 * part.hop_samples - 1, sample_rate=part.sample_rate)]
    sounds.append(torch.zeros_like(sounds[0]))
    sounds.append(noise(1, sounds[0].shape[-1]))
    for label, source in (
        ("something like speech", sounds[0]),
        ("silence", sounds[1]),
        ("one frame", sounds[0][:, : part.hop_samples - 1] if part.hop_samples > 1 else sounds[0]),
        ("a batch", torch.cat(sounds)),
    ):
        yield label, {"features": _features_of(source, part, context), "source": source}
    source = noise(1, LASTING_FRAMES * part.hop_samples - 1)
    lasting = _features_of(source, part, context)
    source_rows = 0 if context.features is None else context.features.source_channels
    given = {"lasting": lasting, "lasting_source": source, "source_rows": source_rows}
    yield "lasting noise", given


def _features_of(source: Tensor, part: Vocoder, context: Any) -> Tensor:
    if context.features is None:
        frames = 1 + source.shape[-1] // part.hop_samples
        return log_mels(part.channels, -11.5, source.shape[0], frames)
    with torch.no_grad(), evaluating(context.features):
        features: Tensor = context.features(source)
    return features


def keeps_the_length(part: Channel, wave: Tensor, channel_features: Tensor) -> None:
    """Gives as many finite samples as it is given, and leaves what it is given alone."""
    with torch.no_grad(), evaluating(part), untouched(wave, channel_features):
        damaged = part(wave, channel_features)
    demand_shape(damaged, tuple(wave.shape), "the wave")
    demand_finite(damaged, "the wave")


def damages_each_wave_alone(part: Channel, wave: Tensor, channel_features: Tensor) -> None:
    """Gives for a batch what it gives for its waves one by one, in evaluation mode."""
    with torch.no_grad(), evaluating(part):
        alone = [
            part(item[None], features[None])
            for item, features in zip(wave, channel_features, strict=True)
        ]
        demand_close(part(wave, channel_features), torch.cat(alone), "the wave of a batch")


def lets_both_modules_learn(part: Channel, wave: Tensor, channel_features: Tensor) -> None:
    """Sends finite gradients to the wave, and to channel features that it does not ignore."""
    asking_wave = wave.clone().requires_grad_()
    asking_features = channel_features.clone().requires_grad_()
    with torch.enable_grad(), evaluating(part):
        damaged = part(asking_wave, asking_features)
        demand(damaged.requires_grad, "no gradient reaches the wave")
        to_wave, to_features = torch.autograd.grad(
            damaged.square().sum(), (asking_wave, asking_features), allow_unused=True
        )
        other = part(wave, channel_features + 1).detach()
    demand(to_wave is not None, "no gradient reaches the wave")
    demand_finite(to_wave, "the gradient to the wave")
    heeded = not torch.equal(other, damaged.detach())
    demand(not heeded or to_features is not None, "no gradient reaches the channel features")
    if to_features is not None:
        demand_finite(to_features, "the gradient to the channel features")


def takes_channel_features_over_time(part: Channel, wave: Tensor, channel_features: Tensor) -> None:
    """If it is over_time, takes one time or several; equal ones are one for the whole wave."""
    if not part.over_time:
        return
    shift = torch.tensor([-0.5, 0.0, 0.5]).to(channel_features)
    with torch.no_grad(), evaluating(part):
        whole = part(wave, channel_features)
        for times in (1, 3):
            same = channel_features[..., None].repeat(1, 1, times)
            demand_close(part(wave, same), whole, f"the wave with {times} equal times")
        changing = channel_features[..., None] + shift
        with untouched(changing):
            damaged = part(wave, changing)
    demand_shape(damaged, tuple(wave.shape), "the wave with 3 times")
    demand_finite(damaged, "the wave with 3 times")


def delays_nothing(part: Channel) -> None:
    """Puts out a click where it was, to within the 2 ms of ordinary filters."""
    for samples, place in ((4001, 2000), (3000, 1777)):
        click = torch.zeros(1, samples)
        click[0, place] = 0.5
        channel_features = noise(1, part.channel_dim, seed=5, level=0.5)
        with torch.no_grad(), evaluating(part):
            changed = part(click, channel_features) - part(click * 0, channel_features)
        if not changed.any():
            continue
        late = float(_centre(changed)) - place
        allowed = DELAY_TOLERANCE_SECONDS * RATE_HZ
        demand(abs(late) <= allowed, f"a click comes out {late:.0f} samples late")


def channel_cases(part: Channel, context: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Waves of lengths that pooling finds hard, with random channel features."""
    del context
    for samples in (1, 2, 63, 64, 1001):
        label = f"{samples} samples" if samples > 1 else "one sample"
        yield label, _channel_case(part, noise(1, samples))
    yield "silence", _channel_case(part, torch.zeros(1, 500))
    yield "full scale", _channel_case(part, torch.ones(1, 500))
    batch = torch.cat([noise(1, 700), torch.zeros(1, 700), speech_like(700)])
    yield "a batch", _channel_case(part, batch)


def _centre(sound: Tensor) -> Tensor:
    """Where the energy of a wave lies, in samples."""
    energy = sound.double().square()
    return (energy * torch.arange(sound.shape[-1], device=sound.device)).sum(dim=-1) / energy.sum(
        dim=-1
    )


def _channel_case(part: Channel, wave: Tensor) -> dict[str, Any]:
    features = noise(wave.shape[0], part.channel_dim, seed=5, level=0.5)
    return {"wave": wave, "channel_features": features}


ANALYZER_PROMISES = (
    analyses_any_length,
    analyses_each_item_alone,
    hears_more_times_in_more_sound,
    can_be_trained,
)
VOCODER_PROMISES = (
    speaks_every_frame,
    speaks_each_item_alone,
    lets_features_learn,
    speaks_each_frame_where_it_lies,
    says_that_it_needs_a_source,
    says_that_it_needs_a_filling,
)
CHANNEL_PROMISES = (
    keeps_the_length,
    damages_each_wave_alone,
    lets_both_modules_learn,
    takes_channel_features_over_time,
    delays_nothing,
)
