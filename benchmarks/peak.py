"""What one core could do at most: ``python -m benchmarks.peak``.

Times loops of twelve independent multiply-accumulate instructions on 512-bit registers: FMA on floats (16 in one
instruction) and VNNI on bytes (64), and a loop that does nothing but count, a cycle a round, for the clock. The loops
are put together here as machine code, so that no compiler is needed. The best of many short runs counts: a neighbour
can only slow them down. x86-64 with AVX-512 VNNI under Linux only.
"""

import ctypes
import mmap
import time
from pathlib import Path
from typing import NamedTuple

REGISTERS = 12
"""Accumulators: enough that no instruction waits for an earlier one's result."""
ROUNDS, RUNS = 400_000, 40
FMA, VNNI = 0xB8, 0x50  # vfmadd231ps, vpdpbusd: opcodes of the same form
NUMBERS = {FMA: 16, VNNI: 64}
"""Multiply-accumulates in one instruction."""
CLEAR = b"\xc5\xfc\x77"  # vzeroall
COUNT_DOWN = b"\x48\xff\xcf"  # dec rdi
JUMP_IF_NOT_ZERO = b"\x0f\x85"
RETURN = b"\xc3"
JUMP_LENGTH = 4


class Peak(NamedTuple):
    """Of one core: clock in Hz, and multiply-accumulates per second in float32 and in int8."""

    clock: float
    float32: float
    int8: float


def main() -> None:
    """Measure and print."""
    if not available():
        print("This processor has no AVX-512 VNNI, or tells nobody.")
        return
    peak = measure()
    print(f"clock {peak.clock / 1e9:.2f} GHz")
    for name, rate in (("FMA, float32", peak.float32), ("VNNI, int8", peak.int8)):
        print(f"{name}: {rate / 1e9:.0f} G multiply-accumulates/s a core, {rate / peak.clock:.0f} a cycle")


def available() -> bool:
    """Return whether the loops can run here."""
    facts = Path("/proc/cpuinfo")
    return facts.exists() and {"avx512f", "avx512_vnni"} <= set(facts.read_text(encoding="utf-8").split())


def measure() -> Peak:
    """Return the best of many short runs."""
    return Peak(
        clock=ROUNDS / _seconds(b""),
        **{
            name: ROUNDS * REGISTERS * NUMBERS[opcode] / _seconds(_instructions(opcode))
            for name, opcode in (("float32", FMA), ("int8", VNNI))
        },
    )


def _instructions(opcode: int) -> bytes:
    """Return ``opcode zmmN, zmm12, zmm13`` for N = 0..11: four bytes of EVEX prefix, the opcode, the registers."""
    sources, width = 0x1D, 0x48  # zmm12; 512 bits
    return b"".join(
        bytes([0x62, 0xD2 if number < 8 else 0x52, sources, width, opcode, 0xC5 | (number & 7) << 3])
        for number in range(REGISTERS)
    )


def _seconds(instructions: bytes) -> float:
    """Return how long ``ROUNDS`` rounds of the instructions take at best."""
    body = instructions + COUNT_DOWN
    back = -(len(body) + len(JUMP_IF_NOT_ZERO) + JUMP_LENGTH)
    code = CLEAR + body + JUMP_IF_NOT_ZERO + back.to_bytes(JUMP_LENGTH, "little", signed=True) + CLEAR + RETURN
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
        page.write(code)
        start = ctypes.c_char.from_buffer(page)
        loop = ctypes.CFUNCTYPE(None, ctypes.c_uint64)(ctypes.addressof(start))
        best = min(_timed(loop) for _ in range(RUNS))
        del loop, start  # a page that is pointed to cannot be given back
    return best


def _timed(loop: "ctypes._FuncPointer") -> float:
    began = time.perf_counter()
    loop(ROUNDS)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
