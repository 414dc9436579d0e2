/** The page: from what people do to what it shows. */

import { startCamera } from './camera.js';
import { decodeFile, decodeFrame } from './decoding.js';
import { Predictor } from './predictor.js';
import {
  addModel,
  element,
  offerModels,
  showAnswer,
  showBusy,
  showCamera,
  showInStage,
  showModelFacts,
  showPhoto,
  showProblem,
} from './view.js';

/** @type {Predictor | null} */
let predictor = null;
/** @type {{pixels: import('./preprocessing.js').Pixels, decode: number} | null} */
let photo = null;
/** @type {(() => void) | null} */
let stopCamera = null;

// One thing at a time, in the order in which people asked for it.
let queue = Promise.resolve();
let waiting = 0;

/** @param {() => Promise<void>} task */
function enqueue(task) {
  showBusy(++waiting > 0);
  queue = queue
    .then(task)
    .catch((error) => showProblem(error.message))
    .finally(() => showBusy(--waiting > 0));
  return queue;
}

/**
 * @param {string} name
 * @param {() => Promise<Uint8Array>} read
 */
function openModel(name, read) {
  return enqueue(async () => {
    showModelFacts(`Opening ${name}`);
    await predictor?.close();
    predictor = null;
    try {
      const file = await read();
      predictor = await Predictor.open(file);
      showModelFacts(facts(name, file, predictor));
    } catch (error) {
      showModelFacts(`${name} could not be opened`);
      throw error;
    }
    showProblem('');
    await answer();
  });
}

/**
 * @param {string} name
 * @param {Uint8Array} file
 * @param {Predictor} opened
 */
function facts(name, file, { runtime, metadata, inputShape }) {
  const [, height, width, channels] = inputShape;
  const classes = metadata.labels === null ? '' : `, ${metadata.labels.length} classes`;
  const size = (file.length / 1e6).toFixed(file.length < 1e6 ? 2 : 1);
  return `${name}: ${size} MB, ${height} × ${width} × ${channels}${classes}, in ${runtime.name}`;
}

/** @param {File} file */
function openPhoto(file) {
  endCamera();
  return enqueue(async () => {
    photo = null;
    showInStage('hint');
    const start = performance.now();
    const pixels = await decodeFile(file);
    photo = { pixels, decode: performance.now() - start };
    showPhoto(file);
    showProblem('');
    await answer();
  });
}

async function answer() {
  if (predictor === null || photo === null) return;
  const prediction = await predictor.classify(photo.pixels);
  showAnswer(prediction, predictor.preprocessing, photo.decode);
}

async function useCamera() {
  const video = /** @type {HTMLVideoElement} */ (element('video'));
  const button = /** @type {HTMLButtonElement} */ (element('camera'));
  // While the browser asks for permission, a second press would open a second stream.
  button.disabled = true;
  const stop = await startCamera(video).finally(() => (button.disabled = false));
  stopCamera = stop;
  showInStage('video');
  showCamera(true);
  while (stopCamera === stop) {
    await enqueue(async () => {
      // The photo that was asked for while this waited is not to be replaced by a frame.
      if (stopCamera === stop) await answerFrame(video);
    });
    await new Promise(requestAnimationFrame);
  }
}

/** @param {HTMLVideoElement} video */
async function answerFrame(video) {
  const start = performance.now();
  const pixels = decodeFrame(video);
  photo = { pixels, decode: performance.now() - start };
  await answer();
}

function endCamera() {
  stopCamera?.();
  stopCamera = null;
  showCamera(false);
}

/** The last frame that was classified stays as the photo. */
async function takePhoto() {
  endCamera();
  await queue;
  if (photo === null) return;
  const { data, width, height } = photo.pixels;
  const canvas = new OffscreenCanvas(width, height);
  const image = new ImageData(new Uint8ClampedArray(data), width, height);
  canvas.getContext('2d')?.putImageData(image, 0, 0);
  showPhoto(await canvas.convertToBlob());
}

/**
 * Hands over each file that people choose; the same one again, too.
 *
 * @param {string} id
 * @param {(file: File) => void} take
 */
function onFile(id, take) {
  const input = /** @type {HTMLInputElement} */ (element(id));
  input.addEventListener('change', () => {
    const file = input.files?.[0];
    if (file) take(file);
    input.value = '';
  });
}

/** @param {File} file */
function openModelFile(file) {
  addModel(file.name);
  openModel(file.name, async () => new Uint8Array(await file.arrayBuffer()));
}

/** @param {string} name */
function openOfferedModel(name) {
  return openModel(name, async () => {
    const response = await fetch(`models/${encodeURIComponent(name)}`);
    if (!response.ok) throw new Error(`The server has no models/${name}.`);
    return new Uint8Array(await response.arrayBuffer());
  });
}

/** @param {DragEvent} event */
function onDrop(event) {
  event.preventDefault();
  element('stage').classList.remove('over');
  const file = event.dataTransfer?.files[0];
  if (!file) return;
  if (/\.(onnx|tflite)$/i.test(file.name)) openModelFile(file);
  else openPhoto(file);
}

onFile('image-file', openPhoto);
onFile('model-file', openModelFile);
element('models').addEventListener('change', (event) => {
  openOfferedModel(/** @type {HTMLSelectElement} */ (event.target).value);
});
element('camera').addEventListener('click', () => {
  const done = stopCamera === null ? useCamera() : takePhoto();
  done.catch((error) => showProblem(error.message));
});
document.addEventListener('dragover', (event) => {
  event.preventDefault();
  element('stage').classList.add('over');
});
document.addEventListener('dragleave', () => element('stage').classList.remove('over'));
document.addEventListener('drop', onDrop);

const offered = await fetch('models/index.json').then((response) => response.json());
offerModels(offered);
if (offered.length > 0) openOfferedModel(offered[0]);
