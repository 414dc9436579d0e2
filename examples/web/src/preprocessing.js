/** From pixels to model input, in two steps: keras_bottleneck/preprocessing.py in JavaScript. */

import { resize } from './resampling.js';
import { roundHalfEven } from './rounding.js';

const f32 = Math.fround;

/**
 * An image in its own size, 4 bytes per pixel: red, green, blue, alpha.
 *
 * @typedef {{data: Uint8Array | Uint8ClampedArray, width: number, height: number}} Pixels
 */

/**
 * What a model file says about its input; the fields are those of the Python class.
 *
 * @typedef {object} Preprocessing
 * @property {[number, number]} image_size - (height, width)
 * @property {number} channels
 * @property {'stretch' | 'crop'} resize
 * @property {number} crop_fraction
 * @property {number} scale
 * @property {number[]} mean - one for all channels, or one for each
 * @property {number[]} std
 * @property {'rgb' | 'bgr'} [color_order]
 * @property {'bilinear' | 'bicubic'} [interpolation]
 */

/**
 * `image` in the model's size, still as pixels 0..255: (height, width, channels).
 *
 * @param {Preprocessing} config
 * @param {Pixels} image
 * @returns {Float32Array}
 */
export function resized(config, image) {
  const { channels, interpolation } = config;
  const { rows, columns, top, left } = geometry(config, image.height, image.width);
  const pixels = inChannels(image, channels);
  const { height: tall, width: wide } = image;
  const whole = resize(pixels, tall, wide, channels, rows, columns, interpolation);
  const [height, width] = config.image_size;
  if (rows === height && columns === width) return whole;
  const result = new Float32Array(height * width * channels);
  for (let row = 0; row < height; row++) {
    const start = ((top + row) * columns + left) * channels;
    result.set(whole.subarray(start, start + width * channels), row * width * channels);
  }
  return result;
}

/**
 * The size to resize to, and where the crop of `image_size` starts.
 *
 * @param {Preprocessing} config
 * @param {number} height
 * @param {number} width
 */
export function geometry(config, height, width) {
  const [tall, wide] = config.image_size;
  if (config.resize === 'stretch') return { rows: tall, columns: wide, top: 0, left: 0 };
  let rows = roundHalfEven(tall / config.crop_fraction);
  let columns = roundHalfEven(wide / config.crop_fraction);
  if (width * rows >= height * columns) columns = Math.floor((width * rows) / height);
  else rows = Math.floor((height * columns) / width);
  return {
    rows,
    columns,
    top: Math.floor((rows - tall) / 2),
    left: Math.floor((columns - wide) / 2),
  };
}

/**
 * The pixels of `image` as floats with 1, 3 or 4 channels, converted as Pillow does.
 *
 * @param {Pixels} image
 * @param {number} channels
 * @returns {Float32Array}
 */
function inChannels({ data, width, height }, channels) {
  if (![1, 3, 4].includes(channels)) {
    throw new Error(`The model takes ${channels} channels; photos have 1, 3 or 4.`);
  }
  const result = new Float32Array(width * height * channels);
  for (let source = 0, target = 0; source < data.length; source += 4, target += channels) {
    if (channels === 1) {
      const [red, green, blue] = [data[source], data[source + 1], data[source + 2]];
      result[target] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
    } else {
      for (let c = 0; c < channels; c++) result[target + c] = data[source + c];
    }
  }
  return result;
}

/**
 * `(pixels * scale - mean) / std` in float32, with the channels in the model's order.
 *
 * @param {Preprocessing} config
 * @param {Float32Array} pixels
 * @returns {Float32Array}
 */
export function normalized({ channels, scale, mean, std, color_order: order }, pixels) {
  /** @param {number[]} values */
  const perChannel = (values) =>
    Array.from({ length: channels }, (_, c) => f32(values.length === 1 ? values[0] : values[c]));
  const [means, stds, factor] = [perChannel(mean), perChannel(std), f32(scale)];
  const result = new Float32Array(pixels.length);
  for (let start = 0; start < pixels.length; start += channels) {
    for (let c = 0; c < channels; c++) {
      const pixel = pixels[start + (order === 'bgr' ? channels - 1 - c : c)];
      result[start + c] = f32(f32(f32(pixel * factor) - means[c]) / stds[c]);
    }
  }
  return result;
}
