/**
 * From image files and video frames to the pixels that Pillow would decode.
 *
 * The browser only decodes, and turns photographs as their EXIF orientation says: no colour
 * conversion, no resizing.
 */

import { upright, withoutOrientation } from './webp.js';

/** @typedef {import('./preprocessing.js').Pixels} Pixels */

/**
 * @param {Blob} file
 * @returns {Promise<Pixels>}
 * @throws {Error} If the browser cannot read the file as an image.
 */
export async function decodeFile(file) {
  const { file: readable, orientation } = withoutOrientation(
    new Uint8Array(await file.arrayBuffer()),
  );
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (readable)]), {
      imageOrientation: 'from-image',
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
    });
  } catch {
    throw new Error('This browser cannot read that file as an image.');
  }
  const pixels = fromCanvas(bitmap, bitmap.width, bitmap.height);
  const result = isOpaque(pixels) ? pixels : fromTexture(bitmap);
  bitmap.close();
  return upright(result, orientation);
}

/**
 * @param {HTMLVideoElement} video
 * @returns {Pixels}
 */
export function decodeFrame(video) {
  return fromCanvas(video, video.videoWidth, video.videoHeight);
}

/**
 * @param {CanvasImageSource} source
 * @param {number} width
 * @param {number} height
 * @returns {Pixels}
 */
function fromCanvas(source, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (context === null) throw new Error(`This browser has no canvas of ${width} x ${height}.`);
  context.drawImage(source, 0, 0);
  return context.getImageData(0, 0, width, height);
}

/** @param {Pixels} pixels */
function isOpaque({ data }) {
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return false;
  return true;
}

/**
 * The pixels of an image with transparent parts, whose colours a 2D canvas would lose.
 *
 * @param {ImageBitmap} bitmap
 * @returns {Pixels}
 */
function fromTexture(bitmap) {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext('webgl');
  if (gl === null || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) {
    throw new Error('This browser cannot read images of that size that are transparent in parts.');
  }
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  const texture = gl.getParameter(gl.TEXTURE_BINDING_2D);
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  const data = new Uint8Array(width * height * 4);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, data);
  gl.getExtension('WEBGL_lose_context')?.loseContext();
  return { data, width, height };
}
