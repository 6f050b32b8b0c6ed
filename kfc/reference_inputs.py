"""Computes embeddings and their gradients in NumPy float64, formula by formula.

Beside each `f(x, ...)` is `f_backward(x, ..., g)`. It takes the gradient g of the loss with
respect to f's result and returns the gradients with respect to f's weights, derived by hand;
the rows themselves are not learned. The tests compare each with TensorFlow's tape.

Numbers x are scaled, (batch, numbers), and each has weights of its own. The embedding of a
category is the row of a matrix that a one-hot row selects: `kfc.reference.matmul`.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def waves(x: Array, w: Array, b: Array, v: Array, c: Array) -> Array:
    """Returns the inputs of `kfc.network`'s periodic_linear, (batch, numbers * (size + 1)).

        e_bio = sum_k cos(2 pi w_ik x_bi + b_ik) v_iko + c_io

    First come the products of all numbers, then the numbers themselves.

    Args:
        x: Numbers.
        w: Frequencies, (numbers, waves).
        b: Phases, (numbers, waves).
        v: Matrices, (numbers, waves, size).
        c: Biases, (numbers, size).
    """
    e = _by_number(np.cos(_angles(x, w, b)), v) + c
    return np.concatenate([e.reshape(len(x), -1), x], axis=1)


def waves_backward(x: Array, w: Array, b: Array, v: Array, g: Array) -> tuple[Array, ...]:
    """Returns the gradients with respect to w, b, v and c of `waves`.

    dc_io = sum_b g_bio                     dv_iko = sum_b cos(t_bik) g_bio
    dt_bik = -sin(t_bik) sum_o g_bio v_iko, with t the argument of the cosine
    db_ik = sum_b dt_bik                    dw_ik = 2 pi sum_b x_bi dt_bik
    """
    t = _angles(x, w, b)
    g = g[:, : v.shape[0] * v.shape[2]].reshape(len(x), v.shape[0], v.shape[2])
    dt = -np.sin(t) * np.einsum("bio,iko->bik", g, v)
    dw = 2 * np.pi * np.einsum("bi,bik->ik", x, dt)
    return dw, dt.sum(axis=0), np.einsum("bik,bio->iko", np.cos(t), g), g.sum(axis=0)


def pieces(x: Array, w: Array, c: Array, encoded: Array, v: Array) -> Array:
    """Returns the inputs of `kfc.network`'s piecewise_linear, (batch, numbers * size).

        e_bio = x_bi w_io + c_io + sum_k encoded_bik v_iko

    Args:
        x: Numbers.
        w: Slopes, (numbers, size).
        c: Biases, (numbers, size).
        encoded: Encoding of the numbers by bins, (batch, numbers, bins), see
            `kfc.preprocessing.NumberBins`.
        v: Matrices, (numbers, bins, size).
    """
    return (x[:, :, None] * w + c + _by_number(encoded, v)).reshape(len(x), -1)


def pieces_backward(x: Array, encoded: Array, g: Array) -> tuple[Array, ...]:
    """Returns the gradients with respect to w, c and v of `pieces`.

    dw_io = sum_b x_bi g_bio     dc_io = sum_b g_bio     dv_iko = sum_b encoded_bik g_bio
    """
    g = g.reshape(len(x), x.shape[1], -1)
    dw = np.einsum("bi,bio->io", x, g)
    return dw, g.sum(axis=0), np.einsum("bik,bio->iko", encoded, g)


def _angles(x: Array, w: Array, b: Array) -> Array:
    return 2 * np.pi * x[:, :, None] * w + b


def _by_number(x: Array, v: Array) -> Array:
    return np.einsum("bik,iko->bio", x, v)
