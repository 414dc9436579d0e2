/**
 * Resizing with antialiasing: keras_bottleneck/resampling.py in JavaScript.
 *
 * The triangle filter and Keys's cubic filter (a = -0.5) with half-pixel centres, as in
 * `tf.image.resize(..., antialias=True)` and in Pillow.
 */

const f32 = Math.fround;

/**
 * Which inputs one output reads, and how much of each.
 *
 * @typedef {{first: number, weights: Float64Array}} Taps
 */

/** @typedef {'bilinear' | 'bicubic'} Interpolation */

/**
 * How much of an input an output takes, by the distance between the two, and where that ends.
 *
 * @type {Record<Interpolation, {radius: number, weight: (distance: number) => number}>}
 */
const FILTERS = {
  bilinear: { radius: 1, weight: (distance) => Math.max(f32(1 - distance), 0) },
  bicubic: { radius: 2, weight: cubic },
};

/**
 * Keys 1981, "Cubic convolution interpolation for digital image processing".
 *
 * @param {number} distance
 */
function cubic(distance) {
  if (distance < 1) return (1.5 * distance - 2.5) * distance * distance + 1;
  if (distance < 2) return ((-0.5 * distance + 2.5) * distance - 4) * distance + 2;
  return 0;
}

/**
 * The filter from `inputs` to `outputs` samples: the taps of each output.
 *
 * @param {number} inputs
 * @param {number} outputs
 * @param {Interpolation} interpolation
 * @returns {Taps[]}
 */
function filtered(inputs, outputs, interpolation) {
  const { radius, weight } = FILTERS[interpolation];
  // Positions are rounded to float32 in TensorFlow's kernel and in Python: so they are here.
  const step = f32(1 / f32(outputs / inputs));
  const scale = Math.max(step, 1);
  const inverse = f32(1 / scale);
  return Array.from({ length: outputs }, (_, output) => {
    const centre = f32((output + 0.5) * step);
    const first = Math.max(Math.trunc(centre - radius * scale), 0);
    const last = Math.min(Math.trunc(centre + radius * scale) + 1, inputs);
    const weights = new Float64Array(last - first);
    for (let index = first; index < last; index++) {
      const distance = f32(Math.abs(f32(index + 0.5 - centre)) * inverse);
      weights[index - first] = weight(distance);
    }
    const sum = weights.reduce((total, one) => total + one, 0);
    return { first, weights: weights.map((one) => one / sum) };
  });
}

/**
 * `values`, seen as (outer, inputs, inner), resampled along the middle axis.
 *
 * @param {Float32Array} values
 * @param {number} outer
 * @param {number} inputs
 * @param {number} inner
 * @param {number} outputs
 * @param {Interpolation} interpolation
 * @returns {Float32Array} (outer, outputs, inner)
 */
function resampled(values, outer, inputs, inner, outputs, interpolation) {
  const result = new Float32Array(outer * outputs * inner);
  const sums = new Float64Array(inner);
  const taps = filtered(inputs, outputs, interpolation);
  let target = 0;
  for (let block = 0; block < outer; block++) {
    for (const { first, weights } of taps) {
      sums.fill(0);
      let source = (block * inputs + first) * inner;
      for (const weight of weights) {
        for (let i = 0; i < inner; i++) sums[i] += weight * values[source++];
      }
      result.set(sums, target);
      target += inner;
    }
  }
  return result;
}

/**
 * `pixels` (height, width, channels) as (rows, columns, channels); untouched where the size is
 * already right.
 *
 * @param {Float32Array} pixels
 * @param {number} height
 * @param {number} width
 * @param {number} channels
 * @param {number} rows
 * @param {number} columns
 * @param {Interpolation} [interpolation]
 * @returns {Float32Array}
 */
export function resize(pixels, height, width, channels, rows, columns, interpolation = 'bilinear') {
  let result = pixels;
  if (interpolation === 'bicubic') {
    // Like Pillow: width before height, and what overshoots is cut off behind each.
    if (width !== columns) {
      result = within(resampled(result, height, width, channels, columns, interpolation));
    }
    if (height !== rows) {
      result = within(resampled(result, 1, height, columns * channels, rows, interpolation));
    }
    return result;
  }
  if (height !== rows) {
    result = resampled(result, 1, height, width * channels, rows, interpolation);
  }
  if (width !== columns) {
    result = resampled(result, rows, width, channels, columns, interpolation);
  }
  return result;
}

/** @param {Float32Array} pixels */
function within(pixels) {
  return pixels.map((pixel) => Math.min(Math.max(pixel, 0), 255));
}
