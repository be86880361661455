"""The built-in parts: a folder a kind, a file a part, declared by the hook that strangers use.

This table imports no torch; a part is imported when it is first used.
"""

from selfremaster.core.hooks import Add, hookimpl

COMPONENTS = (
    ("features", "mel", "selfremaster.plugins.features.mel:MelSpectrogram"),
    ("features", "source-filter", "selfremaster.plugins.features.source_filter:SourceFilter"),
    ("analyzer", "unet2d", "selfremaster.plugins.analyzers.unet2d:UNet2d"),
    ("analyzer", "unet2d-gst", "selfremaster.plugins.analyzers.style_tokens:UNet2dGst"),
    ("vocoder", "ddsp", "selfremaster.plugins.vocoders.ddsp:Ddsp"),
    ("vocoder", "griffin-lim", "selfremaster.plugins.vocoders.griffin_lim:GriffinLim"),
    ("vocoder", "hifigan", "selfremaster.plugins.vocoders.hifigan:HifiGan"),
    ("vocoder", "input-phase", "selfremaster.plugins.vocoders.input_phase:InputPhase"),
    ("vocoder", "world", "selfremaster.plugins.vocoders.world:World"),
    ("channel", "identity", "selfremaster.plugins.channels.identity:Identity"),
    ("channel", "unet1d", "selfremaster.plugins.channels.unet1d:UNet1d"),
    ("degradation", "agc", "selfremaster.plugins.degradations.agc:Agc"),
    ("degradation", "azimuth", "selfremaster.plugins.degradations.azimuth:Azimuth"),
    ("degradation", "band-limit", "selfremaster.plugins.degradations.band_limit:BandLimit"),
    ("degradation", "bit-depth", "selfremaster.plugins.degradations.bit_depth:BitDepth"),
    ("degradation", "chain", "selfremaster.plugins.degradations.chain:Chain"),
    ("degradation", "clicks", "selfremaster.plugins.degradations.clicks:Clicks"),
    ("degradation", "clip", "selfremaster.plugins.degradations.clip:Clip"),
    ("degradation", "codec", "selfremaster.plugins.degradations.codec:Codec"),
    ("degradation", "crackle", "selfremaster.plugins.degradations.crackle:Crackle"),
    ("degradation", "dc-offset", "selfremaster.plugins.degradations.dc_offset:DcOffset"),
    ("degradation", "dropout", "selfremaster.plugins.degradations.dropout:Dropout"),
    ("degradation", "eq", "selfremaster.plugins.degradations.eq:Eq"),
    ("degradation", "filter", "selfremaster.plugins.degradations.filter:Filter"),
    ("degradation", "gain", "selfremaster.plugins.degradations.gain:Gain"),
    ("degradation", "hiss", "selfremaster.plugins.degradations.hiss:Hiss"),
    ("degradation", "horn", "selfremaster.plugins.degradations.horn:Horn"),
    ("degradation", "hum", "selfremaster.plugins.degradations.hum:Hum"),
    ("degradation", "noise", "selfremaster.plugins.degradations.noise:Noise"),
    ("degradation", "one-of", "selfremaster.plugins.degradations.one_of:OneOf"),
    ("degradation", "overdrive", "selfremaster.plugins.degradations.overdrive:Overdrive"),
    ("degradation", "packet-loss", "selfremaster.plugins.degradations.packet_loss:PacketLoss"),
    ("degradation", "polarity", "selfremaster.plugins.degradations.polarity:Polarity"),
    (
        "degradation",
        "print-through",
        "selfremaster.plugins.degradations.print_through:PrintThrough",
    ),
    (
        "degradation",
        "quantize-resample",
        "selfremaster.plugins.degradations.quantize_resample:QuantizeResample",
    ),
    (
        "degradation",
        "random-recording",
        "selfremaster.plugins.degradations.random_recording:RandomRecording",
    ),
    ("degradation", "resample", "selfremaster.plugins.degradations.resample:Resample"),
    ("degradation", "reverb", "selfremaster.plugins.degradations.reverb:Reverb"),
    ("degradation", "sometimes", "selfremaster.plugins.degradations.sometimes:Sometimes"),
    ("degradation", "speed", "selfremaster.plugins.degradations.speed:Speed"),
    (
        "degradation",
        "stereo-imbalance",
        "selfremaster.plugins.degradations.stereo_imbalance:StereoImbalance",
    ),
    ("degradation", "wow-flutter", "selfremaster.plugins.degradations.wow_flutter:WowFlutter"),
    ("loss", "adversarial", "selfremaster.plugins.losses.adversarial:Adversarial"),
    ("loss", "feature-l1", "selfremaster.plugins.losses.feature_distance:FeatureL1"),
    ("loss", "feature-l2", "selfremaster.plugins.losses.feature_distance:FeatureL2"),
    ("loss", "mel-l1", "selfremaster.plugins.losses.mel_l1:MelL1"),
    (
        "loss",
        "multiscale-spectral",
        "selfremaster.plugins.losses.multiscale_spectral:MultiscaleSpectral",
    ),
    ("loss", "perceptual", "selfremaster.plugins.losses.perceptual:Perceptual"),
    ("objective", "pretrain", "selfremaster.plugins.objectives.pretrain:Pretrain"),
    ("objective", "semi", "selfremaster.plugins.objectives.semi:Semi"),
    ("objective", "ssl-dual", "selfremaster.plugins.objectives.ssl_dual:SslDual"),
    ("objective", "ssl-step", "selfremaster.plugins.objectives.ssl_step:SslStep"),
    ("objective", "supervised", "selfremaster.plugins.objectives.supervised:Supervised"),
    ("objective", "vocoder", "selfremaster.plugins.objectives.vocoder:VocoderObjective"),
    ("metric", "distillmos", "selfremaster.plugins.metrics.distillmos:DistillMos"),
    ("metric", "estoi", "selfremaster.plugins.metrics.estoi:Estoi"),
    ("metric", "lsd", "selfremaster.plugins.metrics.lsd:LogSpectralDistance"),
    ("metric", "mel-l1", "selfremaster.plugins.metrics.mel_l1:MelDistance"),
    ("metric", "pesq", "selfremaster.plugins.metrics.pesq:Pesq"),
    ("metric", "si-sdr", "selfremaster.plugins.metrics.si_sdr:SignalToDistortion"),
    ("metric", "stoi", "selfremaster.plugins.metrics.stoi:Stoi"),
    ("restorer", "copy-synthesis", "selfremaster.plugins.restorers.copy_synthesis:CopySynthesis"),
    ("restorer", "input", "selfremaster.plugins.restorers.input:Input"),
    ("restorer", "mean-spectrum", "selfremaster.plugins.restorers.mean_spectrum:MeanSpectrum"),
    ("restorer", "selfremaster", "selfremaster.plugins.restorers.selfremaster:SelfRemaster"),
)


@hookimpl
def register_components(add: Add) -> None:
    """Declare every built-in part."""
    for kind, name, target in COMPONENTS:
        add(kind, name, target)
