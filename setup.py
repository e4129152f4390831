"""Package metadata of spotterd; tool settings live in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = (ROOT / "daemon/spotterd/version.py").read_text().split('"')[-2]

EXTRAS = {
    # The demo's broker, in Python, so that nothing has to be installed or configured.
    "demo": ["amqtt>=0.11"],
    # `spotterd evaluate`, plots of `spotterd bench`.
    "eval": ["faster-coco-eval>=1.6", "matplotlib>=3.8"],
    # JetPack brings tensorrt; apt brings systemd and gi. No aarch64 wheels exist for these.
    "jetson": ["pycuda>=2024.1", "systemd-python>=235"],
    "metrics": ["prometheus-client>=0.20"],
    # NVIDIA's real ONNX parser and builder without a GPU (230 MB): tests build engines with it.
    "nvidia-ci": ["tensorrt-rtx-cu13-libs==1.7.1.116", "tensorrt-rtx-cu13-bindings==1.7.1.116"],
    # Figures of discrete GPUs, and of Thor.
    "nvml": ["nvidia-ml-py>=12"],
    # Signatures of delivered models (wheels for aarch64, and in Debian and Ubuntu).
    "signed": ["cryptography>=41"],
}
EXTRAS["test"] = [
    *EXTRAS["demo"],
    *EXTRAS["eval"],
    *EXTRAS["metrics"],
    *EXTRAS["signed"],
    "hypothesis>=6.100",
    "jinja2>=3.1",  # renders the templates for Home Assistant as it does
    "import-linter>=2.0",
    "jsonschema>=4.20",
    "mypy>=1.14",
    "pytest>=8",
    "pytest-timeout>=2.3",
    "ruff>=0.9",
    "types-psutil",
    "types-PyYAML",
]


def _room(pattern: str) -> list[str]:
    """Files that travel beside the package."""
    return [str(path.relative_to(ROOT)) for path in ROOT.glob(pattern)]


setup(
    name="spotterd",
    version=VERSION,
    description="Watches the sky on a Jetson board and reports aircraft over MQTT",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    package_dir={"": "daemon"},
    packages=find_packages("daemon"),
    package_data={"spotterd": ["py.typed", "inference/letterbox.cu", "health/page/*"]},
    # The data rooms travel beside the package: <prefix>/share/spotterd/{config.yaml,engines,...}.
    data_files=[
        ("share/spotterd", ["config.yaml"]),
        ("share/spotterd/systemd", _room("systemd/*")),
        ("share/spotterd/calibration", _room("calibration/*.*")),
        ("share/spotterd/engines", _room("engines/sky*")),
        ("share/spotterd/engines/gate", _room("engines/gate/*")),
    ],
    install_requires=[
        "lapx>=0.5.9",
        "numpy>=1.26",
        "onnx>=1.16",
        "onnxruntime>=1.18",
        "opencv-python>=4.8",
        "paho-mqtt>=2.1",
        "psutil>=5.9",
        "pydantic>=2.7",
        "PyYAML>=6.0",
        "rich>=13.7",
        "typer>=0.12",
        "typing_extensions>=4.6",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["spotterd=spotterd.cli.main:main"]},
    zip_safe=False,
)
