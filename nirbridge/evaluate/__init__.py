"""Run, compare and train from Python: what users call; the command line only prints."""

from nirbridge.evaluate.ann import RateCodingResult, evaluate_rate_coding
from nirbridge.evaluate.comparison import compare
from nirbridge.evaluate.config import Config, read_config
from nirbridge.evaluate.demo import demo
from nirbridge.evaluate.diagnosis import LayerDiagnosis, diagnose
from nirbridge.evaluate.running import Run, fit_duration, run
from nirbridge.evaluate.training import Trained, checkpoint_of, train, train_config

__all__ = [
    "Config",
    "LayerDiagnosis",
    "RateCodingResult",
    "Run",
    "Trained",
    "checkpoint_of",
    "compare",
    "demo",
    "diagnose",
    "evaluate_rate_coding",
    "fit_duration",
    "read_config",
    "run",
    "train",
    "train_config",
]
