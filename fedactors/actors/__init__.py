"""The controller's side of a federation: actors that know messages, not each other.

messages       the whole dialogue, on one page
controller     leads a federation through its life; parent of the others; watchers: who waits for news
blueprint      everything a federation is built from
life           what of it outlives a failure of the controller
scheduler      carries a scheduling protocol around; training_plan: what its tasks ask for;  ledger: its books
aggregator     turns updates into versions
model_store    keeps versions
gateway        listens and admits; admin_desk: serves drivers and operators
learner_proxy  one remote learner
compute        where heavy arithmetic runs
"""
