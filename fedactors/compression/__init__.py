"""Forms that make updates smaller on their way; each is a file.

bf16, fp16   16 bits for each value
int8         8 bits, and a scale for each block
top_k        the coordinates that changed most, and none of the others
groups       the tensors of one dtype as one vector; what the forms have in common

What is of no floating-point dtype travels as it is.
"""
