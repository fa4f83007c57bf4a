"""What one part of a run needs to know of the configuration, as typed values. Imports no torch.

Everything below ``cnntrain.run`` takes these, or plainer arguments, and never the whole configuration.
"""

from cnntrain.config.sections.commands import BenchSettings, ExplainSettings, ScriptSettings, SummarySettings
from cnntrain.config.sections.data import DataSettings, Node, Shape, strengths
from cnntrain.config.sections.sweep import JobSettings, SearchSettings, SweepSettings
from cnntrain.config.sections.trained import (
    DemoSettings,
    EvalSettings,
    ExportSettings,
    PredictSettings,
    PreviousRunSettings,
    ReportSettings,
    TrainedSettings,
)
from cnntrain.config.sections.training import (
    CriterionSettings,
    DoctorSettings,
    EndSettings,
    EngineSettings,
    HeaderSettings,
    ModelSettings,
    OptimizerSettings,
)

__all__ = [
    "BenchSettings",
    "CriterionSettings",
    "DataSettings",
    "DemoSettings",
    "DoctorSettings",
    "EndSettings",
    "EngineSettings",
    "EvalSettings",
    "ExplainSettings",
    "ExportSettings",
    "HeaderSettings",
    "JobSettings",
    "ModelSettings",
    "Node",
    "OptimizerSettings",
    "PredictSettings",
    "PreviousRunSettings",
    "ReportSettings",
    "ScriptSettings",
    "SearchSettings",
    "Shape",
    "SummarySettings",
    "SweepSettings",
    "TrainedSettings",
    "strengths",
]
