"""`selfremaster listen`: listening tests, and what came of them."""

import typer

from selfremaster.commands.listen_analyse import analyse
from selfremaster.commands.listen_prepare import prepare

listen = typer.Typer(add_completion=False, rich_markup_mode=None)


@listen.callback()
def start() -> None:
    """Prepare listening tests, and analyse their answers."""


for _name, _command, _example in (
    (
        "prepare",
        prepare,
        "listen prepare --test mos --system a=out/a --system b=out/b --output mos",
    ),
    ("analyse", analyse, "listen analyse answers --key mos/key.json --output mos-report"),
):
    listen.command(_name, epilog=f"Example: selfremaster {_example}")(_command)
