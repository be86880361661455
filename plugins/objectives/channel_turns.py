"""Parameters that take turns: those of the damage, and those of what is said."""

from torch.nn import Parameter

from selfremaster.core.errors import BundleError
from selfremaster.core.models import Model


def channel_and_analysis(model: Model) -> dict[str, list[Parameter]]:
    """The channel module with the channel features' branch; the rest of the analysis module.

    Raises `BundleError` for a model without the one or the other.
    """
    if model.analyzer is None or model.channel is None:
        raise BundleError("an analysis and a channel module take turns; the model has not both")
    branch = model.analyzer.channel_parameters()
    known = {id(parameter) for parameter in branch}
    rest = [parameter for parameter in model.analyzer.parameters() if id(parameter) not in known]
    return {"channel": [*model.channel.parameters(), *branch], "analysis": rest}
