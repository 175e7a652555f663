/** Returns the smaller of two values of which either may not be known. */
export function smaller<Value extends number | string>(
  a: Value | undefined,
  b: Value | undefined,
): Value | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return b < a ? b : a;
}

/** Returns the larger of two values of which either may not be known. */
export function larger<Value extends number | string>(
  a: Value | undefined,
  b: Value | undefined,
): Value | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return b > a ? b : a;
}
