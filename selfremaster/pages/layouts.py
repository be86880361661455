"""How the page looks, and which of its buttons does what."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.packages import require
from selfremaster.core.profiles import ChannelProfile
from selfremaster.core.restoring import Form
from selfremaster.pages.visitors import Visitors, delete
from selfremaster.pages.workshops import SPEAKS, Made, Workshop, pack

TITLE = "selfremaster"
HEADINGS = ("recording", "s", "what is to be known of it")
CHANNELS = ("linked", "independent", "mono")
NOTHING_CHOSEN = ""
HEIGHT = 140
STYLE = """
.gradio-container { max-width: 1100px !important; margin: 0 auto; }
footer { display: none !important; }
@media (max-width: 700px) {
  .sides { flex-direction: column !important; }
  .sides > * { width: 100% !important; }
  .sides, .sides * { min-width: 0 !important; max-width: 100% !important; }
}
.told { overflow-wrap: anywhere; }
"""
WELCOME = """# Restore a recording
The sound stays on this computer: nothing is sent elsewhere. What you bring and get is deleted when
you leave or reload the page; should the computer not notice that, within two hours, and when the
program ends. Listen before you trust it: a model may invent what it cannot hear."""


class Layout:
    """The page of a workshop, built of gradio's elements."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.visitors = Visitors(workshop.folder)
        self.gradio = require("gradio", "ui")
        gr = self.gradio
        with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 3600)) as page:
            self.visitor = gr.State(None, delete_callback=self.visitors.left)
            came = self._by_session(self.visitors.came)
            page.load(came, None, self.visitor, show_progress="hidden", api_visibility="private")
            page.unload(self._by_session(self.visitors.left))
            gr.Markdown(WELCOME)
            gr.Markdown(f"At most {workshop.limits.words()}.")
            with gr.Tab("Restore"):
                self._restore_tab()
            with gr.Tab("Sound of another recording"):
                self._transfer_tab()
        self.page = page

    def _restore_tab(self) -> None:
        gr = self.gradio
        with gr.Row(elem_classes="sides"):
            with gr.Column():
                files, spoken = self._recordings("Recordings", "Or record one")
                model = self._models()
                with gr.Accordion("How", open=False):
                    strength = gr.Slider(
                        0, 1, 1, step=0.05, label="Strength", info="0 leaves all as it is"
                    )
                    speaks = gr.Radio(list(SPEAKS), value=SPEAKS[0], label="What speaks")
                    channels = gr.Radio(
                        list(CHANNELS),
                        value=CHANNELS[0],
                        label="Channels",
                        info="linked: changed alike, so that every sound stays at its place; "
                        "independent: each by itself; mono: their mean",
                    )
                    keep = gr.Checkbox(True, label="Keep the loudness of the recording")
                    lufs = gr.Slider(
                        -40, -10, -23, step=0.5, label="Otherwise bring it to, LUFS", visible=False
                    )
                    keep.change(
                        lambda kept: gr.update(visible=not kept),
                        keep,
                        lufs,
                        api_visibility="private",
                    )
                start = gr.Button("Restore", variant="primary", elem_id="restore")
                stop = gr.Button("Stop", elem_id="stop")
            shown = self._results("restore")
        own = [self.visitor, shown[0]]
        given = [files, spoken, model, strength, speaks, channels, keep, lufs, *own]
        running = start.click(
            self.restore, given, shown, concurrency_limit=1, api_visibility="private"
        )
        stop.click(None, cancels=[running])

    def _transfer_tab(self) -> None:
        gr, names = self.gradio, sorted(self.workshop.profiles)
        with gr.Row(elem_classes="sides"):
            with gr.Column():
                files, spoken = self._recordings("Clean recordings", "Or record one")
                model = self._models()
                gr.Markdown("**The sound to put on:** one of these three")
                choices = [("(none)", NOTHING_CHOSEN), *((name, name) for name in names)]
                offered = gr.Dropdown(
                    choices, value=NOTHING_CHOSEN, label="A kept sound", visible=bool(names)
                )
                brought = gr.File(label="A profile (.json)", file_types=[".json"], height=HEIGHT)
                old = gr.File(
                    label="A recording that sounds so", file_count="multiple", height=HEIGHT
                )
                self._note(brought, old)
                strength = gr.Slider(0, 1.5, 1, step=0.05, label="Strength")
                start = gr.Button("Put it on", variant="primary", elem_id="transfer")
                keep = gr.Button("Keep the sound of the recording as a profile", elem_id="profile")
                profile = gr.File(label="Profile", interactive=False, height=HEIGHT)
            shown = self._results("transfer")
        source = [offered, brought, old]
        own = [self.visitor, shown[0]]
        given = [files, spoken, model, *source, strength, *own]
        start.click(self.transfer, given, shown, concurrency_limit=1, api_visibility="private")
        keep.click(self.keep, [model, old, *own], [shown[0], profile], api_visibility="private")

    def _recordings(self, label: str, own: str) -> tuple[Any, Any]:
        gr = self.gradio
        files = gr.File(label=label, file_count="multiple", height=HEIGHT)
        spoken = gr.Audio(sources=["microphone"], type="filepath", label=own)
        self._note(files, spoken)
        return files, spoken

    def _note(self, *fields: Any) -> None:
        """Have what is brought into fields noted as the visitor's."""
        for field in fields:
            field.change(
                self._brought,
                [self.visitor, field],
                show_progress="hidden",
                api_visibility="private",
            )

    def _brought(self, visitor: str | None, files: Sequence[str] | str | None) -> None:
        self.visitors.keep(visitor, _paths([files] if isinstance(files, str) else files, None))

    def _by_session(self, function: Callable[[str], Any]) -> Callable[[Any], Any]:
        """A function of who asks, as gradio calls it: by the annotation it knows what to give."""

        def called(request: Any) -> Any:
            return function(request.session_hash)

        called.__annotations__["request"] = self.gradio.Request
        return called

    def _models(self) -> Any:
        names = list(self.workshop.models)
        return self.gradio.Dropdown(
            names, value=names[0], label="Model", visible=len(names) > 1, interactive=True
        )

    def _results(self, name: str) -> list[Any]:
        """What is shown of results, in the order of `_shown`."""
        gr = self.gradio
        with gr.Column():
            work = gr.State(None, time_to_live=3600, delete_callback=forget)
            told = gr.Dataframe(
                headers=list(HEADINGS),
                interactive=False,
                label="Results",
                wrap=True,
                column_widths=["35%", "15%", "50%"],
                elem_classes="told",
                datatype="str",
                elem_id=f"{name}-told",
            )
            which = gr.Dropdown([], label="Listen to", interactive=True, visible=False)
            before = gr.Audio(
                label="Before", interactive=False, buttons=["download"], elem_id=f"{name}-before"
            )
            after = gr.Audio(
                label="After", interactive=False, buttons=["download"], elem_id=f"{name}-after"
            )
            picture = gr.Image(
                label="Spectrograms before and after",
                show_label=False,
                buttons=["download", "fullscreen"],
                interactive=False,
                elem_id=f"{name}-picture",
            )
            results = gr.File(
                label="Results", file_count="multiple", interactive=False, elem_id=f"{name}-files"
            )
            packed = gr.DownloadButton("All as a ZIP file", visible=False, elem_id=f"{name}-zip")
        which.change(self.listen, [work, which], [before, after, picture], api_visibility="private")
        return [work, told, which, before, after, picture, results, packed]

    def restore(
        self,
        files: Sequence[str] | None,
        spoken: str | None,
        model: str,
        strength: float,
        speaks: str,
        channels: Any,
        keep: bool,
        lufs: float,
        visitor: str | None,
        work: Any,
    ) -> Iterator[list[Any]]:
        """Restore, and show each result as it is there."""
        with self._told(), self._anew(visitor, work) as place:
            form = Form(float(strength), channels, None if keep else float(lufs))
            uploads = _paths(files, spoken)
            yield from self._shown(
                self.workshop.restore(uploads, model, speaks, form, place), place
            )

    def transfer(
        self,
        files: Sequence[str] | None,
        spoken: str | None,
        model: str,
        offered: str,
        brought: str | None,
        old: Sequence[str] | None,
        strength: float,
        visitor: str | None,
        work: Any,
    ) -> Iterator[list[Any]]:
        """Put on a sound, and show each result as it is there."""
        with self._told(), self._anew(visitor, work) as place:
            profile = self._profile(model, offered, brought, old, place)
            uploads = _paths(files, spoken)
            made = self.workshop.transfer(uploads, model, profile, float(strength), place)
            yield from self._shown(made, place)

    def keep(
        self, model: str, old: Sequence[str] | None, visitor: str | None, work: Any
    ) -> tuple[Any, str]:
        """Write the sound of recordings down, for another time."""
        with self._told(), self._anew(visitor, work) as place:
            profile = self.workshop.profile_of(_paths(old, None), model, place)
            path = place / "sound.json"
            profile.save(path)
            return (place, ()), str(path)

    def listen(self, work: Any, which: str | None) -> list[Any]:
        """The sounds and the picture of one of the results."""
        made = work[1] if work else ()
        for one in made:
            if one.name == which:
                return [_text(one.before), _text(one.after), _text(one.picture)]
        return [None, None, None]

    def _profile(
        self,
        model: str,
        offered: str,
        brought: str | None,
        old: Sequence[str] | None,
        place: Path,
    ) -> ChannelProfile:
        if brought:
            return ChannelProfile.load(brought)
        if old:
            return self.workshop.profile_of(_paths(old, None), model, place / "sound")
        return self.workshop.offered_profile(offered)

    @contextmanager
    def _anew(self, visitor: str | None, work: Any) -> Iterator[Path]:
        """A place to work in, instead of the one before."""
        forget(work)
        place = self.workshop.new_place()
        self.visitors.begin(visitor, place)
        try:
            yield place
        finally:
            self.visitors.done(visitor, place)

    def _shown(self, results: Iterator[Made], place: Path) -> Iterator[list[Any]]:
        """What the elements of `_results` show, after each result."""
        gr, made = self.gradio, list[Made]()
        for one in results:
            made.append(one)
            good = [each for each in made if each.result is not None]
            rows = [_row(each) for each in made]
            first = good[0] if good else None
            yield [
                (place, tuple(made)),
                rows,
                gr.update(
                    choices=[each.name for each in good],
                    value=first.name if first else None,
                    visible=len(good) > 1,
                ),
                _text(first.before) if first else None,
                _text(first.after) if first else None,
                _text(first.picture) if first else None,
                [str(each.result) for each in good],
                gr.update(visible=False),
            ]
        packed = pack(made, place)
        if packed is not None:
            skipped = [gr.skip()] * 7
            yield [*skipped, gr.update(value=str(packed), visible=True)]

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of ours become what the page shows, and so does the end of the program."""
        try:
            yield
        except (SelfRemasterError, KeyboardInterrupt) as error:
            words = str(error) or "the program that serves this page was ended"
            raise self.gradio.Error(words, print_exception=False) from None


def forget(work: Any) -> None:
    """Delete what was made for a visitor."""
    if work:
        delete(work[0])


def _paths(files: Sequence[str] | None, spoken: str | None) -> list[Path]:
    return [Path(path) for path in (*(files or ()), *((spoken,) if spoken else ()))]


def _row(one: Made) -> list[str]:
    told = f"NOT DONE: {one.failure}" if one.failure else "; ".join(one.notes)
    return [one.name, f"{one.seconds:.1f}" if one.result else "", told]


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
