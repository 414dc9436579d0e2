/** .tflite files in LiteRT.js, on the CPU. */

import { loadAndCompile, loadLiteRt, Tensor } from '@litertjs/core';

import { dequantized, quantized, readQuantization } from './quantization.js';

/** @type {Promise<unknown> | undefined} */
let loading;

/**
 * @param {Uint8Array} file
 * @returns {Promise<import('../predictor.js').Runtime>}
 */
export async function open(file) {
  loading ??= loadLiteRt(new URL('vendor/litert/', document.baseURI).href);
  await loading;
  const model = await loadAndCompile(file, { accelerator: 'wasm' });
  const [inputs, outputs] = [model.getInputDetails(), model.getOutputDetails()];
  if (inputs.length !== 1 || outputs.length !== 1) {
    throw new Error('The model must have one input and one output.');
  }
  const grids = readQuantization(file);
  const { dtype } = inputs[0];
  return {
    name: 'LiteRT.js',
    inputShape: [...inputs[0].shape].map((side) => (side < 0 ? null : side)),

    async run(values, shape) {
      const taken = dtype === 'uint8' ? quantized(values, grids.input) : values;
      const input = new Tensor(taken, shape);
      const [output] = await model.run([input]);
      input.delete();
      const result = dequantized(await output.data(), grids.output);
      output.delete();
      return { values: result, shape: [...outputs[0].shape] };
    },

    close: async () => model.delete(),
  };
}
