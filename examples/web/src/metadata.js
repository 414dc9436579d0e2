/** What a model file says about itself: labels, preprocessing, names. */

import { readProperty } from './onnx_properties.js';
import { readMember } from './zip_tail.js';

const FORMAT = 1;
const KEY = 'keras_bottleneck';
const MEMBER = 'keras_bottleneck.json';

/**
 * The fields are those of `keras_bottleneck.runtime.Metadata`.
 *
 * @typedef {object} Metadata
 * @property {string} name
 * @property {string[] | null} labels
 * @property {import('./preprocessing.js').Preprocessing | null} preprocessing
 * @property {string} input_name
 * @property {'probabilities' | 'logits' | 'features'} output_name
 * @property {Record<string, string>} versions
 */

/**
 * Whether the file is TFLite's; its flatbuffer says so in bytes 4 to 7.
 *
 * @param {Uint8Array} file
 */
export function isTFLite(file) {
  return String.fromCharCode(...file.subarray(4, 8)) === 'TFL3';
}

/**
 * The metadata inside an .onnx or .tflite file; null where it carries none.
 *
 * @param {Uint8Array} file
 * @returns {Metadata | null}
 * @throws {Error} If the file or its metadata is damaged, or of a newer format.
 */
export function readMetadata(file) {
  const text = isTFLite(file) ? readMember(file, MEMBER) : readProperty(file, KEY);
  if (text === null) return null;
  const { format, ...metadata } = JSON.parse(text);
  if (format !== FORMAT) {
    throw new Error(`The model file's metadata has format ${format}; this page reads ${FORMAT}.`);
  }
  return metadata;
}
