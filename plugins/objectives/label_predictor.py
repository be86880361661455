"""Which recording a sound is of, told from its channel features."""

from torch import Tensor, nn
from torch.nn import functional

HIDDEN = 256
EPS = 1e-12


class LabelPredictor(nn.Module):
    """Guess the number of the recording, or of its kind of damage, from how it sounds.

    Batch normalisation, a layer of 256, ReLU, one number. A batch of one item has no statistics of
    its own and is normalised by those kept.

    Shape: channel features (batch, channel_dim) or (batch, channel_dim, times) -> (batch,).
    Source: SelfRemaster, journal version (IEEE Access 2024), the channel-label predictor.
    """

    def __init__(self, channel_dim: int) -> None:
        super().__init__()
        self.batch_norm = nn.BatchNorm1d(channel_dim, eps=EPS)
        self.in_linear = nn.Linear(channel_dim, HIDDEN)
        self.out_linear = nn.Linear(HIDDEN, 1)

    def forward(self, channel_features: Tensor) -> Tensor:
        """The guessed label of each item."""
        if channel_features.dim() == 3:
            channel_features = channel_features.mean(dim=-1)
        hidden = functional.relu(self.in_linear(self._normalised(channel_features)))
        label: Tensor = self.out_linear(hidden)[:, 0]
        return label

    def _normalised(self, channel_features: Tensor) -> Tensor:
        if len(channel_features) > 1:
            normalised: Tensor = self.batch_norm(channel_features)
            return normalised
        norm = self.batch_norm
        return functional.batch_norm(
            channel_features,
            norm.running_mean,
            norm.running_var,
            norm.weight,
            norm.bias,
            eps=EPS,
        )
