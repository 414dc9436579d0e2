/**
 * Bilinear resizing with antialiasing: keras_bottleneck/resampling.py in JavaScript.
 *
 * The triangle filter with half-pixel centres, as in `tf.image.resize(..., antialias=True)`.
 */

const f32 = Math.fround;

/**
 * Which inputs one output reads, and how much of each.
 *
 * @typedef {{first: number, weights: Float64Array}} Taps
 */

/**
 * The triangle filter from `inputs` to `outputs` samples: the taps of each output.
 *
 * @param {number} inputs
 * @param {number} outputs
 * @returns {Taps[]}
 */
function triangle(inputs, outputs) {
  // Positions are rounded to float32 in TensorFlow's kernel and in Python: so they are here.
  const step = f32(1 / f32(outputs / inputs));
  const radius = Math.max(step, 1);
  const inverse = f32(1 / radius);
  return Array.from({ length: outputs }, (_, output) => {
    const centre = f32((output + 0.5) * step);
    const first = Math.max(Math.trunc(centre - radius), 0);
    const last = Math.min(Math.trunc(centre + radius) + 1, inputs);
    const weights = new Float64Array(last - first);
    for (let index = first; index < last; index++) {
      const distance = f32(Math.abs(f32(index + 0.5 - centre)) * inverse);
      weights[index - first] = Math.max(f32(1 - distance), 0);
    }
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
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
 * @returns {Float32Array} (outer, outputs, inner)
 */
function resampled(values, outer, inputs, inner, outputs) {
  const result = new Float32Array(outer * outputs * inner);
  const sums = new Float64Array(inner);
  const taps = triangle(inputs, outputs);
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
 * @returns {Float32Array}
 */
export function resize(pixels, height, width, channels, rows, columns) {
  let result = pixels;
  if (height !== rows) result = resampled(result, 1, height, width * channels, rows);
  if (width !== columns) result = resampled(result, rows, width, channels, columns);
  return result;
}
