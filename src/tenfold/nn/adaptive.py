"""Softmax over very many classes: frequent ones at once, rare ones in clusters."""

from collections import namedtuple
from collections.abc import Sequence

import tenfold
from tenfold import Tensor
from tenfold.nn import functional as F

from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-probabilities of the target classes and their mean loss, for classes sorted from frequent to rare.

    The head predicts the most frequent classes and one entry for each cluster; a cluster projects the input down
    (by `div_value` more for each cluster) before it predicts its classes.

    Args:
        in_features: size of the input.
        n_classes: how many classes.
        cutoffs: the first class of each cluster, increasing.
        div_value: default 4.0.
        head_bias: the head has a bias. Default False.
        device, dtype: of the parameters. Default None: the defaults.
    Source: Grave et al. 2016, Efficient softmax approximation for GPUs.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        cutoffs = _checked_cutoffs(cutoffs, n_classes)
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, device=device, dtype=dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            width = int(in_features // div_value ** (i + 1))
            classes = self.cutoffs[i + 1] - self.cutoffs[i]
            project = Linear(in_features, width, bias=False, device=device, dtype=dtype)
            predict = Linear(width, classes, bias=False, device=device, dtype=dtype)
            self.tail.append(Sequential(project, predict))

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        self.head.reset_parameters()
        for project, predict in self.tail:
            project.reset_parameters()
            predict.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        """(N, in_features) and classes (N), or one sample, to (log-probabilities (N), mean loss)."""
        _check_samples(input_, target_)
        alone = target_.dim() == 0
        input = input_.unsqueeze(0) if alone else input_
        target = target_.unsqueeze(0) if alone else target_
        output = self._target_log_prob(input, target)
        loss = (-output).mean()
        return _ASMoutput(output.squeeze(0) if alone else output, loss)

    def _target_log_prob(self, input, target):
        within = input.new_zeros(target.size(0))  # log-probability inside the target's cluster
        entry = target.clone()  # where the head predicts the target or its cluster
        found = int((target < self.shortlist_size).logical_and(target >= 0).sum())
        for i in range(self.n_clusters):
            first, end = self.cutoffs[i], self.cutoffs[i + 1]
            rows = ((target >= first) & (target < end)).nonzero().squeeze(1)
            if rows.numel() == 0:
                continue
            found += rows.numel()
            log_probs = F.log_softmax(self.tail[i](input.index_select(0, rows)), dim=1)
            classes = (target.index_select(0, rows) - first).unsqueeze(1)
            within = within.index_copy(0, rows, log_probs.gather(1, classes).squeeze(1))
            entry = entry.index_fill(0, rows, self.shortlist_size + i)
        if found != target.size(0):
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{target.min().item()}, {target.max().item()}] were found."
            )
        head = F.log_softmax(self.head(input), dim=1)
        return within + head.gather(1, entry.unsqueeze(1)).squeeze(1)

    def _get_full_log_prob(self, input, head_output):
        """Log-probabilities of all classes, (N, n_classes)."""
        head = F.log_softmax(head_output, dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i, cluster in enumerate(self.tail):
            inside = F.log_softmax(cluster(input), dim=1)
            parts.append(inside + head[:, self.shortlist_size + i].unsqueeze(1))
        return tenfold.cat(parts, dim=1)

    def log_prob(self, input: Tensor) -> Tensor:
        """(N, in_features) to the log-probabilities of all classes, (N, n_classes)."""
        return self._get_full_log_prob(input, self.head(input))

    def predict(self, input: Tensor) -> Tensor:
        """(N, in_features) to the most probable class of each sample, (N).

        Clusters are computed only where the head finds one more probable than every frequent class.
        """
        head_output = self.head(input)
        best = head_output.argmax(dim=1)
        in_cluster = best >= self.shortlist_size
        if not bool(in_cluster.any()):
            return best
        if bool(in_cluster.all()):
            return self._get_full_log_prob(input, head_output).argmax(dim=1)
        rows = in_cluster.nonzero().squeeze(1)
        full = self._get_full_log_prob(input.index_select(0, rows), head_output.index_select(0, rows))
        return best.index_copy(0, rows, full.argmax(dim=1))


def _checked_cutoffs(cutoffs, n_classes) -> list[int]:
    cutoffs = list(cutoffs)
    if not cutoffs:
        raise ValueError("cutoffs should be a sequence of length larger than 0")
    increasing = cutoffs == sorted(set(cutoffs))
    if not increasing or min(cutoffs) <= 0 or max(cutoffs) > n_classes - 1 or any(int(c) != c for c in cutoffs):
        raise ValueError(
            "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each "
            f"value is between 1 and n_classes-1; got {cutoffs} for n_classes={n_classes}"
        )
    return cutoffs


def _check_samples(input, target) -> None:
    if target.dim() == 1:
        if input.size(0) != target.size(0):
            raise RuntimeError(
                "Input and target should have the same size in the batch dimension, but have "
                f"{input.size(0)} and {target.size(0)}."
            )
        if input.dim() != 2:
            raise RuntimeError(f"1D target tensor expects 2D input tensors, but found inputs with size {input.size()}")
    elif target.dim() == 0:
        if input.dim() != 1:
            raise RuntimeError(f"0D target tensor expects 1D input tensors, but found inputs with size {input.size()}")
    else:
        raise RuntimeError(f"0D or 1D target tensor expected, multi-target not supported: it has {target.dim()} dims")
