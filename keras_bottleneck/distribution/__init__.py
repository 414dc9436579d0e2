"""One training on several devices or machines, on the engines that Keras has.

On one machine TensorFlow's `tf.distribute.MirroredStrategy`, or `keras.distribution` on the JAX
backend; on many machines the JAX backend. The folder stands between `training` and `runs` in the
order of imports.
"""

from keras_bottleneck.distribution.ending import DistributionError
from keras_bottleneck.distribution.environment import Cluster, cluster
from keras_bottleneck.distribution.initialization import initialize
from keras_bottleneck.distribution.job import ALONE, Job

__all__ = ["ALONE", "Cluster", "DistributionError", "Job", "cluster", "initialize"]
