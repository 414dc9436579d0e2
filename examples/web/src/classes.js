/** From a model's outputs to class probabilities: runtime/classes.py in JavaScript. */

/**
 * Probabilities of the classes, of one image's outputs; a single output is that of the second of
 * two classes.
 *
 * @param {Float32Array} outputs
 * @param {string} outputName - "probabilities" or "logits"
 * @returns {number[]}
 */
export function classProbabilities(outputs, outputName) {
  const values = [...outputs];
  if (outputName === 'logits') return softmax(values.length === 1 ? [0, values[0]] : values);
  return values.length === 1 ? [1 - values[0], values[0]] : values;
}

/** @param {number[]} logits */
function softmax(logits) {
  const largest = Math.max(...logits);
  const exponentials = logits.map((logit) => Math.exp(logit - largest));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}
