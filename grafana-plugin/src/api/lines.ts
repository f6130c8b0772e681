// Lines of JSON out of pieces of bytes.

const longest = 4 << 20;

/** Tells every whole line; a piece may end in the middle of one, or of a letter. What is no JSON is left out. */
export function lineReader(tell: (line: unknown) => void): (piece: Uint8Array) => void {
  const decoder = new TextDecoder();
  let rest = '';
  return (piece) => {
    const parts = (rest + decoder.decode(piece, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    if (rest.length > longest) {
      throw new Error('a line is too long');
    }
    for (const p of parts) {
      let line: unknown;
      try {
        line = JSON.parse(p);
      } catch {
        continue;
      }
      tell(line);
    }
  };
}
