/**
 * Scale and zero point of a .tflite file's input and output, which LiteRT.js does not tell.
 *
 * Only files exported with `io_type="uint8"` need them; those of float inputs and outputs are null.
 * Positions of fields are those of TensorFlow's schema.fbs.
 */

import { roundHalfEven } from '../rounding.js';

const MODEL_SUBGRAPHS = 2;
const SUBGRAPH_TENSORS = 0;
const SUBGRAPH_INPUTS = 1;
const SUBGRAPH_OUTPUTS = 2;
const TENSOR_QUANTIZATION = 4;
const QUANTIZATION_SCALE = 2;
const QUANTIZATION_ZERO_POINT = 3;

/**
 * Integers stand for `(integer - zeroPoint) * scale`.
 *
 * @typedef {{scale: number, zeroPoint: number}} Grid
 */

/**
 * @param {Uint8Array} file
 * @returns {{input: Grid | null, output: Grid | null}}
 */
export function readQuantization(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  /** @param {number} at */
  const follow = (at) => at + view.getUint32(at, true);

  /** Where field `index` of the table at `table` is stored; null where it is left out.
   *
   * @param {number} table
   * @param {number} index
   */
  function field(table, index) {
    const vtable = table - view.getInt32(table, true);
    const slot = 4 + 2 * index;
    const offset = slot < view.getUint16(vtable, true) ? view.getUint16(vtable + slot, true) : 0;
    return offset === 0 ? null : table + offset;
  }

  /** Where the items of a vector begin; null where it is left out or empty.
   *
   * @param {number} table
   * @param {number} index
   */
  function items(table, index) {
    const at = field(table, index);
    if (at === null) return null;
    const vector = follow(at);
    return view.getUint32(vector, true) === 0 ? null : vector + 4;
  }

  const graphs = items(follow(0), MODEL_SUBGRAPHS);
  if (graphs === null) throw new Error('The file is no TFLite model.');
  const graph = follow(graphs);

  /** @param {number} side */
  function grid(side) {
    const [tensors, indices] = [items(graph, SUBGRAPH_TENSORS), items(graph, side)];
    if (tensors === null || indices === null) return null;
    const tensor = follow(tensors + 4 * view.getInt32(indices, true));
    const quantization = field(tensor, TENSOR_QUANTIZATION);
    if (quantization === null) return null;
    const scale = items(follow(quantization), QUANTIZATION_SCALE);
    const zeroPoint = items(follow(quantization), QUANTIZATION_ZERO_POINT);
    if (scale === null) return null;
    return {
      scale: view.getFloat32(scale, true),
      zeroPoint: zeroPoint === null ? 0 : Number(view.getBigInt64(zeroPoint, true)),
    };
  }

  return { input: grid(SUBGRAPH_INPUTS), output: grid(SUBGRAPH_OUTPUTS) };
}

/**
 * @param {Float32Array} values
 * @param {Grid | null} grid
 */
export function quantized(values, grid) {
  const { scale, zeroPoint } = grid ?? { scale: 1, zeroPoint: 0 };
  return Uint8Array.from(values, (value) => {
    const step = roundHalfEven(Math.fround(value / scale)) + zeroPoint;
    return Math.min(Math.max(step, 0), 255);
  });
}

/**
 * @param {ArrayLike<number>} values
 * @param {Grid | null} grid
 */
export function dequantized(values, grid) {
  if (values instanceof Float32Array || grid === null) return Float32Array.from(values);
  return Float32Array.from(values, (value) => (value - grid.zeroPoint) * grid.scale);
}
