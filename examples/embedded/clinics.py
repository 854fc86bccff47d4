"""A federation inside an asyncio program of your own: three clinics in one process, numpy only, no file and no socket."""

import asyncio

import numpy as np

from fedactors import Federation, Learner

CONFIG = {"name": "clinics", "seed": 7, "learners": {"count": 3}, "train": {"epochs": 5}, "stop": {"rounds": 10}}


class Clinic(Learner):
    """Logistic regression. Patients differ from clinic to clinic; what makes them ill is the same everywhere."""

    def __init__(self, context):
        rng = np.random.default_rng([context.seed, context.index])
        patients = rng.normal(loc=rng.normal(size=4), size=(500, 4))
        ill = patients @ [2.0, -1.0, 0.5, 0.0] + rng.logistic(scale=0.3, size=500) > 0
        self.x, self.x_test = patients[:400], patients[400:]
        self.y, self.y_test = ill[:400], ill[400:]
        self.num_train_examples, self.num_test_examples = 400, 100
        self.weights = {"slope": np.zeros(4), "intercept": np.zeros(1)}

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = weights

    def train(self, weights, params):
        slope, intercept = weights["slope"], weights["intercept"]
        for _ in range(round(params.epochs)):
            error = self.y - 1 / (1 + np.exp(-(self.x @ slope + intercept)))
            slope, intercept = slope + self.x.T @ error / len(error), intercept + error.mean()
        return {"slope": slope, "intercept": intercept}, {"mean_error": abs(error).mean()}

    def evaluate(self, weights, params):
        says_ill = self.x_test @ weights["slope"] + weights["intercept"] > 0
        return {"accuracy": (says_ill == self.y_test).mean()}


async def main():
    async with Federation(CONFIG) as federation:
        for _ in range(3):
            federation.add_learner(Clinic)
        results = await federation.run()
        for round_ in results.rounds:
            print(f"round {round_.round:2}  accuracy {round_.metrics['accuracy']:.3f}")
        print("slope", (await federation.model()).weights["slope"].round(2))
    return results


if __name__ == "__main__":
    asyncio.run(main())
