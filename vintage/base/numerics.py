"""What NumPy's and scikit-learn's bits depend on, fixed as far as environment variables can.

What a network is trained with and predicts by is `vintage.network.exact`, which needs none of this.
NumPy and SciPy pick their kernels by the instruction sets that they find, and their BLAS shares out
sums to threads. The variables count only while they are set *before* NumPy is loaded, so every
stage and command calls `pin` first and imports afterwards. What they leave open between x86-64 and
ARM64 are last bits, which are rounded off wherever such a number is written.
"""

import os
import platform
import sys
from typing import Literal

_FOREIGN = ("BLIS_", "NPY_", "OPENBLAS_")
_OF_MATPLOTLIB = ("MATPLOTLIBRC", "MPLBACKEND")

Numerics = Literal["exact", "fast"]


def pin() -> None:
    """Fix NumPy's kernels and BLAS. Call it before the first import of NumPy.

    Raises:
        RuntimeError: NumPy was loaded before.
    """
    if "numpy" in sys.modules:
        raise RuntimeError("pin() comes too late: numpy is loaded already")
    for name in list(os.environ):
        if name.startswith(_FOREIGN) or name in _OF_MATPLOTLIB:
            del os.environ[name]
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ["OPENBLAS_CORETYPE"] = "Nehalem"  # runs on any such processor
        os.environ["NPY_DISABLE_CPU_FEATURES"] = "X86_V3 X86_V4"
