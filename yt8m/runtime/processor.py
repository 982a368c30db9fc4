"""What the processor can do."""

import contextlib


def instruction_sets() -> frozenset[str]:
    """Names of the instruction sets of an x86 processor, as Linux has them, such as "amx_bf16"; none elsewhere."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("flags"):
                return frozenset(line.partition(":")[2].split())
    return frozenset()
