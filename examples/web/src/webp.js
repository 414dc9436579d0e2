/**
 * The orientation that cameras and editors store in WebP files.
 *
 * Browsers turn JPEG and PNG files as their EXIF says, and leave WebP as it is.
 */

/** @typedef {import('./preprocessing.js').Pixels} Pixels */

const UPRIGHT = 1;
const ORIENTATION = 0x0112;
const IN_RIFF = 12;
const AROUND_CONTENT = 8;
const ENTRY = 12;

/**
 * @param {Uint8Array} file
 * @returns {{file: Uint8Array, orientation: number}} The file without EXIF, so that no browser
 *     turns it too, and its orientation, 1 to 8; of any other file, itself and 1.
 */
export function withoutOrientation(file) {
  const parts = { file, orientation: UPRIGHT };
  if (ascii(file, 0) !== 'RIFF' || ascii(file, 8) !== 'WEBP') return parts;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  let at = IN_RIFF;
  while (at + AROUND_CONTENT <= file.length) {
    const size = view.getUint32(at + 4, true);
    const content = at + AROUND_CONTENT;
    if (ascii(file, at) === 'EXIF') {
      parts.orientation = orientationIn(file.subarray(content, content + size));
      parts.file = file.slice();
      parts.file.fill('-'.charCodeAt(0), at, at + 4); // Readers pass over chunks of other names.
    }
    at = content + size + (size % 2);
  }
  return parts;
}

/**
 * The orientation that EXIF states in its first directory; 1 where it states none.
 *
 * @param {Uint8Array} exif
 */
function orientationIn(exif) {
  const start = ascii(exif, 0) === 'Exif' ? 6 : 0;
  const view = new DataView(exif.buffer, exif.byteOffset + start, exif.byteLength - start);
  try {
    const little = view.getUint16(0) === 0x4949;
    const directory = view.getUint32(4, little);
    for (let i = 0; i < view.getUint16(directory, little); i++) {
      const entry = directory + 2 + ENTRY * i;
      if (view.getUint16(entry, little) !== ORIENTATION) continue;
      const value = view.getUint16(entry + 8, little);
      return value >= 1 && value <= 8 ? value : UPRIGHT;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // EXIF that is cut off.
  }
  return UPRIGHT;
}

/**
 * @param {Pixels} pixels
 * @param {number} orientation
 * @returns {Pixels} The pixels as they are to be seen.
 */
export function upright({ data, width, height }, orientation) {
  if (orientation === UPRIGHT) return { data, width, height };
  const turned = orientation > 4;
  const [mirrored, upsideDown] = [[2, 3, 7, 8], [3, 4, 6, 7]].map((of) => of.includes(orientation));
  const [columns, rows] = turned ? [height, width] : [width, height];
  const result = new Uint8Array(data.length);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const [u, v] = turned ? [y, x] : [x, y];
      const column = mirrored ? width - 1 - u : u;
      const row = upsideDown ? height - 1 - v : v;
      const from = 4 * (row * width + column);
      result.set(data.subarray(from, from + 4), 4 * (y * columns + x));
    }
  }
  return { data: result, width: columns, height: rows };
}

/**
 * @param {Uint8Array} bytes
 * @param {number} start
 */
function ascii(bytes, start) {
  return String.fromCharCode(...bytes.subarray(start, start + 4));
}
