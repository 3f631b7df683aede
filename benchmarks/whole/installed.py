"""What an installation weighs; `python -m benchmarks.whole.installed NAME …` lists packages."""

import json
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement


def installed(names: Iterable[str]) -> dict[str, int]:
    """Bytes of each distribution that these need, themselves included, the largest first."""
    found: dict[str, int] = {}
    wanted = [(name, "") for name in names]
    seen = set()
    while wanted:
        name, extra = wanted.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            here = distribution(name)
        except PackageNotFoundError:
            continue  # of another platform
        found.setdefault(here.name, _bytes(here))
        for line in here.requires or ():
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                wanted += [(need.name, each) for each in ("", *need.extras)]
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def _bytes(one: Distribution) -> int:
    paths = [Path(str(one.locate_file(file))) for file in one.files or ()]
    return sum(path.stat().st_size for path in paths if path.suffix != ".pyc" and path.is_file())


if __name__ == "__main__":
    print(json.dumps(installed(sys.argv[1:] or ["elbax"]), indent=1))
