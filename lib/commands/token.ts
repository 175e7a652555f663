/** Returns a new token: 96 random bits in hex digits. */
export function newToken(): string {
  return [...crypto.getRandomValues(new Uint8Array(12))]
    .map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
