/** What the page shows; it is told everything, and asks nothing. */

const CLASSES_SHOWN = 5;

/**
 * The element of the page with this id.
 *
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function element(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`The page has no element called ${id}.`);
  return /** @type {T} */ (found);
}

/** @param {string} message - empty: there is no problem */
export function showProblem(message) {
  const problem = element('problem');
  problem.textContent = message;
  problem.hidden = message === '';
  if (message !== '') clearAnswer();
}

function clearAnswer() {
  element('classes').replaceChildren();
  for (const id of ['seen', 'milliseconds']) element(id).hidden = true;
}

/** @param {boolean} busy */
export function showBusy(busy) {
  element('answer').setAttribute('aria-busy', String(busy));
}

/** @param {string} message */
export function showModelFacts(message) {
  element('model-facts').textContent = message;
}

/** @param {string[]} names - of the models beside the page */
export function offerModels(names) {
  const select = /** @type {HTMLSelectElement} */ (element('models'));
  select.replaceChildren(...names.map((name) => new Option(name, name)));
  select.hidden = names.length === 0;
}

/**
 * Puts the name of an opened file into the list of models, where it is shown as chosen.
 *
 * @param {string} name
 */
export function addModel(name) {
  const select = /** @type {HTMLSelectElement} */ (element('models'));
  select.querySelector('[data-opened]')?.remove();
  const option = new Option(name, '', true, true);
  option.dataset.opened = '';
  option.disabled = true;
  select.append(option);
}

/** @param {Blob} photo */
export function showPhoto(photo) {
  const preview = /** @type {HTMLImageElement} */ (element('preview'));
  URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(photo);
  showInStage('preview');
}

/** @param {'hint' | 'preview' | 'video'} shown */
export function showInStage(shown) {
  for (const id of ['hint', 'preview', 'video']) element(id).hidden = id !== shown;
  element('stage').classList.toggle('filled', shown !== 'hint');
}

/** @param {boolean} running */
export function showCamera(running) {
  element('camera').textContent = running ? 'Take photo' : 'Use camera';
}

/**
 * @param {import('./predictor.js').Prediction} prediction
 * @param {import('./preprocessing.js').Preprocessing} preprocessing
 * @param {number} decode - milliseconds
 */
export function showAnswer(prediction, preprocessing, decode) {
  showProblem('');
  const { classes, value } = prediction;
  const items = value === null ? classes.slice(0, CLASSES_SHOWN).map(classItem) : [valueItem(value)];
  element('classes').replaceChildren(...items);
  drawSeen(prediction.seen, preprocessing);
  const times = { decode, ...prediction.milliseconds };
  for (const [id, milliseconds] of Object.entries(times)) {
    element(id).textContent = `${milliseconds.toFixed(1)} ms`;
  }
  for (const id of ['seen', 'milliseconds']) element(id).hidden = false;
}

/** @param {number} value */
function valueItem(value) {
  const item = itemOf(value.toPrecision(4));
  item.dataset.value = String(value);
  return item;
}

/** @param {import('./predictor.js').Class} entry */
function classItem({ label, probability }) {
  const percent = `${(100 * probability).toFixed(1)}%`;
  const item = itemOf(label, percent);
  item.style.setProperty('--share', percent);
  item.dataset.probability = String(probability);
  return item;
}

/** @param {string[]} texts */
function itemOf(...texts) {
  const item = document.createElement('li');
  for (const text of texts) {
    const span = document.createElement('span');
    span.textContent = text;
    item.append(span);
  }
  return item;
}

/**
 * @param {Float32Array} seen
 * @param {import('./preprocessing.js').Preprocessing} preprocessing
 */
function drawSeen(seen, { image_size: [height, width], channels }) {
  const canvas = /** @type {HTMLCanvasElement} */ (element('seen-pixels'));
  Object.assign(canvas, { width, height });
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let c = 0; c < 3; c++) {
      image.data[4 * pixel + c] = seen[pixel * channels + (channels === 1 ? 0 : c)];
    }
    image.data[4 * pixel + 3] = 255;
  }
  canvas.getContext('2d')?.putImageData(image, 0, 0);
}
