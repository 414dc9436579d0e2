/** `metadata_props` of an .onnx file, read from its protocol buffer without a protobuf library. */

// onnx.proto: ModelProto.metadata_props, and key and value of StringStringEntryProto.
const METADATA_PROPS = 14;
const KEY = 1;
const VALUE = 2;

// Wire types of protocol buffers.
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/**
 * The value of property `key`; null where there is none.
 *
 * @param {Uint8Array} file
 * @param {string} key
 * @returns {string | null}
 * @throws {Error} If the bytes are no protocol buffer.
 */
export function readProperty(file, key) {
  const decoder = new TextDecoder();
  for (const [number, entry] of fields(file)) {
    if (number !== METADATA_PROPS) continue;
    const pair = new Map(fields(entry));
    if (decoder.decode(pair.get(KEY)) === key) return decoder.decode(pair.get(VALUE));
  }
  return null;
}

/**
 * Number and content of the length-delimited fields of a message; the others are stepped over.
 *
 * @param {Uint8Array} message
 * @returns {Generator<[number, Uint8Array]>}
 */
function* fields(message) {
  let position = 0;

  function varint() {
    let value = 0;
    for (let factor = 1; position < message.length; factor *= 128) {
      const byte = message[position++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    throw new Error('The file is no ONNX model, or cut off.');
  }

  while (position < message.length) {
    const tag = varint();
    const type = tag % 8;
    if (type === BYTES) {
      const length = varint();
      if (position + length > message.length) {
        throw new Error('The file is no ONNX model, or cut off.');
      }
      yield [Math.floor(tag / 8), message.subarray(position, position + length)];
      position += length;
    } else if (type === VARINT) varint();
    else if (type === FIXED64) position += 8;
    else if (type === FIXED32) position += 4;
    else throw new Error('The file is no ONNX model, or damaged.');
  }
}
