/** A model file ready to classify photos: keras_bottleneck.runtime.Predictor in JavaScript. */

import { classProbabilities } from './classes.js';
import { isTFLite, readMetadata } from './metadata.js';
import { normalized, resized } from './preprocessing.js';

/**
 * An opened model with one input and one output; null stands for a free dimension.
 *
 * @typedef {object} Runtime
 * @property {string} name
 * @property {(number | null)[]} inputShape
 * @property {(values: Float32Array, shape: number[]) => Promise<Outputs>} run
 * @property {() => Promise<void>} close
 *
 * @typedef {{values: Float32Array, shape: number[]}} Outputs
 *
 * @typedef {{label: string, probability: number}} Class
 *
 * @typedef {object} Prediction
 * @property {Class[]} classes - most probable first; empty where the model gives a number
 * @property {number | null} value - of a model with one linear output and no labels
 * @property {Float32Array} seen - the photo in the model's size, pixels 0..255
 * @property {{prepare: number, run: number}} milliseconds
 */

/** Opens model files and classifies with them; `Predictor.open` makes one. */
export class Predictor {
  /**
   * @param {Runtime} runtime
   * @param {import('./metadata.js').Metadata} metadata
   * @param {import('./preprocessing.js').Preprocessing} preprocessing
   */
  constructor(runtime, metadata, preprocessing) {
    this.runtime = runtime;
    this.metadata = metadata;
    this.preprocessing = preprocessing;
    this.inputShape = [1, ...preprocessing.image_size, preprocessing.channels];
  }

  /**
   * @param {Uint8Array} file - an .onnx or .tflite file of keras_bottleneck's `export_model`
   * @returns {Promise<Predictor>}
   * @throws {Error} If it is none, is damaged, or is no classifier with stored preprocessing.
   */
  static async open(file) {
    const metadata = readMetadata(file);
    if (metadata === null) {
      throw new Error('The model file carries no metadata: write it with export_model.');
    }
    if (metadata.preprocessing === null) {
      throw new Error('The model file carries no preprocessing: pass it to export_model.');
    }
    if (metadata.output_name === 'features') throw new Error('The model is no classifier.');
    const { open } = await (isTFLite(file)
      ? import('./runtimes/litert.js')
      : import('./runtimes/onnx.js'));
    const predictor = new Predictor(await open(file), metadata, metadata.preprocessing);
    const taken = predictor.runtime.inputShape;
    if (!predictor.inputShape.every((side, i) => taken[i] === null || taken[i] === side)) {
      await predictor.close();
      throw new Error(`The model takes ${taken}, its preprocessing makes ${predictor.inputShape}.`);
    }
    // The first run takes longer than all others.
    const { inputShape } = predictor;
    const nothing = new Float32Array(inputShape.reduce((product, side) => product * side));
    await predictor.runtime.run(nothing, inputShape);
    return predictor;
  }

  /**
   * @param {import('./preprocessing.js').Pixels} image
   * @returns {Promise<Prediction>}
   */
  async classify(image) {
    const start = performance.now();
    const seen = resized(this.preprocessing, image);
    const input = normalized(this.preprocessing, seen);
    const prepared = performance.now();
    const outputs = await this.runtime.run(input, this.inputShape);
    const done = performance.now();
    if (outputs.shape.length !== 2) throw new Error('The model is no classifier of whole images.');
    return {
      ...this.#answer(outputs.values),
      seen,
      milliseconds: { prepare: prepared - start, run: done - prepared },
    };
  }

  /** Frees the runtime's memory; the predictor is of no use afterwards. */
  close() {
    return this.runtime.close();
  }

  /** @param {Float32Array} values */
  #answer(values) {
    const { labels, output_name: outputName } = this.metadata;
    if (labels === null && outputName === 'logits' && values.length === 1) {
      return { classes: [], value: values[0] };
    }
    return { classes: this.#ranked(classProbabilities(values, outputName)), value: null };
  }

  /** @param {number[]} probabilities */
  #ranked(probabilities) {
    const { labels } = this.metadata;
    if (labels !== null && labels.length !== probabilities.length) {
      throw new Error(`The model has ${probabilities.length} classes, ${labels.length} labels.`);
    }
    return probabilities
      .map((probability, index) => ({ label: labels?.[index] ?? String(index), probability }))
      .sort((one, other) => other.probability - one.probability);
  }
}
