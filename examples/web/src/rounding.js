/**
 * The integer nearest to `value`, the even one of two: Python's `round`, numpy's `rint`.
 *
 * @param {number} value
 */
export function roundHalfEven(value) {
  const nearest = Math.round(value);
  return Math.abs(value % 1) === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}
