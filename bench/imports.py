"""What importing the endpoint costs in processor time, beside the same import statements of libraries alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, Row, at_most

ROOT = Path(__file__).resolve().parents[1]
ENDPOINT = "interactions_api.app"
OWN = ("interactions_api", "db_client", "program")

_TIMED = """
import sys, time
sys.path.insert(0, {root!r})
before = time.process_time()
{imports}
print(time.process_time() - before)
"""


def figures(folder: Path, *, scale: float, rounds: int) -> Iterator[Row]:
    """One figure; each round is the median of several fresh interpreters, ours and the floor in turn."""
    ours = folder / "ours.py"
    floor = folder / "floor.py"
    ours.write_text(_TIMED.format(root=str(ROOT), imports=f"import {ENDPOINT}"))
    floor.write_text(_TIMED.format(root=str(ROOT), imports="\n".join(library_imports())))
    runs = max(1, round(5 * scale))
    seconds(ours), seconds(floor)  # so that both find their bytecode
    pairs = [(seconds(ours), seconds(floor)) for _ in range(rounds * runs)]
    yield Figure("import of the endpoint", "ms", [(a * 1e3, b * 1e3) for a, b in pairs], at_most(1.2))


def seconds(script: Path) -> float:
    """The processor time a fresh interpreter needed for the imports, its own start not counted."""
    run = subprocess.run([sys.executable, "-I", str(script)], capture_output=True, text=True, check=True)
    return float(run.stdout)


def library_imports() -> list[str]:
    """Every import statement of a library that importing the endpoint executes in our modules, in that order."""
    files_of_ours = f"(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] in {OWN})"
    asked = f"import sys, {ENDPOINT}; print(*{files_of_ours}, sep=chr(10))"
    files = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return list(dict.fromkeys(line for file in files.splitlines() for line in _library_imports_of(Path(file))))


def _library_imports_of(file: Path) -> Iterator[str]:
    for statement in ast.parse(file.read_text()).body:
        match statement:
            case ast.Import(names=names) if names[0].name.split(".")[0] not in OWN:
                yield ast.unparse(statement)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] not in (*OWN, "__future__"):
                yield ast.unparse(statement)
