"""Computes a dense network and its gradients in NumPy float64, formula by formula.

Beside each `f(x)` is `f_backward(x, g)`. It takes the gradient g of the loss with respect to
f's result and returns the gradient with respect to x, derived by hand. The tests compare each
with TensorFlow's tape and with central differences.

Weights are `[W1, b1, W2, b2, ...]`, as Keras's `get_weights()` returns them: kernels
(inputs, units), biases (units,). A vector s before them is a learned input scale, (inputs,); a
vector a after a layer's bias is the factor of its parametric activation, (units,). Rows x are
scaled, (batch, inputs).

A network with members has a matrix r before the first kernel, (members, inputs), and last a
kernel (members, inputs, outputs) and a bias (members, outputs). Its signals have an axis of
members, (batch, members, units), and its loss is the mean of the members' losses. Rows x are
those of all members, or have such an axis, as their targets then do.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
Weights = Sequence[Array]
Names = str | Sequence[str]  # one activation for all hidden layers, or one for each

# --- operations ---------------------------------------------------------------------------


def matmul(x: Array, w: Array) -> Array:
    """Returns y_bk = sum_i x_bi w_ik, (batch, units); of members by the kernel of each."""
    return np.einsum("bki,kic->bkc", x, w) if w.ndim == 3 else x @ w


def matmul_backward(x: Array, w: Array, g: Array) -> tuple[Array, Array]:
    """Returns dx = g w^T, (batch, inputs), and dw = x^T g, (inputs, units)."""
    if w.ndim == 3:
        return np.einsum("bkc,kic->bki", g, w), np.einsum("bki,bkc->kic", x, g)
    return g @ w.T, x.reshape(-1, x.shape[-1]).T @ g.reshape(-1, g.shape[-1])


def sum_like(g: Array, vector: Array) -> Array:
    """Returns db = sum_b g of a vector that is added to each row, and to each member."""
    return g.sum(axis=tuple(range(g.ndim - vector.ndim)))


def multiply(x: Array, factors: Array) -> Array:
    """Returns y_bd = x_bd s_d; y_bkd = x_bd r_kd, or x_bkd r_kd, for members."""
    return (x[:, None] if factors.ndim == x.ndim == 2 else x) * factors


def multiply_backward(x: Array, factors: Array, g: Array) -> tuple[Array, Array]:
    """Returns dx, of x's shape, and the gradient of the factors: sum_b x g."""
    if factors.ndim == x.ndim == 2:
        return (g * factors).sum(axis=1), (x[:, None] * g).sum(axis=0)
    return g * factors, sum_like(x * g, factors)


def softmax(x: Array) -> Array:
    """Returns p_i = exp(x_i) / sum_j exp(x_j) along the last axis."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))  # the shift cancels; no overflow
    return powers / powers.sum(axis=-1, keepdims=True)


def softmax_backward(x: Array, g: Array) -> Array:
    """Returns dx_j = sum_i g_i p_i (delta_ij - p_j) = p_j (g_j - sum_i g_i p_i)."""
    p = softmax(x)
    return p * (g - (g * p).sum(axis=-1, keepdims=True))


def log(x: Array, epsilon: float = 0.0) -> Array:
    """Returns the logarithm of x + epsilon; 1e-12 in tutorials, so that x may be 0."""
    return np.log(x + epsilon)


def log_backward(x: Array, g: Array, epsilon: float = 0.0) -> Array:
    """Returns dx = g / (x + epsilon)."""
    return g / (x + epsilon)


def numerical_gradient(
    function: Callable[[Array], Any], x: Array, step: float = 1e-6
) -> Array:
    """Returns central differences, (f(x + h e_i) - f(x - h e_i)) / 2h for every i."""
    shifts = step * np.eye(x.size).reshape(-1, *x.shape)
    slopes = [(function(x + h) - function(x - h)) / (2 * step) for h in shifts]
    return np.reshape(slopes, x.shape)


# --- activations, element by element, with Keras's options --------------------------------


def relu(x: Array) -> Array:
    """Returns max(x, 0)."""
    return np.maximum(x, 0)


def relu_backward(x: Array, g: Array) -> Array:
    """Returns g where x > 0, else 0; the gradient at x = 0 is 0 by convention."""
    return g * (x > 0)


def leaky_relu(x: Array, slope: float = 0.2) -> Array:
    """Returns x where x > 0, else slope x.

    Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models",
    2013, https://ai.stanford.edu/~amaas/papers/relu_hybrid_icml2013_final.pdf.
    """
    return np.where(x > 0, x, slope * x)


def leaky_relu_backward(x: Array, g: Array, slope: float = 0.2) -> Array:
    """Returns g where x > 0, else slope g."""
    return np.where(x > 0, g, slope * g)


def sigmoid(x: Array) -> Array:
    """Returns s = 1 / (1 + exp(-x)), as exp(-log(1 + exp(-x))): nothing overflows."""
    return np.exp(-np.logaddexp(0, -x))


def sigmoid_backward(x: Array, g: Array) -> Array:
    """Returns g s (1 - s), where 1 - s(x) = s(-x)."""
    return g * sigmoid(x) * sigmoid(-x)


def tanh(x: Array) -> Array:
    """Returns t = (exp(x) - exp(-x)) / (exp(x) + exp(-x))."""
    return np.tanh(x)


def tanh_backward(x: Array, g: Array) -> Array:
    """Returns g (1 - t^2)."""
    return g * (1 - np.tanh(x) ** 2)


class Activation(NamedTuple):
    """An activation f(x), and its `backward` (x, g): the gradient with respect to x."""

    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def selu(x: Array) -> Array:
    """Returns c x where x > 0, else c d (exp(x) - 1), c = 1.0507..., d = 1.6733....

    Klambauer, Unterthiner, Mayr and Hochreiter, "Self-normalizing neural networks", 2017,
    https://arxiv.org/abs/1706.02515.
    """
    return _SELU_SCALE * (relu(x) + _SELU_ALPHA * np.expm1(-relu(-x)))


def selu_backward(x: Array, g: Array) -> Array:
    """Returns g c where x >= 0, else g c d exp(x); at x = 0 as in TensorFlow."""
    return g * _SELU_SCALE * np.where(x >= 0, 1, _SELU_ALPHA * np.exp(-relu(-x)))


def mish(x: Array) -> Array:
    """Returns x tanh(log(1 + exp(x))).

    Misra, "Mish: a self regularized non-monotonic activation function", 2019,
    https://arxiv.org/abs/1908.08681.
    """
    return x * np.tanh(np.logaddexp(0, x))


def mish_backward(x: Array, g: Array) -> Array:
    """Returns g (t + x (1 - t^2) s), t = tanh(log(1 + exp(x))), s = sigmoid(x)."""
    t = np.tanh(np.logaddexp(0, x))
    return g * (t + x * (1 - t**2) * sigmoid(x))


def normal_cdf(x: Array) -> Array:
    """Returns F(x), the share of standard normal numbers that are below x."""
    from scipy.special import ndtr  # its import takes longer than all of NumPy's

    return ndtr(x)


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda x: x, lambda x, g: g),
    "relu": Activation(relu, relu_backward),
    "leaky_relu": Activation(leaky_relu, leaky_relu_backward),
    "sigmoid": Activation(sigmoid, sigmoid_backward),
    "tanh": Activation(tanh, tanh_backward),
    "selu": Activation(selu, selu_backward),
    "mish": Activation(mish, mish_backward),
    "softplus": Activation(lambda x: np.logaddexp(0, x), lambda x, g: g * sigmoid(x)),
    # x where x > 0, else exp(x) - 1: Clevert et al., 2015, https://arxiv.org/abs/1511.07289
    "elu": Activation(
        lambda x: relu(x) + np.expm1(-relu(-x)), lambda x, g: g * np.exp(-relu(-x))
    ),
    # x s, with slope s + x s (1 - s): Elfwing et al., 2017, https://arxiv.org/abs/1702.03118
    "silu": Activation(
        lambda x: x * sigmoid(x), lambda x, g: g * sigmoid(x) + sigmoid_backward(x, g * x)
    ),
    # x F(x), with F = normal_cdf: Hendrycks and Gimpel, 2016, https://arxiv.org/abs/1606.08415
    "gelu": Activation(
        lambda x: x * normal_cdf(x),
        lambda x, g: g * (normal_cdf(x) + x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)),
    ),
}

# --- losses: the value, and its gradient with respect to the outputs -------------------

Loss = Callable[[Array, Array], tuple[float, Array]]


def mse(outputs: Array, y: Array) -> tuple[float, Array]:
    """Returns the mean of (o - t)^2 over everything, and 2 (o - t) / (batch * outputs).

    y is t, (batch, outputs), or labels, (batch,), whose one-hot rows are t.
    """
    errors = outputs - (y if np.ndim(y) == 2 else np.eye(outputs.shape[1])[y])
    return np.mean(errors**2), 2 * errors / errors.size


def cross_entropy(logits: Array, labels: Array, smoothing: float = 0.0) -> tuple[float, Array]:
    """Returns the mean of -sum_k t_k log p_k, p = softmax(x), and (p - t) / batch.

    t is onehot(label), or with label smoothing s (1 - s) onehot(label) + s / classes.
    """
    x = logits - logits.max(axis=1, keepdims=True)
    t = (1 - smoothing) * np.eye(x.shape[1])[labels] + smoothing / x.shape[1]
    losses = np.log(np.exp(x).sum(axis=1)) - (t * x).sum(axis=1)  # p may be 0
    return losses.mean(), (softmax(x) - t) / len(x)


def binary_cross_entropy(logits: Array, labels: Array) -> tuple[float, Array]:
    """Returns the mean of -y log s - (1-y) log(1-s), s = sigmoid(x), and (s - y) / batch."""
    y = np.reshape(labels, logits.shape)  # (batch, 1)
    losses = np.logaddexp(0, logits) - y * logits  # s may be 0 or 1
    return losses.mean(), (sigmoid(logits) - y) / len(y)


def mean_of_members(
    loss: Loss, outputs: Array, y: Array, *, own: bool = False
) -> tuple[float, Array]:
    """Returns the mean of the losses of the outputs of each member, and its gradient.

    Targets y are those of all members, or of each one, (batch, members, ...), if `own`.
    """
    if outputs.ndim == 2:
        return loss(outputs, y)
    rows = outputs.reshape(-1, outputs.shape[-1])  # (batch * members, outputs)
    targets = y.reshape(-1, *y.shape[2:]) if own else np.repeat(y, outputs.shape[1], axis=0)
    value, g = loss(rows, targets)
    return value, g.reshape(outputs.shape)


LOSSES: dict[str, Loss] = {f.__name__: f for f in (mse, cross_entropy, binary_cross_entropy)}

# --- the network --------------------------------------------------------------------------


class Layer(NamedTuple):
    """A dense layer: `kernel`, `bias`, its `activation`, and the factors of its `slope`.

    The slope is None for an ordinary activation. `kept` are the factors of a dropout,
    (batch, units): 0, or 1 / (1 - rate).
    """

    kernel: Array
    bias: Array
    activation: Activation
    slope: Array | None
    kept: Array | float = 1.0

    def forward(self, z: Array) -> Array:
        """Returns f(z), or z + a (f(z) - z) with factors a, times the dropout's factors."""
        y = self.activation.forward(z)
        return self.kept * (y if self.slope is None else z + self.slope * (y - z))

    def backward(self, z: Array, g: Array) -> tuple[Array, list[Array]]:
        """Returns the gradient with respect to z, and with respect to the factors, if any.

        dz = (1 - a) g + f_backward(z, a g)        da = sum_b g (f(z) - z)
        """
        g = self.kept * g
        if self.slope is None:
            return self.activation.backward(z, g), []
        inside = (1 - self.slope) * g + self.activation.backward(z, self.slope * g)
        return inside, [sum_like(g * (self.activation.forward(z) - z), self.slope)]


def forward(
    weights: Weights, x: Array, *, activation: Names, kept: Sequence[Any] = ()
) -> tuple[Array, list[tuple[Array, Array]]]:
    """Returns the outputs, (batch, outputs), and (x_l, a_l) of each layer.

    That is a_l = x_l W_l + b_l and x_(l+1) = f_l(a_l); the last a is the output. x_1 is the
    input, times the input scale and those of the members if there are any; `kept` are the
    dropout's factors of each hidden layer.
    """
    scales, found = layers(weights, activation, kept)
    x, passed = np.asarray(x, np.float64), []
    for factors in scales:
        x = multiply(x, factors)
    for layer in found:
        passed.append((x, matmul(x, layer.kernel) + layer.bias))  # (batch, units)
        x = layer.forward(passed[-1][1])
    return x, passed


def gradients(
    weights: Weights, x: Array, y: Array, *, activation: Names, loss: str | Loss
) -> tuple[float, list[Array]]:
    """Returns the loss and its gradient with respect to each weight, see `backward`."""
    value, found, _ = backward(weights, x, y, activation=activation, loss=loss)
    return value, found


def backward(
    weights: Weights,
    x: Array,
    y: Array,
    *,
    activation: Names,
    loss: str | Loss,
    kept: Sequence[Any] = (),
) -> tuple[float, list[Array], Array]:
    """Returns the loss and its gradients with respect to each weight and x, by the chain rule.

    da_l = f_l'(a_l) dx_(l+1)   dW_l = x_l^T da_l   db_l = sum_b da_l   dx_l = da_l W_l^T
    ds = sum_b x dx_1           dx = s dx_1
    """
    outputs, passed = forward(weights, x, activation=activation, kept=kept)
    of_rows = LOSSES[loss] if isinstance(loss, str) else loss
    value, g = mean_of_members(of_rows, outputs, y, own=np.ndim(x) == 3)
    found: list[Array] = []
    scales, of_layers = layers(weights, activation, kept)
    for (signal, a), layer in zip(passed[::-1], of_layers[::-1], strict=True):
        g, slope_gradient = layer.backward(a, g)
        bias_gradient = sum_like(g, layer.bias)
        g, kernel_gradient = matmul_backward(signal, layer.kernel, g)
        found = [kernel_gradient, bias_gradient, *slope_gradient, *found]
    of_scales, g = scale_gradients(x, scales, g)
    return float(value), [*of_scales, *found], g


def scale_gradients(x: Array, scales: Sequence[Array], g: Array) -> tuple[list[Array], Array]:
    """Returns the gradients of the input scale and the members', and that of x."""
    signals = [np.asarray(x, np.float64)]
    for factors in scales[:-1]:
        signals.append(multiply(signals[-1], factors))
    found: list[Array] = []
    for signal, factors in zip(signals[::-1], scales[::-1], strict=False):
        g, gradient = multiply_backward(signal, factors, g)
        found = [gradient, *found]
    return found, g


def layers(
    weights: Weights, activation: Names, kept: Sequence[Any] = ()
) -> tuple[list[Array], list[Layer]]:
    """Returns the input scale and that of members, if any, and each layer, in float64."""
    exact = [np.asarray(weight, np.float64) for weight in weights]
    # A kernel is followed by its bias, but factors of members by a kernel.
    count = int(exact[0].ndim == 1)
    count += int(exact[count + 1].ndim >= 2)
    scales, exact = exact[:count], exact[count:]
    # The last two weights are those of the outputs, whose bias may have an axis of members.
    starts = [place for place, weight in enumerate(exact[:-1]) if weight.ndim >= 2]
    names = [activation] * (len(starts) - 1) if isinstance(activation, str) else activation
    factors = (*(kept or [1.0] * len(names)), 1.0)
    found = []
    for place, name, factor in zip(starts, (*names, "linear"), factors, strict=True):
        kernel, bias, *after = exact[place : place + 3]
        slope = after[0] if after and after[0].ndim == 1 else None
        found.append(Layer(kernel, bias, ACTIVATIONS[name], slope, factor))
    return scales, found


def delta_rule(weights: Weights, x: Array, targets: Array) -> list[Array]:
    """Returns dE/dw, summed over rows, of sigmoid units throughout, as it was first written.

        E = 1/2 sum_k (O_k - t_k)^2            dE/dW_ij = O_i delta_j     dE/db_j = delta_j
        delta_k = O_k (1 - O_k) (O_k - t_k)              of an output node
        delta_j = O_j (1 - O_j) sum_k delta_k W_jk       of a hidden node

    Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors",
    1986, https://doi.org/10.1038/323533a0.
    """
    signals, kernels = [x], weights[::2]
    for kernel, bias in zip(kernels, weights[1::2], strict=True):
        signals.append(sigmoid(signals[-1] @ kernel + bias))
    *inputs, out = signals
    deltas = [out * (1 - out) * (out - targets)]
    for signal, kernel in zip(inputs[:0:-1], kernels[:0:-1], strict=True):
        deltas.insert(0, signal * (1 - signal) * (deltas[0] @ kernel.T))
    pairs = zip(inputs, deltas, strict=True)
    return [part for signal, delta in pairs for part in (signal.T @ delta, delta.sum(axis=0))]
