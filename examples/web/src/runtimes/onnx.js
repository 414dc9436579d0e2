/** .onnx files in ONNX Runtime Web, on the CPU. */

import * as ort from 'onnxruntime-web/wasm';

ort.env.wasm.wasmPaths = { wasm: new URL('vendor/ort-wasm-simd-threaded.wasm', document.baseURI) };
// More threads need shared memory, which browsers give only to pages with isolation headers.
ort.env.wasm.numThreads = 1;

/**
 * @param {Uint8Array} file
 * @returns {Promise<import('../predictor.js').Runtime>}
 */
export async function open(file) {
  const session = await ort.InferenceSession.create(file);
  const [input] = session.inputMetadata;
  if (session.inputNames.length !== 1 || session.outputNames.length !== 1 || !input.isTensor) {
    throw new Error('The model must have one input and one output.');
  }
  if (input.type !== 'float32') throw new Error(`The model takes ${input.type}, not float32.`);
  return {
    name: 'ONNX Runtime Web',
    inputShape: input.shape.map((side) => (typeof side === 'number' ? side : null)),

    async run(values, shape) {
      const feeds = { [session.inputNames[0]]: new ort.Tensor('float32', values, shape) };
      const output = (await session.run(feeds))[session.outputNames[0]];
      return { values: /** @type {Float32Array} */ (output.data), shape: [...output.dims] };
    },

    close: () => session.release(),
  };
}
