import json
import subprocess
import sys

STORY = """
import json, sys
import numpy as np
import kfc

told = {}
x = np.random.default_rng(0).random((200, 3))
y = np.arange(200) % 2
spec = {"network": {"hidden": [4]}, "data": {"validation": 0.2}, "training": {"epochs": 2}}

from kfc.system import import_tensorflow
import_tensorflow()
import keras

class Look(keras.callbacks.Callback):
    def on_train_end(self, logs=None):
        packages = ("matplotlib", "sklearn", "scipy.stats", "scipy.optimize")
        told["while it trains"] = [name for name in packages if name in sys.modules]

kfc.fit(spec, data=(x, y), callbacks=[Look()], verbose=False)

from sklearn.base import BaseEstimator
wrapper = keras.wrappers.SKLearnClassifier
told["wrapper"] = issubclass(wrapper, BaseEstimator)
told["gallery"] = keras.visualization.plot_image_gallery.__name__
told["matplotlib"] = "matplotlib" in sys.modules
print(json.dumps(told))
"""


def test_a_training_imports_no_package_that_only_other_parts_of_keras_need(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("KFC_REPORT", "off")  # a page needs them
    command = [sys.executable, "-c", STORY]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == {
        "while it trains": [],
        "wrapper": True,
        "gallery": "plot_image_gallery",
        "matplotlib": True,
    }
