"""The expectations of this field for Great Expectations itself: import ``quality.gx.expectations`` there.

After ``import quality.gx.expectations`` a suite file of ours loads and runs in Great Expectations 1.24
unchanged. The values are judged by ``quality.gx.reference``, one at a time and in plain Python, apart from the
columns of polars that judge them here: each checks the other.
"""
