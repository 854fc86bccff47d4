"""A client of NVFlare's FedAvg recipe, as its simulator runs it: evaluates what it gets, gives it back plus a little.

Evaluation is part of the training task, as NVFlare's own scripts have it: the model goes out once a round.
"""

import nvflare.client as flare
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from workload import EXAMPLES, LOSS, trained

if __name__ == "__main__":
    flare.init()
    while flare.is_running():
        received = flare.receive()
        if received is None:
            break
        weights = {name: trained(tensor) for name, tensor in received.params.items()}
        metrics, meta = {"loss": LOSS}, {"NUM_STEPS_CURRENT_ROUND": EXAMPLES}
        flare.send(FLModel(params=weights, params_type=ParamsType.FULL, metrics=metrics, meta=meta))
