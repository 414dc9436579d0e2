"""tf.data input pipelines: image folders and a small real data set for demonstrations.

TensorFlow is imported by the calls, not by this folder; the datasets feed models on every Keras
backend.
"""

from keras_bottleneck.data.digits import digits
from keras_bottleneck.data.folder import image_folder
from keras_bottleneck.data.for_models import Folder
from keras_bottleneck.data.images import ImageData

__all__ = ["Folder", "ImageData", "digits", "image_folder"]
