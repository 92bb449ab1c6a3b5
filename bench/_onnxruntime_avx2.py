"""A copy of ONNX Runtime that takes no AVX-512, for comparisons by AVX2 on CPUs that have it.

ONNX Runtime chooses kernels by CPUID and knows no setting for it. Its three looks at whether the
system saves AVX-512's registers (in MLAS, in its own CPUIDInfo and in the cpuinfo library) are
changed, in a copy, to say no; each must be found exactly as often as it is there in 1.32.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import _common as common

WHERE = "import onnxruntime as o, pathlib; print(pathlib.Path(o.__file__).parent, o.__version__)"
# Pattern, how often it occurs, where bytes are changed behind its start, and what they become.
LOOKS = (
    # MLAS: mov rax, r8; not rax; test al, 0xe0; je → no jump
    (rb"\x4c\x89\xc0\x48\xf7\xd0\xa8\xe0\x0f\x84....", 1, 8, b"\x90" * 6),
    # CPUIDInfo: and …, 0xe6; cmp r9d, 0xe6 → 0xe7, which it never is
    (rb"\x41\x81\xf9\xe6\x00\x00\x00", 2, 3, b"\xe7"),
    # cpuinfo: not rax; test al, 0xe6; jne → jmp
    (rb"\x48\xf7\xd0\xa8\xe6\x75\x0c", 1, 5, b"\xeb"),
)


def without_avx512(python: str, folder: Path) -> Path:
    """A folder for PYTHONPATH whose onnxruntime is that of an interpreter, but without AVX-512."""
    package, version = common.call([python, "-c", WHERE]).split()
    target = folder / f"onnxruntime-{version}-avx2"
    done = target / "done"
    if done.exists():
        return target
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(package, target / "onnxruntime")
    (library,) = (target / "onnxruntime" / "capi").glob("onnxruntime_pybind11_state*.so")
    code = bytearray(library.read_bytes())
    for pattern, count, shift, changed in LOOKS:
        places = [found.start() for found in re.finditer(pattern, code, re.DOTALL)]
        if len(places) != count:
            raise SystemExit(f"onnxruntime {version}: a look at AVX-512 was found {len(places)} "
                             f"times, not {count}")  # fmt: skip
        for place in places:
            code[place + shift : place + shift + len(changed)] = changed
    library.write_bytes(code)
    done.touch()
    return target
