"""Random numbers on plain NumPy arrays: an engine goes in, a filled array comes out, and the engine has moved on.

After the same seed and the same calls the numbers, and the saved states, are those of PyTorch 2.13 on a CPU, as it
fills contiguous tensors. A dtype goes by its name; float16 and bfloat16 results are float32 arrays rounded to them.

In reading order: `engine` (the Mersenne twister and its state), `arguments` (dtypes, shapes, rounding), `uniform`,
`libm` and `box_muller` (how logarithms and sines round), `normal`, `continuous`, `integers`, `bernoulli` (dropout
too), `multinomial`, `rejection` (Poisson, binomial, gamma, Dirichlet).

Not bit-equal to PyTorch (everything else was compared bit for bit with the x86 wheel, on an AVX-512 machine; the
wheel contains none of Intel's vector statistics library, so that Bernoulli and exponential numbers are reproduced too):

- `dirichlet`: PyTorch adds in another order, so from five categories on up to six float64 results in ten, and one
  float32 result in a thousand, differ in the last bit.
- `multinomial` without replacement in float16 or bfloat16: categories whose rounded race times are equal come in
  order of index here, in an unspecified order there.
- float32, float16 and bfloat16 results of `exponential`, `cauchy` and `log_normal`, and `geometric`: computed in
  float64 with NumPy's functions, which can be off in the last of 53 bits; about one float32 in 10**8 may be rounded
  the other way.
- float32 `normal` from 16 elements on, and scaled `uniform`: a fused multiply-add is rounded by way of float64, where
  one result in 10**8 may be a tie that is rounded twice.
- float64 results of the distributions with logarithms or sines follow this machine's C library; PyTorch's its own.
- PyTorch without AVX2 (ARM, old processors) evaluates float32 `normal` with the C library: the last bits differ in
  four numbers of ten.
"""

from tenfold._core.random.bernoulli import bernoulli, bernoulli_tensor, dropout_mask, feature_noise_shape, rrelu_noise
from tenfold._core.random.continuous import cauchy, exponential, geometric
from tenfold._core.random.engine import DEFAULT_SEED, STATE_BYTES, Engine
from tenfold._core.random.integers import random_from_to, random_full, randperm
from tenfold._core.random.multinomial import multinomial
from tenfold._core.random.normal import log_normal, normal, normal_like
from tenfold._core.random.rejection import binomial, dirichlet, poisson, standard_gamma
from tenfold._core.random.uniform import uniform

__all__ = [
    "DEFAULT_SEED",
    "STATE_BYTES",
    "Engine",
    "bernoulli",
    "bernoulli_tensor",
    "binomial",
    "cauchy",
    "dirichlet",
    "dropout_mask",
    "exponential",
    "feature_noise_shape",
    "geometric",
    "log_normal",
    "multinomial",
    "normal",
    "normal_like",
    "poisson",
    "random_from_to",
    "random_full",
    "randperm",
    "rrelu_noise",
    "standard_gamma",
    "uniform",
]
