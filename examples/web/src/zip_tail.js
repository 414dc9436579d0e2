/** The zip archive at the end of a .tflite file. Its members are stored, not compressed. */

const END = 0x06054b50;
const END_SIZE = 22;
const LONGEST_COMMENT = 0xffff;
const ENTRY = 0x02014b50;
const ENTRY_SIZE = 46;
const LOCAL_SIZE = 30;
const STORED = 0;

/**
 * The text of member `name`; null where there is no such member.
 *
 * @param {Uint8Array} file
 * @param {string} name
 * @returns {string | null}
 * @throws {Error} If the archive is cut off or the member is compressed.
 */
export function readMember(file, name) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const end = endRecord(view);
  if (end === null) {
    // The model in front still runs when the tail is cut, and would then get raw pixels.
    if (contains(file, name)) throw new Error('The metadata at the end of the file is cut off.');
    return null;
  }
  const decoder = new TextDecoder();
  const count = view.getUint16(end + 10, true);
  const directory = end - view.getUint32(end + 12, true);
  // Offsets in the archive count from where it starts, or from the start of the whole file.
  const shift = directory - view.getUint32(end + 16, true);
  for (let entry = directory, i = 0; i < count; i++) {
    if (view.getUint32(entry, true) !== ENTRY) throw new Error('The zip archive is damaged.');
    const nameLength = view.getUint16(entry + 28, true);
    const start = entry + ENTRY_SIZE;
    if (decoder.decode(file.subarray(start, start + nameLength)) === name) {
      if (view.getUint16(entry + 10, true) !== STORED) {
        throw new Error(`${name} in the model file is compressed; this page reads stored ones.`);
      }
      const local = view.getUint32(entry + 42, true) + shift;
      const content =
        local + LOCAL_SIZE + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
      return decoder.decode(file.subarray(content, content + view.getUint32(entry + 24, true)));
    }
    entry = start + nameLength + view.getUint16(entry + 30, true) + view.getUint16(entry + 32, true);
  }
  return null;
}

/**
 * Where the archive's last record begins, behind which only its comment may follow.
 *
 * @param {DataView} view
 * @returns {number | null}
 */
function endRecord(view) {
  const last = view.byteLength - END_SIZE;
  for (let start = last; start >= Math.max(last - LONGEST_COMMENT, 0); start--) {
    const commentLength = last - start;
    if (view.getUint32(start, true) === END && view.getUint16(start + 20, true) === commentLength) {
      return start;
    }
  }
  return null;
}

/**
 * @param {Uint8Array} file
 * @param {string} text
 */
function contains(file, text) {
  const wanted = new TextEncoder().encode(text);
  for (let at = file.indexOf(wanted[0]); at >= 0; at = file.indexOf(wanted[0], at + 1)) {
    if (wanted.every((byte, i) => file[at + i] === byte)) return true;
  }
  return false;
}
