"""The one module that touches the bits: threads, instruction sets and what they depend on.

The same program gives other bits on another processor: libraries pick their kernels by the
instruction sets that they find, MKL sums in an order of its own choice on each CPU, and sums that
are shared out to threads depend on their number. Environment variables settle all of it, but only
while they are set *before* NumPy or PyTorch is loaded. So every stage calls `pin` first and imports
them afterwards. It never starts the process again: under an emulator the child would run on the
native CPU.

What is pinned was found by running the stages on emulated CPUs and comparing bytes:

- `MKL_CBWR=COMPATIBLE`: MKL's one code path that is equal everywhere; `AVX2` is not.
- `ATEN_CPU_CAPABILITY=avx2`: PyTorch's own kernels.
- one thread.
- `OPENBLAS_CORETYPE`, `NPY_DISABLE_CPU_FEATURES`: NumPy's and scikit-learn's kernels.

PyTorch's `sqrt` goes through MKL's vector mathematics, which still differs: never call it on a
tensor.
"""

import ctypes
import os
import platform
import sys
from pathlib import Path
from typing import Literal

from vintage.base.console import warn

_LIBRARIES = ("torch", "numpy")
_FOREIGN = ("ATEN_", "BLIS_", "DNNL_", "GOMP_", "KMP_", "MKL_", "NPY_", "OMP_", "ONEDNN_")
_OF_MATPLOTLIB = ("MATPLOTLIBRC", "MPLBACKEND")
_ONE_THREAD = ("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Numerics = Literal["portable", "fast"]


def pin(numerics: Numerics = "portable") -> str:
    """Fix what the bits depend on. Call it before the first import of NumPy or PyTorch.

    Args:
        numerics: `portable` for equal bits on every x86-64 CPU with AVX2, on one thread; `fast`
            leaves everything as the machine has it.

    Returns:
        What was reached, for the record: `portable`, `fast`, or `portable without AVX2` and
        `portable with GLIBC_TUNABLES`, which equal `portable` in most operations only. The latter
        chooses the C library's own kernels, such as of `exp`, before Python starts.

    Raises:
        RuntimeError: NumPy or PyTorch was loaded before.
    """
    for name in _OF_MATPLOTLIB:
        os.environ.pop(name, None)
    if numerics == "fast":
        return "fast"
    loaded = [library for library in _LIBRARIES if library in sys.modules]
    if loaded:
        raise RuntimeError(f"pin() comes too late: {loaded[0]} is loaded already")
    avx2 = has_avx2()
    if not avx2:
        warn("this CPU has no AVX2, so results may differ from other machines in the last digits")
    tuned = "hwcaps" in os.environ.get("GLIBC_TUNABLES", "")
    if tuned:
        warn(
            "GLIBC_TUNABLES changes the instruction sets of the C library, so results may differ "
            "from other machines in the last digits; unset it"
        )
    for name in list(os.environ):
        if name.startswith(_FOREIGN):
            del os.environ[name]
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    os.environ["MKL_CBWR"] = "COMPATIBLE"
    os.environ["ATEN_CPU_CAPABILITY"] = "avx2" if avx2 else "default"
    os.environ["OPENBLAS_CORETYPE"] = "Haswell" if avx2 else "Nehalem"
    os.environ["NPY_DISABLE_CPU_FEATURES"] = "X86_V3 X86_V4"
    missing = [*([] if avx2 else ["without AVX2"]), *(["with GLIBC_TUNABLES"] if tuned else [])]
    return " ".join(["portable", *missing])


def has_avx2() -> bool:
    """Whether this x86-64 CPU, native or emulated, has AVX2.

    glibc's `__x86_get_cpuid_feature_leaf` (2.33 and newer) asks the CPU that really runs this
    process; /proc/cpuinfo, the way back for older ones, shows the host's under an emulator.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    try:
        leaf = ctypes.CDLL(None).__x86_get_cpuid_feature_leaf
    except AttributeError:
        cpuinfo = Path("/proc/cpuinfo")
        return cpuinfo.exists() and " avx2 " in cpuinfo.read_text()
    # struct cpuid_feature { unsigned int cpuid_array[4], active_array[4]; }, in eax ... edx order
    leaf.restype = ctypes.POINTER(ctypes.c_uint * 8)
    active_ebx_of_leaf_7 = leaf(1).contents[5]
    return bool(active_ebx_of_leaf_7 >> 5 & 1)
