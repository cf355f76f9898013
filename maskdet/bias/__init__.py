"""The bias lab: can a score be believed, and for whom.

The study warns that models pick up sex, skin colour, image size and mask colour instead of masks (4.1, 6.2, 7). Here is
measured which shortcuts the data offers, and whom a model fails.
"""
