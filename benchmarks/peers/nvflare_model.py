"""Where NVFlare's server has the stress model from: a persistor, its extension point for that, which keeps it in memory."""

from __future__ import annotations

from marks import mark
from nvflare.app_common.abstract.model import make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from workload import stress_model


class StressModel(ModelPersistor):
    """204 tensors by name, never written to disk; notes when the updates of a round have been combined."""

    def __init__(self, parameters: str, marks: str) -> None:
        super().__init__()
        self.parameters = parameters
        self.marks = marks

    def load_model(self, fl_ctx):
        return make_model_learnable(stress_model(self.parameters), {})

    def save_model(self, model, fl_ctx):
        pass

    def handle_event(self, event, fl_ctx):
        super().handle_event(event, fl_ctx)
        if event == AppEventType.AFTER_AGGREGATION:
            mark(self.marks, replies=fl_ctx.get_prop(AppConstants.AGGREGATION_RESULT).meta["nr_aggregated"])
