"""Old lines and old synthesis: a telephone and a noise-excited channel vocoder."""

from selfremaster import hookimpl
from selfremaster.core.hooks import Add

SELFREMASTER_API_VERSION = 1


@hookimpl
def register_components(add: Add) -> None:
    """Declare the parts; each module is imported when its part is first used."""
    add("degradation", "telephone", "selfremaster_vintage.telephone:Telephone")
    add("vocoder", "noise-carrier", "selfremaster_vintage.noise_carrier:NoiseCarrier")
