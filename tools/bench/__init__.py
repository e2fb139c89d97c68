"""`make bench`: what the engine's answers cost, beside the plainest Python that gives the same, in the same run.

Generated histories, no network, no model. Times of two machines cannot be compared, the ratios and bytes can.
"""
