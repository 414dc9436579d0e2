/** The camera as a stream of frames into a video element. */

/**
 * @param {HTMLVideoElement} video
 * @returns {Promise<() => void>} a function that turns the camera off
 * @throws {Error} If there is no camera, or the page may not use it.
 */
export async function startCamera(video) {
  if (!navigator.mediaDevices) {
    throw new Error('Browsers give the camera to pages from https:// or localhost only.');
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
  } catch {
    throw new Error('There is no camera, or this page may not use it.');
  }
  video.srcObject = stream;
  await video.play();
  return () => {
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  };
}
