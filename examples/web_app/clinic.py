"""Three clinics whose patients differ; what makes them ill is the same everywhere."""

import time

import numpy as np

from fedactors import Learner


class Clinic(Learner):
    """Logistic regression; [train] pause_s makes it as slow as a larger model would be."""

    def __init__(self, context):
        rng = np.random.default_rng([context.seed, context.index])
        patients = rng.normal(loc=rng.normal(size=4), size=(500, 4))
        ill = patients @ [2.0, -1.0, 0.5, 0.0] + rng.logistic(scale=0.3, size=500) > 0
        self.x, self.x_test = patients[:400], patients[400:]
        self.y, self.y_test = ill[:400], ill[400:]
        self.num_train_examples, self.num_test_examples = 400, 100

    def get_weights(self):
        return {"slope": np.zeros(4)}

    def set_weights(self, weights):
        pass  # nothing is kept between tasks

    def train(self, weights, params):
        time.sleep(params.options.get("pause_s", 0.0))
        slope = weights["slope"]
        for _ in range(round(params.epochs)):
            slope = slope + self.x.T @ (self.y - 1 / (1 + np.exp(-self.x @ slope))) / 400
        return {"slope": slope}, {}

    def evaluate(self, weights, params):
        return {"accuracy": ((self.x_test @ weights["slope"] > 0) == self.y_test).mean()}
