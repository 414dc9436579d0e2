/**
 * Image files without the orientation that cameras store in EXIF.
 *
 * Training ignores it, as TensorFlow's decoders do; browsers apply it, and no option of theirs
 * turns that off (`imageOrientation: 'none'` means the same as `'from-image'`).
 */

/**
 * `file` without EXIF where it is JPEG or PNG; any other file as it is.
 *
 * @param {Uint8Array} file
 * @returns {Uint8Array}
 */
export function withoutOrientation(file) {
  if (file[0] === 0xff && file[1] === 0xd8) return joined(file, jpegParts(file));
  if (file[0] === 0x89 && ascii(file, 1, 4) === 'PNG') return joined(file, pngParts(file));
  return file;
}

/**
 * [start, end) of all that stays of a JPEG file.
 *
 * @param {Uint8Array} file
 * @returns {Generator<[number, number]>}
 */
function* jpegParts(file) {
  const [app1, startOfScan] = [0xe1, 0xda];
  yield [0, 2];
  let at = 2;
  // Segments are a marker, a length and content, until the compressed pixels begin.
  while (file[at] === 0xff && file[at + 1] !== startOfScan && at + 4 <= file.length) {
    const end = at + 2 + file[at + 2] * 256 + file[at + 3];
    if (!(file[at + 1] === app1 && ascii(file, at + 4, at + 8) === 'Exif')) yield [at, end];
    at = end;
  }
  yield [at, file.length];
}

/**
 * [start, end) of all that stays of a PNG file.
 *
 * @param {Uint8Array} file
 * @returns {Generator<[number, number]>}
 */
function* pngParts(file) {
  const [signature, aroundContent] = [8, 12];
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  yield [0, signature];
  let at = signature;
  while (at + aroundContent <= file.length) {
    const end = at + aroundContent + view.getUint32(at);
    if (ascii(file, at + 4, at + 8) !== 'eXIf') yield [at, end];
    at = end;
  }
}

/**
 * @param {Uint8Array} file
 * @param {Iterable<[number, number]>} parts
 */
function joined(file, parts) {
  const pieces = Array.from(parts, ([start, end]) => file.subarray(start, end));
  const result = new Uint8Array(pieces.reduce((total, piece) => total + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    result.set(piece, at);
    at += piece.length;
  }
  return result;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} start
 * @param {number} end
 */
function ascii(bytes, start, end) {
  return String.fromCharCode(...bytes.subarray(start, end));
}
