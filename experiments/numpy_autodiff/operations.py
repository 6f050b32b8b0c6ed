"""Operations with `forward` and `backward`, and the tutorial's network as a chain of them.

An operation remembers what it was given, so that `backward` can turn the gradient of the loss
by its result into that by its inputs. The formulas are those of `kfc/reference.py`.
"""

import numpy as np

from kfc import reference


class Matmul:
    """y = x w.

    Args:
        of_data: Whether x are rows of data, of which nobody wants the gradient.
    """

    def __init__(self, *, of_data=False):
        self.of_data = of_data

    def forward(self, x, w):
        """Returns (rows, units), of (rows, inputs) and (inputs, units)."""
        self.inputs = x, w
        return reference.matmul(x, w)

    def backward(self, gradient):
        """Returns the gradients by x, None for rows of data, and by w."""
        if self.of_data:
            return None, self.inputs[0].T @ gradient
        return reference.matmul_backward(*self.inputs, gradient)


class Relu:
    """y = max(x, 0)."""

    def forward(self, x):
        """Returns an array like x."""
        self.x = x
        return reference.relu(x)

    def backward(self, gradient):
        """Returns the gradient by x."""
        return reference.relu_backward(self.x, gradient)


class Softmax:
    """p_i = exp(x_i) / sum_j exp(x_j), row by row."""

    def forward(self, x):
        """Returns probabilities, (rows, classes), of logits."""
        self.x = x
        return reference.softmax(x)

    def backward(self, gradient):
        """Returns the gradient by the logits."""
        return reference.softmax_backward(self.x, gradient)


class Log:
    """y = log(x + epsilon).

    Args:
        epsilon: Keeps the logarithm of 0 finite.
    """

    def __init__(self, epsilon=1e-12):
        self.epsilon = epsilon

    def forward(self, x):
        """Returns an array like x."""
        self.x = x
        return reference.log(x, self.epsilon)

    def backward(self, gradient):
        """Returns the gradient by x."""
        return reference.log_backward(self.x, gradient, self.epsilon)


class LogSoftmax:
    """y_i = x_i - log(sum_j exp(x_j)): softmax and logarithm in one, always finite."""

    def forward(self, x):
        """Returns logarithms of probabilities, (rows, classes), of logits."""
        self.x = x - x.max(axis=1, keepdims=True)
        return self.x - np.log(np.exp(self.x).sum(axis=1, keepdims=True))

    def backward(self, gradient):
        """Returns the gradient by the logits: g_i - p_i sum_j g_j."""
        return gradient - reference.softmax(self.x) * gradient.sum(axis=1, keepdims=True)


class Network:
    """loss = -sum over rows and classes of onehot log(softmax(relu(x W1) W2)).

    Args:
        stable: Whether the end is `LogSoftmax`, not `Softmax` and `Log`.
    """

    def __init__(self, *, stable=False):
        self.first, self.relu, self.second = Matmul(of_data=True), Relu(), Matmul()
        self.ends = [LogSoftmax()] if stable else [Softmax(), Log()]

    def logits(self, x, w1, w2):
        """Returns (rows, classes)."""
        return self.second.forward(self.relu.forward(self.first.forward(x, w1)), w2)

    def forward(self, x, onehot, w1, w2):
        """Returns the summed loss."""
        y = self.logits(x, w1, w2)
        for end in self.ends:
            y = end.forward(y)
        self.onehot = onehot
        return -np.sum(onehot * y)

    def backward(self):
        """Returns the gradients by w1 and by w2: every operation's backward, from the end."""
        gradient = -self.onehot
        for end in reversed(self.ends):
            gradient = end.backward(gradient)
        gradient, by_w2 = self.second.backward(gradient)
        _, by_w1 = self.first.backward(self.relu.backward(gradient))
        return by_w1, by_w2
