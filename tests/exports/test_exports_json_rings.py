"""Rings as JSON text, against Python's own way of writing numbers."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wsiseg.exports.json_rings import ring_texts

whole = st.integers(0, 10**7).map(float)
parts = st.integers(0, 10**10).map(lambda value: value / 1000)
rings = st.lists(
    st.lists(st.tuples(whole | parts, whole | parts), min_size=1, max_size=6), min_size=1, max_size=5
)


@settings(max_examples=200, deadline=None)
@given(rings)
def test_as_python_writes_them(given_rings):
    points = np.array([point for ring in given_rings for point in ring], np.float64)
    texts = ring_texts(points, np.array([len(ring) for ring in given_rings]))
    for text, ring in zip(texts, given_rings, strict=True):
        expected = [[int(v) if v == int(v) else v for v in point] for point in [*ring, ring[0]]]
        assert text == str(expected).replace(" ", "")
        assert json.loads(text) == expected


def test_rounded_to_a_thousandth():
    (text,) = ring_texts(np.array([[0.0, 1 / 3], [0.9996, 12.0004], [2.5, 0.05]]), np.array([3]))
    assert text == "[[0,0.333],[1,12],[2.5,0.05],[0,0.333]]"
