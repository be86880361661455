"""What is written about a sound goes with it, and what has no place is told."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from selfremaster.core import id3, vorbis_comments
from selfremaster.core.files import insert
from selfremaster.core.iff import LARGEST_CHUNK
from selfremaster.core.info_texts import info_of_texts, texts_of_info
from selfremaster.core.mark_scaling import at_another_rate
from selfremaster.core.promises.inputs import speech_like
from selfremaster.core.tags import Tags, put_pieces, read_tags
from tests.cli import Outcome, run
from tests.encoded import RECIPES, encode
from tests.tiny import RATE

TEXTS = {"title": "Märchen", "artist": "Anna", "date": "1931", "comment": "Walze 7"}
FIELDS = ((b"Walze 7", 256), (b"Archiv", 32), (b"DE-1", 32), (b"1931-05-01", 10), (b"12:00:00", 8))
BEXT = b"".join(text.ljust(size, b"\0") for text, size in FIELDS) + struct.pack("<QH", 44100, 1)
BEXT = BEXT.ljust(602, b"\0") + b"A=ANALOGUE\r\n"
CART = b"0101".ljust(684, b"\0") + struct.pack("<4sI", b"AUDs", 100) + bytes(56 + 1300)
MARKS = struct.pack("<7I", 1, 1, 100, 0x61746164, 0, 0, 100)
LABELS = b"adtl" + struct.pack("<4sII", b"labl", 6, 1) + b"a\0"
LABELS += struct.pack("<4sIII4s4H", b"ltxt", 20, 1, 300, b"rgn ", 0, 0, 0, 0)
IXML = (
    b"<BWFXML><SPEED><FILE_SAMPLE_RATE>22050</FILE_SAMPLE_RATE><TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>1"
    b"</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI><TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>4"
    b"</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO></SPEED><NOTE>22050</NOTE></BWFXML>"
)
LOOPS = struct.pack("<9I", 0, 0, 45351, 60, 0, 0, 0, 1, 0) + struct.pack(
    "<6I", 1, 0, 100, 200, 0, 0
)
CHUNKS = (
    *((b"bext", BEXT), (b"iXML", IXML), (b"cue ", MARKS), (b"LIST", LABELS)),
    *((b"cart", CART), (b"smpl", LOOPS)),
)


def written(path: Path, kind: str | None = None) -> Path:
    """Half a second with texts."""
    wave = speech_like(RATE // 2, sample_rate=RATE)[0].numpy()
    with soundfile.SoundFile(path, "w", RATE, 1, format=kind) as file:
        for name, text in TEXTS.items():
            setattr(file, name, text)
        file.write(wave)
    return path


def with_chunks(path: Path, *chunks: tuple[bytes, bytes], kind: str = "WAV") -> Path:
    """Chunks after the sound, as recorders write them."""
    data = written(path, kind).read_bytes()
    for name, body in chunks:
        data += struct.pack("<4sI", name, len(body)) + body + bytes(len(body) % 2)
    size = struct.pack("<I", len(data) - 8)
    if kind == "RF64":
        data = data[:20] + struct.pack("<Q", len(data) - 8) + data[28:]
        size = bytes([255] * 4)
    path.write_bytes(data[:4] + size + data[8:])
    return path


def restored(old: Path, new: Path, *words: str) -> Outcome:
    told = run("restore", old, "--output", new, "--strength", "0", *words)
    assert told.code == 0, told.err
    return told


def pieces(path: Path) -> dict[bytes, bytes]:
    return {name: body for name, body in read_tags(path).pieces if body[:4] != b"INFO"}


# the same kind of file


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "caf"])
def test_texts_go_with_the_sound(tmp_path: Path, suffix: str) -> None:
    old = written(tmp_path / f"old.{suffix}")
    told = restored(old, tmp_path / f"new.{suffix}")
    assert read_tags(tmp_path / f"new.{suffix}").texts == TEXTS
    assert "not kept" not in told.err


@pytest.mark.parametrize("kind", ["WAV", "RF64"])
def test_what_archives_put_into_wav_files_goes_with_the_sound(tmp_path: Path, kind: str) -> None:
    old = with_chunks(tmp_path / "old.wav", *CHUNKS, (b"junk", bytes(100)), kind=kind)
    new = tmp_path / "new.wav"
    assert "not kept" not in restored(old, new).err
    assert pieces(new) == dict(CHUNKS)
    assert {name: read_tags(new).texts[name] for name in TEXTS} == TEXTS
    wave, rate = soundfile.read(new)
    assert (len(wave), rate) == (RATE // 2, RATE)
    head = new.read_bytes()
    size = struct.unpack("<I", head[4:8]) if kind == "WAV" else struct.unpack("<Q", head[20:28])
    assert size == (len(head) - 8,)
    assert soundfile.info(new).format == kind


def test_at_another_rate_places_are_where_they_were(tmp_path: Path) -> None:
    old = with_chunks(tmp_path / "old.wav", *CHUNKS)
    restored(old, tmp_path / "new.wav", "--rate", "44100")
    found = pieces(tmp_path / "new.wav")
    assert found[b"bext"][:338] == BEXT[:338]
    assert struct.unpack("<Q", found[b"bext"][338:346]) == (88200,)
    assert found[b"bext"][346:] == BEXT[346:]
    assert struct.unpack("<7I", found[b"cue "])[2::4] == (200, 200)
    assert struct.unpack_from("<I", found[b"LIST"], 4 + 8 + 6 + 8 + 4) == (600,)
    assert struct.unpack_from("<I", found[b"cart"], 688) == (200,)
    assert struct.unpack_from("<I", found[b"smpl"], 8) == (round(1e9 / 44100),)
    assert struct.unpack_from("<2I", found[b"smpl"], 44) == (200, 400)
    ixml = found[b"iXML"].decode()
    assert "<FILE_SAMPLE_RATE>44100<" in ixml
    assert "<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>2<" in ixml
    assert "<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>8<" in ixml
    assert "<NOTE>22050<" in ixml


def test_all_comments_and_pictures_of_flac_go_over(tmp_path: Path) -> None:
    old = written(tmp_path / "old.flac")
    texts = TEXTS | {"isrc": "DE1234567890", "composer": "Größe", "performer": "A; B"}
    comment = vorbis_comments.comment_of_texts(texts)
    picture = struct.pack(">II", 3, 9) + b"image/png" + bytes(24)
    blocks = ((vorbis_comments.COMMENT, comment), (vorbis_comments.PICTURE, picture))
    put_pieces(old, "FLAC", Tags(texts, "FLAC", blocks))
    assert soundfile.info(old).frames == RATE // 2
    assert "not kept" not in restored(old, tmp_path / "new.flac").err
    assert read_tags(tmp_path / "new.flac").pieces == blocks
    assert read_tags(tmp_path / "new.flac").texts == texts
    np.testing.assert_array_equal(soundfile.read(old)[0], soundfile.read(tmp_path / "new.flac")[0])


def test_the_tag_of_mp3_goes_over_as_it_is(tmp_path: Path) -> None:
    old = written(tmp_path / "old.mp3")
    tag = id3.tag_of_texts({"title": "Größe", "own": "x"})
    tag += b"APIC\0\0\0\5\0\0\0jpeg"
    tag = tag[:6] + bytes([0, 0, 0, len(tag) - 10]) + tag[10:]
    id3.put_tag(old, tag)
    before = soundfile.info(old).frames
    told = restored(old, tmp_path / "new.mp3")
    assert (tmp_path / "new.mp3").read_bytes().startswith(tag)
    assert read_tags(tmp_path / "new.mp3").texts == {"title": "Größe", "own": "x"}
    assert abs(soundfile.info(tmp_path / "new.mp3").frames - before) < 2400
    assert "not kept" not in told.err


def test_marks_of_aiff_go_over_and_are_scaled(tmp_path: Path) -> None:
    old = written(tmp_path / "old.aiff")
    marks = struct.pack(">HHIBcHIB2s", 2, 1, 100, 1, b"a", 2, 300, 2, b"bc") + b"\0"
    data = old.read_bytes() + struct.pack(">4sI", b"MARK", len(marks)) + marks
    old.write_bytes(data[:4] + struct.pack(">I", len(data) - 8) + data[8:])
    assert "not kept" not in restored(old, tmp_path / "same.aiff").err
    assert pieces(tmp_path / "same.aiff") == pieces(old)
    restored(old, tmp_path / "new.aiff", "--rate", "44100")
    found = pieces(tmp_path / "new.aiff")[b"MARK"]
    assert struct.unpack(">HHIBcHIB2s", found[:-1]) == (2, 1, 200, 1, b"a", 2, 600, 2, b"bc")
    data = (tmp_path / "new.aiff").read_bytes()
    assert struct.unpack(">I", data[4:8]) == (len(data) - 8,)


@pytest.mark.parametrize("name", [b"qlty", b"chna", b"plst", b"DISP", b"afsp", b"abcd"])
def test_chunks_that_nobody_knows_go_over_and_are_told_at_another_rate(
    tmp_path: Path, name: bytes
) -> None:
    exif = (b"LIST", b"exifecor\4\0\0\0abc\0")
    old = with_chunks(tmp_path / "old.wav", (name, b"anything"), exif)
    assert "not kept" not in restored(old, tmp_path / "new.wav").err
    assert pieces(tmp_path / "new.wav") == {name: b"anything", exif[0]: exif[1]}
    told = restored(old, tmp_path / "faster.wav", "--rate", "44100").err
    assert ("not kept" in told) == (name in {b"plst", b"abcd"})  # which may hold places
    elsewhere = restored(old, tmp_path / "new.flac").err
    assert name.decode() in elsewhere
    assert "exif" in elsewhere


def test_numbers_of_the_broadcast_extension_are_told_where_only_its_words_are_kept(
    tmp_path: Path,
) -> None:
    for place, told in ((347, False), (348, True), (421, True), (430, False)):
        body = BEXT[:place] + b"\1" + BEXT[place + 1 :]
        old = with_chunks(tmp_path / "old.wav", (b"bext", body))
        words = "not kept, FLAC has no place for it: the broadcast extension"
        assert (words in restored(old, tmp_path / f"{place}.flac").err) == told


def test_what_caf_files_say_besides_texts_is_told(tmp_path: Path) -> None:
    old = written(tmp_path / "old.caf")
    data = old.read_bytes()
    sound = data.index(b"data")
    marks = struct.pack(">4sq", b"mark", 8) + bytes(8)
    old.write_bytes(data[:sound] + marks + data[sound:])
    assert "not kept, CAF has no place for it: marks" in restored(old, tmp_path / "new.caf").err
    assert read_tags(tmp_path / "new.caf").texts == TEXTS


@pytest.mark.parametrize("behind", [b"", b"TAG".ljust(128, b"\0")])
def test_a_tag_at_the_end_of_an_mp3_is_told(tmp_path: Path, behind: bytes) -> None:
    old = written(tmp_path / "old.mp3")
    old.write_bytes(old.read_bytes() + b"APETAGEX".ljust(32, b"\0") + behind)
    assert "not kept, MP3 has no place for it: the APE tag" in (
        restored(old, tmp_path / "new.mp3").err
    )


@pytest.mark.parametrize("frames", [["USLT"], ["COMM", "COMM"], ["TIT2"], ["PRIV"]])
def test_frames_that_are_no_texts_are_told(tmp_path: Path, frames: list[str]) -> None:
    old = written(tmp_path / "old.mp3")
    tag = id3.tag_of_texts({"title": "Größe"})
    for frame in frames:
        tag += frame.encode() + b"\0\0\0\x09\0\0\3deu\0abcd"
    tag = tag[:6] + bytes([0, 0, 0, len(tag) - 10]) + tag[10:]
    id3.put_tag(old, tag)
    assert "other frames of ID3" in restored(old, tmp_path / "new.flac").err
    assert "not kept" not in restored(old, tmp_path / "new.mp3").err


# another kind of file


@pytest.mark.parametrize("kind", ["m4a", "mp4", "wma", "mka", "webm", "mov"])
def test_texts_of_sound_tracks_go_with_the_sound(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("av")
    rate_hz = RECIPES[kind].rate_hz
    wave = speech_like(rate_hz // 2, sample_rate=rate_hz).numpy()
    old = tmp_path / f"old.{kind}"
    encode(old, wave, kind, texts=TEXTS)
    told = restored(old, tmp_path / "new.flac")
    texts = read_tags(tmp_path / "new.flac").texts
    assert {name: texts.get(name) for name in TEXTS} == TEXTS
    assert set(texts) == set(TEXTS)  # and nothing of how the file was made
    assert "not kept" not in told.err
    restored(old, tmp_path / "new.wav")
    assert read_tags(tmp_path / "new.wav").texts == TEXTS


def test_texts_of_any_alphabet_go_into_mp3(tmp_path: Path) -> None:
    old = written(tmp_path / "old.flac")
    restored(old, tmp_path / "new" / "old.mp3", "--format", "mp3")
    assert read_tags(tmp_path / "new" / "old.mp3").texts == TEXTS


def test_flac_gets_the_words_of_the_broadcast_extension_and_the_rest_is_told(
    tmp_path: Path,
) -> None:
    old = with_chunks(tmp_path / "old.wav", *CHUNKS)
    told = restored(old, tmp_path / "old.flac", "--rate", "44100")
    assert read_tags(tmp_path / "old.flac").texts == TEXTS | {
        "description": "Walze 7",
        "originator": "Archiv",
        "originator_reference": "DE-1",
        "origination_date": "1931-05-01",
        "origination_time": "12:00:00",
        "time_reference": "88200",
        "coding_history": "A=ANALOGUE",
    }
    words = "not kept, FLAC has no place for it: iXML, marks, names of marks, the cart chunk, loops"
    assert words in told.err


def test_wav_has_a_place_for_some_texts_and_the_rest_is_told(tmp_path: Path) -> None:
    old = written(tmp_path / "old.flac")
    texts = TEXTS | {"engineer": "Eva", "isrc": "DE1234567890"}
    blocks = ((vorbis_comments.COMMENT, vorbis_comments.comment_of_texts(texts)),)
    put_pieces(old, "FLAC", Tags(texts, "FLAC", blocks))
    told = restored(old, tmp_path / "old.wav")
    assert read_tags(tmp_path / "old.wav").texts == TEXTS | {"engineer": "Eva"}
    assert "not kept, WAV has no place for it: isrc" in told.err


def test_words_of_old_programs_are_read(tmp_path: Path) -> None:
    """INFO has no alphabet of its own; what it holds stays as it is, to the byte."""
    old = with_chunks(tmp_path / "old.wav")
    data = old.read_bytes().replace("Märchen".encode() + b"\0", "Märchen!".encode("cp1252") + b"\0")
    old.write_bytes(data)
    assert read_tags(old).texts["title"] == "Märchen!"
    restored(old, tmp_path / "new.wav")
    assert b"M\xe4rchen!" in (tmp_path / "new.wav").read_bytes()
    restored(old, tmp_path / "new.flac")
    assert read_tags(tmp_path / "new.flac").texts["title"] == "Märchen!"


# what is damaged, or made to do harm


@pytest.mark.parametrize(
    "tail", [b"bext\xff\xff\xff\xff", b"bext\x10\x00\x00\x00abc", b"LIST\x02\x00\x00\x00ad", b"be"]
)
def test_damaged_chunks_are_left_out(tmp_path: Path, tail: bytes) -> None:
    old = written(tmp_path / "old.wav")
    old.write_bytes(old.read_bytes() + tail)
    assert not pieces(old)
    assert run("restore", old, "--output", tmp_path / "new.wav").code == 0
    assert np.isfinite(soundfile.read(tmp_path / "new.wav")[0]).all()


def test_a_size_beyond_all_files_ends_the_search(tmp_path: Path) -> None:
    old = with_chunks(tmp_path / "old.wav", (b"bext", BEXT), kind="RF64")
    data = old.read_bytes()
    old.write_bytes(data[:28] + struct.pack("<Q", 2**64 - 1) + data[36:])
    assert pieces(old) == {}


def test_what_is_too_large_is_left_out_and_told(tmp_path: Path) -> None:
    old = with_chunks(tmp_path / "old.wav", (b"axml", bytes(LARGEST_CHUNK + 1)), (b"bext", BEXT))
    told = restored(old, tmp_path / "new.wav")
    assert pieces(tmp_path / "new.wav") == {b"bext": BEXT}
    assert "not kept, WAV has no place for it: axml (too large)" in told.err


@given(body=st.binary(max_size=400), from_hz=st.integers(1, 400_000), to_hz=st.integers(1, 400_000))
@pytest.mark.parametrize("name", [b"bext", b"cue ", b"smpl", b"LIST", b"cart", b"MARK", b"iXML"])
def test_anything_may_stand_in_a_chunk(name: bytes, body: bytes, from_hz: int, to_hz: int) -> None:
    adtl = b"adtl" + body if name == b"LIST" else body
    scaled = at_another_rate((name, adtl), from_hz, to_hz)
    assert scaled is None or name == b"iXML" or len(scaled[1]) == len(adtl)


@given(place=st.integers(0, 2**31))
def test_a_place_comes_back_from_a_higher_rate(place: int) -> None:
    marks = (b"cue ", struct.pack("<7I", 1, 1, place, 0x61746164, 0, 0, place))
    higher = at_another_rate(marks, 22050, 44100)
    assert higher is None or at_another_rate(higher, 44100, 22050) == marks


@given(data=st.binary(max_size=300))
@pytest.mark.parametrize(
    "beginning",
    [
        b"RIFF\0\0\0\0WAVE",
        b"RF64\0\0\0\0WAVEds64",
        b"FORM\0\0\0\0AIFF",
        b"fLaC",
        b"ID3\4\0\0",
        b"OggS",
    ],
)
def test_anything_may_stand_in_a_file(
    beginning: bytes, data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "anything.wav"
    path.write_bytes(beginning + data)
    found = read_tags(path)
    assert sum(len(body) for _, body in found.pieces) <= len(beginning) + len(data)


names = st.sampled_from(["title", "artist", "comment", "date", "engineer", "own"])
words = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1, max_size=40
)


@given(texts=st.dictionaries(names, words.filter(lambda text: "\ufeff" not in text)))
def test_words_come_back_from_every_kind_of_tag(texts: dict[str, str]) -> None:
    assert id3.texts_of_tag(id3.tag_of_texts(texts)) == texts
    comment = vorbis_comments.comment_of_texts(texts)
    assert vorbis_comments.texts_of_comment(comment) == texts
    known = {name: text for name, text in texts.items() if name != "own"}
    assert [texts_of_info(body) for _, body in info_of_texts(texts)] == ([known] if known else [])


@pytest.mark.parametrize("encoding", range(4))
def test_tags_of_every_encoding_are_read(encoding: int) -> None:
    text = bytes([encoding]) + "Größe".encode(id3.ENCODINGS[encoding])
    for version in (3, 4):
        frame = b"TIT2" + len(text).to_bytes(4, "big") + b"\0\0" + text
        tag = b"ID3" + bytes([version, 0, 0, 0, 0, 0, len(frame)]) + frame
        assert id3.texts_of_tag(tag) == {"title": "Größe"}


def test_bytes_are_put_in_anywhere(tmp_path: Path) -> None:
    path, data = tmp_path / "a", bytes(range(256)) * 20_000
    for place in (0, 1, 1 << 20, len(data)):
        path.write_bytes(data)
        with path.open("r+b") as file:
            insert(file, place, b"new" * 500)
        assert path.read_bytes() == data[:place] + b"new" * 500 + data[place:]
