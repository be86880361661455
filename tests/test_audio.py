"""Sound comes out of files as it went in, and what is no sound is refused in one line."""

import os
import stat
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from selfremaster.core import audio
from selfremaster.core.errors import AudioError, SelfRemasterError
from selfremaster.core.files import write_atomically

RATES = [8000, 11025, 16000, 22050, 24000, 44100, 48000]
EXACT = [("wav", "PCM_U8", 8), ("wav", "PCM_16", 16), ("wav", "PCM_24", 24), ("flac", "PCM_16", 16)]
EXACT += [
    ("flac", "PCM_24", 24),
    ("aiff", "PCM_24", 24),
    ("w64", "PCM_24", 24),
    ("caf", "PCM_16", 16),
]


def noise(channels: int, samples: int, seed: int = 0, peak: float = 0.5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return peak * (2 * torch.rand(channels, samples, generator=generator) - 1)


def tone(samples: int, rate_hz: int, frequency_hz: float) -> Tensor:
    return torch.sin(2 * torch.pi * frequency_hz * torch.arange(samples).double() / rate_hz).float()


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "old.wav"
    audio.write(path, noise(1, 4000), 8000)
    return path


# what goes through a file


@pytest.mark.parametrize(("suffix", "subtype", "bits"), EXACT)
@settings(max_examples=8, deadline=None)
@given(channels=st.integers(1, 3), samples=st.integers(1, 300), seed=st.integers(0, 99))
def test_whole_numbers_come_back_exactly(
    suffix: str, subtype: str, bits: int, channels: int, samples: int, seed: int
) -> None:
    steps = 2 ** (bits - 1)
    wave = (noise(channels, samples, seed, peak=1.0) * steps).floor() / steps
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a.{suffix}")
        audio.write(path, wave, 22050, subtype=subtype)
        back, rate = audio.read(path)
        info = audio.inspect(path)
    assert torch.equal(back, wave)
    assert (rate, info.subtype, info.samples, info.channels) == (22050, subtype, samples, channels)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_floating_point_keeps_what_is_beyond_full_scale(tmp_path: Path, subtype: str) -> None:
    wave = noise(2, 100, peak=7.0)
    audio.write(tmp_path / "a.wav", wave, 16000, subtype=subtype)
    assert torch.equal(audio.read(tmp_path / "a.wav")[0], wave)


def test_samples_are_rounded_to_the_nearest_not_down(tmp_path: Path) -> None:
    audio.write(tmp_path / "a.wav", torch.tensor([0.4, 0.6, -0.4, -0.6]) / 32768, 8000)
    assert (audio.read(tmp_path / "a.wav")[0] * 32768).tolist() == [[0, 1, 0, -1]]


@pytest.mark.parametrize("suffix", ["ogg", "opus", "mp3"])
def test_lossy_files_keep_length_and_time(tmp_path: Path, suffix: str) -> None:
    wave = tone(48000, 24000, 440.0)[None] * 0.5
    wave[:, :24000] = 0
    path = tmp_path / f"a.{suffix}"
    audio.write(path, wave, 24000)
    back, rate = audio.read(path)
    assert (rate, back.shape) == (24000, wave.shape)
    assert audio.rms_db(back[:, :23000]) < -45
    error = back[:, 25000:47000] - wave[:, 25000:47000]
    assert audio.rms_db(error) < audio.rms_db(wave[:, 25000:47000]) - 15


@settings(max_examples=25, deadline=None)
@given(
    start=st.integers(0, 3999),
    samples=st.integers(0, 5000),
    suffix=st.sampled_from(["wav", "flac"]),
)
def test_a_stretch_is_that_part_of_the_whole(start: int, samples: int, suffix: str) -> None:
    wave = noise(2, 4000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a.{suffix}")
        audio.write(path, wave, 8000)
        whole, _ = audio.read(path)
        part, _ = audio.read(path, start, samples)
    assert torch.equal(part, whole[:, start : start + samples])


def test_a_stretch_of_a_file_without_seeking(tmp_path: Path) -> None:
    path = tmp_path / "phone.wav"
    soundfile.write(path, tone(16000, 8000, 300.0).numpy() * 0.5, 8000, subtype="GSM610")
    whole, _ = audio.read(path)
    assert torch.equal(audio.read(path, 5000, 700)[0], whole[:, 5000:5700])


def test_a_file_is_read_whole_when_its_length_is_left_open(tmp_path: Path) -> None:
    path = tmp_path / "piped.wav"
    audio.write(path, noise(1, 1000), 8000)
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert audio.read(path)[0].shape == (1, 1000)


def test_a_flac_of_unknown_length_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "piped.flac"
    audio.write(path, noise(1, 100_000), 8000)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the upper four of the 36 bits that hold the number of samples
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert audio.inspect(path).samples == 100_000
    assert audio.read(path, 90_000)[0].shape == (1, 10_000)


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize(("rate", "channels"), [(22050, 1), (44100, 2)])
def test_an_mp3_that_states_no_length_is_read_to_its_end(
    tmp_path: Path, mode: str, rate: int, channels: int
) -> None:
    path = tmp_path / "old.mp3"
    with soundfile.SoundFile(
        path, "w", rate, channels, bitrate_mode=mode, compression_level=0.5
    ) as file:
        file.write(noise(3 * rate, channels).numpy())
    whole, _ = audio.read(path)
    content = path.read_bytes()
    second_frame = content.index(content[:2], 4)
    path.write_bytes(content[second_frame:] + b"TAG" + bytes(125))
    found, _ = audio.read(path)
    assert 0 <= found.shape[-1] - whole.shape[-1] < 2 * 1152
    assert audio.inspect(path).samples == found.shape[-1]
    spectra = [torch.fft.rfft(wave[0], n=8 * rate) for wave in (found, whole)]
    assert int(torch.fft.irfft(spectra[0] * spectra[1].conj()).argmax()) == 0
    assert audio.inspect(path).remarks == (
        "by how much its codec, mp3, delays the sound is not told; 576 samples are left out, as "
        "most encoders need",
    )
    error = found[:, : whole.shape[-1]] - whole
    assert audio.rms_db(error[:, 2000:-2000]).max() < -90


# how it is stored


@pytest.mark.parametrize(
    ("subtype", "source", "target", "expected"),
    [
        ("PCM_24", "wav", "flac", "PCM_24"),
        ("FLOAT", "wav", "wav", "FLOAT"),
        ("FLOAT", "wav", "flac", "PCM_24"),
        ("PCM_U8", "wav", "wav", "PCM_U8"),
        ("ULAW", "wav", "wav", "ULAW"),
        ("IMA_ADPCM", "wav", "wav", "PCM_16"),
        ("PCM_S8", "aiff", "aiff", "PCM_16"),
        ("MPEG_LAYER_III", "mp3", "wav", "PCM_16"),
        ("VORBIS", "ogg", "wav", "PCM_16"),
        ("PCM_16", "wav", "ogg", "VORBIS"),
        ("PCM_16", "wav", "opus", "OPUS"),
        ("VORBIS", "ogg", "opus", "OPUS"),
    ],
)
def test_the_output_is_stored_like_the_input(
    tmp_path: Path, subtype: str, source: str, target: str, expected: str
) -> None:
    given_file, written = tmp_path / f"in.{source}", tmp_path / f"out.{target}"
    soundfile.write(given_file, noise(1, 4001)[0].numpy(), 16000, subtype=subtype)
    audio.write(written, noise(1, 4001), 16000, like=audio.inspect(given_file))
    assert (audio.inspect(written).subtype, audio.inspect(written).samples) == (expected, 4001)


def test_full_scale_itself_is_written_and_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    audio.write(path, torch.tensor([1.0, -1.0]), 8000)
    assert audio.read(path)[0].tolist() == [[32767 / 32768, -1.0]]
    with pytest.raises(AudioError, match=r"peak of 1\.2 is beyond full scale .* PCM_16 would clip"):
        audio.write(path, torch.tensor([1.2, 0.0]), 8000)
    assert audio.read(path)[0].shape == (1, 2)


def test_a_refused_wave_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="sample 1 is not a finite number"):
        audio.write(tmp_path / "a.wav", torch.tensor([0.0, float("nan")]), 8000)
    with pytest.raises(AudioError, match=r"\(samples,\) or \(channels, samples\), not \(1, 1, 4\)"):
        audio.write(tmp_path / "a.wav", torch.zeros(1, 1, 4), 8000)
    with pytest.raises(AudioError, match=r"3 channels at 22051 Hz as MP3 .* cannot be written"):
        audio.write(tmp_path / "a.mp3", torch.zeros(3, 400), 22051)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_suffix_or_subtype_is_refused_with_those_known(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"no sound is written as '\.txt'; known: \.wav, .*\.flac"):
        audio.write(tmp_path / "a.txt", torch.zeros(4), 8000)
    with pytest.raises(AudioError, match="FLAC holds no 'FLOAT'; known: PCM_S8, PCM_16, PCM_24"):
        audio.write(tmp_path / "a.flac", torch.zeros(4), 8000, subtype="FLOAT")


# what cannot be read


def refused(path: Path) -> str:
    with pytest.raises(AudioError) as caught:
        audio.read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_missing_folder_and_empty(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none.wav")
    assert "is a folder" in refused(tmp_path)
    (tmp_path / "empty.wav").touch()
    assert "0 samples of audio; nothing to restore" in refused(tmp_path / "empty.wav")
    soundfile.write(tmp_path / "old.wav", np.zeros(0), 8000)
    assert "0 samples of audio; nothing to restore" in refused(tmp_path / "old.wav")


@settings(max_examples=40, deadline=None)
@given(
    content=st.binary(min_size=1, max_size=200),
    suffix=st.sampled_from(["wav", "flac", "mp3", "raw", "ogg"]),
    head=st.sampled_from([b"", b"RIFF\x24\x00\x00\x00WAVEfmt ", b"fLaC\x00\x00\x00\x22", b"OggS"]),
)
def test_garbage_is_refused_in_one_line_or_read_as_numbers(
    content: bytes, suffix: str, head: bytes
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a.{suffix}")
        path.write_bytes(head + content)
        try:
            wave, _ = audio.read(path)
        except AudioError as error:
            message = str(error)
        else:
            message = ""
            assert wave.isfinite().all()
            assert wave.shape[-1] > 0
    assert "\n" not in message


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "w64", "flac", "caf", "mp3"])
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"old.{suffix}"
    audio.write(path, noise(1, 50_000), 16000)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    message = refused(path)
    assert "truncated" in message or "damaged" in message


def test_a_flac_that_declares_ages_takes_no_memory_for_them(tmp_path: Path) -> None:
    path = tmp_path / "ages.flac"
    audio.write(path, noise(1, 5000), 8000)
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F
    content[22:26] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert "truncated: it can be read up to 0." in refused(path)


@pytest.mark.parametrize("rate", [0, 1, 999, 768_001, 2_000_000_000])
def test_absurd_rates_are_refused(tmp_path: Path, wav: Path, rate: int) -> None:
    content = bytearray(wav.read_bytes())
    place = content.index(b"fmt ") + 12
    content[place : place + 4] = struct.pack("<I", rate)
    wav.write_bytes(content)
    message = refused(wav)
    assert f"the header says {rate} Hz" in message or "not audio" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_sample_that_is_no_number_is_named(tmp_path: Path, value: float) -> None:
    samples = np.zeros(100_000, np.float32)
    samples[88_000] = value
    soundfile.write(tmp_path / "a.wav", samples, 44000, subtype="FLOAT")
    assert f"sample 88000 (2.000 seconds) is {value}" in refused(tmp_path / "a.wav")
    assert audio.read(tmp_path / "a.wav", 0, 88_000)[0].shape == (1, 88_000)


def test_a_stretch_from_beyond_the_end_is_refused(wav: Path) -> None:
    with pytest.raises(AudioError, match="sample 4000 is not within the 4000 of the file"):
        audio.read(wav, 4000, 10)


# rate and level


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(1, 2000),
    channels=st.integers(1, 3),
    from_hz=st.sampled_from(RATES),
    to_hz=st.sampled_from(RATES),
)
def test_resampling_gives_the_nearest_length(
    samples: int, channels: int, from_hz: int, to_hz: int
) -> None:
    result = audio.resample(noise(channels, samples), from_hz, to_hz)
    assert result.shape == (channels, audio.resampled_length(samples, from_hz, to_hz))
    assert abs(result.shape[-1] - samples * to_hz / from_hz) <= 0.5
    assert result.isfinite().all()


@pytest.mark.parametrize("from_hz", RATES)
@pytest.mark.parametrize("to_hz", RATES)
def test_a_tone_stays_where_it_is_in_time_and_level(from_hz: int, to_hz: int) -> None:
    result = audio.resample(tone(from_hz, from_hz, 1000.0), from_hz, to_hz)
    expected = tone(to_hz, to_hz, 1000.0)
    inside = slice(to_hz // 20, -(to_hz // 20))
    assert (result[inside] - expected[inside]).abs().max() < 1e-4


def test_a_tone_above_half_the_rate_is_gone() -> None:
    result = audio.resample(tone(22050, 22050, 6000.0), 22050, 8000)
    assert audio.rms_db(result[400:-400]) < -90


def test_bad_rates_are_refused() -> None:
    with pytest.raises(AudioError, match="cannot resample from 0 to 8000 Hz"):
        audio.resample(torch.zeros(1, 4), 0, 8000)


@settings(max_examples=30, deadline=None)
@given(
    levels=st.lists(st.floats(-79, 20), min_size=1, max_size=4),
    wanted=st.floats(-40, 0),
    seed=st.integers(0, 9),
)
def test_every_item_gets_the_peak(levels: list[float], wanted: float, seed: int) -> None:
    wave = torch.cat([noise(1, 50, seed, peak=10 ** (level / 20)) for level in levels])
    wave = wave * (
        10 ** (torch.tensor(levels)[:, None] / 20) / wave.abs().amax(dim=1, keepdim=True)
    )
    peaks = audio.peak_db(audio.normalise_peak(wave, wanted))
    torch.testing.assert_close(peaks, torch.full((len(levels),), wanted), rtol=0, atol=1e-3)


def test_silence_and_what_is_nearly_silent_are_not_blown_up() -> None:
    wave = torch.stack([torch.zeros(8), torch.full((8,), 1e-6)])
    levelled = audio.normalise_peak(wave, -3.0)
    assert levelled[0].abs().max() == 0
    assert audio.peak_db(levelled)[1].item() == pytest.approx(-120 + 80 - 3, abs=1e-3)


# files and folders


def test_a_tree_is_found_in_order_without_hidden_files(tmp_path: Path) -> None:
    for name in ["b/2.wav", "b/1.FLAC", "a.wav", ".hidden/3.wav", "b/._1.wav", "notes.txt"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "again").symlink_to(tmp_path, target_is_directory=True)
    found = audio.find_audio(tmp_path)
    assert [str(place) for _, place in found] == ["a.wav", "b/1.FLAC", "b/2.wav"]
    assert [file for file, _ in found] == [tmp_path / place for _, place in found]


def test_named_files_are_taken_whatever_their_suffix(tmp_path: Path) -> None:
    (tmp_path / "take.sph").touch()
    assert audio.find_audio([tmp_path / "take.sph", tmp_path / "take.sph"]) == [
        (tmp_path / "take.sph", Path("take.sph"))
    ]


def test_what_cannot_be_found_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no such file or folder"):
        audio.find_audio([tmp_path / "none"])
    with pytest.raises(AudioError, match=r"no sound files in it; searched for \.wav"):
        audio.find_audio(tmp_path)
    for side in "ab":
        (tmp_path / side).mkdir()
        (tmp_path / side / "x.wav").touch()
    with pytest.raises(AudioError, match=r"would both be x\.wav in the output"):
        audio.find_audio([tmp_path / "a", tmp_path / "b"])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_file_is_whole_or_stays_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with write_atomically(path) as temporary:
            temporary.write_text("half of the n")
            raise error

    with pytest.raises(error):
        fail()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "old")]


def test_permissions_are_those_of_the_old_file_or_of_the_umask(tmp_path: Path) -> None:
    def mode_after_writing(name: str) -> int:
        with write_atomically(tmp_path / name) as temporary:
            temporary.write_text("new")
        return stat.S_IMODE((tmp_path / name).stat().st_mode)

    (tmp_path / "old.txt").touch()
    (tmp_path / "old.txt").chmod(0o604)
    umask = os.umask(0o027)
    try:
        assert (mode_after_writing("old.txt"), mode_after_writing("new.txt")) == (0o604, 0o640)
    finally:
        os.umask(umask)


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    with write_atomically(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(SelfRemasterError, match=r"cannot write .*a\.wav: .*; choose a folder"),
        write_atomically(tmp_path / "file" / "a.wav"),
    ):
        pass
    with (
        pytest.raises(SelfRemasterError, match="it is a folder; name a file"),
        write_atomically(tmp_path),
    ):
        pass
