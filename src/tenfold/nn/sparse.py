"""Tables of vectors, looked up by number."""

import tenfold
from tenfold import Tensor
from tenfold.nn import functional as F

from . import init
from .module import Module
from .parameter import Parameter

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    """What both tables share: the weight, and the row that stands for padding."""

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None
    weight: Tensor

    def _set_padding(self, padding_idx, message) -> None:
        if padding_idx is not None:
            if not -self.num_embeddings <= padding_idx < self.num_embeddings:
                raise AssertionError(f"{message}: {padding_idx} is not, for {self.num_embeddings} embeddings")
            padding_idx %= self.num_embeddings
        self.padding_idx = padding_idx

    def _set_weight(self, given, learned, device, dtype) -> None:
        shape = [self.num_embeddings, self.embedding_dim]
        if given is None:
            empty = tenfold.empty(tuple(shape), device=device, dtype=dtype)
            self.weight = Parameter(empty, requires_grad=learned)
            self.reset_parameters()
            return
        if list(given.shape) != shape:
            raise AssertionError(
                f"Shape of weight does not match num_embeddings and embedding_dim: {list(given.shape)} and {shape}"
            )
        self.weight = Parameter(given, requires_grad=learned)

    def reset_parameters(self) -> None:
        """Draw the vectors anew from the normal distribution; that of `padding_idx` becomes zero."""
        init.normal_(self.weight)
        self._fill_padding_idx_with_zero()

    def _fill_padding_idx_with_zero(self) -> None:
        if self.padding_idx is not None:
            with tenfold.no_grad():
                self.weight[self.padding_idx].fill_(0)


def _check_pretrained(embeddings) -> None:
    if embeddings.dim() != 2:
        raise AssertionError(f"Embeddings parameter is expected to be 2-dimensional, but has {embeddings.dim()} dims")


class Embedding(_Table):
    """A learned vector for each of `num_embeddings` numbers; the vectors begin normally distributed.

    Args:
        num_embeddings: how many vectors.
        embedding_dim: their size D.
        padding_idx: this one begins at zero and gets no gradient. Default None.
        max_norm: a vector that is looked up and longer is shortened to this, in place. Default None.
        norm_type: p of that norm. Default 2.0.
        scale_grad_by_freq: divide a gradient by how often its vector occurs in the batch. Default False.
        sparse: sparse gradients. Default False.
        device, dtype: of the vectors. Default None: the defaults.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self._set_padding(padding_idx, "Padding_idx must be within num_embeddings")
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self._set_weight(_weight, not _freeze, device, dtype)
        self.sparse = sparse

    @tenfold.translated
    def forward(self, input: Tensor) -> Tensor:
        """Numbers (*) to vectors (*, D)."""
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        parts = [f"{self.num_embeddings}, {self.embedding_dim}"]
        if self.padding_idx is not None:
            parts.append(f"padding_idx={self.padding_idx}")
        if self.max_norm is not None:
            parts.append(f"max_norm={self.max_norm}")
        if self.norm_type != 2:
            parts.append(f"norm_type={self.norm_type}")
        if self.scale_grad_by_freq is not False:
            parts.append(f"scale_grad_by_freq={self.scale_grad_by_freq}")
        if self.sparse is not False:
            parts.append("sparse=True")
        return ", ".join(parts)

    @classmethod
    def from_pretrained(
        cls,
        embeddings,
        freeze=True,
        padding_idx=None,
        max_norm=None,
        norm_type=2.0,
        scale_grad_by_freq=False,
        sparse=False,
    ):
        """An Embedding of given vectors.

        Args:
            embeddings: shape (num_embeddings, D); memory is shared with it.
            freeze: they are not learned. Default True.
            padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse: as for Embedding.
        """
        _check_pretrained(embeddings)
        rows, columns = embeddings.shape
        return cls(
            num_embeddings=rows,
            embedding_dim=columns,
            _weight=embeddings,
            _freeze=freeze,
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            sparse=sparse,
        )


class EmbeddingBag(_Table):
    """Sums, means or maxima of the vectors of bags of numbers.

    Args:
        num_embeddings: how many vectors.
        embedding_dim: their size D.
        max_norm, norm_type, scale_grad_by_freq, sparse: as for Embedding.
        mode: "sum", "mean" or "max". Default "mean".
        include_last_offset: the last offset is the end of the last bag. Default False.
        padding_idx: this number counts for nothing. Default None.
        device, dtype: of the vectors. Default None: the defaults.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self._set_padding(padding_idx, "padding_idx must be within num_embeddings")
        self._set_weight(_weight, True, device, dtype)
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """Bags to (B, D).

        Args:
            input: (B, N), bags of the same size, or (N), all bags one after the other.
            offsets: (B), where in `input` of shape (N) each bag begins. Default None.
            per_sample_weights: a factor for each number, for mode "sum". Default None.
        """
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        parts = [f"{self.num_embeddings}, {self.embedding_dim}"]
        if self.max_norm is not None:
            parts.append(f"max_norm={self.max_norm}")
        if self.norm_type != 2:
            parts.append(f"norm_type={self.norm_type}")
        if self.scale_grad_by_freq is not False:
            parts.append(f"scale_grad_by_freq={self.scale_grad_by_freq}")
        parts.append(f"mode={self.mode!r}")
        if self.padding_idx is not None:
            parts.append(f"padding_idx={self.padding_idx}")
        return ", ".join(parts)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> "EmbeddingBag":
        """An EmbeddingBag of given vectors.

        Args:
            embeddings: shape (num_embeddings, D); memory is shared with it.
            freeze: they are not learned. Default True.
            max_norm, norm_type, scale_grad_by_freq, mode, sparse, include_last_offset, padding_idx: as above.
        """
        _check_pretrained(embeddings)
        rows, columns = embeddings.shape
        bag = cls(
            num_embeddings=rows,
            embedding_dim=columns,
            _weight=embeddings,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            mode=mode,
            sparse=sparse,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )
        bag.weight.requires_grad = not freeze
        return bag
