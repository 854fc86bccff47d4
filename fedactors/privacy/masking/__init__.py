"""Masked secure aggregation: each update hides under masks that cancel in the sum, down to a threshold of survivors.

terms         what all members agree on
fixed_point   differences of weights as words modulo 2^b
masks         vectors of random words, from a key
keys, shamir  how two learners agree on a mask, and how many can stand in for one that is gone
messages      what members and the controller say
member        the learner's part in a round
round, ring   the controller's part, and who shares masks with whom
unmasking     from revealed shares to the masks that are left in the sum
"""
